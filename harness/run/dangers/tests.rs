use super::*;
use crate::record::VerifierPlace;
use crate::record::sample;
use crate::record::{Cause, Evidence as Words};

/// A run of one object with the programs `p` and `q` on four kernels. `p` has the relocations 0 and 1 and fails on the first
/// where `fails` says so.
fn run(fails: [bool; 4]) -> RunRecord {
    let kernels = ["5.10", "6.1", "6.12", "7.3"].map(sample::kernel).to_vec();
    let mut object = sample::object("o", &[("p", "raw_tp/x"), ("q", "raw_tp/x")]);
    object.relocations = vec![sample::relocation("p"), sample::relocation("p")];
    let mut record = sample::assemble(kernels, vec![object], |_, p, k| match p == 0 && fails[k] {
        true => (Verdict::RelocationFailed, Some("no such field".to_owned())),
        false => (Verdict::Loaded, None),
    });
    for (cell, fails) in record.cells.iter_mut().zip(fails) {
        let relocation = |relocation: usize, field: &str, outcome| RelocationRecord {
            relocation,
            local: format!("struct inode___first.{field} (0:{relocation} @ offset 8)"),
            candidates: Vec::new(),
            outcome,
            verifier_insns: vec![VerifierPlace { program: "p".to_owned(), insn: 3 + relocation as u32 }],
            predicted: None,
        };
        let outcome = if fails { RelocationOutcome::Poisoned } else { RelocationOutcome::Resolved { old: 8, new: 16 } };
        cell.relocations =
            vec![relocation(0, "i_ctime", outcome), relocation(1, "i_mtime", RelocationOutcome::Poisoned)];
        if fails {
            let subject = Some("struct inode___first.i_ctime".to_owned());
            cell.programs[0].cause = Some(Cause::MissingField);
            cell.programs[0].evidence = Some(Words { line: String::new(), subject, source: None });
        }
    }
    record
}

/// The dangers of each cell, in words.
fn lines(record: &RunRecord) -> Vec<Vec<String>> {
    record.cells.iter().map(|cell| cell.dangers.iter().map(ToString::to_string).collect()).collect()
}

#[test]
fn programs_that_load_are_told_what_they_fail_for_elsewhere() {
    let mut record = run([false, false, true, true]);
    // On 6.1 the field is missing as well, but not reached there.
    record.cells[1].relocations[0].outcome = RelocationOutcome::Poisoned;
    settle(&mut record);
    let line = "`struct inode___first.i_ctime` has no match on 6.12, 7.3, where the program therefore fails".to_owned();
    assert_eq!(lines(&record), [vec![line.clone()], vec![line], vec![], vec![]]);
    let danger = &record.cells[0].dangers[0];
    assert_eq!((danger.relocation, danger.programs.as_slice()), (Some(0), &["p".to_owned()][..]));
    assert_eq!(danger.source, record.objects[0].relocations[0].source);
}

#[test]
fn without_both_sides_nothing_is_told() {
    for fails in [[false; 4], [true; 4]] {
        let mut record = run(fails);
        settle(&mut record);
        assert_eq!(lines(&record), vec![Vec::<String>::new(); 4], "{fails:?}");
    }
    // A failure of another kind does not show anything about the relocation, poisoned or not.
    let mut record = run([false, false, true, true]);
    for cell in &mut record.cells[2..] {
        (cell.programs[0].verdict, cell.programs[0].cause) = (Verdict::VerifierRejected, Some(Cause::MemoryNull));
    }
    settle(&mut record);
    assert_eq!(lines(&record), vec![Vec::<String>::new(); 4]);
}

#[test]
fn dangers_of_programs_that_fail_are_dropped() {
    let mut record = run([false, true, false, false]);
    let danger = sample::danger(1, &record.objects[0].relocations[1]);
    let shared = DangerRecord { programs: vec!["p".to_owned(), "q".to_owned()], ..danger.clone() };
    let unknown = DangerRecord { programs: Vec::new(), ..danger.clone() };
    record.cells[1].dangers = vec![danger.clone(), shared.clone(), unknown.clone()];
    record.cells[2].dangers = vec![danger.clone()];
    settle(&mut record);
    assert_eq!(record.cells[1].dangers, [shared, unknown]);
    assert_eq!(record.cells[2].dangers[0], danger);
}

#[test]
fn empty_runs_are_settled() {
    let mut record = sample::large(0, 0);
    settle(&mut record);
    let mut record = sample::large(3, 0);
    settle(&mut record);
    assert!(record.cells.is_empty());
}
