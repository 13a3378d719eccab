//! `junit.xml`: the record for continuous integration. A suite for each kernel, a case for each program.
//!
//! What needs someone to act must be red, and nothing may be missing: a kernel that could not be used and an object that
//! cannot be read have a separate case. With the gate's decisions a case is red where the gate is, and what the gate excuses is
//! skipped with its reason; what it decided of more than one program stands in a separate suite.

mod gated;

use std::io;

use console::strip_ansi_codes;
use junit_report::{Report, TestCase, TestCaseBuilder, TestSuite};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::run_cost;
use super::text::one_line;
use crate::compare::Place;
use crate::gate::{Excuse, GateReport};
use crate::record::{
    AlternativesRecord, CellRecord, KernelRecord, KernelState, ObjectRecord, PredictedOutcome, ProgramRecord,
    RunRecord, Service,
};
use crate::record::{Blame, Verdict};
use gated::GatedProgram;

/// The record as JUnit XML, with what the gate decided about it, if it was asked.
///
/// # Errors
/// None that comes from the record.
pub fn render(record: &RunRecord, gate: Option<&GateReport>) -> io::Result<Vec<u8>> {
    let mut xml = Vec::new();
    report(record, gate).write_xml(&mut xml).map_err(io::Error::other)?;
    Ok(xml)
}

fn report(record: &RunRecord, gate: Option<&GateReport>) -> Report {
    // Never the time of writing: the same record gives the same file. The format cannot leave it out.
    let started = OffsetDateTime::parse(&record.started, &Rfc3339).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut report = Report::new();
    for (k, kernel) in record.kernels.iter().enumerate() {
        let mut suite = TestSuite::new(&attribute(&kernel.name));
        suite.set_timestamp(started);
        suite.add_testcases(kernel_case(kernel));
        for (o, object) in record.objects.iter().enumerate() {
            let cell = record.cell(o, k);
            suite.add_testcases(object_case(object));
            suite.add_testcases(cell.programs.iter().enumerate().map(|(p, program)| {
                let excuse = record.excuse(o, k, p);
                let place = Place::cell(&object.name, &kernel.name).of_program(&program.name);
                let gated = gate.map(|gate| GatedProgram::of(gate, &place)).unwrap_or_default();
                match record.predicted(o, k, p) {
                    Some(outcome) if gated.red.is_empty() => predicted_case(object, program, outcome),
                    _ => program_case(object, cell, program, excuse.as_deref(), (&gated, record.tool.accel.as_str())),
                }
            }));
        }
        suite.add_testcases(
            record.alternatives.iter().filter(|group| group.declared).map(|group| alternatives_case(record, group, k)),
        );
        if !kernel.notes.is_empty() {
            suite.set_system_out(&cdata(&kernel.notes.join("\n")));
        }
        report.add_testsuite(suite);
    }
    report.add_testsuites(gate.and_then(|gate| gated::suite(gate, started)));
    report
}

/// A case for a kernel that is not ready, so that it does not just go missing.
fn kernel_case(kernel: &KernelRecord) -> Option<TestCase> {
    let name = "kernel";
    let (kind, reason, hint, console) = match &kernel.state {
        KernelState::Ready => return None,
        KernelState::Pending => {
            return Some(classed(
                TestCaseBuilder::skipped_with_cause(name, "not run", "not yet reached"),
                &kernel.name,
            ));
        }
        KernelState::Unavailable { reason, .. } if kernel.optional => {
            let message = attribute(&format!("optional kernel is unavailable: {reason}"));
            return Some(classed(TestCaseBuilder::skipped_with_cause(name, "unavailable", &message), &kernel.name));
        }
        KernelState::Predicted { reason, .. } if kernel.is_done_without() => {
            let why = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            let message = attribute(&format!("only predicted from BTF{why}"));
            return Some(classed(TestCaseBuilder::skipped_with_cause(name, "predicted", &message), &kernel.name));
        }
        KernelState::Predicted { reason, hint, .. } => {
            ("only predicted", reason.as_ref().unwrap_or(&kernel.source), hint, &[][..])
        }
        KernelState::Unavailable { reason, hint } => ("unavailable", reason, hint, &[][..]),
        KernelState::BootFailed { reason, hint, console_tail } => ("boot failed", reason, hint, &console_tail[..]),
        KernelState::HarnessFailed { reason, hint, console_tail } => {
            ("harness failed", reason, hint, &console_tail[..])
        }
    };
    let mut case = TestCaseBuilder::error(name, Duration::ZERO, kind, &attribute(reason));
    let hint = hint.iter().map(|hint| format!("hint: {hint}"));
    let lines: Vec<String> = hint.chain(console.iter().cloned()).collect();
    if !lines.is_empty() {
        case.set_trace(&cdata(&lines.join("\n")));
    }
    Some(classed(case, &kernel.name))
}

