//! [`put_tests`]: the tests of a command take its place in the record.

use std::collections::HashMap;

use crate::record::{Blame, CellRecord, ObjectProgram, ProgramRecord, RunRecord, TEST_PROCESS, TEST_SECTION, Verdict};
use crate::test_output::{TestOutcome, TestOutput, TestResult};

/// What the notes say of a command that is there to run tests, and ran none.
const NO_TESTS: &str = "it ran no tests";

/// Makes the tests that a command ran the programs of its object, instead of the command: those of all kernels together. `found`
/// are the tests of each kernel. Where none was found anywhere the command stays what it was.
pub fn put_tests(record: &mut RunRecord, found: Vec<Option<TestOutput>>) {
    for (cell, output) in record.cells.iter_mut().zip(&found) {
        if output.as_ref().is_some_and(|output| output.is_complete && output.tests.is_empty()) {
            cell.notes.push(NO_TESTS.to_owned());
        }
    }
    let mut programs: Vec<ObjectProgram> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for test in found.iter().flatten().flat_map(|output| &output.tests) {
        places.entry(test.name.clone()).or_insert_with(|| {
            programs.push(described(&test.name));
            programs.len() - 1
        });
    }
    let Some(object) = record.objects.first_mut().filter(|_| !programs.is_empty()) else { return };
    let tests = programs.len();
    let of_command = |cell: &CellRecord| cell.programs.first().cloned();
    let cells = || record.cells.iter().zip(&found);
    let is_left_over = cells().any(|(cell, output)| {
        of_command(cell).is_some_and(|process| !is_told_by_tests(&process, output.as_ref(), tests))
    });
    if is_left_over {
        programs.push(described(TEST_PROCESS));
    }
    for (cell, output) in record.cells.iter_mut().zip(found) {
        let Some(process) = of_command(cell) else { continue };
        let mut results: Vec<Option<TestResult>> = vec![None; tests];
        let is_complete = output.as_ref().is_some_and(|output| output.is_complete);
        if let Some(output) = output {
            cell.notes.extend(output.troubles);
            for result in output.tests {
                if let Some(place) = places.get(&result.name) {
                    results[*place] = Some(result);
                }
            }
        }
        let of_test = |(program, result): (&ObjectProgram, Option<TestResult>)| match result {
            Some(result) => of_result(program, result, &process),
            None => without_result(program, is_complete, &process),
        };
        let mut records: Vec<ProgramRecord> = programs.iter().zip(results).map(of_test).collect();
        records.extend(is_left_over.then(|| ProgramRecord {
            name: TEST_PROCESS.to_owned(),
            section: TEST_SECTION.to_owned(),
            ..process.clone()
        }));
        cell.programs = records;
    }
    object.programs = programs;
}

fn described(name: &str) -> ObjectProgram {
    ObjectProgram { name: name.to_owned(), section: TEST_SECTION.to_owned() }
}

/// Whether the verdicts of the tests say all that the end of their process does.
fn is_told_by_tests(process: &ProgramRecord, output: Option<&TestOutput>, tests: usize) -> bool {
    let results = output.map_or(&[][..], |output| &output.tests);
    let has = |outcome: TestOutcome| results.iter().any(|test| test.outcome == outcome);
    match process.verdict {
        Verdict::Succeeded => true,
        // Who had a test fail ends so, once all have run.
        Verdict::CommandFailed => has(TestOutcome::Failed) && output.is_some_and(|output| output.is_complete),
        // What kept the process from running stands at the tests without a result.
        verdict if verdict.blame() == Blame::Harness => results.len() < tests || has(TestOutcome::Unfinished),
        _ => false,
    }
}

fn of_result(program: &ObjectProgram, result: TestResult, process: &ProgramRecord) -> ProgramRecord {
    let verdict = match result.outcome {
        TestOutcome::Passed => Verdict::Succeeded,
        TestOutcome::Failed => Verdict::TestFailed,
        TestOutcome::Skipped => Verdict::Skipped,
        TestOutcome::Unfinished => {
            let record = without_result(program, false, process);
            return ProgramRecord { log_tail: result.said, log_file: process.log_file.clone(), ..record };
        }
    };
    let unsaid = || match verdict {
        Verdict::Skipped => "it is ignored, or skipped itself",
        _ => "it said nothing",
    };
    let is_pass = verdict.is_pass();
    ProgramRecord {
        verdict,
        reason: (!is_pass).then(|| result.reason.unwrap_or_else(|| unsaid().to_owned())),
        log_tail: if is_pass { Vec::new() } else { result.said },
        log_file: process.log_file.clone(),
        load_ms: result.took_ms.unwrap_or_default(),
        ..ProgramRecord::not_run(program, "")
    }
}

