//! What reports say of fallback coverage, on real kernels and of real objects: every guard is counted, and the tracefiles of all levels
//! are as their readers want them and say what the record says. `tests/stories.rs` knows which sides are right. Needs `make programs`,
//! virtme-ng, QEMU and the kernels.

#![allow(clippy::unwrap_used)]

#[path = "coverage/independent.rs"]
mod independent;
#[path = "common/need.rs"]
mod need;
#[path = "common/shipped_tools.rs"]
mod shipped_tools;
#[path = "coverage/tracefile.rs"]
mod tracefile;

use std::path::Path;
use std::process::Command;

use corematrix::coverage::{Analysis, ProofLevel, proven, sides};
use corematrix::object::find_objects;
use corematrix::record::GuardKind;
use corematrix::record::RunRecord;
use corematrix::report::coverage::lcov;
use corematrix::report::coverage::source::{LineState, executed, state};
use independent::Count;
use tracefile::Tracefile;

use need::need;

const KERNELS: [&str; 2] = ["5.10", "6.12"];
/// How many of the shipped tools.
const TOOLS: usize = 10;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn corematrix(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_corematrix")).current_dir(root()).args(args).output().unwrap();
    assert!(output.status.code() < Some(2), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Of the objects of the stories and of the ten that no one here wrote: each relocation that asks for existence is one guard, and each
/// weak extern is at least one. What there is comes out of the raw sections, by other code than the tool's.
#[test]
fn every_guard_is_counted() {
    need!("guests", "programs");
    let mut inputs = shipped_tools::files(TOOLS);
    inputs.push(root().join("target/programs"));
    let objects = find_objects(&inputs).unwrap().objects;
    assert!(objects.len() > 40);
    let mut total = Count::default();
    for object in objects {
        let count = Count::of(&object.bytes);
        let programs: Vec<&str> =
            object.inventory.as_ref().unwrap().programs.iter().map(|one| one.name.as_str()).collect();
        let guards = Analysis::of(&object.bytes, &programs).guards;
        let found = guards.iter().filter(|guard| guard.kind.is_existence()).count();
        assert_eq!(found, count.existence, "{}", object.name);
        for name in &count.weak {
            let asks = guards
                .iter()
                .any(|guard| guard.asked == *name && [GuardKind::Ksym, GuardKind::Kconfig].contains(&guard.kind));
            assert!(asks, "{}: {name}", object.name);
        }
        total.existence += count.existence;
        total.weak.extend(count.weak);
    }
    assert!(total.existence > 40 && total.weak.len() > 3, "{total:?}");
}

#[test]
fn tracefiles_of_all_levels_say_what_the_record_says() {
    need!("guests", "programs");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let tools = shipped_tools::files(TOOLS);
    let mut args = vec!["run", "target/programs/inode-ctime.bpf.o", "target/programs/task-state.bpf.o"];
    // Some guards of these stand in headers that both share, some are inlined several times.
    args.extend([&tools[2], &tools[3]].map(|tool| tool.to_str().unwrap()));
    args.extend(["--exercise", "--out", &out]);
    args.extend(KERNELS.iter().flat_map(|kernel| ["--kernel", kernel]));
    let table = corematrix(&args);
    assert!(table.contains("Fallback coverage: "), "{table}");
    let record = corematrix::record::json::read(&folder.path().join("report.json")).unwrap();
    for level in [ProofLevel::Resolved, ProofLevel::Verified, ProofLevel::Executed] {
        let file = folder.path().join(format!("{}.info", level.label()));
        corematrix(&["coverage", &out, "--lcov", file.to_str().unwrap(), "--level", level.label()]);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, lcov::render(&record, &(0..record.objects.len()).collect::<Vec<_>>(), level));
        agrees(&record, &Tracefile::read(&text, level.label()), level);
        accepted_by_genhtml(&file, folder.path());
    }
    corematrix(&["report", &out, "--format", "lcov", "--out", &out]);
    let text = std::fs::read_to_string(folder.path().join("coverage.info")).unwrap();
    assert_eq!(text, std::fs::read_to_string(folder.path().join("verified.info")).unwrap());

    let source = corematrix(&["coverage", &out, "inode-ctime", "--source"]);
    // On both kernels; on one, and invalid on the other; on one, and in no program that was loaded on the other.
    assert!(["  XX ", "  X! ", "  X? "].iter().all(|signs| source.contains(signs)), "{source}");
    assert!(source.contains("if (bpf_core_field_exists(second->__i_ctime))"), "{source}");
    let unproven = corematrix(&["coverage", &out, "inode-ctime", "--unproven"]);
    assert!(unproven.contains("needs a kernel with `struct inode___second.__i_ctime`"), "{unproven}");
}

/// Its lines and branches are those of the record.
fn agrees(record: &RunRecord, file: &Tracefile, level: ProofLevel) {
    let objects = 0..record.objects.len();
    let guards = |object: usize| &record.objects[object].coverage.guards;
    let all = objects
        .clone()
        .flat_map(|object| sides(&record.objects[object]).map(move |(guard, side)| (object, guard, side)));
    let placed: Vec<_> = all.filter(|&(object, guard, _)| guards(object)[guard].source.is_some()).collect();
    let hit = placed.iter().filter(|&&(object, guard, side)| !proven(record, object, guard, side, level).is_empty());
    assert_eq!((file.branches, file.branches_hit), (placed.len(), hit.count()), "{level:?}");
    let mut lines = std::collections::BTreeMap::new();
    for object in objects {
        let table = &record.objects[object].coverage.lines;
        for (number, line) in table.lines.iter().enumerate() {
            let kernels = 0..record.kernels.len();
            let proves = |&kernel: &usize| match level {
                ProofLevel::Executed => executed(record, object, kernel, number),
                _ => state(record, object, kernel, number) == LineState::Live,
            };
            *lines.entry((table.files[line.file].clone(), line.line)).or_insert(false) |=
                kernels.filter(proves).count() > 0;
        }
    }
    assert_eq!(file.lines, lines.len(), "{level:?}");
    if level != ProofLevel::Resolved {
        assert_eq!(file.lines_hit, lines.values().filter(|hit| **hit).count(), "{level:?}");
    }
}

/// Where it is installed.
fn accepted_by_genhtml(file: &Path, folder: &Path) {
    let mut command = Command::new("genhtml");
    command.args(["--branch-coverage", "--ignore-errors", "source", "--output-directory"]);
    match command.arg(folder.join("html")).arg(file).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => println!("genhtml was not asked: {error}"),
    }
}