/// A case for an object that has no programs to report on.
fn object_case(object: &ObjectRecord) -> Option<TestCase> {
    let name = "object";
    let case = match &object.broken {
        Some(reason) => {
            let kind = Verdict::FailedToOpen.label();
            TestCaseBuilder::failure(name, Duration::ZERO, kind, &attribute(reason))
        }
        None if object.programs.is_empty() => {
            TestCaseBuilder::skipped_with_cause(name, Verdict::NotRun.label(), "the object has no programs")
        }
        None => return None,
    };
    Some(classed(case, &object.name))
}

/// A case for alternatives that a suite declares: red where none of them works.
fn alternatives_case(record: &RunRecord, group: &AlternativesRecord, kernel: usize) -> TestCase {
    let name = attribute(&group.name);
    let service = record.service(group, kernel);
    let mut case = match service {
        Service::By(_) => TestCaseBuilder::success(&name, Duration::ZERO),
        Service::None => {
            let message = attribute(&format!("none works: {}", record.fates(group, kernel).join("; ")));
            TestCaseBuilder::failure(&name, Duration::ZERO, "no alternative", &message)
        }
        Service::Unknown => TestCaseBuilder::skipped_with_cause(&name, "not run", "not every alternative was judged"),
    };
    if let Service::By(member) = service {
        case.set_system_out(&cdata(&format!("`{}` works", group.label(&group.members[member]))));
    }
    classed(case, "alternatives")
}

/// What is predicted is neither a pass nor a failure.
fn predicted_case(object: &ObjectRecord, program: &ProgramRecord, outcome: &PredictedOutcome) -> TestCase {
    let message = attribute(&format!("predicted from BTF: {}", outcome.words()));
    classed(TestCaseBuilder::skipped_with_cause(&attribute(&program.name), "predicted", &message), &object.name)
}

