use super::*;
use crate::object::Inventory;

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
}

#[test]
fn every_guard_is_counted() {
    let guards = include_bytes!("../../tests/fixtures/objects/guards.bpf.o");
    assert_eq!(expect_counted(guards), 3);
    assert_eq!(expect_counted(include_bytes!("../../tests/fixtures/coverage/ways.bpf.o")), 8);
    expect_counted(include_bytes!("../../tests/fixtures/explain/object.o"));
    // Whatever is cut off or broken, nothing panics.
    for length in (0..guards.len()).step_by(97) {
        let _ = Analysis::of(&guards[..length], &["first", "zebra", "antelope", "on_switch"]);
    }
}
