use super::*;
use crate::object::Inventory;
use crate::record::{CellCoverage, GuardRecord, Liveness};
use crate::record::{RelocationOutcome, RelocationRecord};

/// The guards of an object, one a line.
fn listed(bytes: &[u8]) -> String {
    let inventory = Inventory::read(bytes).unwrap();
    let names: Vec<&str> = inventory.programs.iter().map(|program| program.name.as_str()).collect();
    let analysis = Analysis::of(bytes, &names);
    let line = |guard: &GuardRecord| {
        let sides = guard.sides.each_ref().map(|side| format!("{} {}", side.when, side.insns));
        let undecided = guard.undecided.as_deref().map_or(String::new(), |why| format!(" [{why}]"));
        let programs: Vec<&str> = guard.programs.iter().map(|&program| names[program]).collect();
        format!(
            "{} {} in {} of {programs:?}: {}{undecided}\n",
            guard.place(),
            guard.name(),
            guard.function,
            sides.join(", ")
        )
    };
    analysis.guards.iter().map(line).collect()
}

/// Every relocation that asks for existence is one guard, and every weak extern is at least one.
#[track_caller]
fn expect_counted(bytes: &[u8]) -> usize {
    let inventory = Inventory::read(bytes).unwrap();
    let names: Vec<&str> = inventory.programs.iter().map(|program| program.name.as_str()).collect();
    let guards = Analysis::of(bytes, &names).guards;
    let existence = ["field_exists", "type_exists", "type_matches", "enumval_exists"];
    let relocations = inventory.core_relocations.iter().filter(|one| existence.contains(&one.kind.as_str())).count();
    assert_eq!(guards.iter().filter(|guard| guard.kind.is_existence()).count(), relocations);
    relocations
}

