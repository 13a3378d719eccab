//! [`never_attaches`]: programs that a kernel loads though it cannot attach them as their section says.
//!
//! At load a kernel does not look at the attach type of most program types, so `tcx/ingress` and `kprobe.multi` load on kernels
//! that are older than either.

use super::{Diagnosis, KernelView, attach_types};
use crate::object::ProgramInfo;
use crate::record::Verdict;
use crate::record::{Cause, Evidence};

/// Why this kernel can never attach a program as its section says; `None` if nothing is known that prevents it.
pub fn never_attaches(program: &ProgramInfo, kernel: &dyn KernelView) -> Option<Diagnosis> {
    if attach_types::has_attach_type(program, kernel) == Some(false) {
        let name = attach_types::attach_type(program)?;
        let since = attach_types::since(program);
        let line = format!("the kernel has no attach type `{name}`{since}: it loads the program but cannot attach it");
        let evidence = Evidence::line(line).about(name);
        return Some(Diagnosis::of(Verdict::UnsupportedType, Cause::MissingAttachType, evidence));
    }
    let option = attach_types::option_of_attach(program, kernel)?;
    let kind = attach_types::kind(&program.section);
    let line = format!("the kernel is built without `{option}`: it loads `{kind}` programs but cannot attach them");
    let evidence = Evidence::line(line).about(option);
    Some(Diagnosis::of(Verdict::UnsupportedType, Cause::KernelConfigMissing, evidence))
}

#[cfg(test)]
mod tests;
