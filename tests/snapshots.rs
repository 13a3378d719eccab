//! Warm starts on a real kernel, and what spoils them: the verdicts stay right, nothing hangs, and the report says what happened.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{FullDisk, Lab, Run, kernel, need, object, programs, until, verdicts, write_executable};
use corematrix::record::RunRecord;
use corematrix::record::Verdict;
use corematrix::record::json;
use rustix::process::Signal;

use Verdict::{KernelCrashed, Loaded, TimedOut};

const GOOD: i32 = 0;
const PROGRAM_FAILED: i32 = 1;

/// How many guests of the only kernel booted, and how many were restored.
fn starts(report: &RunRecord) -> (usize, usize) {
    (report.kernels[0].hello_ms.len(), report.kernels[0].restore_ms.len())
}

/// What is said of snapshots.
fn snapshot_notes(report: &RunRecord) -> Vec<&str> {
    let notes = report.kernels[0].notes.iter().map(String::as_str);
    notes.filter(|note| note.contains("snapshot") || note.starts_with("runs cold")).collect()
}

/// Runs `five` to its end and checks that all is well with it.
#[track_caller]
fn run_five(lab: &Lab) -> RunRecord {
    let ended = lab.run(&[&object("five"), "--accel", "tcg"]);
    ended.expect(GOOD);
    let report = lab.report();
    assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded; 5]);
    // What is in the report was also said while the run went on.
    ended.expect_said(&snapshot_notes(&report));
    lab.expect_nothing_left();
    report
}

/// The lines about snapshots have each of these in them, and there are no others.
#[track_caller]
fn expect_notes(report: &RunRecord, texts: &[&str]) {
    let notes = snapshot_notes(report);
    let fits = notes.len() == texts.len() && notes.iter().zip(texts).all(|(line, text)| line.contains(text));
    assert!(fits, "got {notes:?}, expected {texts:?}");
}

/// The same command with another executable.
fn with_program(command: &Command, program: &Path) -> Command {
    let mut other = Command::new(program);
    other.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
}

#[test]
fn another_build_of_the_host_starts_from_the_same_snapshots() {
    need!("guests");
    let lab = Lab::with_kernel("");
    assert_eq!(starts(&run_five(&lab)).0, 1);
    // As after an edit of a report: another host with the same guest inside.
    let host = lab.path("corematrix");
    let mut other = fs::read(env!("CARGO_BIN_EXE_corematrix")).unwrap();
    other.extend(b"another build");
    write_executable(&host, &other);
    let command = with_program(&lab.command(&[&object("five"), "--accel", "tcg"]), &host);
    Run::start(command, &lab.path("other")).wait().expect(GOOD);
    let report = lab.report();
    assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded; 5]);
    assert_eq!(starts(&report).0, 0, "it booted once more");
    lab.expect_nothing_left();
}

/// As the caches of engines do between runners: packed, and unpacked in another place.
#[test]
fn a_store_serves_where_it_was_moved_to() {
    need!("guests");
    let lab = Lab::with_kernel("");
    assert_eq!(starts(&run_five(&lab)).0, 1);
    let (packed, place) = (lab.path("store.tar"), lab.path("elsewhere"));
    fs::create_dir(&place).unwrap();
    let tar = |folder: &Path, verb: &str| {
        let status = Command::new("tar").arg("-C").arg(folder).arg(verb).arg("-f").arg(&packed).arg(".").status();
        assert!(status.unwrap().success());
    };
    tar(&lab.store(), "-c");
    fs::remove_dir_all(lab.store()).unwrap();
    tar(&place, "-x");
    let mut command = lab.command(&[&object("five"), "--accel", "tcg", "--offline"]);
    command.env("COREMATRIX_STORE", &place);
    Run::start(command, &lab.path("other")).wait().expect(GOOD);
    let report = lab.report();
    assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded; 5]);
    assert_eq!(starts(&report), (0, 1), "{:?}", snapshot_notes(&report));
}

