//! What is missing from the kernel and is in a module that the guest has not loaded: nothing follows for the object.
//!
//! Where nothing is known about the kernel's modules, a module of another kernel that has it is reason enough not to judge.

use super::kernel_view::{Elsewhere, KernelView};
use super::module_target::{Name, target_names};
use super::{Case, Diagnosis, subject};
use crate::protocol::attach::{TargetFacts, TargetKind};
use crate::record::{Cause, Evidence, Verdict};

/// The kernel's option to have BTF of modules; from 5.11 on.
const BTF_OF_MODULES: &str = "CONFIG_DEBUG_INFO_BTF_MODULES";

/// Which modules have a name.
enum Modules {
    /// Those of this kernel.
    Here(Vec<String>),
    /// One of another kernel.
    Elsewhere(Elsewhere),
}

/// The modules that have what a guard asks for: `struct xfs_inode.i_mount`, `enum x::Y`, a kfunc.
pub fn modules_of(kernel: &dyn KernelView, asked: &str) -> Vec<String> {
    kernel.modules_with(subject::type_name(asked))
}

/// The module of another kernel that has what a guard asks for.
pub fn module_elsewhere(kernel: &dyn KernelView, asked: &str) -> Option<Elsewhere> {
    kernel.elsewhere(subject::type_name(asked))
}

/// The same diagnosis, unless what it found missing is in a kernel module: then the object was not judged.
pub(super) fn unless_in_module(case: &Case<'_>, diagnosis: Diagnosis) -> Diagnosis {
    let Some((what, modules)) = in_module(case, &diagnosis) else { return without_types(case, diagnosis) };
    let mut reason = modules.reason(&what, case.kernel);
    // libbpf and the kernel ask BTF for everything but what probes attach to.
    if case.kernel.config(BTF_OF_MODULES) == Some(false) {
        reason += "; without module BTF (`CONFIG_DEBUG_INFO_BTF_MODULES`), it would not be found in a loaded module \
    either";
    }
    let evidence = diagnosis.evidence.map(|evidence| evidence.about(what));
    not_judged(reason, evidence)
}

/// The same diagnosis; of what is in a module that is loaded it says that the kernel shows no types of modules, if so.
fn without_types(case: &Case<'_>, diagnosis: Diagnosis) -> Diagnosis {
    let subject = diagnosis.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref());
    let Some(subject) = subject.filter(|_| case.kernel.config(BTF_OF_MODULES) == Some(false)) else { return diagnosis };
    let name = subject.rsplit(':').next().unwrap_or(subject);
    let names = target_names(case.program.map(|program| program.section.as_str()), subject::type_name(name));
    if !names.iter().any(|name| case.kernel.is_in_loaded_module(&name.name)) {
        return diagnosis;
    }
    let said = diagnosis.reason.clone().unwrap_or_default();
    let why = "it is in a loaded kernel module, but the kernel has no module BTF (`CONFIG_DEBUG_INFO_BTF_MODULES`)";
    diagnosis.because(format!("{said}; {why}"))
}

/// That a loader refuses a program, or would have the kernel refuse it, for a type that the kernel does not have; `words` say so. `spec`
/// is the relocation's own type or member.
pub fn missing_type(kernel: &dyn KernelView, words: String, spec: &str) -> Diagnosis {
    let named = subject::of_spec(spec.split_once("] ").map_or(spec, |(_, spec)| spec));
    let name = subject::type_name(named);
    let keyword = named.split_once(' ').map_or(String::new(), |(keyword, _)| format!("{keyword} "));
    let evidence = Evidence::line(&words).about(format!("{keyword}{name}"));
    match find(kernel, &[Name::of_type(name)]) {
        Some(modules) => not_judged(modules.reason(&format!("{keyword}{name}"), kernel), Some(evidence)),
        None => Diagnosis::of(Verdict::RelocationFailed, Cause::MissingType, evidence),
    }
}

/// What a program looked for in vain is in one of these modules.
pub(super) fn not_loaded(kernel: &dyn KernelView, what: &str, modules: &[String], diagnosis: Diagnosis) -> Diagnosis {
    let evidence = diagnosis.evidence.map(|evidence| evidence.about(what));
    not_judged(Modules::Here(modules.to_vec()).reason(what, kernel), evidence)
}

