//! `run --isolation shared`: records are those of `cell`, regardless of what objects leave behind in the guest that they share.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/shipped_tools.rs"]
mod shipped_tools;

use std::fs;
use std::path::Path;

use common::{Lab, need, object, programs, verdicts};
use corematrix::matrix::Places;
use corematrix::object::{BpfObject, find_objects};
use corematrix::record::{RunRecord, Verdict};

use Verdict::{AttachTargetMissing, KernelCrashed, Loaded, RelocationFailed};

/// Objects of which all programs load on the test kernel, of which some do not, and of which none does.
const OBJECTS: [&str; 11] = [
    "attach/forms",
    "attach/kinds",
    "coverage/bitfields",
    "faults/five",
    "loading/legacy",
    "maps/alone",
    "maps/link",
    "maps/pinned",
    "objects/externs",
    "objects/guards",
    "objects/plain",
];
/// Kernels of the project, for what takes too long on all of them: their names, or `default`.
const KERNELS: &str = "COREMATRIX_ISOLATION_KERNELS";
/// In the order in which they are judged; all of it loads.
const SOUND: [&str; 4] = ["attach/kinds", "faults/five", "coverage/bitfields", "maps/pinned"];
/// The kernel crashes at this one.
const CRASHES: &str = "maps/link";

fn paths(names: &[&str]) -> Vec<String> {
    let path = |name: &&str| format!("{}/tests/fixtures/{name}.bpf.o", env!("CARGO_MANIFEST_DIR"));
    names.iter().map(path).collect()
}

fn run(lab: &Lab, isolation: &str, objects: &[String]) -> RunRecord {
    let report = run_with(lab, isolation, objects, &["--jobs", "1", "--full-logs"]);
    lab.expect_nothing_left();
    report
}

fn run_with(lab: &Lab, isolation: &str, objects: &[String], more: &[&str]) -> RunRecord {
    let more: Vec<&str> = ["--isolation", isolation].into_iter().chain(more.iter().copied()).collect();
    run_to(&lab.path(isolation), lab, objects, &more)
}

