//! Objects that loaders of cilium/ebpf and aya load in guests, each judged by what its library does.

#[path = "common/need.rs"]
mod need;

use std::path::Path;
use std::process::Command;

use corematrix::compare::{LoaderSubject, loader_differences};
use corematrix::record::{Cause, LoaderChoice, ProgramRecord, RelocationOutcome, RunRecord, Verdict};

use need::need;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs corematrix with these arguments, split at blanks.
fn run(arguments: &str, code: i32) -> RunRecord {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    run.current_dir(root()).arg("run").args(arguments.split(' ')).arg("--out").arg(folder.path());
    let status = run.status().expect("corematrix starts");
    assert_eq!(status.code(), Some(code), "corematrix run ended with {status}");
    corematrix::record::json::read(&folder.path().join("report.json")).expect("the report")
}

/// What became of a program of a row on each kernel.
fn program<'a>(record: &'a RunRecord, object: &'a str, name: &'a str) -> impl Iterator<Item = &'a ProgramRecord> {
    let cells = record.cells.iter().filter(move |cell| cell.object == object);
    cells.filter_map(move |cell| cell.programs.iter().find(|program| program.name == name))
}

/// The verdict and cause of a program, which has to be the same on all kernels.
fn outcome(record: &RunRecord, object: &str, name: &str) -> (Verdict, Option<Cause>) {
    let all: Vec<_> = program(record, object, name).map(|program| (program.verdict, program.cause)).collect();
    assert_eq!(all.len(), record.kernels.len(), "{object}/{name}");
    assert!(all.iter().all(|one| *one == all[0]), "{object}/{name}: {all:?}");
    all[0]
}

const LOADED: (Verdict, Option<Cause>) = (Verdict::Loaded, None);

/// Shapes of object that end in three ways with three loaders.
#[test]
fn one_object_ends_as_each_loader_ends_it() {
    need!("guests", "programs", "loaders");
    let record = run("target/loader-shapes target/loading/statics.bpf.o --kernel 5.10 --kernel 6.12 --loader all", 1);
    let limit = Verdict::HarnessLimit;
    // aya creates every map first, and gets no further than the one without sizes.
    let map = (Verdict::MapCreationFailed, None);
    for (object, name, libbpf, cilium, aya) in [
        ("statics", "hidden", (limit, Some(Cause::NeedsLoader)), LOADED, (Verdict::FailedToOpen, None)),
        ("classifier", "from_network", (limit, Some(Cause::NeedsLoader)), LOADED, (Verdict::FailedToOpen, None)),
        ("classifier", "filters", (limit, Some(Cause::NeedsLoader)), LOADED, (Verdict::FailedToOpen, None)),
        ("legacy", "both", (limit, Some(Cause::NeedsLoader)), LOADED, LOADED),
        ("pinning", "on_own_pinning", (limit, Some(Cause::NeedsLoader)), (Verdict::MapCreationFailed, None), LOADED),
        ("pinning", "on_by_name", (limit, Some(Cause::NeedsLoader)), LOADED, LOADED),
        ("sizes", "on_typed_ring", (limit, Some(Cause::IncompleteMapDefinition)), LOADED, map),
        ("sizes", "on_perf", (limit, Some(Cause::IncompleteMapDefinition)), LOADED, map),
        ("sizes", "on_wide_perf", LOADED, LOADED, map),
        ("extern-function", "calls_not", (limit, Some(Cause::NeedsLoader)), LOADED, LOADED),
    ] {
        assert_eq!(outcome(&record, object, name), libbpf, "{object}/{name} by libbpf");
        for (loader, expected) in [("cilium-ebpf", cilium), ("aya", aya)] {
            let (verdict, cause) = outcome(&record, &format!("{object}@{loader}"), name);
            assert_eq!(verdict, expected.0, "{object}/{name} by {loader}: {cause:?}");
        }
    }
    // Each says who loaded it, in the library's own words.
    let library = |object: &str| {
        let cell = record.cells.iter().find(|cell| cell.object == object).expect("a cell");
        cell.loader.as_ref().map(|loader| loader.library.as_str())
    };
    assert_eq!(library("legacy"), None, "libbpf did not open it");
    assert_eq!((library("legacy@cilium-ebpf"), library("legacy@aya")), (Some("cilium/ebpf"), Some("aya")));
    // And what was made of a map.
    let sizes = record.cells.iter().find(|cell| cell.object == "sizes@cilium-ebpf").expect("a cell");
    let perf = sizes.loader.iter().flat_map(|loader| &loader.maps).find(|map| map.map == "perf").expect("the map");
    assert!(perf.changes.contains(&["key_size = 0".to_owned(), "key_size = 4".to_owned()]), "{perf:?}");
    let differences = loader_differences(&record);
    let of_map = |of: &LoaderSubject| matches!(of, LoaderSubject::Map(map) if map == "wide_perf");
    let wide = differences.iter().find(|one| of_map(&one.of)).expect("the map differs");
    assert_eq!(wide.kernels, [0, 1]);
    assert_eq!(wide.sides[0], ("libbpf".to_owned(), "max_entries = 4096".to_owned()));
    assert_eq!(wide.sides[1], ("cilium-ebpf".to_owned(), "max_entries = 1".to_owned()));
}