#[test]
fn a_kernel_boots_once_and_each_cell_starts_from_there() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let objects = [object("five"), object("guards"), object("plain")];
    let run = |more: &[&str]| {
        let args: Vec<&str> = objects.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let code = lab.run(&args).code;
        lab.expect_nothing_left();
        (code, lab.report())
    };
    let (code, first) = run(&["--isolation", "cell"]);
    assert_eq!(starts(&first), (1, 3));
    expect_notes(&first, &[]);
    let snapshot = lab.snapshot();
    let (second_code, second) = run(&["--isolation", "cell"]);
    assert_eq!(starts(&second), (0, 3));
    assert_eq!(lab.snapshot(), snapshot);
    let (cold_code, cold) = run(&["--cold"]);
    assert_eq!(starts(&cold), (1, 0));
    // However a guest starts, the outcome is the same, down to the words.
    assert_eq!((code, code), (second_code, cold_code));
    for object in ["five", "guards", "plain"] {
        let outcomes = |report: &RunRecord| -> Vec<_> {
            let programs = programs(report, kernel().name, object).iter();
            programs
                .map(|program| (program.name.clone(), program.verdict, program.reason.clone(), program.cause))
                .collect()
        };
        assert_eq!(outcomes(&first), outcomes(&cold), "{object}");
        assert_eq!(outcomes(&second), outcomes(&cold), "{object}");
    }
}

#[test]
fn a_crash_and_a_hang_cost_a_restore_each() {
    need!("guests");
    let faults = r#"append = ["corematrix.fault=panic@two", "corematrix.fault=hang@four"]"#;
    let lab = Lab::with_kernel(&format!("{faults}\nprogram-timeout = \"1s\""));
    lab.run(&[&object("five"), &object("guards")]).expect(PROGRAM_FAILED);
    let report = lab.report();
    assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded, KernelCrashed, Loaded, TimedOut, Loaded]);
    assert!(!verdicts(&report, kernel().name, "guards").contains(&Verdict::NotRun));
    // A crash with all programs at once, two crashes and a hang one by one, what is left of `five`, and `guards`, which gets a guest that has
    // seen none of this.
    assert_eq!(starts(&report), (1, 6));
    lab.expect_nothing_left();
}

/// What an accident does to a file.
type Damage<'a> = &'a dyn Fn(&Path);

#[test]
fn a_damaged_snapshot_is_thrown_away() {
    need!("guests");
    let lab = Lab::with_kernel("");
    run_five(&lab);
    let cut = |file: &Path| {
        let file = File::options().write(true).open(file).unwrap();
        file.set_len(file.metadata().unwrap().len() - 4096).unwrap();
    };
    let flip = |file: &Path| {
        let file = File::options().read(true).write(true).open(file).unwrap();
        let (mut byte, middle) = ([0], file.metadata().unwrap().len() / 2);
        file.read_exact_at(&mut byte, middle).unwrap();
        file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
    };
    let remove = |file: &Path| fs::remove_file(file).unwrap();
    let cases: [(&str, Damage<'_>, &str); 5] = [
        ("ram", &cut, "the snapshot was removed: its file `ram` has another length"),
        ("ram", &flip, "the snapshot was removed: its file `ram` is damaged"),
        ("state", &flip, "the snapshot was removed: its file `state` is damaged"),
        ("snapshot.json", &flip, "the snapshot was removed: its description is missing or damaged"),
        ("snapshot.json", &remove, "the snapshot was removed: its description is missing or damaged"),
    ];
    for (file, damage, line) in cases {
        let old = lab.snapshot();
        damage(&old.join(file));
        let report = run_five(&lab);
        assert_eq!(starts(&report), (1, 1));
        expect_notes(&report, &[line]);
        assert_ne!(lab.snapshot(), old);
    }
    let report = run_five(&lab);
    assert_eq!(starts(&report), (0, 1));
    expect_notes(&report, &[]);
}

#[test]
fn a_snapshot_of_another_qemu_is_kept_until_a_third_comes() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let wrapper = lab.path("qemu");
    let real = std::env::var("COREMATRIX_QEMU").unwrap_or("qemu-system-x86_64".to_owned());
    let run = |comment: &str| {
        write_executable(&wrapper, format!("#!/bin/sh\n# {comment}\nexec {real} \"$@\"\n").as_bytes());
        let mut command = lab.command(&[&object("five"), "--accel", "tcg"]);
        command.env("COREMATRIX_QEMU", &wrapper);
        Run::start(command, &lab.path("run")).wait().expect(GOOD);
        let report = lab.report();
        assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded; 5]);
        lab.expect_nothing_left();
        report
    };
    run_five(&lab);
    let does_not_fit = "the snapshot does not fit: QEMU has changed";
    let report = run("another one");
    assert_eq!(starts(&report), (1, 1));
    expect_notes(&report, &[does_not_fit]);
    // Whoever goes back finds theirs.
    run_five(&lab);
    assert_eq!((starts(&lab.report()), lab.snapshots().len()), ((0, 1), 2));
    let report = run("upgraded in between");
    assert_eq!(starts(&report), (1, 1));
    expect_notes(&report, &["the snapshot was removed: QEMU has changed", does_not_fit]);
    assert_eq!(lab.snapshots().len(), 2);
}

