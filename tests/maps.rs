//! Maps on real kernels: what each kernel refuses, and who is to blame for it.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Lab, kernel, need, programs, verdicts};
use corematrix::record::Cause;
use corematrix::record::Verdict;
use corematrix::record::json;
use corematrix::record::{ProgramRecord, RunRecord};

const KERNELS: [&str; 4] = ["5.10", "6.1", "6.12", "7.3"];

/// The path of an object of these tests.
fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/maps/{name}.bpf.o", env!("CARGO_MANIFEST_DIR"))
}

/// What a program came to on each of the kernels, one letter each: loaded, map type, option, too large, object, size set by a loader, memory,
/// loader.
fn letters(record: &RunRecord, object: &str, program: &str) -> String {
    let letter = |record: &ProgramRecord| match (record.verdict, record.cause) {
        (Verdict::Loaded, _) => 'L',
        (Verdict::MapCreationFailed, Some(Cause::MissingMapType)) => 't',
        (Verdict::MapCreationFailed, Some(Cause::UnsupportedMapOption)) => 'o',
        (Verdict::MapCreationFailed, Some(Cause::MapTooLarge)) => 'l',
        (Verdict::MapCreationFailed, Some(Cause::InvalidMapDefinition)) => 'X',
        (Verdict::HarnessLimit, Some(Cause::IncompleteMapDefinition)) => 's',
        (Verdict::HarnessLimit, Some(Cause::GuestMemory)) => 'm',
        (Verdict::HarnessLimit, Some(Cause::NeedsLoader)) => 'n',
        _ => '?',
    };
    let of_kernel =
        |name: &&str| programs(record, name, object).iter().find(|record| record.name == program).map(letter);
    KERNELS.iter().map(|name| of_kernel(name).unwrap()).collect()
}

/// Runs the objects on kernels of the default matrix.
fn run(objects: &[&str]) -> RunRecord {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    command
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .arg("run")
        .args(objects.iter().map(|name| fixture(name)));
    command.args(KERNELS.iter().flat_map(|name| ["--kernel", name]));
    command.arg("--out").arg(folder.path()).status().unwrap();
    json::read(&folder.path().join("report.json")).unwrap()
}

#[test]
fn each_map_is_judged_by_its_definition_and_by_what_the_kernel_has() {
    need!("guests");
    let record = run(&["definitions", "link", "alone", "insn-array"]);
    let expected = [
        ("definitions", "on_sound", "LLLL"),
        ("definitions", "on_odd_size", "LLLL"),
        ("definitions", "on_no_size", "ssss"),
        ("definitions", "on_no_entries", "ssss"),
        ("definitions", "on_typed", "ssss"),
        ("definitions", "on_bare", "ssss"),
        ("definitions", "on_no_inner", "ssss"),
        ("definitions", "on_empty_inner", "ssss"),
        ("definitions", "on_long_key", "XXXX"),
        ("definitions", "on_flagless", "tXXX"),
        ("definitions", "on_lru", "XXXX"),
        ("definitions", "on_unlike", "XXXX"),
        ("definitions", "on_overwriting", "oooL"),
        ("definitions", "on_of_groups", "ttLL"),
        ("definitions", "on_of_tasks", "tLLL"),
        ("definitions", "on_long_hash_key", "lLLL"),
        // No machine has the memory for it; kernels before 5.11 would not take it anywhere.
        ("definitions", "on_huge", "lmmm"),
        ("link", "threshold", "ooLL"),
        ("link", "undo", "ooLL"),
        // The type came with 6.1.
        ("alone", "(maps)", "tLLL"),
        // The type came with 6.19, and only a loader knows what to put into the map.
        ("insn-array", "jumps", "tttn"),
        ("insn-array", "plain", "LLLL"),
    ];
    let differences: Vec<String> = expected
        .into_iter()
        .map(|(object, program, wanted)| (object, program, wanted, letters(&record, object, program)))
        .filter(|(_, _, wanted, found)| wanted != found)
        .map(|(object, program, wanted, found)| {
            let reason =
                &programs(&record, KERNELS[0], object).iter().find(|found| found.name == program).unwrap().reason;
            format!("{object}/{program}: {found} instead of {wanted}: {reason:?}")
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let advice = |program: &str| {
        let record = programs(&record, "7.3", "definitions").iter().find(|record| record.name == program).unwrap();
        record.hints.join("\n")
    };
    assert!(advice("on_no_size").contains("`max-entries = "), "{}", advice("on_no_size"));
    assert!(advice("on_bare").contains("`key-size = 4`"), "{}", advice("on_bare"));
    assert!(advice("on_huge").contains("kernels.toml"), "{}", advice("on_huge"));
    for program in ["on_no_size", "on_long_key", "on_huge"] {
        assert!(!advice(program).contains("libbpf_probe_bpf_map_type"), "{}", advice(program));
    }
}

#[test]
fn maps_that_need_it_get_a_larger_guest() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let (large, alone) = (fixture("large"), fixture("alone"));
    for round in ["cold", "warm"] {
        let mode = if round == "cold" { &["--cold"][..] } else { &[] };
        let args = [&[large.as_str(), &alone, "--accel", "tcg"], mode].concat();
        let out = lab.path(round);
        let ended = common::Run::start(lab.command_to(&out, &args), &lab.path("run")).wait();
        ended.expect(1);
        let report = json::read(&out.join("report.json")).unwrap();
        assert_eq!(verdicts(&report, kernel().name, "large"), [Verdict::Loaded; 2], "{round}");
        let cell = report.cells.iter().find(|cell| cell.object == "large").unwrap();
        assert!(
            cell.notes.iter().any(|note| note.contains("in a guest of 1 GiB instead of 512 MiB")),
            "{:?}",
            cell.notes
        );
        let other = report.cells.iter().find(|cell| cell.object == "alone").unwrap();
        assert!(other.notes.is_empty(), "{:?}", other.notes);
    }
    lab.expect_nothing_left();
}

#[test]
fn pins_of_one_object_are_not_in_the_way_of_another() {
    need!("guests");
    let lab = Lab::with_kernel("");
    lab.run(&[&fixture("pinned"), &fixture("alone"), "--accel", "tcg", "--cold"]).expect(1);
    let report = lab.report();
    assert_eq!(verdicts(&report, kernel().name, "pinned"), [Verdict::Loaded]);
    let alone = &programs(&report, kernel().name, "alone")[0];
    // For its other map, whose type 5.10 does not have.
    assert_eq!(alone.evidence.as_ref().unwrap().subject.as_deref(), Some("requests"), "{alone:?}");
}

#[test]
fn a_suite_sets_what_a_loader_sets() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let suite = lab.path("suite.toml");
    let shape = format!(
        "name = \"maps\"\nobjects = [\"{}\"]\n[[shape]]\nobject = \"definitions\"\nname = \"set\"\nmaps.no_size.max_entries = 4096\n\
         maps.no_entries.max_entries = 16\nmaps.typed.value_size = 0\nmaps.bare.key_size = 4\nmaps.bare.value_size = 4\n",
        fixture("definitions")
    );
    std::fs::write(&suite, shape).unwrap();
    lab.run(&[suite.to_str().unwrap(), "--accel", "tcg"]).expect(1);
    let report = lab.report();
    for name in ["on_no_size", "on_no_entries", "on_typed", "on_bare"] {
        let verdict = |object| {
            programs(&report, kernel().name, object).iter().find(|record| record.name == name).unwrap().verdict
        };
        assert_eq!(
            (verdict("definitions"), verdict("definitions@set")),
            (Verdict::HarnessLimit, Verdict::Loaded),
            "{name}"
        );
    }
}
