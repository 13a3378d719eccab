//! What is missing from the kernel and may be in a module: guests load none, so that nothing follows for the object.

use super::{Case, Diagnosis, KernelView, subject};
use crate::cause::Cause;
use crate::verdict::Verdict;

/// The modules that have what a guard asks for: `struct xfs_inode.i_mount`, `enum x::Y`, a kfunc.
pub fn modules_of(kernel: &dyn KernelView, asked: &str) -> Vec<String> {
    kernel.modules_with(subject::type_name(asked))
}

/// The same diagnosis, unless what it found missing is in a kernel module: then the object was not judged.
pub(super) fn unless_in_module(case: &Case<'_>, diagnosis: Diagnosis) -> Diagnosis {
    match in_module(case, &diagnosis) {
        Some((what, modules)) => not_loaded(&what, &modules, diagnosis),
        None => diagnosis,
    }
}

/// What a program looked for in vain is in one of these modules.
pub(super) fn not_loaded(what: &str, modules: &[String], diagnosis: Diagnosis) -> Diagnosis {
    let reason = format!("{what} is in kernel module {}, which the guest has not loaded", modules.join(" or "));
    let evidence = diagnosis.evidence.map(|evidence| evidence.about(what));
    Diagnosis { verdict: Verdict::HarnessLimit, cause: Some(Cause::ModuleNotLoaded), reason: Some(reason), evidence }
}

/// What is missing, and the modules that have it.
fn in_module(case: &Case<'_>, diagnosis: &Diagnosis) -> Option<(String, Vec<String>)> {
    let subject = diagnosis.evidence.as_ref()?.subject.as_deref()?;
    let modules = |name: &str| Some(case.kernel.modules_with(name)).filter(|modules| !modules.is_empty());
    match diagnosis.cause? {
        Cause::MissingType | Cause::MissingField | Cause::MissingEnumValue => {
            let name = subject::type_name(subject);
            let keyword = subject.split_once(' ').map_or(String::new(), |(keyword, _)| format!("{keyword} "));
            Some((format!("{keyword}{name}"), modules(name)?))
        }
        Cause::MissingKfunc | Cause::MissingKsym => {
            let name = subject::type_name(subject);
            Some((name.to_owned(), modules(name)?))
        }
        Cause::MissingAttachTarget => {
            let name = subject.strip_prefix("struct ").unwrap_or(subject);
            // `fentry/xfs:xfs_file_open` says itself where it is.
            let (module, name) = name.split_once(':').map_or((None, name), |(module, name)| (Some(module), name));
            let of_section = format!("bpf_lsm_{name}");
            let in_ops = format!("bpf_struct_ops_{name}");
            let found = [name, &of_section, &in_ops].into_iter().find_map(modules);
            match (module, found) {
                (Some(module), Some(found)) => {
                    found.iter().any(|one| one == module).then(|| (name.to_owned(), vec![module.to_owned()]))
                }
                (Some("vmlinux"), None) => None,
                // Nobody knows whether the module has it.
                (Some(module), None) if !case.kernel.knows_modules() => {
                    Some((name.to_owned(), vec![module.to_owned()]))
                }
                (None, Some(found)) => Some((name.to_owned(), found)),
                (_, None) => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernel_view::ToldKernel;
    use super::super::{judge, tests::outcome};
    use super::*;
    use crate::protocol::Stage;

    const WITH_XFS: ToldKernel = ToldKernel {
        has: &[("type xfs_inode", false), ("type inode", true)],
        modules: &[("xfs_inode", "xfs"), ("xfs_file_open", "xfs"), ("f", "one"), ("f", "two")],
        release: None,
    };
    const REFUSED: &str = "prog 'p': BPF program load failed: -EINVAL";

    fn judged(kernel: &ToldKernel, stage: Stage, warning: &str, log: &str) -> Diagnosis {
        let outcome = outcome(stage, &[warning]);
        judge(&Case {
            outcome: &outcome,
            log,
            program: None,
            object: None,
            kernel,
            poison: &|_| None,
            memory_mib: None,
        })
    }

    fn relocation(kernel: &ToldKernel, of: &str) -> Diagnosis {
        let log = format!(
            "1: <invalid CO-RE relocation>\nfailed to resolve CO-RE relocation <byte_off> [17] struct {of}.m (0:1 @ offset 8)\n"
        );
        judged(kernel, Stage::Load, REFUSED, &log)
    }

    #[test]
    fn type_of_a_module_is_not_judged_and_names_it() {
        let found = relocation(&WITH_XFS, "xfs_inode___m");
        assert_eq!((found.verdict, found.cause), (Verdict::HarnessLimit, Some(Cause::ModuleNotLoaded)));
        let reason = found.reason.expect("a reason");
        assert_eq!(reason, "struct xfs_inode is in kernel module xfs, which the guest has not loaded");
        // A type that no module has is missing, and so is a field of one that the kernel itself has.
        assert_eq!(relocation(&WITH_XFS, "inode").cause, Some(Cause::MissingField));
        assert_eq!(relocation(&ToldKernel::default(), "xfs_inode").verdict, Verdict::RelocationFailed);
    }

    #[test]
    fn targets_and_kfuncs_of_a_module_are_not_judged() {
        let target = |kernel: &ToldKernel, name: &str| {
            let warning = format!("prog 'p': failed to find kernel BTF type ID of '{name}': -ESRCH");
            judged(kernel, Stage::Load, &warning, "").cause
        };
        assert_eq!(target(&WITH_XFS, "xfs_file_open"), Some(Cause::ModuleNotLoaded));
        assert_eq!(target(&WITH_XFS, "xfs:xfs_file_open"), Some(Cause::ModuleNotLoaded));
        assert_eq!(target(&WITH_XFS, "ext4:xfs_file_open"), Some(Cause::MissingAttachTarget));
        assert_eq!(target(&WITH_XFS, "xfs:gone"), Some(Cause::MissingAttachTarget));
        assert_eq!(target(&WITH_XFS, "gone"), Some(Cause::MissingAttachTarget));
        // Without the modules' types the object's own word counts.
        assert_eq!(target(&ToldKernel::default(), "xfs:xfs_file_open"), Some(Cause::ModuleNotLoaded));
        assert_eq!(target(&ToldKernel::default(), "xfs_file_open"), Some(Cause::MissingAttachTarget));
        let found = judged(&WITH_XFS, Stage::Prepare, "extern (func ksym) 'f': not found in kernel or module BTFs", "");
        assert!(found.reason.is_some_and(|reason| reason.contains("module one or two, which")));
    }
}
