//! `run --reuse`: what an earlier run observed is taken while nothing has changed that decides it, and said to be so; everything else is run.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Lab, Run, kernel, need, object, verdicts, write_executable};
use corematrix::record::{RunRecord, Verdict};

use Verdict::{Loaded, TimedOut};

const PROGRAM_FAILED: i32 = 1;
/// Of `plain` a program cannot be judged, since only its own loader knows its type: that, too, is an answer about the object.
const OBJECTS: [&str; 3] = ["five", "guards", "plain"];
/// A guest for each cell, so that guests can be counted.
const OPTIONS: [&str; 5] = ["--accel", "tcg", "--full-logs", "--isolation", "cell"];

/// How many guests of the only kernel were started.
fn guests(report: &RunRecord) -> usize {
    report.kernels[0].hello_ms.len() + report.kernels[0].restore_ms.len()
}

/// The objects whose cells are of an earlier run.
fn reused(report: &RunRecord) -> Vec<&str> {
    report.cells.iter().filter(|cell| cell.observed.is_some()).map(|cell| cell.object.as_str()).collect()
}

/// The logs of what is an answer, by their files.
fn logs(folder: &Path) -> Vec<(String, String)> {
    let report = corematrix::record::json::read(&folder.join("report.json")).unwrap();
    let answered = report.cells.iter().filter(|cell| OBJECTS.contains(&&*cell.object));
    let files = answered.flat_map(|cell| &cell.programs).filter_map(|program| program.log_file.clone());
    let read = |file: String| {
        let log = corematrix::verifier::log_file::read(&folder.join(&file)).unwrap();
        (file, log)
    };
    files.map(read).collect()
}

#[test]
fn a_cell_is_not_run_again_while_nothing_has_changed() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let objects = OBJECTS.map(object);
    let run_to = |folder: &str, more: &[&str]| {
        let args: Vec<&str> = objects.iter().map(String::as_str).chain(OPTIONS).collect();
        let args: Vec<&str> = args.into_iter().chain(more.iter().copied()).collect();
        let ended = Run::start(lab.command_to(&lab.path(folder), &args), &lab.path("run")).wait();
        lab.expect_nothing_left();
        (ended.code, corematrix::record::json::read(&lab.path(folder).join("report.json")).unwrap())
    };
    // No one has observed anything yet.
    let (code, first) = run_to("first", &["--reuse"]);
    assert_eq!((guests(&first), reused(&first).len()), (4, 0));
    let (again, second) = run_to("second", &["--reuse"]);
    assert_eq!((guests(&second), again), (0, code));
    assert_eq!(reused(&second), OBJECTS);
    assert_eq!(second.without_noise(), first.without_noise());
    let within = |date: &str| date >= &*first.started && date <= first.finished.as_deref().unwrap();
    assert!(second.cells.iter().filter_map(|cell| cell.observed.as_deref()).all(within));
    assert!(!logs(&lab.path("first")).is_empty(), "no log is compared");
    assert_eq!(logs(&lab.path("second")), logs(&lab.path("first")));
    for file in ["table.txt", "summary.md", "report.html"] {
        let text = fs::read_to_string(lab.path("second").join(file)).unwrap();
        assert!(text.contains("3 of 3 cells were not run again"), "{file}: {text}");
    }
    // What was reused is reused again with the date of who observed it, and nothing is taken by a run that does not ask for it.
    let (_, third) = run_to("third", &["--reuse"]);
    assert_eq!(third.cells[0].observed, second.cells[0].observed);
    let (_, plain) = run_to("plain", &[]);
    assert_eq!((guests(&plain), reused(&plain).len()), (3, 0));

    // What decides a cell has changed.
    let (_, attached) = run_to("attached", &["--reuse", "--attach"]);
    assert_eq!(reused(&attached).len(), 0);
    let changed = fs::read(&objects[0]).map(|mut bytes| {
        bytes.push(0);
        bytes
    });
    let moved = lab.path("five.bpf.o");
    fs::write(&moved, changed.unwrap()).unwrap();
    let args = [&[moved.to_str().unwrap(), &*objects[1]][..], &OPTIONS, &["--reuse"]].concat();
    lab.run(&args).expect(PROGRAM_FAILED);
    assert_eq!(reused(&lab.report()), ["guards"]);
    // Of nothing that is left to run no guest is started.
    lab.run(&args).expect(PROGRAM_FAILED);
    assert_eq!((guests(&lab.report()), reused(&lab.report()).len()), (0, 2));
    // Another build of corematrix may judge otherwise.
    let host = lab.path("corematrix");
    let mut other = fs::read(env!("CARGO_BIN_EXE_corematrix")).unwrap();
    other.extend(b"another build");
    write_executable(&host, &other);
    let of_this = lab.command(&args);
    let mut command = Command::new(&host);
    command.args(of_this.get_args());
    for (name, value) in of_this.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Run::start(command, &lab.path("other")).wait().expect(PROGRAM_FAILED);
    assert_eq!(reused(&lab.report()).len(), 0);

    // What is damaged counts as absent, and is made good.
    for cell in fs::read_dir(lab.store().join("cells")).unwrap() {
        let path = cell.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let (_, anew) = run_to("anew", &["--reuse"]);
    assert_eq!((guests(&anew), reused(&anew).len()), (3, 0));
    let (_, good) = run_to("good", &["--reuse"]);
    assert_eq!((guests(&good), reused(&good).len()), (0, 3));
}

/// Who hung once hangs again, or not: that is looked at.
#[test]
fn what_is_no_answer_about_the_object_is_run_again() {
    need!("guests");
    let lab = Lab::with_kernel("append = [\"corematrix.fault=hang@four\"]\nprogram-timeout = \"1s\"");
    let run = || {
        lab.run(&[&object("five"), &object("guards"), "--accel", "tcg", "--isolation", "cell", "--reuse"])
            .expect(PROGRAM_FAILED);
        let report = lab.report();
        assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded, Loaded, Loaded, TimedOut, Loaded]);
        report
    };
    assert_eq!(reused(&run()).len(), 0);
    let again = run();
    assert_eq!(reused(&again), ["guards"]);
    // All at once, one by one, and what is left after the hang.
    assert_eq!(guests(&again), 3, "{:?}", again.kernels[0].notes);
    lab.expect_nothing_left();
}