/// A test that other kernels have a result of, or that began and did not end.
fn without_result(program: &ObjectProgram, is_complete: bool, process: &ProgramRecord) -> ProgramRecord {
    let record = ProgramRecord::not_run(program, "");
    let why = || process.reason.clone().unwrap_or_else(|| "it ended without saying so".to_owned());
    let (verdict, reason) = match process.verdict {
        // The harness ran to its end: it had no such test here, as with a part of a test that was skipped.
        _ if is_complete => (Verdict::Skipped, "there is no such test on this kernel".to_owned()),
        verdict if verdict.blame() == Blame::Harness => (verdict, why()),
        _ => (Verdict::NoResult, format!("no result: its process {}", process_words(process))),
    };
    let cause = process.cause.filter(|_| verdict == process.verdict);
    ProgramRecord { verdict, reason: Some(reason), cause, log_file: process.log_file.clone(), ..record }
}

/// How the process ended, to follow "its process".
fn process_words(process: &ProgramRecord) -> String {
    match (process.verdict, &process.reason) {
        (Verdict::Succeeded, _) => "ended with exit code 0".to_owned(),
        (Verdict::KernelCrashed, Some(reason)) => format!("was lost: {reason}"),
        (_, Some(reason)) => reason.clone(),
        (verdict, None) => verdict.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{COMMAND_SECTION, exit_code, sample};
    use crate::test_output::{TestHarness, TestReader};

    const GOOD: &str = "running 3 tests\ntest a ... ok\ntest b ... ok\ntest c ... ignored\n\
        test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n";

    fn read(output: &str) -> Option<TestOutput> {
        let mut reader = TestReader::new(TestHarness::Libtest);
        reader.push(output.as_bytes());
        reader.finish()
    }

    /// A run whose process ended so and printed that, on each kernel.
    fn run(kernels: &[(Verdict, &str, &str)]) -> RunRecord {
        let names = ["5.10", "6.1", "6.12", "7.1"].into_iter().take(kernels.len()).map(sample::kernel).collect();
        let objects = vec![sample::object("unit", &[("unit --all", COMMAND_SECTION)])];
        let fate = |_, _, k: usize| (kernels[k].0, Some(kernels[k].1.to_owned()).filter(|reason| !reason.is_empty()));
        let mut record = sample::assemble(names, objects, fate);
        put_tests(&mut record, kernels.iter().map(|(_, _, output)| read(output)).collect());
        record
    }

    fn told(record: &RunRecord) -> String {
        let mut text = String::new();
        for (p, program) in record.objects[0].programs.iter().enumerate() {
            let on = record.cells.iter().map(|cell| {
                let program = &cell.programs[p];
                format!("{} ({})", program.verdict.short(), program.reason.as_deref().unwrap_or_default())
            });
            text += &format!("{}: {}\n", program.name, on.collect::<Vec<_>>().join(", "));
        }
        let notes: Vec<&String> = record.cells.iter().flat_map(|cell| &cell.notes).collect();
        format!("{text}notes: {notes:?}; exit code {}", exit_code::of(record))
    }

    #[test]
    fn tests_that_pass_or_fail_tell_all_that_their_process_does() {
        let failing =
            GOOD.replace("test b ... ok", "test b ... FAILED").replace("ok. 2 passed; 0", "FAILED. 1 passed; 1");
        let record = run(&[
            (Verdict::CommandFailed, "ended with exit code 101", &failing),
            (Verdict::Succeeded, "", GOOD),
            (Verdict::NotRun, "the kernel is unavailable", ""),
        ]);
        insta::assert_snapshot!(told(&record));
    }

    #[test]
    fn a_process_that_died_has_a_row_and_no_test_passes_by_that() {
        let half = "running 3 tests\ntest a ... ok\n";
        let record = run(&[
            (Verdict::CommandFailed, "was killed by signal 6 (SIGABRT)", half),
            (Verdict::KernelCrashed, "the kernel crashed: BUG", half),
            (Verdict::Succeeded, "", half),
            (Verdict::Succeeded, "", GOOD),
        ]);
        insta::assert_snapshot!(told(&record));
    }

    #[test]
    fn an_exit_code_that_no_test_tells_is_red() {
        let record = run(&[(Verdict::CommandFailed, "ended with exit code 1", GOOD)]);
        insta::assert_snapshot!(told(&record));
    }

    #[test]
    fn what_has_no_tests_stays_a_command() {
        let record = run(&[(Verdict::Succeeded, "", "hello")]);
        assert!(record.objects[0].is_command() && !record.objects[0].has_tests());
    }
}
