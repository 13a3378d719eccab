//! Whether the kernel knows the form of a program at all: its type, its attach type, the flags it is loaded with.

use super::{Case, Diagnosis, KernelView, last_words};
use crate::cause::{Cause, Evidence};
use crate::object::ProgramInfo;
use crate::probe::Feature;
use crate::verdict::Verdict;

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

/// A flag that libbpf sets by the section's name, and which types show that the kernel knows it.
struct LoadFlag {
    name: &'static str,
    since: &'static str,
    /// Whether a program of this section is loaded with it.
    is_of: fn(&str) -> bool,
    /// Structs and members; the kernel keeps the flag in one of them.
    kept_in: &'static [(&'static str, &'static str)],
}

const LOAD_FLAGS: [LoadFlag; 2] = [
    LoadFlag {
        name: "BPF_F_XDP_HAS_FRAGS",
        since: "5.18",
        is_of: |section| kind(section) == "xdp.frags",
        kept_in: &[("bpf_prog_aux", "xdp_has_frags")],
    },
    LoadFlag {
        name: "BPF_F_SLEEPABLE",
        since: "5.10",
        is_of: |section| kind(section).ends_with(".s") || kind(section) == "syscall",
        kept_in: &[("bpf_prog_aux", "sleepable"), ("bpf_prog", "sleepable")],
    },
];

/// What of a program's form the kernel does not have.
struct Newer {
    cause: Cause,
    /// As the kernel's headers name it.
    name: String,
    since: Option<&'static str>,
}

/// A program whose type or attach type the kernel does not have: whatever libbpf looked for in vain follows from that.
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
    if !CHECKED.contains(&prog_type) {
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
    let section = case.program?.section.as_str();
    let is_missing = |flag: &&LoadFlag| {
        (flag.is_of)(section)
            && flag.kept_in.iter().all(|(of, member)| case.kernel.has_member(of, member) == Some(false))
    };
    let flag = LOAD_FLAGS.iter().find(is_missing)?;
    Some(Newer { cause: Cause::MissingAttachType, name: flag.name.to_owned(), since: Some(flag.since) })
}

fn diagnosis(case: &Case<'_>, newer: &Newer) -> Diagnosis {
    let Newer { cause, name, since } = newer;
    let form = case.program.map_or("", form);
    let since = since.map_or_else(String::new, |since| format!(": Linux has it from {since}"));
    let line = format!("the kernel does not have `{name}`, which `{form}` programs need{since}");
    Diagnosis::of(Verdict::UnsupportedType, *cause, Evidence::line(line).about(name))
}

/// The part of a section's name that tells the form: `fentry.s` of `fentry.s/vfs_read`.
fn kind(section: &str) -> &str {
    section.split('/').next().unwrap_or(section)
}

/// What of its section tells a program's form: all of it, unless it names what the program attaches to.
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
        format!("{line}: the kernel does not take the address of a function (`BPF_PSEUDO_FUNC`): Linux does from 5.13")
    })
}

/// The kernel refused the program, and neither the verifier nor libbpf gave a reason that is known.
pub(super) fn refused_in_silence(case: &Case<'_>) -> Diagnosis {
    let outcome = case.outcome;
    match outcome.type_known {
        Some(false) => {
            let line = "the kernel does not know this program type";
            let since = case.program.and_then(|program| Feature::ProgramType.since(program.prog_type.as_deref()?));
            let reason = since.map_or_else(|| line.to_owned(), |since| format!("{line}: Linux has it from {since}"));
            let named = case.program.and_then(|program| program.prog_type.as_deref());
            let mut evidence = Evidence::line(line);
            evidence.subject = named.map(|name| Feature::ProgramType.enumerator(name));
            Diagnosis::of(Verdict::UnsupportedType, Cause::MissingProgramType, evidence).because(reason)
        }
        // The kernel looks at attach type and flags before the verifier begins, and says nothing.
        _ if outcome.errno == libc::EINVAL
            && let Some(flag) = missing_flag(case) =>
        {
            diagnosis(case, &flag)
        }
        Some(true) if outcome.errno == libc::EINVAL => {
            let line = "the kernel knows the program type, and refuses its attach type or a load flag without a word";
            Diagnosis::of(Verdict::UnsupportedType, Cause::MissingAttachType, Evidence::line(line))
        }
        _ => {
            let cause = if outcome.errno == libc::E2BIG { Cause::ComplexityLimit } else { Cause::Unrecognised };
            let words = last_words(outcome);
            let reason = format!("{words} (the verifier log is empty)");
            Diagnosis::of(Verdict::VerifierRejected, cause, Evidence::line(words)).because(reason)
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
