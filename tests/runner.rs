//! `corematrix runner`: test executables in a real kernel, as cargo, nextest and go call them.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{Lab, kernel, need, object, write_executable};
use corematrix::record::{Verdict, json};

/// `corematrix runner` on the lab's kernel, with nothing of the caller's own settings.
fn runner(lab: &Lab, options: &[&str], words: &[&str]) -> Command {
    let mut command = lab.tool("runner");
    command.current_dir(lab.path(".")).args(options).arg("--").args(words).stdin(Stdio::null());
    for name in ["KERNEL", "MANIFEST", "TIMEOUT", "REPORT", "OFFLINE"] {
        command.env_remove(format!("COREMATRIX_{name}"));
    }
    command
}

/// The runner as a variable of cargo or an option of go has it: without options, which come from the environment.
fn environment(lab: &Lab, command: &mut Command) -> String {
    command.env("COREMATRIX_MANIFEST", lab.path("kernels.toml")).env("COREMATRIX_STORE", lab.store());
    command.env("COREMATRIX_KERNEL", kernel().name).env("COREMATRIX_OFFLINE", "1").env("TMPDIR", lab.scratch());
    if let Some(virtme_run) = common::virtme_run() {
        command.env("COREMATRIX_VIRTME_RUN", virtme_run);
    }
    format!("{} runner", env!("CARGO_BIN_EXE_corematrix"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn script(lab: &Lab, name: &str, content: &str) -> String {
    let path = lab.path(name);
    write_executable(&path, content.as_bytes());
    path.display().to_string()
}

#[test]
fn streams_and_the_end_go_through_untouched() {
    need!("guests");
    let lab = Lab::with_file_systems("");
    let words = ["sh", "-c", "cat; echo $WHERE $COREMATRIX_KERNEL; pwd; echo error >&2; exit 42"];
    let mut command = runner(&lab, &[], &words);
    command.env("WHERE", "here").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"in\0put\n").unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let folder = lab.path(".").canonicalize().unwrap();
    assert_eq!(text(&stdout), format!("in\0put\nhere {}\n{}\n", kernel().name, folder.display()));
    assert_eq!((status.code(), text(&stderr).as_str()), (Some(42), "error\n"));
    let died = runner(&lab, &[], &["sh", "-c", "kill -SEGV $$"]).output().unwrap();
    assert_eq!((died.status.signal(), text(&died.stderr)), (Some(11), String::new()), "{died:?}");
    let slow = runner(&lab, &["--timeout", "1s"], &["sleep", "1000"]).output().unwrap();
    assert_eq!(slow.status.code(), Some(124), "{slow:?}");
    assert!(text(&slow.stderr).contains("still ran after 1s"), "{slow:?}");
    lab.expect_nothing_left();
}

#[test]
fn what_cannot_run_is_told_before_anything_boots() {
    let lab = Lab::new();
    lab.manifest("[kernel.none]\nsource = \"path\"\nimage = \"/no/such/image\"\n");
    let refused = |words: &[&str], code: i32, said: &str| {
        let ended = runner(&lab, &[], words).output().unwrap();
        let stderr = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(said) && stderr.lines().all(|line| line.starts_with("corematrix: ")), "{stderr}");
        assert!(ended.stdout.is_empty());
    };
    refused(&["no-such-command-here"], 127, "executable `no-such-command-here` not found");
    refused(&[&object("plain")], 126, "is not executable");
    let bpf = script(&lab, "bpf", "");
    write_executable(Path::new(&bpf), &fs::read(object("plain")).unwrap());
    refused(&[&bpf], 126, "is a BPF object, not an executable");
    refused(&[&script(&lab, "script", "#!/no/such/shell\n")], 126, "needs the interpreter `/no/such/shell`");
    // A failure of corematrix has a code that no test has.
    let mut wrong = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    assert_eq!(wrong.args(["runner", "--no-such-option"]).output().unwrap().status.code(), Some(125));
}

#[test]
fn tests_of_rust_become_a_table_of_tests_and_kernels() {
    need!("guests", "rustc");
    let lab = Lab::with_file_systems("");
    let source = lab.path("unit.rs");
    let tests = "#[test] fn passes() {}\n#[test] fn fails() { assert_eq!(1, 2, \"as expected\"); }\n\
        #[test] #[ignore = \"later\"] fn ignored() {}\n#[test] fn dies() { if std::env::var_os(\"DIE\").is_some() { std::process::abort() } }\n";
    fs::write(&source, tests).unwrap();
    let program = lab.path("unit-0123456789abcdef");
    let built = Command::new("rustc").args(["--test", "--edition", "2024", "-o"]).arg(&program).arg(&source).status();
    assert!(built.unwrap().success());
    let program = program.display().to_string();

    // The list of tests is what nextest asks for, with nothing else around it.
    let list = runner(&lab, &[], &[&program, "--list", "--format", "terse"]).output().unwrap();
    assert_eq!(text(&list.stdout), "dies: test\nfails: test\nignored: test\npasses: test\n", "{list:?}");
    let plain = runner(&lab, &[], &[&program]).output().unwrap();
    assert_eq!((plain.status.code(), text(&plain.stderr)), (Some(101), String::new()));
    assert!(text(&plain.stdout).contains("test result: FAILED. 2 passed; 1 failed; 1 ignored"), "{plain:?}");

    let reports = lab.path("reports").display().to_string();
    let run = |die: bool| {
        let mut command = runner(&lab, &["--report", &reports], &[&program, "--test-threads=1"]);
        if die {
            command.env("DIE", "1");
        }
        command.output().unwrap()
    };
    let verdicts = |folder: &str| {
        let record = json::read(&Path::new(&reports).join(folder).join("report.json")).unwrap();
        let programs = record.cells[0].programs.iter();
        programs.map(|program| (program.name.clone(), program.verdict)).collect::<Vec<_>>()
    };
    let ran = run(false);
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let stderr = text(&ran.stderr);
    assert!(stderr.contains("test failed: assertion `left == right` failed: as expected"), "{stderr}");
    let of = |name: &str, verdict| (name.to_owned(), verdict);
    let alive = [
        of("dies", Verdict::Succeeded),
        of("fails", Verdict::TestFailed),
        of("ignored", Verdict::Skipped),
        of("passes", Verdict::Succeeded),
    ];
    assert_eq!(verdicts("unit-0123456789abcdef"), alive);
    let junit = fs::read_to_string(Path::new(&reports).join("unit-0123456789abcdef/junit.xml")).unwrap();
    assert!(junit.contains("name=\"fails\"") && junit.contains("as expected"), "{junit}");

    // Half a result: the process died in its first test.
    let ran = run(true);
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let stderr = text(&ran.stderr);
    assert!(stderr.contains("4 tests were to run, and the output names 1 before it ends"), "{stderr}");
    let dead = [of("dies", Verdict::NoResult), of("(process)", Verdict::CommandFailed)];
    assert_eq!(verdicts("unit-0123456789abcdef.2"), dead);
    lab.expect_nothing_left();
}

#[test]
fn cargo_and_nextest_run_a_package_in_the_kernel() {
    need!("guests", "cargo");
    let lab = Lab::with_file_systems("");
    let package = lab.path("package");
    fs::create_dir_all(package.join("src")).unwrap();
    fs::write(package.join("Cargo.toml"), "[package]\nname = \"small\"\nedition = \"2024\"\n[workspace]\n").unwrap();
    let tests = "#[cfg(test)] mod tests { #[test] fn kernel() {\n\
        let release = std::fs::read_to_string(\"/proc/sys/kernel/osrelease\").unwrap();\n\
        assert!(release.starts_with(&std::env::var(\"COREMATRIX_KERNEL\").unwrap()), \"{release}\");\n\
        std::fs::write(\"written\", \"\").unwrap(); } }\n";
    fs::write(package.join("src/lib.rs"), tests).unwrap();
    let cargo = |words: &[&str]| {
        let mut command = Command::new("cargo");
        let runner = environment(&lab, &mut command);
        command.current_dir(&package).args(words).env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", runner);
        let target = lab.path("target");
        command.env("CARGO_TARGET_DIR", target).env("CARGO_NET_OFFLINE", "true").env_remove("RUSTFLAGS");
        command.output().unwrap()
    };
    let ran = cargo(&["test", "--lib"]);
    assert!(ran.status.success() && text(&ran.stdout).contains("test tests::kernel ... ok"), "{ran:?}");
    // What tests write stays in the guest.
    assert!(!package.join("written").exists());
    // It is no part of the set-up, and a proof where it is.
    if Command::new("cargo-nextest").arg("--version").output().is_ok() {
        let ran = cargo(&["nextest", "run", "--lib"]);
        assert!(ran.status.success() && text(&ran.stderr).contains("1 passed"), "{ran:?}");
    }
}

#[test]
fn libbpf_rs_loads_an_object_in_the_kernel() {
    need!("guests");
    let lab = Lab::with_file_systems("");
    // Cargo builds the test of the example beside this one.
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let tests = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("in_kernel-") && !name.contains('.')
    });
    let Some(test) = tests.max_by_key(|path| fs::metadata(path).and_then(|found| found.modified()).unwrap()) else {
        return need::say_skipped("the example was not built (`cargo test --workspace`)");
    };
    let ran = runner(&lab, &[], &[test.to_str().unwrap(), "--ignored"]).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    assert!(text(&ran.stdout).contains("test every_program_of_the_object_loads ... ok"), "{ran:?}");
}