#[test]
fn guards_of_several_kinds_are_found() {
    insta::assert_snapshot!(listed(include_bytes!("../../tests/fixtures/objects/guards.bpf.o")));
    insta::assert_snapshot!(listed(include_bytes!("../../tests/fixtures/coverage/ways.bpf.o")));
    // Its bitfields are read by libbpf's macros, which are no guards of their author's; `asks` is.
    insta::assert_snapshot!(listed(include_bytes!("../../tests/fixtures/coverage/bitfields.bpf.o")), @r#"
    bitfields.bpf.c:38:6 signed struct task_struct.prio in asks of ["asks"]: != 0 3, == 0 0
    bitfields.bpf.c:40:6 byte_sz struct task_struct.prio in asks of ["asks"]: == 8 3, != 8 0
    "#);
}

#[test]
fn every_guard_is_counted() {
    let guards = include_bytes!("../../tests/fixtures/objects/guards.bpf.o");
    assert_eq!(expect_counted(guards), 3);
    assert_eq!(expect_counted(include_bytes!("../../tests/fixtures/coverage/ways.bpf.o")), 8);
    expect_counted(include_bytes!("../../tests/fixtures/explain/object.o"));
    // Regardless of what is cut off or broken, nothing panics.
    for length in (0..guards.len()).step_by(97) {
        let _ = Analysis::of(&guards[..length], &["first", "zebra", "antelope", "on_switch"]);
    }
}

/// Coverage of `ways.bpf.o` where only the program `program` was loaded, with all answers "no", as a kernel would show by `visited`
/// instructions or by the line records that are left.
fn proof(program: &str, visited: bool) -> (Analysis, CellCoverage) {
    answered(program, visited, &[])
}

/// The same, with what became of the relocations.
fn answered(program: &str, visited: bool, relocations: &[RelocationRecord]) -> (Analysis, CellCoverage) {
    let bytes = include_bytes!("../../tests/fixtures/coverage/ways.bpf.o");
    let inventory = Inventory::read(bytes).unwrap();
    let names: Vec<&str> = inventory.programs.iter().map(|program| program.name.as_str()).collect();
    let analysis = Analysis::of(bytes, &names);
    let number = names.iter().position(|name| *name == program).unwrap();
    let linked = &analysis.programs[number];
    let asks = linked.operands.iter().filter(|(_, operand)| matches!(operand, program::Operand::Relocation { .. }));
    let values = asks.map(|(&at, _)| (at, value::Bits::constant(0))).collect();
    let flow = flow::Flow::of(linked, &flow::FlowSetting { values, forced: None }).unwrap();
    let records = analysis.records(linked);
    // A jump is taken out wherever it stands, as the kernel may do.
    let is_left = |record: &usize| {
        survival::range(linked, &records, *record).any(|insn| flow.reached[insn] && !linked.insns[insn].is_jump())
    };
    let left = (0..records.len()).filter(is_left);
    let mut bits = vec![0u8; linked.insns.len().div_ceil(8)];
    flow.reached
        .iter()
        .enumerate()
        .filter(|(_, reached)| **reached)
        .for_each(|(insn, _)| bits[insn / 8] |= 1 << (insn % 8));
    let evidence = ProgramEvidence {
        lines: left
            .map(|record| {
                let [file, text, line] = records[record].words;
                [0, file, text, line]
            })
            .collect(),
        visited: visited.then_some(bits),
        insns: vec![0; linked.insns.len() * insn::BYTES],
        ran: true,
    };
    let coverage =
        analysis.proof(&ObjectFacts { loaded: &[(number, evidence)].into(), relocations, externs: &[], release: None });
    (analysis, coverage)
}

#[test]
fn the_side_is_live_that_is_left() {
    use Liveness::{Dead, Live, Unknown};
    for visited in [true, false] {
        for program in ["on_stack", "one_line", "sizes", "shared_one"] {
            let (analysis, coverage) = proof(program, visited);
            for (guard, proof) in analysis.guards.iter().zip(&coverage.guards) {
                let place = guard.place();
                let loaded =
                    guard.programs.iter().any(|&number| coverage.programs.iter().any(|lines| lines.program == number));
                let sides = proof.verified;
                match loaded && guard.undecided.is_none() {
                    // What the other program made of a shared guard is not known.
                    true if guard.programs.len() > 1 => {
                        assert!(sides[0] != Live && sides[1] != Dead, "{program} {place}")
                    }
                    true if visited => assert_eq!(sides, [Dead, Live], "{program} {place}"),
                    true => assert!(sides[0] != Live && sides[1] != Dead, "{program} {place} {sides:?}"),
                    false => assert_eq!(sides, [Unknown; 2], "{program} {place}"),
                }
            }
        }
    }
}

#[test]
fn evidence_of_another_program_proves_nothing() {
    let (analysis, _) = proof("on_stack", true);
    let evidence = ProgramEvidence { insns: vec![0; 8], ..ProgramEvidence::default() };
    let coverage =
        analysis.proof(&ObjectFacts { loaded: &[(0, evidence)].into(), relocations: &[], externs: &[], release: None });
    assert!(coverage.programs.is_empty());
    assert!(coverage.guards.iter().all(|guard| guard.verified == [Liveness::Unknown; 2]));
}

/// All answers are "no", and what is done then lies on every way through these programs.
#[test]
fn the_side_is_executed_that_a_run_cannot_come_around() {
    let no = |relocation| RelocationRecord {
        relocation,
        local: String::new(),
        candidates: Vec::new(),
        outcome: RelocationOutcome::NoMatch { old: 0, new: 0 },
        verifier_insns: Vec::new(),
        predicted: None,
    };
    let relocations: Vec<RelocationRecord> = (0..20).map(no).collect();
    for program in ["on_stack", "one_line", "sizes"] {
        let (analysis, coverage) = answered(program, true, &relocations);
        for (guard, guard_proof) in analysis.guards.iter().zip(&coverage.guards) {
            let expected = guard.function == program && guard_proof.verified[1] == Liveness::Live;
            assert_eq!(guard_proof.executed, [false, expected], "{program} {}: {guard_proof:?}", guard.place());
        }
        assert!(coverage.guards.iter().any(|guard_proof| guard_proof.executed[1]), "{program}");
        // The first and the last line of a program are on every way, and nothing is that the verifier took out.
        let lines = &coverage.programs[0];
        let ends = [lines.live.0.first(), lines.live.0.last()];
        assert!(ends.into_iter().flatten().all(|line| lines.executed.0.contains(line)), "{program}: {lines:?}");
        assert!(lines.executed.0.is_subset(&lines.live.0), "{program}: {lines:?}");
    }
    // Shared subprograms and combined answers; and of a side nothing is claimed while an answer is missing.
    for program in ["shared_one", "shared_two", "both"] {
        for (relocations, known) in [(&relocations[..], true), (&[], false)] {
            for guard_proof in answered(program, true, relocations).1.guards {
                let expected = known && guard_proof.verified[1] == Liveness::Live;
                assert!(
                    !guard_proof.executed[0] && (!guard_proof.executed[1] || guard_proof.verified[1] == Liveness::Live),
                    "{guard_proof:?}"
                );
                assert!(guard_proof.executed[1] || !expected, "{program}: {guard_proof:?}");
            }
        }
    }
}

/// A program that asks at every second instruction, so that each question is followed twice through all of it.
#[test]
fn questions_of_a_large_program_are_followed_as_long_as_there_are_steps() {
    let asks = 20_000;
    // `if r0 == 0 goto +0`, and a load of an answer.
    let mut bytes = Vec::new();
    for _ in 0..asks {
        bytes.extend([0x15u8, 0, 1, 0, 0, 0, 0, 0]);
        bytes.extend([0xb7u8, 0, 0, 0, 1, 0, 0, 0]);
    }
    bytes.extend([0x95u8, 0, 0, 0, 0, 0, 0, 0]);
    let reference = |index| code::Reference::Operand(program::Operand::Relocation { index, existence: true });
    let function = code::Function {
        name: "f".to_owned(),
        subprogram: false,
        global: false,
        insns: insn::Insn::decode(&bytes),
        relocations: Vec::new(),
        kfuncs: Vec::new(),
        maps: Vec::new(),
        references: (0..asks).map(|index| (2 * index + 1, reference(index))).collect(),
        lines: Vec::new(),
    };
    let code = code::Code { functions: vec![function], ..code::Code::default() };
    let linked = program::Program::link(&code, 0, usize::MAX);
    let (mut steps, mut followed) = (1_000_000, 0);
    for &at in linked.operands.keys() {
        let setting = flow::FlowSetting { values: [(at, value::Bits::constant(1))].into(), forced: None };
        followed += usize::from(flow::Flow::within(&linked, &setting, &mut steps).is_some());
    }
    assert!(followed > 0 && followed < asks, "{followed}");
}
