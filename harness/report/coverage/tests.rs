use super::*;
use crate::record::SourcePlace;
use crate::record::Verdict;
use crate::record::sample;
use crate::record::{
    CellCoverage, GuardKind, GuardProof, InModule, LineTable, Liveness, ObjectCoverage, ProgramLines, SideRecord,
    SourceLine,
};

use Liveness::{Dead, Live, Unknown};

fn guard(line: u32, kind: GuardKind, asked: &str, sides: [(&str, usize, &[usize]); 2]) -> GuardRecord {
    let place = SourcePlace { file: "src/a.bpf.c".to_owned(), line, column: 6, text: String::new() };
    GuardRecord {
        kind,
        asked: asked.to_owned(),
        function: "probe".to_owned(),
        insn: 3,
        source: Some(place),
        relocation: None,
        programs: vec![0],
        sides: sides.map(|(when, insns, lines)| SideRecord {
            when: when.to_owned(),
            insns,
            lines: lines.iter().copied().collect(),
        }),
        undecided: None,
    }
}

/// Two kernels, one object with one program and three guards, the program refused on the second kernel but for what is said.
pub fn record() -> RunRecord {
    let kernels = ["5.10", "6.12"].map(sample::kernel).to_vec();
    let objects = vec![sample::object("a", &[("probe", "kprobe/x")])];
    let mut record = sample::assemble(kernels, objects, |_, _, kernel| match kernel {
        0 => (Verdict::Loaded, None),
        _ => (Verdict::VerifierRejected, Some("no".to_owned())),
    });
    let line = |line, text: &str| SourceLine { file: 0, line, text: text.to_owned() };
    let mut silent = guard(9, GuardKind::TypeExists, "struct new", [("exists", 0, &[]), ("does not exist", 0, &[])]);
    silent.undecided = Some("its value does not reach a branch".to_owned());
    record.objects[0].coverage = ObjectCoverage {
        guards: vec![
            guard(4, GuardKind::FieldExists, "struct s.field", [("exists", 2, &[1]), ("does not exist", 1, &[2])]),
            guard(7, GuardKind::Rodata, "flag", [("!= 0", 4, &[4]), ("== 0", 0, &[])]),
            silent,
        ],
        lines: LineTable {
            files: vec!["src/a.bpf.c".to_owned()],
            lines: vec![
                line(4, "\tif (exists)"),
                line(5, "\t\tnew();"),
                line(6, "\t\told();"),
                line(7, "\tif (flag)"),
                line(8, "\t\tmore();"),
            ],
        },
        programs: vec![(0..5).collect()],
    };
    let proof = |resolved, verified| GuardProof { resolved: Some(resolved), verified, executed: [false; 2] };
    let lines = |numbers: &[usize]| numbers.iter().copied().collect();
    record.cells[0].coverage = CellCoverage {
        guards: vec![proof(false, [Dead, Live]), proof(false, [Dead, Live]), proof(true, [Unknown; 2])],
        programs: vec![ProgramLines {
            program: 0,
            live: lines(&[0, 2, 3]),
            dead: lines(&[4]),
            poisoned: lines(&[1]),
            executed: lines(&[]),
        }],
        in_modules: Vec::new(),
    };
    record.cells[1].coverage = CellCoverage {
        guards: vec![proof(true, [Unknown; 2]), proof(false, [Unknown; 2]), proof(true, [Unknown; 2])],
        programs: Vec::new(),
        in_modules: Vec::new(),
    };
    record
}

#[test]
fn sides_and_lines_are_shown_across_kernels() {
    let record = record();
    insta::assert_snapshot!(
        [render(&record, 0, 100), source::render(&record, 0, 100), summary(&record, 100)].join("\n")
    );
    let narrow = render(&record, 0, 40);
    assert!(narrow.contains("undecided"), "{narrow}");
}