fn program_case(
    object: &ObjectRecord,
    cell: &CellRecord,
    program: &ProgramRecord,
    excuse: Option<&str>,
    (gated, accel): (&GatedProgram<'_>, &str),
) -> TestCase {
    let name = attribute(&program.name);
    let time = Duration::milliseconds(i64::try_from(program.load_ms).unwrap_or(i64::MAX));
    let kind = program.verdict.label();
    let message = attribute(program.reason.as_deref().unwrap_or("no reason was recorded"));
    let gate_excuse = gated.excuse.map(Excuse::words);
    let excused = gate_excuse.as_deref().or(excuse).map(|excuse| format!("{}; {message}", attribute(excuse)));
    let mut case = match (program.verdict, program.verdict.blame()) {
        _ if !gated.red.is_empty() => gated.failure(&name, time),
        (Verdict::HarnessLimit, _) if excused.is_some() => {
            TestCaseBuilder::skipped_with_cause(&name, kind, &excused.unwrap_or_default())
        }
        (_, Blame::Object | Blame::Kernel) if excused.is_some() => {
            TestCaseBuilder::skipped_with_cause(&name, kind, &excused.unwrap_or_default())
        }
        (Verdict::Loaded | Verdict::Succeeded, _) => TestCaseBuilder::success(&name, time),
        // No one's fault that anyone could fix: it is no pass, and must not keep a pipeline red for ever.
        (Verdict::NotRun | Verdict::HarnessLimit | Verdict::Skipped, _) => {
            TestCaseBuilder::skipped_with_cause(&name, kind, &message)
        }
        (_, Blame::Object | Blame::Nobody) => TestCaseBuilder::failure(&name, time, kind, &message),
        (_, Blame::Kernel | Blame::Harness) => TestCaseBuilder::error(&name, time, kind, &message),
    };
    if let Some(trace) = trace(program) {
        case.set_trace(&cdata(&trace));
    }
    // Only where someone is going to look: notes on every passed program would bury them.
    let fails = !program.verdict.is_pass();
    let notes = if fails { &cell.notes[..] } else { &[][..] };
    let ran = program.exercise.as_ref().map(|exercise| one_line(&exercise.words()));
    let beyond = program.attach.as_ref().map(|attach| one_line(&attach.words()));
    // Of a pass, too: it is none of today.
    let observed = cell.observed.as_ref().map(|when| format!("not run again: observed {}", one_line(when)));
    let said: Vec<String> = observed
        .into_iter()
        .chain(notes.iter().cloned())
        .chain(cell.module_words().filter(|_| fails))
        .chain(dangers(cell, program))
        .chain(complaints(cell, program))
        .chain(near_limits(program))
        .chain(beyond)
        .chain(ran)
        .chain(run_cost::words(program, accel))
        .collect();
    if !said.is_empty() {
        case.set_system_out(&cdata(&said.join("\n")));
    }
    classed(case, &object.name)
}

/// A line for each thing that is silently wrong in a program that passed, or that other kernels refuse it for.
fn dangers(cell: &CellRecord, program: &ProgramRecord) -> Vec<String> {
    let mut lines = Vec::new();
    for danger in cell.dangers.iter().filter(|danger| danger.programs.contains(&program.name)) {
        let source = danger.source.as_ref();
        let source = source.map_or_else(String::new, |source| format!(" ({}:{})", source.file, source.line));
        let line = one_line(&format!("silent danger: {danger}{source}"));
        // Several instructions of one source line read the same field.
        if program.verdict.is_pass() && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// A line for each thing that the kernel complained about while the program was in flight.
fn complaints(cell: &CellRecord, program: &ProgramRecord) -> Vec<String> {
    let mine = cell.kernel_log.iter().filter(|warning| warning.program.as_ref() == Some(&program.name));
    mine.map(|warning| one_line(&format!("kernel warning: {}", warning.headline))).collect()
}

/// A line for each limit that a program which passed is close to.
fn near_limits(program: &ProgramRecord) -> Vec<String> {
    let near = program.headroom.iter().filter(|one| one.is_near() && program.verdict.is_pass());
    near.map(|one| format!("close to a limit: it {one}")).collect()
}

/// Section, errno and the verifier log's tail of a program that failed.
fn trace(program: &ProgramRecord) -> Option<String> {
    let mut lines = vec![format!("section: {}", program.section)];
    lines.extend(program.errno.map(|errno| format!("errno: {errno}")));
    lines.extend(program.log_file.as_ref().map(|file| format!("log: {file}")));
    if program.log_omitted > 0 {
        lines.push(format!("({} lines of the verifier log omitted)", program.log_omitted));
    }
    lines.extend(program.log_tail.iter().cloned());
    (!program.verdict.is_pass()).then(|| lines.join("\n"))
}

fn classed(mut case: TestCaseBuilder, class: &str) -> TestCase {
    case.set_classname(&attribute(class));
    case.build()
}

/// Text for an attribute: on one line, since XML reads a line break there as a blank.
fn attribute(text: &str) -> String {
    one_line(&allowed(text))
}

/// Text for a CDATA section, which junit-report writes as it is: its end mark must not be in it.
fn cdata(text: &str) -> String {
    allowed(text).replace("]]>", "]]]]><![CDATA[>")
}

/// `text` without escapes and without the characters that XML cannot hold, not even escaped.
fn allowed(text: &str) -> String {
    let in_xml = |c: &char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..);
    strip_ansi_codes(text).chars().filter(in_xml).collect()
}

#[cfg(test)]
mod tests;
