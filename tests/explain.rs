//! `corematrix explain` on the report of a real run.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Ended, Lab, Run, kernel, need, object};

/// `corematrix explain` of the lab's report with these arguments.
fn explain(lab: &Lab, args: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    command.arg("explain").arg(lab.out()).args(args);
    Run::start(command, &lab.path("explain")).wait()
}

#[test]
fn cells_of_a_real_run_are_explained() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let failing = lab.path("failing.bpf.o");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::copy(fixtures.join("explain/object.o"), &failing).unwrap();
    lab.run(&[&failing.display().to_string(), &object("five")]).expect(1);

    let explained = explain(&lab, &[kernel().name, "failing"]);
    let explained = explained.expect(0);
    for text in ["failing/naive on 5.10 (5.10.", "  cause: ", "  at: ./object.c:", "    > ", "  | "] {
        assert!(explained.stdout.contains(text), "`{text}` is missing in:\n{}", explained.stdout);
    }
    assert!(!explained.stdout.contains("note: "), "{}", explained.stdout);

    let explained = explain(&lab, &[kernel().name, "five", "two"]);
    assert!(explained.expect(0).stdout.contains("five/two on 5.10"), "{}", explained.stdout);
    assert!(explained.stdout.ends_with(": loaded; nothing to explain\n"), "{}", explained.stdout);

    explain(&lab, &["5.11", "five"]).expect(2).expect_said(&["no kernel `5.11`", "hint: did you mean `5.10`?"]);
    explain(&lab, &["5.10", "fives"]).expect(2).expect_said(&["no object `fives`", "hint: did you mean `five`?"]);
    explain(&lab, &["5.10", "five", "nine"]).expect(2).expect_said(&["no program `nine`", "hint: "]);

    std::fs::remove_file(&failing).unwrap();
    let explained = explain(&lab, &[kernel().name, "failing", "naive"]);
    assert!(explained.expect(0).stdout.contains("note: the object is not at `"), "{}", explained.stdout);
}