#[test]
fn a_run_that_is_killed_while_it_saves_leaves_no_snapshot() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let run = lab.start(&[&object("five"), "--accel", "tcg"]);
    let end = Instant::now() + Duration::from_secs(180);
    // The state is written before the RAM, which takes longer.
    let saves = || {
        let staging = fs::read_dir(lab.store().join("tmp")).into_iter().flatten().flatten();
        staging.into_iter().any(|folder| folder.path().join("entry/state").exists())
    };
    while !saves() {
        assert!(Instant::now() < end && lab.snapshots().is_empty(), "was not seen to save");
    }
    run.signal(Signal::KILL);
    assert_eq!(run.wait().code, None);
    lab.expect_no_qemu();
    assert_eq!(lab.snapshots().len(), 0);
    assert_ne!(fs::read_dir(lab.store().join("tmp")).unwrap().count(), 0);
    // The scratch directory of the killed run is no one's.
    fs::read_dir(lab.scratch()).unwrap().for_each(|left| fs::remove_dir_all(left.unwrap().path()).unwrap());
    let report = run_five(&lab);
    assert_eq!(starts(&report), (1, 1));
    expect_notes(&report, &[]);
}

#[test]
fn a_full_disk_makes_a_run_cold() {
    need!("guests");
    let lab = Lab::with_kernel("");
    // Too small for the state, and for the RAM.
    for kib in [64, 8192] {
        let Some(disk) = FullDisk::mount(&lab.store().join("tmp"), kib) else { return };
        let report = run_five(&lab);
        assert_eq!(starts(&report), (2, 0), "{kib} KiB");
        expect_notes(&report, &["runs cold: "]);
        let line = snapshot_notes(&report)[0];
        assert!(line.contains("No space left on device"), "{line}");
        assert!(disk.files().is_empty() && lab.snapshots().is_empty(), "{:?}", disk.files());
    }
}

#[test]
fn of_two_runs_that_want_the_same_snapshot_one_boots() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let runs = ["one", "two"].map(|name| {
        let command = lab.command_to(&lab.path(name), &[&object("five"), "--accel", "tcg", "--jobs", "1"]);
        (name, Run::start(command, &lab.path(&format!("run-{name}"))))
    });
    let mut booted = 0;
    for (name, run) in runs {
        run.wait().expect(GOOD);
        let report = json::read(&lab.path(name).join("report.json")).unwrap();
        assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded; 5]);
        expect_notes(&report, &[]);
        assert_eq!(starts(&report).1, 1);
        booted += starts(&report).0;
    }
    assert_eq!(booted, 1);
    lab.snapshot();
    lab.expect_nothing_left();
}

/// What clearing the store says.
fn clear(lab: &Lab) -> String {
    let mut command = lab.tool("store");
    command.arg("clear");
    let ended = Run::start(command, &lab.path("clear")).wait();
    ended.expect(GOOD);
    ended.stdout
}

#[test]
fn a_snapshot_in_use_is_not_evicted() {
    need!("guests");
    let lab = Lab::with_kernel("append = [\"corematrix.fault=hang@three\"]\nprogram-timeout = \"1s\"");
    let mut run = lab.start(&[&object("five"), "--accel", "tcg"]);
    run.expect_said("restored in");
    let said = clear(&lab);
    assert!(said.contains("0 removed") && said.contains("1 in use"), "{said}");
    run.wait().expect(PROGRAM_FAILED);
    let report = lab.report();
    assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded, Loaded, TimedOut, Loaded, Loaded]);
    // All at once, one by one, and what is left after the hang.
    assert_eq!(starts(&report), (1, 3));
    expect_notes(&report, &[]);
    assert!(clear(&lab).contains("1 removed"));
    assert_eq!(lab.snapshots().len(), 0);
    lab.expect_nothing_left();
}

