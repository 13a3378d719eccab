//! Whether the kernel knows the form of a program at all: its type, its attach type, the flags it is loaded with.

use super::attach_types::{self, LoadFlag, kind};
use super::{Case, Diagnosis, KernelView, last_words};
use crate::feature::Feature;
use crate::object::ProgramInfo;
use crate::record::Verdict;
use crate::record::{Cause, Evidence};

/// Functions that no tracing program may attach to. Kernels before 6.17 refuse them without a reason.
const NEVER_TRACED: [&str; 7] = [
    "migrate_disable",
    "migrate_enable",
    "rcu_read_unlock_strict",
    "preempt_count_add",
    "preempt_count_sub",
    "__rcu_read_lock",
    "__rcu_read_unlock",
];

/// Program types of which the kernel checks the attach type when it loads them; of others it takes any number.
const CHECKED: [&str; 10] = [
    "tracing",
    "lsm",
    "cgroup_sock",
    "cgroup_sock_addr",
    "cgroup_skb",
    "cgroup_sockopt",
    "sk_lookup",
    "sk_reuseport",
    "netfilter",
    "syscall",
];

/// Whether kernels look at the attach type when they load a program of this type.
pub fn checks_attach_type(prog_type: &str) -> bool {
    CHECKED.contains(&prog_type)
}

/// What of a program's form the kernel does not have.
struct Newer {
    cause: Cause,
    /// As the kernel's headers name it.
    name: String,
    since: Option<&'static str>,
}

/// A program whose type or attach type the kernel does not have: anything that libbpf did not find follows from that.
pub(super) fn newer_than_kernel(case: &Case<'_>) -> Option<Diagnosis> {
    let newer = missing_type(case).or_else(|| missing_attach_type(case))?;
    Some(diagnosis(case, &newer))
}

fn missing_type(case: &Case<'_>) -> Option<Newer> {
    let prog_type = case.program?.prog_type.as_deref()?;
    missing(case.kernel, Feature::ProgramType, prog_type, Cause::MissingProgramType)
}

/// Only attach types that the kernel checks: of others it loads what it does not know.
fn missing_attach_type(case: &Case<'_>) -> Option<Newer> {
    let program = case.program?;
    let prog_type = program.prog_type.as_deref()?;
    if !checks_attach_type(prog_type) {
        return None;
    }
    missing(case.kernel, Feature::AttachType, program.attach_type.as_deref()?, Cause::MissingAttachType)
}

fn missing(kernel: &dyn KernelView, feature: Feature, name: &str, cause: Cause) -> Option<Newer> {
    let enumerator = feature.enumerator(name);
    let is_missing = kernel.has_enumerator(feature.listing().0, &enumerator) == Some(false);
    is_missing.then(|| Newer { cause, name: enumerator, since: feature.since(name) })
}

/// A flag that the kernel does not know; it refuses a program that is loaded with one before the verifier begins.
fn missing_flag(case: &Case<'_>) -> Option<Newer> {
    let mut flags = LoadFlag::of(&case.program?.section).into_iter();
    let flag = flags.find(|flag| flag.is_known(case.kernel) == Some(false))?;
    Some(Newer { cause: Cause::MissingAttachType, name: flag.name.to_owned(), since: Some(flag.since) })
}

fn diagnosis(case: &Case<'_>, newer: &Newer) -> Diagnosis {
    let Newer { cause, name, since } = newer;
    let form = case.program.map_or("", form);
    let since = since.map_or_else(String::new, |since| format!(" (Linux {since} or later)"));
    let line = format!("the kernel lacks `{name}`, which `{form}` programs need{since}");
    Diagnosis::of(Verdict::UnsupportedType, *cause, Evidence::line(line).about(name))
}

/// Which part of its section names a program's form: all of it, unless it names what the program attaches to.
fn form(program: &ProgramInfo) -> &str {
    let targets = ["tracing", "lsm", "ext", "struct_ops", "kprobe", "tracepoint", "raw_tracepoint"];
    let has_target = program.prog_type.as_deref().is_some_and(|own| targets.contains(&own));
    if has_target { kind(&program.section) } else { &program.section }
}

/// What a complaint about a function's address means on a kernel that does not know such addresses, in words; `None` for another
/// complaint or another kernel. libbpf passes callbacks by address.
pub(super) fn address_of_function(case: &Case<'_>, line: &str) -> Option<String> {
    // The first helper with a callback came together with addresses of functions.
    let knows = || case.kernel.has_enumerator("bpf_func_id", "BPF_FUNC_for_each_map_elem");
    let complaint = line.contains("bpf_ld_imm64 insn") || line.contains("func_info");
    (complaint && knows() == Some(false)).then(|| {
        format!("{line}: the kernel does not support function addresses (`BPF_PSEUDO_FUNC`, Linux 5.13 or later)")
    })
}