fn run_to(folder: &Path, lab: &Lab, objects: &[String], more: &[&str]) -> RunRecord {
    let args = ["--accel", "tcg"];
    let args: Vec<&str> = objects.iter().map(String::as_str).chain(args).chain(more.iter().copied()).collect();
    let _ = fs::remove_dir_all(folder);
    // All kernels take minutes, longer than other tests wait.
    let ended = lab.command_to(folder, &args).output().unwrap();
    assert!(ended.status.code().is_some_and(|code| code < 2), "{}", String::from_utf8_lossy(&ended.stderr));
    lab.expect_no_qemu();
    corematrix::record::json::read(&folder.join("report.json")).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A lab with the project's kernels and the user's store.
fn lab_of_the_project(profiles: &str) -> Lab {
    let lab = Lab::new();
    let kernels = fs::read_to_string(root().join("kernels.toml")).unwrap();
    lab.manifest(&format!("{kernels}\n{profiles}"));
    fs::copy(root().join("kernels.lock"), lab.path("kernels.lock")).unwrap();
    fs::remove_dir(lab.store()).unwrap();
    std::os::unix::fs::symlink(Places::from_environment(None).unwrap().store, lab.store()).unwrap();
    lab
}

/// The objects of `programs/`, and those that the tools embed, as files.
fn programs_and_shipped(lab: &Lab) -> Vec<String> {
    let mut inputs = shipped_tools::files(40);
    inputs.push(root().join("target/programs"));
    let objects = find_objects(&inputs).unwrap().objects;
    let folder = lab.path("everything");
    fs::create_dir(&folder).unwrap();
    let write = |found: &BpfObject| {
        let path = folder.join(format!("{}.bpf.o", found.name));
        fs::write(&path, &found.bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    objects.iter().map(write).collect()
}

/// How many guests were restored.
fn guests(report: &RunRecord) -> usize {
    report.kernels[0].restore_ms.len()
}

/// What is known about each cell, without times, as it is written.
fn cells(report: &RunRecord) -> Vec<String> {
    report.without_noise().cells.iter().map(|cell| format!("{cell:#?}")).collect()
}

#[track_caller]
fn expect_same(shared: &RunRecord, cell: &RunRecord) {
    for (shared, cell) in cells(shared).iter().zip(&cells(cell)) {
        let differs = shared.lines().zip(cell.lines()).find(|(shared, cell)| shared != cell);
        assert_eq!((differs, shared.len()), (None, cell.len()), "{}", shared.lines().take(3).collect::<String>());
    }
    assert_eq!(shared.cells.len(), cell.cells.len());
}

/// Copies that are judged in the other order: those that take long come first, and that is guessed by the size.
fn in_other_order(lab: &Lab, objects: &[String]) -> Vec<String> {
    let longest = objects.iter().map(|path| fs::metadata(path).unwrap().len()).max().unwrap() as usize;
    let copy = |path: &String| {
        let mut bytes = fs::read(path).unwrap();
        // Programs count as well, up to 20 of them.
        let wanted = 2 * longest + 400_000 - bytes.len();
        bytes.resize(wanted, 0);
        let folder = lab.path("other").join(Path::new(path).parent().unwrap().file_name().unwrap());
        fs::create_dir_all(&folder).unwrap();
        let copy = folder.join(Path::new(path).file_name().unwrap());
        fs::write(&copy, bytes).unwrap();
        copy.to_str().unwrap().to_owned()
    };
    objects.iter().map(copy).collect()
}

/// A guest that is booted for its objects is not put at risk: it loads their programs one by one.
#[test]
fn records_are_the_same_whether_programs_are_loaded_at_once_or_one_by_one() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let shipped = shipped_tools::files(12).into_iter().map(|path| path.to_str().unwrap().to_owned());
    let objects: Vec<String> = paths(&OBJECTS).into_iter().chain(shipped).collect();
    let at_once = run_to(&lab.path("at-once"), &lab, &objects, &["--isolation", "cell"]);
    let one_by_one = run_to(&lab.path("one-by-one"), &lab, &objects, &["--cold"]);
    assert!(guests(&at_once) >= objects.len() && guests(&one_by_one) == 0);
    expect_same(&at_once, &one_by_one);
}

#[test]
fn records_are_the_same_in_guests_that_are_shared() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let objects = paths(&OBJECTS);
    let cell = run(&lab, "cell", &objects);
    let shared = run(&lab, "shared", &objects);
    expect_same(&shared, &cell);
    let mut alike = shared.without_noise();
    assert_eq!(
        (std::mem::replace(&mut alike.tool.isolation, "cell".to_owned()), &*cell.tool.isolation),
        ("shared".to_owned(), "cell")
    );
    assert!(alike == cell.without_noise(), "something else than the cells differs");
    assert_eq!(guests(&cell), OBJECTS.len());
    assert!(guests(&shared) < OBJECTS.len(), "{} guests", guests(&shared));
    expect_same(&run(&lab, "shared", &in_other_order(&lab, &objects)), &cell);
    // Without anything that fails one guest does; and guests are shared unless the user says otherwise.
    let unasked = run_to(&lab.path("unasked"), &lab, &paths(&SOUND), &["--jobs", "1"]);
    assert_eq!((guests(&unasked), &*unasked.tool.isolation), (1, "shared"));
}

/// On the test kernel; `make isolation-judge` does the same on all default kernels.
#[test]
fn records_of_programs_and_shipped_tools_are_the_same_in_both_orders() {
    need!("guests", "programs");
    let kernels = std::env::var(KERNELS).ok();
    let lab = if kernels.is_some() { lab_of_the_project("") } else { Lab::with_kernel("") };
    let selected: Vec<&str> = kernels
        .iter()
        .flat_map(|all| all.split_whitespace())
        .filter(|one| *one != "default")
        .flat_map(|one| ["--kernel", one])
        .collect();
    let objects = programs_and_shipped(&lab);
    assert!(objects.len() > 80, "{} objects", objects.len());
    let run = |isolation: &str, objects: &[String]| {
        eprintln!("{} objects, --isolation {isolation}", objects.len());
        run_with(&lab, isolation, objects, &selected)
    };
    let cell = run("cell", &objects);
    let shared = run("shared", &objects);
    let others = run("shared", &in_other_order(&lab, &objects));
    expect_same(&shared, &cell);
    expect_same(&others, &cell);
    let all = |report: &RunRecord| report.kernels.iter().map(|kernel| kernel.restore_ms.len()).sum::<usize>();
    assert!(all(&shared) * 2 < all(&cell), "{} guests instead of {}", all(&shared), all(&cell));
}

/// A process that stays, a map that is pinned, a warning of the kernel, a crash.
#[test]
fn guest_in_which_something_is_left_serves_nobody_else() {
    need!("guests");
    let faults = ["stay@probe", "pin@five", "warn@reads", "panic@threshold"];
    let faults = faults.map(|fault| format!("\"corematrix.fault={fault}\"")).join(", ");
    let lab = Lab::with_kernel(&format!("append = [{faults}]"));
    let objects = [paths(&SOUND), paths(&[CRASHES])].concat();
    let (cell, shared) = (run(&lab, "cell", &objects), run(&lab, "shared", &objects));
    expect_same(&shared, &cell);
    let kernel = common::kernel().name;
    assert!(verdicts(&shared, kernel, "five").iter().all(|verdict| *verdict == Loaded));
    assert!(verdicts(&shared, kernel, "link").contains(&KernelCrashed));
    assert_eq!(shared.cells[2].kernel_log.len(), 1, "{:?}", shared.cells[2]);
    // Each object leaves a guest that no other one gets; the crash takes two more.
    assert_eq!((guests(&shared), guests(&cell)), (objects.len() + 2, objects.len() + 2));
}

#[test]
fn program_that_a_cgroup_keeps_ends_the_guest() {
    need!("guests");
    let objects = paths(&SOUND);
    let lab = Lab::with_kernel("append = [\"corematrix.fault=cgroup@two\"]");
    let (cell, shared) = (run(&lab, "cell", &objects), run(&lab, "shared", &objects));
    expect_same(&shared, &cell);
    // Without the program one does.
    assert_eq!(guests(&shared), 2);
}

/// What no guest can make a difference to is not judged twice.
#[test]
fn failure_that_btf_predicts_ends_no_guest() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let objects: Vec<String> = paths(&SOUND).into_iter().chain([object("guards")]).collect();
    let (cell, shared) = (run(&lab, "cell", &objects), run(&lab, "shared", &objects));
    expect_same(&shared, &cell);
    assert!(verdicts(&shared, common::kernel().name, "guards").contains(&AttachTargetMissing));
    assert_eq!(guests(&shared), 1);
}

