//! [`reached`]: a program that reaches what libbpf put instead of an instruction that could not be made right.
//!
//! libbpf rewrites the verifier's words about such a call only where they stand among the last ten lines of the log. Kernels from 7.x
//! on write a line for each subprogram behind them, so the raw words have to be read as well.

use super::{Case, Diagnosis, at, map, subject};
use crate::record::Verdict;
use crate::record::{Cause, Evidence};
use crate::verifier::VerifierFailure;

/// The function that libbpf calls instead of an instruction whose CO-RE relocation found no match.
const RELOCATION: u64 = 195_896_080;
/// To this the index of a map is added that was not created.
const MAP: u64 = 2_001_000_000;
/// To this the index of a kfunc is added that was not found.
const KFUNC: u64 = 2_002_000_000;
/// What cilium/ebpf calls instead of any kfunc that was not found.
const KFUNC_OF_CILIUM: u64 = 0xded_c0de;
/// More indexes are not added.
const INDEXES: u64 = 1_000_000;

/// What libbpf could not make right at an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poison {
    /// A CO-RE relocation.
    Relocation {
        /// libbpf's name of the kind, such as `byte_off`.
        kind: String,
        /// What was asked for: `struct task_struct.gone (0:1 @ offset 4)`.
        spec: String,
    },
    /// A reference to a map that was not created.
    Map(String),
    /// A call of a kfunc that the kernel does not have.
    Kfunc(String),
}

/// Judges a program whose verifier log ends in a call that libbpf poisoned and whose words it did not rewrite.
pub(super) fn reached(case: &Case<'_>, failure: &VerifierFailure) -> Option<Diagnosis> {
    let number = poisoned_call(failure)?;
    let line = failure.said.iter().find(|line| line.contains("unknown#")).unwrap_or(&failure.message);
    let evidence = at(Evidence::line(line), failure);
    let known = failure.insn.and_then(|insn| (case.poison)(insn));
    Some(match known {
        Some(Poison::Relocation { kind, spec }) if number == RELOCATION => {
            let named = subject::of_spec(&spec).to_owned();
            let cause = cause_of(case, &kind, &named);
            let reason = format!("failed to resolve CO-RE relocation <{kind}> {spec}");
            Diagnosis::of(Verdict::RelocationFailed, cause, evidence.about(named)).because(reason)
        }
        Some(Poison::Map(name)) if (MAP..MAP + INDEXES).contains(&number) => {
            map::reached_left_out(case, evidence.about(name))
        }
        Some(Poison::Kfunc(name)) if (KFUNC..KFUNC + INDEXES).contains(&number) => {
            let reason = format!("kfunc '{name}' is referenced but wasn't resolved");
            Diagnosis::of(Verdict::RelocationFailed, Cause::MissingKfunc, evidence.about(name)).because(reason)
        }
        _ if number == RELOCATION => Diagnosis::of(Verdict::RelocationFailed, Cause::UnresolvedRelocation, evidence),
        _ if number == KFUNC_OF_CILIUM => {
            let evidence = match only_missing_kfunc(case) {
                Some(name) => evidence.about(name),
                None => evidence,
            };
            Diagnosis::of(Verdict::RelocationFailed, Cause::MissingKfunc, evidence)
        }
        _ if number < KFUNC => map::reached_left_out(case, evidence),
        _ => Diagnosis::of(Verdict::RelocationFailed, Cause::MissingKfunc, evidence),
    })
}

/// The kfunc that the program refers to and the kernel lacks, if there is but one.
fn only_missing_kfunc<'a>(case: &Case<'a>) -> Option<&'a str> {
    let externs = case.program.map(|program| &program.externs[..]).unwrap_or_default();
    let mut missing = externs.iter().filter(|name| case.kernel.has_function(name) == Some(false));
    let only = missing.next()?;
    missing.next().is_none().then_some(only)
}

/// The cause of a relocation of this kind about `named` that found no match.
pub(super) fn cause_of(case: &Case<'_>, kind: &str, named: &str) -> Cause {
    match kind {
        "enumval_exists" | "enumval_value" => Cause::MissingEnumValue,
        "type_exists" | "type_matches" | "type_size" | "target_type_id" | "local_type_id" => Cause::MissingType,
        _ if case.is_type(subject::type_name(named)) == Some(false) => Cause::MissingType,
        _ => Cause::MissingField,
    }
}

/// The number of the poisoned function that the verifier complains about.
fn poisoned_call(failure: &VerifierFailure) -> Option<u64> {
    // cilium/ebpf puts a load into the frame pointer instead of another wide load.
    let is_poisoned_load = failure.insn_text.as_ref().is_some_and(|text| text.contains("r10 = 0xbad2310"));
    if is_poisoned_load && failure.said.iter().any(|line| line.contains("frame pointer is read only")) {
        return Some(RELOCATION);
    }
    let number = failure.said.iter().find_map(|line| {
        let (_, rest) =
            line.split_once("invalid func unknown#").or_else(|| line.split_once("unknown func unknown#"))?;
        rest.trim().parse::<u64>().ok()
    })?;
    let is_poison = [RELOCATION, KFUNC_OF_CILIUM].contains(&number) || (MAP..KFUNC + INDEXES).contains(&number);
    is_poison.then_some(number)
}