#[test]
fn go_test_loads_an_object_with_cilium_ebpf_in_the_kernel() {
    need!("guests", "loaders");
    let lab = Lab::with_file_systems("");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unpacked = root.join("target/loaders/go/usr");
    let go = fs::read_dir(unpacked.join("lib")).into_iter().flatten().map(|entry| entry.unwrap().path().join("bin/go"));
    let Some(go) = go.into_iter().find(|go| go.is_file()) else {
        return need::say_skipped("Go was not unpacked by `make loaders`");
    };
    let library: PathBuf = unpacked.join("share/gocode");
    let package = lab.path("go/src/load");
    fs::create_dir_all(&package).unwrap();
    fs::copy(root.join("tests/fixtures/runner/load_test.go"), package.join("load_test.go")).unwrap();
    let test = |words: &[&str], fail: bool| {
        let mut command = Command::new(&go);
        let runner = environment(&lab, &mut command);
        command.current_dir(&package).args(["test", "-exec", &runner]).args(words).env("GO111MODULE", "off");
        command.env("GOROOT", go.ancestors().nth(2).unwrap()).env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
        command.env("GOPATH", format!("{}:{}", lab.path("go").display(), library.display()));
        command.env("GOCACHE", root.join("target/loaders/go-cache")).env("OBJECT", object("plain"));
        if fail {
            command.env("FAIL", "1");
        }
        command.output().unwrap()
    };
    let ran = test(&["-count=1", "-v"], false);
    let stdout = text(&ran.stdout);
    assert!(ran.status.success(), "{ran:?}");
    for line in ["--- PASS: TestKernel", "--- PASS: TestLoad", "--- SKIP: TestFails"] {
        assert!(stdout.contains(line), "{stdout}");
    }
    let ran = test(&["-count=1"], true);
    assert_eq!(ran.status.code(), Some(1));
    assert!(text(&ran.stdout).contains("it was asked for"), "{ran:?}");
}