/// What runs commands, attaches programs or fills tables of a module has a guest of its own.
#[test]
fn objects_that_are_not_only_loaded_share_nothing() {
    need!("guests");
    let lab = Lab::with_file_systems("");
    let objects = paths(&SOUND);
    for more in [&["--attach"][..], &["--exercise"], &["--modules", "overlay"]] {
        let arguments = [objects.clone(), more.iter().map(|one| (*one).to_owned()).collect()].concat();
        let shared = run(&lab, "shared", &arguments);
        // One more may have reported the kernel's features.
        assert!(guests(&shared) >= objects.len(), "{} guests with {more:?}", guests(&shared));
    }
}

/// The first program of the object fills the table of connections, which shows in the second one; another object finds it empty.
#[test]
fn connections_of_an_object_are_not_there_for_the_next_one() {
    need!("guests", "programs");
    let lab = lab_of_the_project("[profile.one-connection]\nsysctls = { \"net.netfilter.nf_conntrack_max\" = 1 }\n");
    let mut suite = "name = \"conntrack\"\nobjects = [\"first.bpf.o\", \"second.bpf.o\"]\n".to_owned();
    for object in ["first", "second"] {
        fs::copy(root().join("target/cost/conntrack-fill.bpf.o"), lab.path(&format!("{object}.bpf.o"))).unwrap();
        suite += &format!("[[shape]]\nobject = \"{object}\"\nname = \"full\"\nprofile = \"one-connection\"\n");
    }
    let file = lab.path("suite.toml");
    fs::write(&file, suite).unwrap();
    let suite = [file.to_str().unwrap().to_owned()];
    let report = run_with(&lab, "shared", &suite, &["--exercise", "--kernel", "6.12"]);
    // How often each program saw a packet of a connection; without room it drops them.
    let packets = |object: &str| -> Vec<u64> {
        let exercised = programs(&report, "6.12", object).iter().map(|program| program.exercise.as_ref().unwrap());
        let of_tcp = exercised.map(|one| one.triggers.iter().find(|trigger| trigger.trigger == "tcp").unwrap().runs);
        of_tcp.collect()
    };
    let (first, second, roomy) = (packets("first@full"), packets("second@full"), packets("first"));
    assert!(first[1] < first[0], "the table is not filled: {first:?}");
    assert_eq!((first, roomy[0]), (second, roomy[1]));
}

