//! `corematrix run --watch`: an object that is rebuilt, touched, half-written and gone.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use common::{Lab, kernel, need, object, send, until, verdicts};
use corematrix::record::Verdict;
use rustix::process::Signal;

/// What ending may take on a slow machine.
const AT_ONCE: Duration = Duration::from_secs(20);

/// What the watch in this lab has printed.
fn printed(lab: &Lab) -> String {
    fs::read_to_string(lab.path("run.out")).unwrap()
}

/// Waits for the table that `text` stands in.
#[track_caller]
fn expect_printed(lab: &Lab, text: &str) {
    until(text, || printed(lab).contains(text).then_some(()));
}

/// Puts a fixture into the place of `x.bpf.o`, as linkers do: whole, by rename.
fn replace(lab: &Lab, fixture: &str) -> PathBuf {
    let path = lab.path("objects/x.bpf.o");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(object(fixture), lab.path("fresh")).unwrap();
    fs::rename(lab.path("fresh"), &path).unwrap();
    path
}

#[test]
fn what_is_rebuilt_is_run_again() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let path = replace(&lab, "five");
    let mut run = lab.start(&[path.parent().unwrap().to_str().unwrap(), "--watch"]);
    expect_printed(&lab, "watching 1 file, Ctrl-C ends");
    assert_eq!(verdicts(&lab.report(), kernel().name, "x"), [Verdict::Loaded; 5]);

    // Another object with other programs, one of which nothing can load.
    replace(&lab, "plain");
    expect_printed(&lab, "\nrun 2: x\n");
    expect_printed(&lab, "  x: `one` is gone");
    assert_eq!(verdicts(&lab.report(), kernel().name, "x").len(), 2);

    let whole = fs::read(&path).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now()).unwrap();
    expect_printed(&lab, "\nrun 3: x\n");
    expect_printed(&lab, "\nchanged: nothing\n");

    // Half-written for longer than a moment, and whole in the end.
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    run.expect_said("waiting until it is complete; the last table is still valid");
    fs::write(&path, &whole).unwrap();
    expect_printed(&lab, "\nrun 4: x\n");

    fs::remove_file(&path).unwrap();
    run.expect_said("waiting for a change; the last table is still valid");
    replace(&lab, "five");
    expect_printed(&lab, "\nrun 5: x\n");
    expect_printed(&lab, "  x: `one` on 5.10: new -> loaded");

    let begin = Instant::now();
    run.signal(Signal::INT);
    run.wait().expect(0);
    assert!(begin.elapsed() < AT_ONCE, "took {:?}", begin.elapsed());
    let report = lab.report();
    assert!(!report.interrupted && report.finished.is_some());
    assert_eq!(verdicts(&report, kernel().name, "x"), [Verdict::Loaded; 5]);
    lab.expect_nothing_left();
}

/// Whoever saves a file waits for a result, and not for a guest.
#[test]
fn guest_is_ready_before_it_is_needed() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let path = replace(&lab, "five");
    let run = lab.start(&[path.parent().unwrap().to_str().unwrap(), "--watch"]);
    expect_printed(&lab, "watching 1 file, Ctrl-C ends");
    let another_than = |before: Option<i32>| {
        until("a guest that is ready", || {
            let [guest] = lab.qemus()[..] else { return None };
            (Some(guest) != before).then_some(guest)
        })
    };
    let first = another_than(None);
    replace(&lab, "plain");
    expect_printed(&lab, "\nrun 2: x\n");
    // The run took it, since it would still be there otherwise.
    let second = another_than(Some(first));

    // One that is lost meanwhile is not missed.
    send(second, Signal::KILL);
    until("its end", || (!lab.qemus().contains(&second)).then_some(()));
    replace(&lab, "five");
    expect_printed(&lab, "\nrun 3: x\n");
    let report = lab.report();
    assert_eq!(verdicts(&report, kernel().name, "x"), [Verdict::Loaded; 5]);
    assert_eq!((&report.kernels[0].notes[..], &report.cells[0].notes[..]), (&[][..], &[][..]));

    another_than(Some(second));
    run.signal(Signal::INT);
    run.wait().expect(0);
    lab.expect_nothing_left();
}

#[test]
fn others_keep_their_outcome_and_a_run_is_cut_short() {
    need!("guests");
    let lab = Lab::with_kernel("append = [\"corematrix.fault=hang@three\"]\nprogram-timeout = \"5m\"");
    let path = replace(&lab, "plain");
    fs::copy(object("guards"), path.with_file_name("guards.bpf.o")).unwrap();
    let mut run = lab.start(&[path.parent().unwrap().to_str().unwrap(), "--watch"]);
    expect_printed(&lab, "watching 2 files, Ctrl-C ends");
    let before = lab.report();

    replace(&lab, "five");
    let starts = || fs::read_to_string(lab.path("run.err")).unwrap().matches("restored in").count();
    until("a guest that hangs", || (starts() == 2).then_some(()));
    let begin = Instant::now();
    run.signal(Signal::INT);
    run.expect_said("the report is that of the last complete run");
    run.wait().expect(1);
    assert!(begin.elapsed() < AT_ONCE, "took {:?}", begin.elapsed());
    assert_eq!(lab.report(), before);
    lab.expect_nothing_left();
}

#[test]
fn a_source_is_built_and_what_does_not_compile_loses_nothing() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let source = lab.path("x.bpf.c");
    // Stands in for a compiler: the source says which object to take.
    let command = format!("cp \"$(cat {0})\" {1}", source.display(), source.with_extension("o").display());
    fs::write(&source, object("five")).unwrap();
    let mut run = lab.start(&[source.to_str().unwrap(), "--watch", "--build", &command]);
    expect_printed(&lab, "Ctrl-C ends");
    assert_eq!(verdicts(&lab.report(), kernel().name, "x"), [Verdict::Loaded; 5]);

    fs::write(&source, "/no/such/object").unwrap();
    run.expect_said("failed: exit status: 1\nthe last table is still valid");
    assert_eq!(verdicts(&lab.report(), kernel().name, "x"), [Verdict::Loaded; 5]);

    fs::write(&source, object("plain")).unwrap();
    expect_printed(&lab, "\nrun 2: x\n");
    expect_printed(&lab, "  x: `one` is gone");
    run.signal(Signal::INT);
    // `plain` has a program that no one can judge.
    run.wait().expect(3);
    // Building is no change of its own.
    assert!(!printed(&lab).contains("\nrun 3: "), "{}", printed(&lab));
    lab.expect_nothing_left();
}
