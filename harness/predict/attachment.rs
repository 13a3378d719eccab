//! [`missing_target`], [`other_prototype`]: what a program attaches to, by the kernel's types.

use std::collections::BTreeSet;

use crate::core_relo::{Kind, Target, TypeTable};
use crate::explain::AttachTarget;
use crate::object::ProgramInfo;

/// Program types whose target the kernel's types must have.
const TARGETED: [&str; 2] = ["tracing", "lsm"];
/// Attach types whose programs see what the target returned.
const AFTER: [&str; 5] = ["trace_fexit", "modify_return", "trace_fsession", "lsm_mac", "lsm_cgroup"];
/// Bytes of an argument in the context of such a program.
const ARGUMENT: i16 = 8;

/// What the program attaches to, if its type needs a type of the kernel for that and the kernel has none: its name, and that in BTF.
pub(super) fn missing_target(program: &ProgramInfo, target: &Target) -> Option<(String, String)> {
    let (wanted, kind) = wanted(program)?;
    let name = wanted.btf_name();
    (!has(target, &name, kind)).then(|| (wanted.name().to_owned(), name))
}

/// The name in BTF of what the program attaches to, and whether it is a function.
pub(super) fn target_name(program: &ProgramInfo) -> Option<(String, bool)> {
    let (wanted, kind) = wanted(program)?;
    Some((wanted.btf_name(), kind == Kind::Function))
}

/// Why the arguments that a program reads, by their offsets in its context, are not those of its target.
pub(super) fn other_prototype(program: &ProgramInfo, reads: &BTreeSet<i16>, target: &Target) -> Option<String> {
    let (wanted, kind) = wanted(program)?;
    let last = *reads.last()? / ARGUMENT;
    let name = wanted.btf_name();
    let kernel = tables(target).find(|table| table.exactly(&name, kind).is_some())?;
    let (_, found) = kernel.exactly(&name, kind)?;
    let (parameters, room) = match wanted {
        AttachTarget::Function(_) => {
            let prototype = kernel.get(found.size_or_type).filter(|found| found.kind == Kind::Prototype)?;
            let sees_result = program.attach_type.as_deref().is_some_and(|kind| AFTER.contains(&kind));
            (prototype.count, usize::from(sees_result))
        }
        // `btf_trace_NAME` is a pointer to a function whose first argument is not the program's.
        AttachTarget::Tracepoint(_) => {
            let pointer = kernel.get(found.size_or_type).filter(|found| found.kind == Kind::Pointer)?;
            let prototype = kernel.get(pointer.size_or_type).filter(|found| found.kind == Kind::Prototype)?;
            (prototype.count.checked_sub(1)?, 0)
        }
        AttachTarget::Iterator(_) => return None,
    };
    let parameters = usize::try_from(parameters).ok()?;
    (usize::try_from(last).ok()? >= parameters + room)
        .then(|| format!("`{}` has {parameters} arguments, but the program reads argument {}", wanted.name(), last + 1))
}

fn wanted(program: &ProgramInfo) -> Option<(AttachTarget, Kind)> {
    if !program.prog_type.as_deref().is_some_and(|kind| TARGETED.contains(&kind)) {
        return None;
    }
    let wanted = AttachTarget::from_section(&program.section)?;
    let kind = match wanted {
        AttachTarget::Tracepoint(_) => Kind::Typedef,
        AttachTarget::Function(_) | AttachTarget::Iterator(_) => Kind::Function,
    };
    Some((wanted, kind))
}

/// Whether the kernel, or a module that counts, has a type of this name.
pub(super) fn has(target: &Target, name: &str, kind: Kind) -> bool {
    tables(target).any(|table| table.exactly(name, kind).is_some())
}

fn tables(target: &Target) -> impl Iterator<Item = &TypeTable> {
    std::iter::once(&*target.kernel).chain(target.modules.iter().map(|(_, table)| &**table))
}