/// What is known about an object does not depend on who loaded it: values of relocations, sides of guards, causes.
#[test]
fn evidence_is_alike_whoever_loads() {
    need!("guests", "programs", "loaders");
    let objects =
        "target/programs/inode-ctime.bpf.o target/programs/task-state.bpf.o target/programs/dentry-name.bpf.o";
    let record = run(&format!("{objects} --kernel 5.10 --kernel 6.12 --loader all"), 1);
    let of_programs: Vec<String> = loader_differences(&record).iter().map(|one| one.line()).collect();
    assert_eq!(of_programs, Vec::<String>::new());
    for loader in ["cilium-ebpf", "aya"] {
        let row = |name: &str| format!("{name}@{loader}");
        // The field is gone from 6.12, and the program does not ask.
        let task_state = row("task-state");
        let naive = program(&record, &task_state, "naive").nth(1).expect("on 6.12");
        assert_eq!((naive.verdict, naive.cause), (Verdict::RelocationFailed, Some(Cause::MissingField)), "{loader}");
        let subject = naive.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref());
        assert_eq!(subject, Some("struct task_struct.state"), "{loader}");
        let cell = record.cells.iter().find(|cell| cell.object == row("inode-ctime")).expect("a cell");
        let known = |outcome: &RelocationOutcome| {
            matches!(
                outcome,
                RelocationOutcome::Resolved { .. } | RelocationOutcome::NoMatch { .. } | RelocationOutcome::Poisoned
            )
        };
        assert!(!cell.relocations.is_empty(), "{loader}");
        // What loads has statistics, also where the library asks for no log.
        for cell in record.cells.iter().filter(|cell| cell.object.ends_with(&format!("@{loader}"))) {
            for program in cell.programs.iter().filter(|program| program.verdict == Verdict::Loaded) {
                assert!(program.statistics.is_some(), "{}/{} on {}", cell.object, program.name, cell.kernel);
            }
        }
        assert!(cell.relocations.iter().all(|one| known(&one.outcome)), "{loader}: {:?}", cell.relocations);
        let resolved: Vec<Option<bool>> = cell.coverage.guards.iter().map(|guard| guard.resolved).collect();
        let by_libbpf = record.cells.iter().find(|cell| cell.object == "inode-ctime").expect("a cell");
        let expected: Vec<Option<bool>> = by_libbpf.coverage.guards.iter().map(|guard| guard.resolved).collect();
        assert_eq!(resolved, expected, "{loader}");
    }
}

/// What is known about a library is what its loader does; and it is shown as what it is.
#[test]
fn profiles_say_what_the_loaders_say() {
    need!("guests", "programs", "loaders");
    for library in ["cilium-ebpf", "aya"] {
        let loaders = format!("--loader {library} --loader {library}-profile");
        // Relocations, types of variables, flavours of functions and licences, which the libraries take in ways of their own.
        let stories = ["task-state", "slab-cpu-cache", "number-iterator", "btf-noise", "fsession", "user-ringbuf"];
        let stories: String = stories.map(|story| format!("target/programs/{story}.bpf.o ")).concat();
        let loading = "target/loading/statics.bpf.o target/loading/constants.bpf.o";
        let objects = format!("target/loader-shapes {loading} target/causes/no-licence.bpf.o {stories}");
        let record = run(&format!("{objects}--kernel 5.10 --kernel 7.3 {loaders}"), 1);
        for object in record.objects.iter().filter(|object| object.beside.is_none()) {
            let row = format!("{}@{library}-profile", object.name);
            let by_profile = record.objects.iter().find(|other| other.name == row).expect("the row of the profile");
            let loader = by_profile.loader.as_ref().expect("a loader");
            assert!(loader.is_by_profile() && loader.label() == format!("{library} by profile"));
            for name in &object.programs {
                let verdicts = |row: &str| -> Vec<Verdict> {
                    program(&record, row, &name.name).map(|program| program.verdict).collect()
                };
                assert_eq!(verdicts(&object.name), verdicts(&row), "{row}/{}", name.name);
            }
        }
    }
}