/// That what a program could not be attached to is in a kernel module, if so.
pub fn target_in_module(kernel: &dyn KernelView, target: &TargetFacts, said: Option<&Evidence>) -> Option<Diagnosis> {
    let (what, name) = match target.kind {
        // One of several functions proves nothing of the others.
        TargetKind::Functions if target.name.contains(['*', '?']) => return None,
        TargetKind::Function | TargetKind::Functions => (target.name.as_str(), Name::function(&target.name)),
        TargetKind::Tracepoint | TargetKind::RawTracepoint => {
            // `xfs/xfs_file_open` or `xfs:xfs_file_open`: what is before is no module, though it is often called so.
            let name = target.name.rsplit(['/', ':']).next()?;
            (name, Name::of_type(format!("btf_trace_{name}")))
        }
        TargetKind::SystemCall | TargetKind::UserFunction | TargetKind::UserProbe => return None,
    };
    let modules = find(kernel, &[name])?;
    let evidence = said.map(|said| said.clone().about(what));
    Some(not_judged(modules.reason(&format!("`{what}`"), kernel), evidence))
}

/// That a guest cannot have the modules that the user asked for.
pub fn without_module(reason: String) -> Diagnosis {
    not_judged(reason, None)
}

fn not_judged(reason: String, evidence: Option<Evidence>) -> Diagnosis {
    Diagnosis { verdict: Verdict::HarnessLimit, cause: Some(Cause::ModuleNotLoaded), reason: Some(reason), evidence }
}

impl Modules {
    /// `explain` reads it again.
    fn reason(&self, what: &str, kernel: &dyn KernelView) -> String {
        match self {
            Modules::Here(modules) => {
                let named = modules.join(" or ");
                if let Some(why) = modules.iter().find_map(|module| kernel.why_without_types(module)) {
                    return format!(
                        "{what} is in kernel module {named}, which loaded, but its types were refused: {why}"
                    );
                }
                let words = format!("{what} is in kernel module {named}, which the guest has not loaded");
                match modules.iter().find_map(|module| kernel.why_not_loaded(module)) {
                    Some(why) => format!("{words}: {why}"),
                    None => words,
                }
            }
            Modules::Elsewhere(Elsewhere { module, kernel: on }) => {
                let words =
                    format!("{what} is in kernel module {module} on {on}; the modules of this kernel are unknown");
                match kernel.why_modules_unknown() {
                    Some(why) => format!("{words}: {why}"),
                    None => words,
                }
            }
        }
    }
}

/// The modules that have the first of these names that any module has.
fn find(kernel: &dyn KernelView, names: &[Name]) -> Option<Modules> {
    // It is missing although its module is there.
    if names.iter().any(|name| kernel.is_in_loaded_module(&name.name)) {
        return None;
    }
    let here = |name: &Name| Some(kernel.modules_with(&name.name)).filter(|modules| !modules.is_empty());
    if let Some(modules) = names.iter().find_map(here) {
        return Some(Modules::Here(modules));
    }
    let is_unknown = |name: &&Name| match name.is_function {
        true => !kernel.knows_module_functions(),
        false => !kernel.knows_modules(),
    };
    names.iter().filter(is_unknown).find_map(|name| kernel.elsewhere(&name.name)).map(Modules::Elsewhere)
}

/// What is missing, and the modules that have it.
fn in_module(case: &Case<'_>, diagnosis: &Diagnosis) -> Option<(String, Modules)> {
    let subject = diagnosis.evidence.as_ref()?.subject.as_deref()?;
    match diagnosis.cause? {
        // A module of the kernel has no part in BTF of the loader's own.
        Cause::MissingType | Cause::MissingField | Cause::MissingEnumValue if case.own_types.is_some() => None,
        Cause::MissingType | Cause::MissingField | Cause::MissingEnumValue => {
            let name = subject::type_name(subject);
            let keyword = subject.split_once(' ').map_or(String::new(), |(keyword, _)| format!("{keyword} "));
            Some((format!("{keyword}{name}"), find(case.kernel, &[Name::of_type(name)])?))
        }
        Cause::MissingKfunc => {
            let name = subject::type_name(subject);
            Some((name.to_owned(), find(case.kernel, &[Name::function(name)])?))
        }
        Cause::MissingKsym => {
            // A variable, which is not among symbols of functions, or a function.
            let name = subject::type_name(subject);
            Some((name.to_owned(), find(case.kernel, &[Name::of_type(name)])?))
        }
        Cause::MissingAttachTarget => attach_target(case, subject),
        _ => None,
    }
}

/// An attach target that is missing, and the modules that have it.
fn attach_target(case: &Case<'_>, subject: &str) -> Option<(String, Modules)> {
    let kernel = case.kernel;
    if let Some(name) = subject.strip_prefix("struct ") {
        return Some((name.to_owned(), find(kernel, &[Name::of_type(name)])?));
    }
    // `fentry/xfs:xfs_file_open` says itself where it is.
    let (module, name) = subject.split_once(':').map_or((None, subject), |(module, name)| (Some(module), name));
    let names = target_names(case.program.map(|program| program.section.as_str()), name);
    let modules = match (module, find(kernel, &names)) {
        (None, found) => found?,
        (Some(module), Some(Modules::Here(found))) => {
            Modules::Here(found.into_iter().any(|one| one == module).then(|| vec![module.to_owned()])?)
        }
        (Some("vmlinux"), _) => return None,
        // The object's own word counts where no one knows better.
        (Some(module), _) if !kernel.knows_module_functions() => Modules::Here(vec![module.to_owned()]),
        (Some(_), _) => return None,
    };
    Some((name.to_owned(), modules))
}