#[test]
fn guards_that_a_module_would_answer_name_it() {
    let mut record = record();
    record.cells[0].coverage.in_modules = vec![InModule { guard: 0, modules: vec!["xfs".to_owned()], on_kernel: None }];
    let reason = "false on 5.10 only because kernel module xfs is not loaded in the guest";
    assert_eq!(render(&record, 0, 100).matches(reason).count(), 1);
    let open = InModule { guard: 0, modules: vec!["xfs".to_owned()], on_kernel: Some("6.1".to_owned()) };
    record.cells[1].coverage.in_modules = vec![open];
    let text_of = render(&record, 0, 200);
    assert!(text_of.contains("; unknown on 6.12: it is in kernel module xfs on 6.1, but"), "{text_of}");
    record.cells[1].coverage.in_modules.clear();
    record.cells[1].coverage.guards[0].resolved = Some(false);
    let unit = Unit { object: 0, rows: vec![0] };
    let text_of = unproven::render(&record, &unit, None, &[], &[], 100);
    assert_eq!(text_of.matches(reason).count(), 1, "{text_of}");
}

#[test]
fn tracefiles_are_of_one_level() {
    let record = record();
    insta::assert_snapshot!(
        lcov::render(&record, &[0], ProofLevel::Verified) + &lcov::render(&record, &[0], ProofLevel::Resolved)
    );
}

/// Of a run that made programs run.
fn exercised() -> RunRecord {
    let mut record = record();
    let ran = ExerciseRecord { runs: Some(2), ..ExerciseRecord::default() };
    record.cells[0].programs[0].exercise = Some(ran);
    record.cells[0].coverage.guards[0].executed = [false, true];
    record.cells[0].coverage.programs[0].executed = [0, 2].into_iter().collect();
    record
}

#[test]
fn what_a_run_cannot_come_around_is_shown() {
    let record = exercised();
    let views = [render(&record, 0, 100), source::render(&record, 0, 100)].join("\n");
    insta::assert_snapshot!(views + &lcov::render(&record, &[0], ProofLevel::Executed));
}

#[test]
fn unproven_sides_say_what_is_in_the_way() {
    let mut record = record();
    insta::assert_snapshot!(unproven::render(&record, &alone(), None, &[], &[], 100), @r"
    a: a.bpf.c:4:6 field_exists struct s.field exists
        resolved on 6.12, but `probe` was not loaded (verifier rejected)
    ");
    record.cells[1].coverage.guards[0].resolved = Some(false);
    let text = unproven::render(&record, &alone(), None, &[], &[], 100);
    assert!(text.contains("needs a kernel with `struct s.field`"), "{text}");
}

#[test]
fn records_without_coverage_are_quiet() {
    let record = sample::record();
    assert_eq!(summary(&record, 100), "");
    assert!(source::render(&record, 0, 100).contains("no line info"));
    assert_eq!(lcov::render(&record, &[0, 1, 2], ProofLevel::Verified), "TN:verified\n");
}

fn alone() -> Unit {
    Unit { object: 0, rows: vec![0] }
}

/// The record with a shape of its object that opens the switch, on the first kernel.
fn shaped() -> RunRecord {
    let mut record = record();
    let mut shape = record.objects[0].clone();
    let settings = vec!["flag = true".to_owned()];
    shape.shape = Some(crate::record::ShapeRecord {
        of: "a".to_owned(),
        name: "on".to_owned(),
        settings,
        machine: Default::default(),
    });
    shape.name = "a@on".to_owned();
    record.objects.push(shape);
    let mut cells = record.cells.clone();
    for cell in &mut cells {
        cell.object = "a@on".to_owned();
    }
    cells[0].coverage.guards[1] = GuardProof { resolved: Some(true), verified: [Live, Dead], executed: [false; 2] };
    cells[0].coverage.programs[0].live.0.insert(4);
    cells[0].coverage.programs[0].dead.0.remove(&4);
    record.cells.extend(cells);
    record
}

#[test]
fn shapes_prove_sides_together() {
    let record = shaped();
    assert_eq!((record.family(0), record.family(1)), (vec![0, 1], vec![0, 1]));
    let units = Unit::all(&record);
    assert_eq!(units, [Unit { object: 0, rows: vec![0, 1] }]);
    let views = [render(&record, 0, 100), render(&record, 1, 100), summary(&record, 100)].join("\n");
    insta::assert_snapshot!(views + &unproven::render(&record, &units[0], None, &[], &[], 100));
    let both = lcov::render(&record, &[0, 1], ProofLevel::Verified);
    assert!(both.contains("DA:8,1\n") && both.contains("BRDA:7,0,0,1\nBRDA:7,0,1,1\n"), "{both}");
    let one = lcov::render(&record, &[1], ProofLevel::Verified);
    assert!(one.contains("BRDA:7,0,0,1\nBRDA:7,0,1,0\n"), "{one}");
}
