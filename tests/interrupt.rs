//! Runs that end before their end: by signals at several moments, and by `kill -9`.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, File};
use std::time::{Duration, Instant};

use common::{Lab, expect_not_run, kernel, need, object, programs, state, until, verdicts};
use corematrix::record::Verdict;
use corematrix::record::json;
use corematrix::record::{KernelState, RunRecord};
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use Verdict::{Loaded, NotRun, TimedOut};

const INTERRUPTED: i32 = 130;

/// The reason of what a stopped run did not get to.
const STOPPED: &str = "the run was stopped before this cell";

/// What stopping at once may take on a slow machine: far less than any of the deadlines that it cuts short.
const AT_ONCE: Duration = Duration::from_secs(20);

/// A kernel that hangs when it loads `three`, for longer than any test lasts.
const HANGS: &str = "append = [\"corematrix.fault=hang@three\"]\nprogram-timeout = \"5m\"";

#[test]
fn asked_once_a_run_finishes_its_cell_and_reports_what_it_has() {
    need!("guests");
    let lab = Lab::with_kernel("append = [\"corematrix.fault=hang@three\"]\nprogram-timeout = \"1s\"");
    let mut run = lab.start(&[&object("five"), &object("plain"), "--jobs", "1"]);
    run.expect_said("restored in");
    run.signal(Signal::INT);
    run.wait().expect(INTERRUPTED).expect_said(&["stopping: finishing the running cells"]);
    let report = lab.report();
    assert!(report.interrupted && report.finished.is_some());
    assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded, Loaded, TimedOut, Loaded, Loaded]);
    assert_eq!(verdicts(&report, kernel().name, "plain"), [NotRun; 2]);
    assert_eq!(programs(&report, kernel().name, "plain")[0].reason.as_deref(), Some(STOPPED));
    assert!(lab.out().join("junit.xml").exists() && lab.out().join("table.txt").exists());
    lab.expect_nothing_left();
}

#[test]
fn asked_twice_a_run_stops_while_a_program_hangs() {
    need!("guests");
    let lab = Lab::with_kernel(HANGS);
    // The one that hangs goes first: it has more programs.
    let mut run = lab.start(&[&object("plain"), &object("five"), "--jobs", "2"]);
    run.expect_said("1/2 plain");
    let begin = Instant::now();
    run.signal(Signal::TERM);
    run.expect_said("interrupt again to stop immediately");
    run.signal(Signal::TERM);
    run.wait().expect(INTERRUPTED).expect_said(&["stopping immediately"]);
    assert!(begin.elapsed() < AT_ONCE, "took {:?}", begin.elapsed());
    let report = lab.report();
    assert!(report.interrupted);
    assert_eq!(verdicts(&report, kernel().name, "plain")[0], Loaded);
    // What hung is not to blame: the user was faster than the deadline.
    let last = &programs(&report, kernel().name, "five")[2..];
    assert!(last.iter().all(|program| program.verdict == NotRun), "{last:?}");
    assert_eq!(last[0].reason.as_deref(), Some(STOPPED));
    lab.expect_nothing_left();
}

#[test]
fn asked_twice_a_run_stops_while_a_kernel_boots() {
    need!("guests");
    let lab = Lab::with_kernel("append = [\"corematrix.fault=silent\"]\nboot-timeout = \"5m\"");
    let mut run = lab.start(&[&object("five")]);
    until("QEMU", || lab.qemus().first().copied());
    let begin = Instant::now();
    run.signal(Signal::INT);
    run.expect_said("interrupt again to stop immediately");
    run.signal(Signal::TERM);
    run.wait().expect(INTERRUPTED);
    assert!(begin.elapsed() < AT_ONCE, "took {:?}", begin.elapsed());
    let report = lab.report();
    assert!(report.interrupted);
    // A boot that the user cut short is no boot that failed.
    assert_eq!(*state(&report, kernel().name), KernelState::Pending);
    expect_not_run(&report, kernel().name, STOPPED);
    lab.expect_nothing_left();
}

#[test]
fn a_run_that_waits_for_its_kernel_can_be_stopped() {
    need!("guests");
    let lab = Lab::new();
    lab.manifest(&format!("[kernel.own]\nsource = \"path\"\nimage = \"{}\"\n", kernel().image().display()));
    // As another run does that fetches the same kernel, and takes its time.
    fs::create_dir_all(lab.store().join("locks")).unwrap();
    let lock = File::create(lab.store().join("locks/kernel-own")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let mut run = lab.start(&[&object("five"), "--kernel", "own", "--accel", "tcg"]);
    run.expect_said("waiting for another run that is fetching the same kernel");
    let begin = Instant::now();
    // Once is enough: no cell is running.
    run.signal(Signal::INT);
    run.wait().expect(INTERRUPTED);
    assert!(begin.elapsed() < AT_ONCE, "took {:?}", begin.elapsed());
    let report = lab.report();
    assert_eq!(verdicts(&report, "own", "five"), [NotRun; 5]);
    assert_eq!(*state(&report, "own"), KernelState::Pending);
    expect_not_run(&report, "own", STOPPED);
    lab.expect_nothing_left();
}

#[test]
fn a_run_that_is_killed_leaves_its_finished_cells_and_no_qemu() {
    need!("guests");
    let lab = Lab::with_kernel(HANGS);
    let run = lab.start(&[&object("guards"), &object("plain"), &object("five"), "--jobs", "2"]);
    let path = lab.out().join("report.json");
    let known = |record: &RunRecord| {
        let judged = record.cells[2].programs.iter().filter(|program| program.verdict == Loaded).count();
        let others = record.cells[..2].iter().flat_map(|cell| &cell.programs);
        judged == 2 && others.into_iter().all(|program| program.verdict != NotRun)
    };
    // The third program of `five` hangs, so nothing more happens that could cause a save.
    until("results on the disk", || json::read(&path).ok().filter(known));
    run.signal(Signal::KILL);
    assert_eq!(run.wait().code, None);
    lab.expect_no_qemu();
    let report = lab.report();
    assert!(known(&report) && report.finished.is_none());
    assert_eq!(*state(&report, kernel().name), KernelState::Ready);
    assert_eq!(verdicts(&report, kernel().name, "plain")[0], Loaded);
    assert!(!verdicts(&report, kernel().name, "guards").contains(&NotRun));
    assert_eq!(verdicts(&report, kernel().name, "five")[2..], [NotRun; 3]);
}
