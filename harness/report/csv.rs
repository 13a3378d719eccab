//! [`render`]: the verifier's numbers as `veristat -o csv` prints them, a line for each program and kernel.
//!
//! veristat's columns come first and under its names, so that what reads its files reads these; which kernel and what
//! exactly happened follows behind them.

use std::io;

use super::text::one_line;
use crate::record::Statistics;
use crate::record::{Blame, Verdict};
use crate::record::{Limit, RunRecord};

const COLUMNS: [&str; 24] = [
    "file_name",
    "prog_name",
    "verdict",
    "duration",
    "total_insns",
    "total_states",
    "peak_states",
    "max_states_per_insn",
    "max_mark_read_len",
    "kernel",
    "release",
    "outcome",
    "cause",
    "subject",
    "attach",
    "runs",
    "predicted",
    "instructions_percent",
    "stack_percent",
    "tail_calls_percent",
    "size_percent",
    "ns_per_run",
    "cost_ratio",
    "observed",
];

/// The record as CSV with a header. Numbers that a kernel did not report are 0, as in veristat; `duration` is in microseconds.
///
/// # Errors
/// None that comes from the record.
pub fn render(record: &RunRecord) -> io::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(COLUMNS)?;
    for (o, object) in record.objects.iter().enumerate() {
        for (k, kernel) in record.kernels.iter().enumerate() {
            for (p, program) in record.cell(o, k).programs.iter().enumerate() {
                let verdict = match program.verdict.blame() {
                    _ if program.verdict == Verdict::Skipped => "unknown",
                    Blame::Nobody => "success",
                    Blame::Object | Blame::Kernel => "failure",
                    // veristat knows no third; nothing is said against the program.
                    Blame::Harness => "unknown",
                };
                let none = Statistics::default();
                let statistics = program.statistics.as_ref().unwrap_or(&none);
                let numbers = [
                    statistics.verification_time_us,
                    statistics.insns_processed,
                    statistics.total_states,
                    statistics.peak_states,
                    statistics.max_states_per_insn,
                    statistics.mark_read,
                ];
                let release = kernel.identity.as_ref().map_or("", |identity| &identity.release);
                let subject = program.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref());
                let mut row = vec![one_line(&object.name), one_line(&program.name), verdict.to_owned()];
                row.extend(numbers.map(|number| number.unwrap_or(0).to_string()));
                row.extend([one_line(&kernel.name), one_line(release), program.verdict.label().to_owned()]);
                row.push(program.cause.map_or_else(String::new, |cause| cause.label().to_owned()));
                row.push(subject.map_or_else(String::new, one_line));
                row.push(program.attach.as_ref().map_or_else(String::new, |attach| attach.outcome.label().to_owned()));
                let runs = program.exercise.as_ref().and_then(|exercise| exercise.runs);
                row.push(runs.map_or_else(String::new, |runs| runs.to_string()));
                row.push(record.predicted(o, k, p).map_or_else(String::new, |outcome| outcome.label().to_owned()));
                let share =
                    |limit| program.use_of(limit).map_or_else(String::new, |one| format!("{:.1}", one.percent()));
                row.extend(Limit::ALL.map(share));
                let ns = program.exercise.as_ref().and_then(|exercise| exercise.ns_per_run());
                row.push(ns.map_or_else(String::new, |ns| format!("{ns:.0}")));
                let ratio = program.cost.as_ref().and_then(|cost| cost.ratio());
                row.push(ratio.map_or_else(String::new, |ratio| format!("{:.3}", ratio.median)));
                row.push(record.cell(o, k).observed.as_deref().map_or_else(String::new, one_line));
                csv.write_record(&row)?;
            }
        }
    }
    csv.into_inner().map_err(|error| io::Error::other(error.to_string()))
}