#[test]
fn a_snapshot_that_vanishes_in_use_makes_the_rest_cold() {
    need!("guests");
    let lab = Lab::with_kernel("append = [\"corematrix.fault=hang@three\"]\nprogram-timeout = \"1s\"");
    let mut run = lab.start(&[&object("five"), "--accel", "tcg"]);
    run.expect_said("restored in");
    // As someone does who knows nothing of locks.
    fs::remove_dir_all(lab.snapshot()).unwrap();
    run.wait().expect(PROGRAM_FAILED);
    let report = lab.report();
    assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded, Loaded, TimedOut, Loaded, Loaded]);
    // The restored guest loads all at once; those that boot load one by one.
    assert_eq!(starts(&report), (3, 1));
    expect_notes(&report, &["runs cold: its snapshot could not be restored"]);
    lab.expect_nothing_left();
}

#[test]
fn a_budget_that_holds_no_snapshot_is_kept_after_the_run() {
    need!("guests");
    let lab = Lab::with_kernel("");
    for _ in 0..2 {
        let mut command = lab.command(&[&object("five"), &object("guards"), "--accel", "tcg", "--isolation", "cell"]);
        command.env("COREMATRIX_SNAPSHOT_BUDGET", "1KiB");
        Run::start(command, &lab.path("run")).wait();
        let report = lab.report();
        assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded; 5]);
        assert_eq!(starts(&report), (1, 2));
        expect_notes(&report, &[]);
        assert_eq!(lab.snapshots().len(), 0);
        lab.expect_nothing_left();
    }
}

#[test]
fn a_guest_that_crashes_whenever_it_is_restored_runs_cold() {
    need!("guests");
    let lab = Lab::with_kernel(r#"append = ["corematrix.fault=wake"]"#);
    for _ in 0..2 {
        let report = run_five(&lab);
        assert_eq!(starts(&report), (2, 0));
        expect_notes(&report, &["runs cold: its snapshot could not be restored and was removed: crashed"]);
        assert_eq!(lab.snapshots().len(), 0);
    }
    // From the third time on nothing is saved in vain.
    let report = run_five(&lab);
    assert_eq!(starts(&report), (1, 0));
    expect_notes(&report, &["runs cold: its snapshots could not be restored in earlier runs: crashed"]);
}

#[test]
fn a_guest_that_lives_in_the_past_is_not_used() {
    need!("guests");
    let lab = Lab::with_kernel(r#"append = ["corematrix.fault=asleep"]"#);
    // The first restore follows the save at once, and may pass; the next one cannot.
    let first = run_five(&lab);
    std::thread::sleep(Duration::from_secs(3));
    let second = run_five(&lab);
    let found = [&first, &second].into_iter().find(|report| !snapshot_notes(report).is_empty()).unwrap();
    expect_notes(found, &["runs cold: its snapshot could not be restored and was removed: the guest's clock is "]);
    assert!(snapshot_notes(found)[0].ends_with(" behind"), "{:?}", snapshot_notes(found));
}

#[test]
fn guests_that_qemu_loses_are_restored() {
    need!("guests");
    let lab = Lab::with_kernel("append = [\"corematrix.fault=hang@three\"]\nprogram-timeout = \"2m\"");
    let mut run = lab.start(&[&object("five"), "--accel", "tcg"]);
    run.expect_said("restored in");
    let mut killed = Vec::new();
    while killed.len() < 3 {
        let running = until("the next guest", || {
            // The one that was saved may just be ending; one that was restored has more in its command.
            let restored = |pid: &i32| {
                let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&words).contains("-incoming")
            };
            lab.qemus().into_iter().find(|pid| restored(pid) && !killed.contains(pid))
        });
        // It has to have answered: a restore that fails makes the run cold.
        until("its answer", || {
            let report = json::read(&lab.out().join("report.json")).ok()?;
            (starts(&report).1 > killed.len()).then_some(())
        });
        common::send(running, Signal::KILL);
        killed.push(running);
    }
    run.wait();
    let report = lab.report();
    assert_eq!(starts(&report), (1, 3));
    for program in programs(&report, kernel().name, "five") {
        assert!(matches!(program.verdict, Loaded | Verdict::HarnessError), "{program:?}");
    }
    lab.expect_nothing_left();
}