/// A guest that an object owns says what it likes: that it is clean, that everything loads, or that nothing does.
#[test]
fn guest_that_lies_decides_about_no_other_object() {
    need!("guests");
    let objects: Vec<String> = paths(&SOUND).into_iter().chain([object("externs")]).collect();
    let faults = ["lie", "stay@probe", "accept@probe", "refuse@reads"];
    let faults = faults.map(|fault| format!("\"corematrix.fault={fault}\"")).join(", ");
    let lab = Lab::with_kernel(&format!("append = [{faults}]"));
    let (cell, shared) = (run(&lab, "cell", &objects), run(&lab, "shared", &objects));
    expect_same(&shared, &cell);
    let kernel = common::kernel().name;
    assert_eq!(verdicts(&shared, kernel, "five"), [Loaded; 5]);
    assert!(verdicts(&shared, kernel, "externs").contains(&RelocationFailed));
    // What was judged beside it was judged again.
    assert!(guests(&shared) > objects.len() / 2, "{} guests", guests(&shared));
}

#[test]
fn the_committed_canary_is_its_source() {
    need!("clang");
    use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
    /// What a kernel sees of it: the bytes of its sections, and which function is where.
    fn loaded(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let file = object::File::parse(bytes).unwrap();
        let sections = file.sections().filter(|section| ["socket", "license"].contains(&section.name().unwrap()));
        let sections = sections.map(|one| (one.name().unwrap().to_owned(), one.data().unwrap().to_vec()));
        let functions = file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.is_global());
        let place = |one: &object::Symbol<'_, '_>| format!("{} bytes at {}", one.size(), one.address()).into_bytes();
        sections.chain(functions.map(|one| (one.name().unwrap().to_owned(), place(&one)))).collect()
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/run");
    let scratch = tempfile::tempdir().unwrap();
    let built = scratch.path().join("canary.bpf.o");
    let mut clang = std::process::Command::new("clang");
    clang.args(["-O2", "-target", "bpf", "-c"]).arg(folder.join("canary.bpf.c")).arg("-o").arg(&built);
    assert!(clang.status().unwrap().success());
    let committed = loaded(&fs::read(folder.join("canary.bpf.o")).unwrap());
    assert_eq!(committed.len(), 4, "{committed:?}");
    assert_eq!(loaded(&fs::read(built).unwrap()), committed, "build it again, as the source says");
}
