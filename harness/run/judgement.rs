//! [`record()`]: what a guest observed of one program, as the record keeps it.

use crate::judge::{Case, KernelView, judge};
use crate::plan::PlannedObject;
use crate::protocol::ProgramOutcome;
use crate::record::ProgramRecord;
use crate::verdict::Verdict;
use crate::verifier::Statistics;

/// How many lines of a verifier log the record itself holds.
const LOG_TAIL: usize = 20;

/// Judges an outcome of the object's program `program`, an index.
pub(super) fn record(
    object: &PlannedObject,
    program: usize,
    outcome: &ProgramOutcome,
    log: &[u8],
    (kernel, memory_mib): (&dyn KernelView, u64),
) -> ProgramRecord {
    let log = String::from_utf8_lossy(log);
    let planned = &object.programs[program];
    let inventory = object.object.inventory.as_ref().ok();
    let known = inventory.and_then(|all| all.programs.iter().find(|known| known.name == planned.name));
    let diagnosis =
        judge(&Case { outcome, log: &log, program: known, object: inventory, kernel, memory_mib: Some(memory_mib) });
    let mut record = ProgramRecord::not_run(planned, "");
    record.verdict = diagnosis.verdict;
    record.reason = diagnosis.reason;
    record.cause = diagnosis.cause;
    record.evidence = diagnosis.evidence;
    record.errno = (outcome.errno != 0).then_some(outcome.errno);
    record.load_ms = outcome.took_ms;
    record.loaded = outcome.loaded;
    let statistics = Statistics::parse(&log);
    record.statistics = (statistics != Statistics::default()).then_some(statistics);
    if record.verdict != Verdict::Loaded {
        let lines: Vec<&str> = log.lines().collect();
        let omitted = lines.len().saturating_sub(LOG_TAIL);
        record.log_tail = lines[omitted..].iter().map(|line| (*line).to_owned()).collect();
        record.log_omitted = omitted as u64;
    }
    record
}