/// A suite, the name of the file, and the executable around an object say whose it is.
#[test]
fn the_loader_is_that_of_the_suite_or_of_the_objects_own_tools() {
    need!("guests", "programs", "loaders");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let object = root().join("target/loading/statics.bpf.o");
    std::fs::copy(&object, folder.path().join("flow_x86_bpfel.o")).expect("a copy");
    let path = folder.path().display();
    let record = run(&format!("{path}/flow_x86_bpfel.o --kernel 6.12"), 0);
    let chosen = record.objects[0].loader.as_ref().map(|loader| &loader.chosen);
    assert!(matches!(chosen, Some(LoaderChoice::Recognised { how }) if how.contains("bpf2go")), "{chosen:?}");
    let suite = "name = \"flows\"\nobjects = [\"statics.bpf.o\"]\nloader = \"cilium-ebpf\"\n";
    std::fs::copy(&object, folder.path().join("statics.bpf.o")).expect("a copy");
    std::fs::write(folder.path().join("flows.toml"), suite).expect("a suite");
    let record = run(&format!("{path}/flows.toml --kernel 6.12"), 0);
    let loader = record.objects[0].loader.as_ref().expect("a loader");
    assert_eq!((loader.name.as_str(), &loader.chosen), ("cilium-ebpf", &LoaderChoice::Suite));
    // The command line has the last word.
    let record = run(&format!("{path}/flows.toml --kernel 6.12 --loader libbpf"), 3);
    assert!(record.objects[0].loader.is_none());
}

/// A loader that dies, talks nonsense or is silent is not the object's fault.
#[test]
fn loaders_that_fail_are_not_the_objects_fault() {
    need!("guests", "programs", "loaders");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let object = "target/programs/task-state.bpf.o";
    let dies = "fn main() { eprintln!(\"out of luck\"); std::process::exit(3); }";
    let babbles = "fn main() { println!(\"what?\"); std::thread::sleep(std::time::Duration::from_secs(9)); }";
    for (name, body, words) in [("dies", dies, "out of luck"), ("babbles", babbles, "which is no answer")] {
        let loader = folder.path().join(name);
        let source = folder.path().join(format!("{name}.rs"));
        std::fs::write(&source, body).expect("a source");
        let status =
            Command::new("rustc").args(["-C", "target-feature=+crt-static", "-o"]).arg(&loader).arg(&source).status();
        assert!(status.expect("rustc starts").success());
        let record = run(&format!("{object} --kernel 6.12 --loader {}", loader.display()), 3);
        for program in &record.cells[0].programs {
            assert_eq!(program.verdict, Verdict::HarnessError, "{name}: {:?}", program.reason);
            let reason = program.reason.as_deref().unwrap_or_default();
            assert!(reason.contains(words), "{name}: {reason}");
        }
    }
}

/// Maps of another object: libbpf takes over their definitions, cilium/ebpf compares them with the object's own, and aya does neither.
#[test]
fn maps_of_another_object_are_given_as_each_library_takes_them() {
    need!("guests", "programs", "loaders");
    let record = run(
        "tests/loading/reuse.toml --kernel 5.10 --kernel 7.3 --loader all --loader cilium-ebpf-profile --loader aya-profile",
        1,
    );
    let refused = (Verdict::MapCreationFailed, Some(Cause::IncompatibleMap));
    for (name, cilium) in [("on_locked", LOADED), ("on_narrow", refused), ("on_sized_by_another", refused)] {
        assert_eq!(outcome(&record, "reuse", name), LOADED, "{name} by libbpf");
        assert_eq!(outcome(&record, "reuse@cilium-ebpf", name), cilium, "{name} by cilium/ebpf");
        assert_eq!(outcome(&record, "reuse@aya", name), LOADED, "{name} by aya");
        assert_eq!(outcome(&record, "reuse@cilium-ebpf-profile", name), cilium, "{name} by what is known");
        assert_eq!(outcome(&record, "reuse@aya-profile", name), LOADED, "{name} by what is known");
    }
    let both = ["reuse@cilium-ebpf", "reuse@cilium-ebpf-profile"];
    for program in both.iter().flat_map(|row| program(&record, row, "on_narrow")) {
        let reason = program.reason.as_deref().unwrap_or_default();
        assert!(reason.contains("using replacement map narrow: ValueSize: 32 changed to 8"), "{reason}");
    }
    // What no loader created is in no list of what it created.
    let maps = record.cells.iter().flat_map(|cell| &cell.loader).flat_map(|loader| &loader.maps);
    assert!(maps.clone().any(|map| map.map == "guarded") && !maps.clone().any(|map| map.map == "locked"));
    let reuse = record.objects.iter().find(|object| object.name == "reuse").expect("the object");
    assert!(reuse.loading.settings().contains(&"maps.locked.reuse = \"base/guarded\"".to_owned()));
}