#[cfg(test)]
mod tests {
    use super::super::kernel_view::SampleKernel;
    use super::super::{judge, tests::outcome};
    use super::*;
    use crate::protocol::Stage;

    const WITH_XFS: SampleKernel = SampleKernel {
        has: &[("type xfs_inode", false), ("type inode", true)],
        modules: &[("xfs_inode", "xfs"), ("xfs_file_open", "xfs"), ("f", "one"), ("f", "two"), ("btf_trace_t", "xfs")],
        release: None,
        only_symbols: false,
        elsewhere: &[("nf_conn", "nf_conntrack", "6.12")],
    };
    /// Of whose modules nothing is known.
    const SPLIT: SampleKernel = SampleKernel {
        has: &[("type nf_conn", false), ("type inode", true)],
        modules: &[],
        release: None,
        only_symbols: false,
        elsewhere: &[
            ("nf_conn", "nf_conntrack", "6.12"),
            ("nf_conntrack_in", "nf_conntrack", "6.12"),
            ("btf_trace_xfs_file_open", "xfs", "6.1"),
        ],
    };
    /// Of whose modules the functions are known.
    const OLD: SampleKernel = SampleKernel {
        has: &[("type nf_conn", false), ("CONFIG_DEBUG_INFO_BTF_MODULES", false)],
        modules: &[("nf_conntrack_in", "nf_conntrack")],
        release: None,
        only_symbols: true,
        elsewhere: &[("nf_conn", "nf_conntrack", "6.12"), ("nf_ct_new", "nf_conntrack", "6.12")],
    };
    const REFUSED: &str = "prog 'p': BPF program load failed: -EINVAL";

    fn judged(kernel: &SampleKernel, stage: Stage, warning: &str, log: &str) -> Diagnosis {
        let outcome = outcome(stage, &[warning]);
        judge(&Case {
            outcome: &outcome,
            log,
            program: None,
            object: None,
            kernel,
            poison: &|_| None,
            memory_mib: None,
            machine: None,
            by_loader: false,
            own_types: None,
        })
    }

    fn relocation(kernel: &SampleKernel, of: &str) -> Diagnosis {
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
        assert_eq!(relocation(&SampleKernel::default(), "xfs_inode").verdict, Verdict::RelocationFailed);
    }

    #[test]
    fn type_that_a_library_poisons_is_looked_for_in_modules() {
        let found = |kernel: &SampleKernel, spec| missing_type(kernel, "poisoned".to_owned(), spec);
        let of_module = found(&WITH_XFS, "[17] struct xfs_inode___m");
        assert_eq!((of_module.verdict, of_module.cause), (Verdict::HarnessLimit, Some(Cause::ModuleNotLoaded)));
        assert_eq!(of_module.evidence.and_then(|evidence| evidence.subject).as_deref(), Some("struct xfs_inode"));
        let gone = found(&WITH_XFS, "struct gone");
        assert_eq!((gone.verdict, gone.cause), (Verdict::RelocationFailed, Some(Cause::MissingType)));
        assert_eq!(gone.reason.as_deref(), Some("poisoned"));
    }

    #[test]
    fn targets_and_kfuncs_of_a_module_are_not_judged() {
        let target = |kernel: &SampleKernel, name: &str| {
            let warning = format!("prog 'p': failed to find kernel BTF type ID of '{name}': -ESRCH");
            judged(kernel, Stage::Load, &warning, "").cause
        };
        assert_eq!(target(&WITH_XFS, "xfs_file_open"), Some(Cause::ModuleNotLoaded));
        assert_eq!(target(&WITH_XFS, "xfs:xfs_file_open"), Some(Cause::ModuleNotLoaded));
        assert_eq!(target(&WITH_XFS, "ext4:xfs_file_open"), Some(Cause::MissingAttachTarget));
        assert_eq!(target(&WITH_XFS, "xfs:gone"), Some(Cause::MissingAttachTarget));
        assert_eq!(target(&WITH_XFS, "gone"), Some(Cause::MissingAttachTarget));
        // Without the modules' types the object's own word counts.
        assert_eq!(target(&SampleKernel::default(), "xfs:xfs_file_open"), Some(Cause::ModuleNotLoaded));
        assert_eq!(target(&SampleKernel::default(), "xfs_file_open"), Some(Cause::MissingAttachTarget));
        let found = judged(&WITH_XFS, Stage::Prepare, "extern (func ksym) 'f': not found in kernel or module BTFs", "");
        assert!(found.reason.is_some_and(|reason| reason.contains("module one or two, which")));
    }

