//! Runs as users start them: two at once, and with input that cannot be used.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::net::TcpListener;

use common::{Lab, Run, kernel, need, object, state, verdicts};
use corematrix::record::KernelState;
use corematrix::record::Verdict;
use corematrix::record::json;

use Verdict::Loaded;

const GOOD: i32 = 0;
const BAD_CONFIGURATION: i32 = 2;

/// The user's own build: no modules and no config beside it, so the guest talks over the serial port.
fn own_kernel() -> String {
    format!("[kernel.own]\nsource = \"path\"\nimage = \"{}\"\n", kernel().image().display())
}

#[test]
fn two_runs_share_a_store_that_is_cold_and_then_warm() {
    need!("guests");
    let lab = Lab::new();
    lab.manifest(&own_kernel());
    let start = |name: &str| {
        let args = [&object("five"), "--kernel", "own", "--accel", "tcg"];
        let command = lab.command_to(&lab.path(name), &args);
        Run::start(command, &lab.path(&format!("run-{name}")))
    };
    for round in ["cold", "warm"] {
        let names = [1, 2].map(|number| format!("{round}-{number}"));
        let runs = names.each_ref().map(|name| start(name));
        let mut unpacked = 0;
        for (run, name) in runs.into_iter().zip(&names) {
            let ended = run.wait();
            unpacked += ended.expect(GOOD).stderr.matches("unpacking").count();
            let report = json::read(&lab.path(name).join("report.json")).unwrap();
            assert_eq!(verdicts(&report, "own", "five"), [Loaded; 5]);
            assert_eq!(*state(&report, "own"), KernelState::Ready);
            assert!(report.kernels[0].notes.iter().any(|note| note.contains("no kernel config")), "{report:?}");
        }
        assert_eq!(unpacked, usize::from(round == "cold"), "{round}");
    }
    assert_eq!(fs::read_dir(lab.store().join("kernels")).unwrap().count(), 1);
    lab.expect_nothing_left();
}

#[test]
fn kernel_that_is_slow_to_fetch_keeps_no_worker_from_the_others() {
    need!("guests");
    // A server that takes a request and never answers.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let lab = Lab::with_kernel("");
    let others = fs::read_to_string(lab.path("kernels.toml")).unwrap();
    let slow = format!(
        "[kernel.slow]\nsource = \"package\"\nfiles = [\"http://{address}/linux-image-slow.deb\"]\nsha256 = [\"{}\"]\n",
        "0".repeat(64)
    );
    lab.manifest(&format!("{slow}{others}"));
    let name = kernel().name;
    let selected = ["--kernel", "slow", "--kernel", name, "--accel", "tcg", "--jobs", "1"];
    let mut run = lab.start(&[&[object("five").as_str()][..], &selected].concat());
    let waiting = server.accept().unwrap();
    run.expect_said(&format!("[{name}] done: 5 loaded"));
    drop((waiting, server));
    run.wait();
    let report = lab.report();
    assert_eq!(verdicts(&report, name, "five"), [Loaded; 5]);
    assert!(matches!(state(&report, "slow"), KernelState::Unavailable { .. }), "{:?}", state(&report, "slow"));
    lab.expect_nothing_left();
}

/// Runs with input that cannot be used; expects a message with `texts`, a hint, and that nothing was begun.
#[track_caller]
fn expect_refused(lab: &Lab, args: &[&str], texts: &[&str]) {
    let ended = lab.run(args);
    ended.expect(BAD_CONFIGURATION).expect_said(texts).expect_said(&["error: ", "hint: "]);
    assert_eq!(ended.stdout, "");
    assert!(!ended.stderr.contains("booted") && !lab.out().exists(), "{}", ended.stderr);
    lab.expect_nothing_left();
}

#[test]
fn a_kernel_that_is_not_declared_is_refused() {
    need!("guests");
    let lab = Lab::with_kernel("");
    expect_refused(&lab, &[&object("five"), "--kernel", "5.11"], &["`5.11`", kernel().name]);
    expect_refused(&lab, &[&object("five"), "--kernel", ">=9"], &["`>=9`"]);
}

#[test]
fn a_manifest_with_mistakes_is_refused() {
    need!("guests");
    let lab = Lab::with_kernel("boot-timout = \"1s\"\nmemory = \"much\"");
    let texts = ["kernels.toml", "`boot-timout`", "did you mean `boot-timeout`?", "`much`"];
    expect_refused(&lab, &[&object("five")], &texts);
    fs::remove_file(lab.path("kernels.toml")).unwrap();
    expect_refused(&lab, &[&object("five")], &["kernels.toml"]);
}

#[test]
fn a_suite_that_names_nothing_is_refused() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let suite = lab.path("suite.toml");
    fs::write(&suite, "name = \"mine\"\nobjects = [\"*.nothing\"]\n").unwrap();
    let suite = suite.display().to_string();
    expect_refused(&lab, &[&suite], &["suite.toml", "`*.nothing` matches no file"]);
}

#[test]
fn an_object_that_does_not_exist_is_refused() {
    need!("guests");
    let lab = Lab::with_kernel("");
    expect_refused(&lab, &["no-such.bpf.o"], &["`no-such.bpf.o` does not exist"]);
}
