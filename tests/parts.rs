//! Parts of a matrix, run as separate processes and merged, are the matrix. Needs virtme-ng, QEMU and a kernel.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{Ended, Lab, Run, need};
use corematrix::record::json;

const BAD_CONFIGURATION: i32 = 2;

/// Objects of fixtures: some programs load and others do not.
fn objects() -> Vec<String> {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let files = ["coverage/ways.bpf.o", "faults/five.bpf.o", "objects/guards.bpf.o"];
    files.map(|file| fixtures.join(file).display().to_string()).to_vec()
}

fn corematrix(lab: &Lab, args: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    command.arg("--manifest").arg(lab.path("kernels.toml")).args(args);
    Run::start(command, &lab.path("merge")).wait()
}

#[test]
fn parts_that_ran_apart_merge_to_the_report_of_one_run() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let objects = objects();
    let run = |name: &str, more: &[&str]| {
        let mut args: Vec<&str> = objects.iter().map(String::as_str).collect();
        args.extend(["--jobs", "1", "--accel", "tcg", "--full-logs"]);
        args.extend(more);
        let ended = Run::start(lab.command_to(&lab.path(name), &args), &lab.path(&format!("run-{name}"))).wait();
        assert!(lab.path(name).join("report.json").exists(), "{ended:?}");
        ended.code
    };
    let code = run("whole", &[]);
    run("one", &["--partition", "1/2"]);
    run("two", &["--partition", "2/2"]);
    let paths = ["one", "two", "merged"].map(|name| lab.path(name).display().to_string());
    let [one, two, merged] = paths.each_ref().map(String::as_str);

    let missing = corematrix(&lab, &["merge", two, "--out", merged]);
    missing.expect(BAD_CONFIGURATION).expect_said(&["part 1/2 is missing", "hint: "]);
    assert!(!lab.path("merged").exists());

    let ended = corematrix(&lab, &["merge", two, one, "--out", merged]);
    assert_eq!(ended.code, code, "{ended:?}");
    let bytes = |name: &str| {
        let record = json::read(&lab.path(name).join("report.json")).unwrap();
        String::from_utf8(json::render(&record.without_noise()).unwrap()).unwrap()
    };
    let (whole, merged) = (bytes("whole"), bytes("merged"));
    let differ = whole.lines().zip(merged.lines()).find(|(a, b)| a != b);
    assert!(whole == merged, "they differ: {differ:?}");
    // Its logs came along.
    let record = json::read(&lab.path("merged/report.json")).unwrap();
    let logs: Vec<_> = record.cells.iter().flat_map(|cell| &cell.programs).filter_map(|p| p.log_file.clone()).collect();
    assert!(!logs.is_empty() && logs.iter().all(|log| lab.path("merged").join(log).is_file()), "{logs:?}");
    lab.expect_nothing_left();
}
