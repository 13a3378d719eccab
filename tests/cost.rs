//! Headroom, run cost and upgrades on real kernels: `tests/cost/` has the objects.

#[path = "common/need.rs"]
mod need;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use corematrix::record::{CostVerdict, Limit, MapData, MapFate, MapUpgrade, ProgramRecord, RunRecord};

use need::need;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn object(name: &str) -> PathBuf {
    root().join("target/cost").join(name).with_extension("bpf.o")
}

/// Runs a command of corematrix on an old and a new kernel. Returns what it printed, and the record.
fn corematrix(command: &str, arguments: &[&str], objects: &[&str]) -> (Output, RunRecord) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    run.current_dir(root()).arg(command).args(objects.iter().map(|name| object(name))).args(arguments);
    run.args(["--kernel", "5.10", "--kernel", "7.3", "--out"]).arg(folder.path());
    let output = run.output().expect("corematrix starts");
    let record = corematrix::record::json::read(&folder.path().join("report.json"));
    let said = String::from_utf8_lossy(&output.stderr);
    (output.clone(), record.unwrap_or_else(|error| panic!("{error}: {said}")))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn program<'r>(record: &'r RunRecord, kernel: &str, name: &str) -> &'r ProgramRecord {
    let cell = record.cells.iter().find(|cell| cell.kernel == kernel).expect("the kernel");
    cell.programs.iter().find(|program| program.name == name).expect("the program")
}

#[test]
fn what_is_close_to_a_limit_is_told_with_the_kernel_where_it_is_worst() {
    need!("guests", "programs");
    let (output, record) = corematrix("run", &["--max-instructions", "70"], &["near_limit"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let share = |kernel: &str, name: &str, limit| {
        let program = program(&record, kernel, name);
        assert!(program.verdict.is_pass(), "{kernel} {name}: {:?}", program.reason);
        program.use_of(limit).unwrap_or_else(|| panic!("{kernel} {name}: {:?}", program.headroom)).percent()
    };
    // Without bpf_strncmp() the verifier walks through every turn.
    assert!(share("5.10", "near", Limit::Instructions) > 80.0);
    assert!(share("7.3", "near", Limit::Instructions) < 10.0);
    for kernel in ["5.10", "7.3"] {
        assert!(share(kernel, "far", Limit::Instructions) < 1.0);
        // 96 and 320 bytes in a chain of two functions.
        assert_eq!(share(kernel, "deep", Limit::Stack), 100.0 * 416.0 / 512.0);
    }
    let told = |part: &str| assert!(said.contains(part), "`{part}` in\n{said}");
    told("Close to a limit");
    told("`near` loads and uses 85");
    told("too many instructions");
}

#[test]
fn maps_of_an_older_build_are_reused_refused_recreated_or_misread() {
    need!("guests", "programs");
    let (output, record) = corematrix("upgrade", &[], &["upgrade_old", "upgrade_new"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for cell in &record.cells {
        let upgrade = cell.upgrade.as_ref().unwrap_or_else(|| panic!("{}: {said}", cell.kernel));
        assert_eq!(upgrade.problem, None);
        let map = |name: &str| -> &MapUpgrade {
            let found = upgrade.maps.iter().find(|map| map.map == name);
            found.unwrap_or_else(|| panic!("no `{name}` on {}: {:?}", cell.kernel, upgrade.maps))
        };
        let entries = [
            ("same_array", 4),
            ("same_hash", 8),
            ("same_lru", 8),
            ("same_percpu", 2),
            ("same_trie", 8),
            ("same_queue", 8),
        ];
        for (name, entries) in entries {
            let same = map(name);
            let expected = (MapFate::Reused, Some(MapData::Survives { entries }));
            assert_eq!((same.fate, same.data.clone()), expected, "{name} on {}: {same:?}", cell.kernel);
            assert!(same.misread.is_empty() && !same.is_trouble(), "{name}");
        }
        let renamed = map("renamed_field");
        assert_eq!(renamed.fate, MapFate::Reused);
        assert_eq!(renamed.misread, ["`count` at offset 0 is read as `bytes`"]);
        for (name, differs) in [
            ("larger_value", "value_size 16 -> 24"),
            ("more_entries", "max_entries 4 -> 8"),
            ("other_type", "type hash -> array"),
        ] {
            let refused = map(name);
            assert_eq!((refused.fate, refused.reason.as_deref()), (MapFate::Refused, Some(differs)), "{name}");
        }
        let recreated = map("no_more_pinned");
        assert_eq!(recreated.fate, MapFate::Recreated);
        assert_eq!(recreated.data, Some(MapData::Lost { kept: 0, entries: 8 }));
        assert!(matches!(map("events").data, Some(MapData::NotFilled { .. })), "{:?}", map("events"));
        let fates = ["added", "gone", "not_pinned"].map(|name| map(name).fate);
        assert_eq!(fates, [MapFate::New, MapFate::Gone, MapFate::NotPinned]);
        assert!(cell.programs.iter().all(|program| program.verdict.is_pass()), "{:?}", cell.programs);
    }
}

#[test]
fn maps_that_neither_build_pins_are_pinned_on_demand() {
    need!("guests", "programs");
    let (_, record) = corematrix("upgrade", &["--pin-all"], &["upgrade_old", "upgrade_new"]);
    for cell in &record.cells {
        let maps = &cell.upgrade.as_ref().expect("it was tried").maps;
        for (name, entries) in [("no_more_pinned", 8), ("not_pinned", 4)] {
            let map = maps.iter().find(|map| map.map == name).expect("the map");
            assert_eq!(
                (map.fate, &map.data),
                (MapFate::Reused, &Some(MapData::Survives { entries })),
                "{}",
                cell.kernel
            );
        }
    }
}

#[test]
fn a_build_that_pins_nothing_is_no_upgrade() {
    let mut run = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    need!("guests", "programs");
    run.current_dir(root()).arg("upgrade").args([object("cost_old"), object("cost_slow")]).args(["--kernel", "5.10"]);
    let output = run.output().expect("corematrix starts");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("pins no map"), "{}", text(&output));
}

#[test]
fn a_slower_build_costs_more_and_the_same_one_does_not() {
    need!("guests", "programs");
    let old = object("cost_old");
    let old = old.to_str().expect("UTF-8");
    let (output, record) = corematrix("run", &["--against", old, "--max-cost", "2"], &["cost_slow"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let (same, same_record) = corematrix("run", &["--against", old, "--max-cost", "2"], &["cost_old"]);
    // Too noisy to decide is not red, either.
    assert!(matches!(same.status.code(), Some(0 | 3)), "{}", text(&same));
    for kernel in ["5.10", "7.3"] {
        let cost = program(&record, kernel, "classify").cost.as_ref().expect("it was measured");
        assert!(matches!(cost.verdict(2.0), CostVerdict::Exceeds(ratio) if ratio.median > 2.0), "{cost}");
        let exercise = program(&record, kernel, "classify").exercise.as_ref().expect("it ran");
        assert!(exercise.ns_per_run().is_some_and(|ns| ns > 0.0), "{exercise:?}");
        let cost = program(&same_record, kernel, "classify").cost.as_ref().expect("it was measured");
        assert!(!matches!(cost.verdict(2.0), CostVerdict::Exceeds(_)), "{cost}");
    }
}
