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
    assert!(explained.expect(0).stdout.contains("note: the object is no longer at `"), "{}", explained.stdout);
}

/// A field with three shapes, of which the kernels of the run have two. The third is known by its types, and every arm is loaded.
#[test]
fn advice_knows_kernels_beyond_the_run_and_is_proven() {
    need!("guests", "programs", "clang", "libbpf headers");
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let report = folder.path().join("report").display().to_string();
    let archive = folder.path().join("distro/1/x86_64");
    std::fs::create_dir_all(&archive).unwrap();
    std::fs::copy(root.join("tests/fixtures/explain/kernel_between.o"), archive.join("6.6.0-1.btf")).unwrap();
    let archive = folder.path().join("distro").display().to_string();
    let corematrix = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_corematrix")).current_dir(root).args(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let kernels = ["--kernel", "5.10", "--kernel", "6.12", "--kernel", "7.3"];
    let run = [&["run", "target/programs/inode-ctime.bpf.o", "--out", &report][..], &kernels].concat();
    let (code, _, said) = corematrix(&run);
    assert_eq!(code, Some(1), "{said}");

    let explain = ["explain", &report, "6.12", "inode-ctime", "naive", "--btf", &archive, "--prove"];
    let (code, told, said) = corematrix(&explain);
    assert_eq!(code, Some(0), "{told}{said}");
    for text in [
        "    `__i_ctime.tv_sec` (`time64_t`): by BTF 6.6.0-1\n",
        "/* by BTF 6.6.0-1 */",
        "  checked: clang ",
        "  5.10  loaded, reads `i_ctime.tv_sec`\n",
        "  6.12  loaded, reads `i_ctime_sec`\n",
        "  7.3   loaded, reads `i_ctime_sec`\n",
    ] {
        assert!(told.contains(text), "`{text}` is missing in:\n{told}");
    }
    assert!(!told.contains("wrong"), "{told}");

    let (code, told, _) = corematrix(&[&explain[..], &["--json"]].concat());
    let proven: serde_json::Value = serde_json::from_str(&told).unwrap();
    let guard = &proven["guards"][0];
    assert_eq!((code, guard["programs"][0].as_str()), (Some(0), Some("naive")), "{told}");
    assert_eq!(guard["checked"]["wrong"].as_array().map(Vec::len), Some(0), "{told}");
    assert_eq!(guard["kernels"][0]["picked"], "i_ctime.tv_sec", "{told}");
    assert!(Path::new(guard["source"].as_str().unwrap()).is_file());
}