    const NO_TARGET: &str = "prog 'p': failed to find kernel BTF type ID of";

    fn target(kernel: &SampleKernel, name: &str) -> Diagnosis {
        judged(kernel, Stage::Load, &format!("{NO_TARGET} '{name}': -ESRCH"), "")
    }

    #[test]
    fn what_another_kernel_has_in_a_module_is_not_judged_where_modules_are_unknown() {
        let found = relocation(&SPLIT, "nf_conn");
        assert_eq!((found.verdict, found.cause), (Verdict::HarnessLimit, Some(Cause::ModuleNotLoaded)));
        assert_eq!(
            found.reason.as_deref(),
            Some("struct nf_conn is in kernel module nf_conntrack on 6.12; the modules of this kernel are unknown")
        );
        assert_eq!(found.evidence.and_then(|evidence| evidence.subject).as_deref(), Some("struct nf_conn"));
        assert_eq!(target(&SPLIT, "nf_conntrack_in").cause, Some(Cause::ModuleNotLoaded));
        assert_eq!(target(&SPLIT, "xfs_file_open").cause, Some(Cause::ModuleNotLoaded), "a tracepoint");
        assert_eq!(target(&SPLIT, "nowhere").cause, Some(Cause::MissingAttachTarget));
        // What is known about the kernel's own modules counts more than what others have.
        assert_eq!(relocation(&WITH_XFS, "nf_conn").verdict, Verdict::RelocationFailed);
    }

    #[test]
    fn symbols_of_modules_tell_of_functions_and_not_of_types() {
        let found = target(&OLD, "nf_conntrack_in");
        assert_eq!(found.cause, Some(Cause::ModuleNotLoaded));
        let reason = found.reason.expect("a reason");
        assert!(reason.contains("nf_conntrack, which") && reason.contains("without module BTF"), "{reason}");
        // Its modules are known not to have it, even if others have it.
        assert_eq!(target(&OLD, "nf_ct_new").cause, Some(Cause::MissingAttachTarget));
        assert_eq!(target(&OLD, "nf_conntrack:nf_conntrack_in").cause, Some(Cause::ModuleNotLoaded));
        assert_eq!(relocation(&OLD, "nf_conn").cause, Some(Cause::ModuleNotLoaded));
    }

    #[test]
    fn target_is_looked_for_by_what_sort_it_is() {
        let names = |section| target_names(Some(section), "t").into_iter().map(|name| name.name).collect::<Vec<_>>();
        assert_eq!(names("fentry/t"), ["t"]);
        // A function of that name is no tracepoint; the one that calls its probes is, where modules have no types.
        assert_eq!(names("?tp_btf/t"), ["btf_trace_t", "__traceiter_t"]);
        assert_eq!(names("lsm.s/t"), ["bpf_lsm_t"]);
        assert_eq!(names("iter.s/t"), ["bpf_iter_t"]);
        assert_eq!(names("struct_ops/t").len(), 5);
    }

    #[test]
    fn target_of_a_probe_in_a_module_is_named_with_it() {
        let facts =
            |kind, name: &str| TargetFacts { kind, name: name.into(), exists: false, copies: vec![], file: None };
        let reason = |kernel: &SampleKernel, kind, name| {
            target_in_module(kernel, &facts(kind, name), None).and_then(|found| found.reason)
        };
        let known = reason(&WITH_XFS, TargetKind::Function, "xfs_file_open").expect("it is in a module");
        assert_eq!(known, "`xfs_file_open` is in kernel module xfs, which the guest has not loaded");
        let elsewhere = reason(&SPLIT, TargetKind::Function, "nf_conntrack_in").expect("others have it");
        assert!(elsewhere.starts_with("`nf_conntrack_in` is in kernel module nf_conntrack on 6.12;"), "{elsewhere}");
        // A probe needs no BTF.
        let by_symbol = reason(&OLD, TargetKind::Function, "nf_conntrack_in").expect("it is in a module");
        assert!(!by_symbol.contains("BTF"), "{by_symbol}");
        assert!(reason(&WITH_XFS, TargetKind::RawTracepoint, "t").is_some());
        assert!(reason(&SPLIT, TargetKind::Tracepoint, "xfs/xfs_file_open").is_some());
        assert_eq!(reason(&OLD, TargetKind::Function, "nf_ct_new"), None);
        assert_eq!(reason(&SPLIT, TargetKind::Function, "nowhere"), None);
        assert_eq!(reason(&SPLIT, TargetKind::Functions, "nf_*"), None);
    }
}
