//! Objects that their own loaders complete: judged as they are, and as a suite says that their loaders make them.

#[path = "common/need.rs"]
mod need;

use std::path::Path;
use std::process::Command;

use corematrix::record::{Cause, ProgramRecord, RelocationOutcome, RunRecord, Verdict};

use need::need;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs `inputs` on three kernels.
fn run(inputs: &[&str], code: i32) -> RunRecord {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    run.current_dir(root()).arg("run").args(inputs).arg("--out").arg(folder.path());
    run.args(["--kernel", "5.10", "--kernel", "6.12", "--kernel", "7.3"]);
    let status = run.status().expect("corematrix starts");
    assert_eq!(status.code(), Some(code), "corematrix run ended with {status}");
    corematrix::record::json::read(&folder.path().join("report.json")).expect("the report")
}

fn programs(record: &RunRecord) -> impl Iterator<Item = (&str, &ProgramRecord)> {
    record.cells.iter().flat_map(|cell| cell.programs.iter().map(|program| (cell.kernel.as_str(), program)))
}

#[test]
fn objects_load_as_their_loaders_load_them() {
    need!("guests", "programs");
    let record = run(&["tests/loading/suite.toml"], 1);
    for (kernel, program) in programs(&record) {
        if program.name == "never_loaded" {
            assert_eq!(program.verdict, Verdict::NotRun, "{kernel}: {:?}", program.reason);
            continue;
        }
        // 5.10 lets no program of this hook sleep.
        let expected = match (kernel, program.name.as_str()) {
            ("5.10", "may_sleep") => Some(Cause::ForbiddenAttachTarget),
            // What it is relocated with does not have what the kernels do.
            (_, "reads_kernels") => {
                let hint = "resolved against `../../target/loading/types.bpf.o`";
                assert!(program.hints.iter().any(|line| line.contains(hint)), "{:?}", program.hints);
                assert_eq!(program.explanation, None);
                Some(Cause::MissingField)
            }
            _ => None,
        };
        assert_eq!(
            (program.cause, program.verdict.is_pass()),
            (expected, expected.is_none()),
            "{kernel} {}: {:?}",
            program.name,
            program.reason
        );
    }
    let settings: Vec<String> = record.objects.iter().flat_map(|object| object.loading.settings()).collect();
    assert!(settings.contains(&"programs.classifies.type = \"sched_cls\"".to_owned()), "{settings:?}");
    assert!(settings.contains(&"maps.of_maps.inner.max_entries = 2".to_owned()), "{settings:?}");
    let changes: Vec<&String> = record.objects.iter().flat_map(|object| &object.loading.changes).collect();
    for change in [
        "converted `legacy_static` to a BTF map",
        "converted `first` to a BTF map",
        "2 calls of `report_event` return 0",
        "1 load of the constant `LIMIT` gives 7",
        "copied `twice` of section `kprobe/do_exit` to `.text`",
    ] {
        assert!(changes.iter().any(|known| *known == change), "{changes:?}");
    }
    // The value is that of the given types, and nothing is said of the kernels'.
    for cell in record.cells.iter().filter(|cell| cell.object == "btf") {
        let resolved = cell.relocations.iter().find_map(|relocation| match relocation.outcome {
            RelocationOutcome::Resolved { new, .. } => Some(new),
            _ => None,
        });
        assert_eq!((resolved, cell.dangers.len()), (Some(12), 0), "{:?} {:?}", cell.relocations, cell.dangers);
    }
    // What its loader never loads keeps nothing from being whole.
    let whole = record.cells.iter().filter(|cell| cell.object == "autoload").filter_map(|cell| cell.whole.as_ref());
    assert!(whole.map(|whole| whole.prepared).eq([true; 3]));
    assert!(record.cells.iter().all(|cell| cell.defective_records() == 0));
    assert!(record.objects.iter().any(|object| object.name == "variables@wide"));
    let placeholder = programs(&record).find(|(_, program)| program.name == "placeholder").expect("it is there").1;
    assert_eq!(placeholder.section, "fentry/vfs_read");
}

/// Not one of them loads by itself, and no one else is to blame.
#[test]
fn same_objects_need_their_loaders() {
    need!("guests", "programs");
    let record = run(&["target/loading"], 1);
    let causes = [
        ("classifies", Cause::NeedsLoader),
        ("filters", Cause::NeedsLoader),
        ("placeholder", Cause::MissingAttachTarget),
        ("hidden", Cause::NeedsLoader),
        ("hidden_probe", Cause::NeedsLoader),
        ("plain", Cause::NeedsLoader),
        ("calls", Cause::NeedsLoader),
        ("twice", Cause::NeedsLoader),
        ("may_sleep", Cause::ForbiddenHelper),
        ("on_no_size", Cause::IncompleteMapDefinition),
        ("on_typed", Cause::IncompleteMapDefinition),
        ("on_map_of_maps", Cause::IncompleteMapDefinition),
        ("on_legacy", Cause::NeedsLoader),
        ("on_static", Cause::NeedsLoader),
        ("on_bare", Cause::NeedsLoader),
        ("on_pinned", Cause::NeedsLoader),
        ("on_stub", Cause::NeedsLoader),
        ("on_constant", Cause::NeedsLoader),
        ("on_address", Cause::NeedsLoader),
        ("never_loaded", Cause::MissingField),
        ("on_ready", Cause::MemoryOther),
        ("on_range", Cause::MemoryOther),
        ("reads_own", Cause::MissingField),
        ("on_sized_by_another", Cause::IncompleteMapDefinition),
    ];
    for (name, cause) in causes {
        for (kernel, program) in programs(&record).filter(|(_, program)| program.name == name) {
            assert_eq!(program.cause, Some(cause), "{kernel} {name}: {:?}", program.reason);
            let notes = program.explanation.iter().flat_map(|explanation| &explanation.notes);
            let advice: String =
                notes.chain(&program.hints).chain(&program.reason).map(|line| format!("{line}\n")).collect();
            let is_of_suite = ![Cause::ForbiddenHelper, Cause::MemoryOther, Cause::MissingField].contains(&cause);
            assert!(!is_of_suite || advice.contains("of a suite"), "{kernel} {name}: {advice}");
        }
    }
}
