//! [`record()`]: what a guest observed of one program, as the record keeps it.

use super::evidence::CellEvidence;
use crate::explain::ChangedArgument;
use crate::judge::machine::attach_under_lockdown;
use crate::judge::{Case, Diagnosis, KernelView, attach, judge, never_attaches, target_in_module};
use crate::object::ProgramInfo;
use crate::plan::PlannedObject;
use crate::protocol::ProgramOutcome;
use crate::protocol::attach::{AttachFacts, AttachTry};
use crate::record::AttachOutcome;
use crate::record::Statistics;
use crate::record::Verdict;
use crate::record::{Cause, Evidence, MachineRecord};
use crate::record::{ObjectProgram, ProgramRecord};
use crate::verifier;

/// How many lines of a verifier log the record itself holds.
const LOG_TAIL: usize = 20;

/// Judges an outcome of the object's program `program`, an index.
pub(super) fn record(
    object: &PlannedObject,
    program: usize,
    outcome: &ProgramOutcome,
    log: &[u8],
    (kernel, machine): (&dyn KernelView, &MachineRecord),
    evidence: &CellEvidence,
) -> ProgramRecord {
    let log = String::from_utf8_lossy(log);
    let planned = &object.programs[program];
    let inventory = object.object.inventory.as_ref().ok();
    let known = info(object, &planned.name);
    let poison = |insn| evidence.poison_at(&planned.name, insn, object.relocations());
    let diagnosis = judge(&Case {
        outcome,
        log: &log,
        program: known,
        object: inventory,
        kernel,
        poison: &poison,
        memory_mib: Some(machine.memory_mib),
        machine: Some(machine),
        by_loader: object.by_executable(),
        own_types: object.own_types(),
    });
    let mut record = of_diagnosis(planned, diagnosis);
    record.errno = (outcome.errno != 0).then_some(outcome.errno);
    record.load_ms = outcome.took_ms;
    record.loaded = outcome.loaded;
    let statistics = verifier::statistics(&log);
    record.statistics = (statistics != Statistics::default()).then_some(statistics);
    if record.verdict != Verdict::Loaded {
        let lines: Vec<&str> = log.lines().collect();
        let omitted = lines.len().saturating_sub(LOG_TAIL);
        record.log_tail = lines[omitted..].iter().map(|line| (*line).to_owned()).collect();
        record.log_omitted = omitted as u64;
    }
    record
}

/// A program of which nothing but its verdict is known.
pub(super) fn of_diagnosis(planned: &ObjectProgram, diagnosis: Diagnosis) -> ProgramRecord {
    let mut record = ProgramRecord::not_run(planned, "");
    record.verdict = diagnosis.verdict;
    record.reason = diagnosis.reason;
    record.cause = diagnosis.cause;
    record.evidence = diagnosis.evidence;
    record
}

/// What the object says of a program.
pub(super) fn info<'a>(object: &'a PlannedObject, program: &str) -> Option<&'a ProgramInfo> {
    let inventory = object.object.inventory.as_ref().ok()?;
    inventory.programs.iter().find(|known| known.name == program)
}

/// Judges a program that was loaded by what a guest observed when it was to attach it, and by what is known about the kernel. That it
/// was attached outweighs everything.
pub(super) fn attached(
    program: Option<&ProgramInfo>,
    facts: &AttachFacts,
    (kernel, machine): (&dyn KernelView, &MachineRecord),
    record: &mut ProgramRecord,
) {
    attach::judge(facts, record);
    attach_under_lockdown(Some(machine), record);
    if let AttachTry::Failed { target: Some(target), .. } = &facts.tried
        && record.cause == Some(Cause::MissingAttachTarget)
        && let Some(found) = target_in_module(kernel, target, record.evidence.as_ref())
    {
        if let Some(attach) = &mut record.attach {
            attach.outcome = AttachOutcome::NotPossible;
            attach.reason.clone_from(&found.reason);
        }
        record.verdict = found.verdict;
        record.cause = found.cause;
        record.reason = found.reason;
        record.evidence = found.evidence;
        return;
    }
    let outcome = record.attach.as_ref().map(|attach| attach.outcome);
    if outcome == Some(AttachOutcome::Attached) || record.verdict == Verdict::HarnessError {
        return;
    }
    let Some(never) = program.and_then(|program| never_attaches(program, kernel)) else { return };
    // What was tried and failed keeps its verdict, and what libbpf said of it is the evidence.
    let said = record.evidence.take().map(|evidence| evidence.line);
    if record.verdict == Verdict::Loaded {
        record.verdict = never.verdict;
    }
    record.cause = never.cause;
    record.reason = never.reason;
    record.evidence = never.evidence.map(|evidence| Evidence { line: said.unwrap_or(evidence.line), ..evidence });
}

/// Adds the arguments that changed to the reason of a program that was refused for what it returns or reads from its context.
pub(super) fn blame_arguments(changed: &[ChangedArgument], record: &mut ProgramRecord) {
    let Some(first) = changed.first() else { return };
    let words: Vec<String> = changed.iter().map(|one| one.danger.to_string()).collect();
    let said = record.reason.take().unwrap_or_default();
    record.reason = Some(format!("`{}` has {}: {said}", first.target, words.join(", and ")));
    // What it returns is an argument that it takes for the result.
    if record.cause == Some(Cause::ReturnValue)
        && let Some(returned) = changed.iter().find(|one| one.is_returned)
        && let Some(evidence) = &mut record.evidence
    {
        record.cause = Some(Cause::ContextArgumentChanged);
        evidence.subject = Some(returned.target.clone());
    }
}

#[cfg(test)]
mod tests;