/// The kernel refused the program, and neither the verifier nor libbpf gave a reason that is known.
pub(super) fn refused_in_silence(case: &Case<'_>) -> Diagnosis {
    let outcome = case.outcome;
    match outcome.type_known {
        Some(false) => unknown_type(case),
        _ if outcome.errno == libc::EINVAL
            && let Some(flag) = missing_flag(case) =>
        {
            diagnosis(case, &flag)
        }
        // The kernel looks at attach type and flags before the verifier begins, and gives no reason.
        Some(true) if outcome.errno == libc::EINVAL => {
            unknown_form(case).unwrap_or_else(|| silent(case, Cause::Unrecognised))
        }
        _ => silent(case, if outcome.errno == libc::E2BIG { Cause::ComplexityLimit } else { Cause::Unrecognised }),
    }
}

fn silent(case: &Case<'_>, cause: Cause) -> Diagnosis {
    let words = last_words(case.outcome);
    let reason = format!("{words} (the verifier log is empty)");
    Diagnosis::of(Verdict::VerifierRejected, cause, Evidence::line(words)).because(reason)
}

/// The kernel does not load the program's type.
fn unknown_type(case: &Case<'_>) -> Diagnosis {
    let Some((program, bare)) = case.program.and_then(|program| Some((program, program.prog_type.as_deref()?))) else {
        let evidence = Evidence::line("the kernel does not know this program type");
        return Diagnosis::of(Verdict::UnsupportedType, Cause::MissingProgramType, evidence);
    };
    let name = Feature::ProgramType.enumerator(bare);
    let listed = case.kernel.has_enumerator(Feature::ProgramType.listing().0, &name);
    match attach_types::option_of_type(program, case.kernel).filter(|_| listed != Some(false)) {
        Some(option) => {
            let line = format!("the kernel is built without `{option}`, so it has no program type `{name}`");
            let evidence = Evidence::line(line).about(option);
            Diagnosis::of(Verdict::UnsupportedType, Cause::KernelConfigMissing, evidence)
        }
        None => {
            let since = Feature::ProgramType.since(bare);
            diagnosis(case, &Newer { cause: Cause::MissingProgramType, name, since })
        }
    }
}

/// The kernel knows the program's type. `None` if all that the section asks for is known to be there.
fn unknown_form(case: &Case<'_>) -> Option<Diagnosis> {
    let form = |evidence| Some(Diagnosis::of(Verdict::UnsupportedType, Cause::MissingAttachType, evidence));
    let unsaid = "the kernel knows the program type, but refuses its attach type or a load flag without giving a \
    reason";
    let Some(program) = case.program else { return form(Evidence::line(unsaid)) };
    let attach_type = attach_types::attach_type(program);
    let has_attach_type = attach_types::has_attach_type(program, case.kernel);
    if let (Some(name), Some(false)) = (&attach_type, has_attach_type) {
        let since = program.attach_type.as_deref().and_then(|bare| Feature::AttachType.since(bare));
        return Some(diagnosis(case, &Newer { cause: Cause::MissingAttachType, name: name.clone(), since }));
    }
    let flags = LoadFlag::of(&program.section);
    if let Some(name) = never_traced(program) {
        let line = format!("kernels do not allow tracing programs to attach to `{name}`");
        let evidence = Evidence::line(line).about(name);
        return Some(Diagnosis::of(Verdict::VerifierRejected, Cause::ForbiddenAttachTarget, evidence));
    }
    let unknown_flags = flags.iter().filter(|flag| flag.is_known(case.kernel).is_none()).map(|flag| flag.name);
    let unknown_type = attach_type.as_deref().filter(|_| has_attach_type.is_none());
    let suspects: Vec<&str> = unknown_type.into_iter().chain(unknown_flags).collect();
    match suspects[..] {
        [] => None,
        [one] => form(Evidence::line(format!("{unsaid}: `{one}`")).about(one)),
        _ => form(Evidence::line(format!("{unsaid}: one of `{}`", suspects.join("`, `")))),
    }
}

/// The function that a tracing program names as its target though none may attach there.
fn never_traced(program: &ProgramInfo) -> Option<&str> {
    let (_, name) = program.section.split_once('/')?;
    (program.prog_type.as_deref() == Some("tracing") && NEVER_TRACED.contains(&name)).then_some(name)
}

#[cfg(test)]
pub(super) mod tests;
