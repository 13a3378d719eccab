//! `corematrix exec`: real commands in a real kernel, on the host's files.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Ended, Lab, Run, kernel, need, programs};
use corematrix::record::Cause;
use corematrix::record::ProgramRecord;
use corematrix::record::Verdict;
use corematrix::record::json;

/// A run of `exec` with these options and this script.
struct Executed {
    ended: Ended,
    end: ProgramRecord,
    /// All that the command said.
    output: String,
    notes: Vec<String>,
}

fn exec(lab: &Lab, options: &[&str], words: &[&str]) -> Executed {
    let mut command: Command = lab.tool("exec");
    command.current_dir(lab.path(".")).arg("--report").arg(lab.out()).args(options).arg("--").args(words);
    let ended = Run::start(command, &lab.path("run")).wait();
    let record = json::read(&lab.out().join("report.json")).unwrap_or_else(|error| panic!("{error}\n{ended:?}"));
    let end = programs(&record, kernel().name, &record.objects[0].name)[0].clone();
    let output = fs::read_to_string(lab.out().join(end.log_file.as_deref().unwrap())).unwrap();
    Executed { ended, end, output, notes: record.cells[0].notes.clone() }
}

fn lab() -> Lab {
    Lab::with_file_systems("")
}

#[test]
fn commands_run_on_a_view_of_the_hosts_files_and_change_none() {
    need!("guests");
    let lab = lab();
    fs::create_dir(lab.path("given")).unwrap();
    fs::write(lab.path("given/object"), "of the host").unwrap();
    let script = "uname -r; cat $IN/object given/object; echo changed > given/object; cat given/object; rm run.err; \
                  echo no > $IN/object; mkdir -p $OUT/deep && echo left > $OUT/deep/file; ln -s / $OUT/link; \
                  ls -d /sys/fs/bpf /sys/kernel/debug/tracing /sys/kernel/btf/vmlinux; ulimit -l; ls /boot; cat /sys/class/net/lo/operstate; \
                  echo last words >&2; exit 3";
    let given = lab.path("given").display().to_string();
    let taken = lab.path("taken");
    let options = ["--in", &given, "--out", taken.to_str().unwrap(), "--name", "script"];
    let ran = exec(&lab, &options, &["sh", "-c", script]);
    ran.ended.expect(1);
    let release = &kernel().stored.identity.release;
    for expected in [
        &format!("{release}\nof the hostof the hostchanged\n"),
        "Read-only file system",
        "/sys/kernel/btf/vmlinux\n",
        "unlimited\n",
        &format!("config-{release}\n"),
        "last words\n",
    ] {
        assert!(ran.output.contains(expected), "`{expected}` is missing in:\n{}", ran.output);
    }
    assert_eq!(ran.end.verdict, Verdict::CommandFailed);
    assert_eq!(ran.end.reason.as_deref(), Some("ended with exit code 3: last words"));
    assert!(ran.ended.stdout.contains("script  exit"), "{}", ran.ended.stdout);
    // Nothing has changed here but what was taken out.
    assert_eq!(fs::read_to_string(lab.path("given/object")).unwrap(), "of the host");
    assert!(lab.path("run.err").exists());
    let taken = taken.join(kernel().name);
    assert_eq!(fs::read_to_string(taken.join("deep/file")).unwrap(), "left\n");
    assert!(fs::symlink_metadata(taken.join("link")).is_err());
    assert!(ran.notes.iter().any(|note| note.starts_with("`link` was not copied from the guest")), "{:?}", ran.notes);
    assert!(fs::read_to_string(lab.out().join("junit.xml")).unwrap().contains("ended with exit code 3"));
    lab.expect_nothing_left();
}

#[test]
fn each_way_to_end_is_told_apart() {
    need!("guests");
    let lab = lab();
    let outcome = |options: &[&str], words: &[&str], code: i32| {
        let ran = exec(&lab, options, words);
        ran.ended.expect(code);
        (ran.end.verdict, ran.end.reason.unwrap_or_default())
    };
    assert_eq!(outcome(&[], &["true"], 0), (Verdict::Succeeded, String::new()));
    let (verdict, reason) = outcome(&["--timeout", "1s"], &["sleep", "1000"], 1);
    assert_eq!((verdict, reason.as_str()), (Verdict::TimedOut, "still ran after 1s and was killed"));
    let (verdict, reason) = outcome(&[], &["sh", "-c", "kill -SEGV $$"], 1);
    assert_eq!((verdict, reason.as_str()), (Verdict::CommandFailed, "was killed by signal 11 (SIGSEGV)"));
    // Twice, since a crash is only believed then.
    let (verdict, reason) = outcome(&[], &["sh", "-c", "echo c > /proc/sysrq-trigger; sleep 100"], 1);
    assert_eq!(verdict, Verdict::KernelCrashed, "{reason}");
    lab.expect_nothing_left();

    let mut missing = lab.tool("exec");
    missing.args(["--", "no-such-command-here"]);
    Run::start(missing, &lab.path("run"))
        .wait()
        .expect(2)
        .expect_said(&["executable `no-such-command-here` not found"]);
}

#[test]
fn a_guest_that_is_to_see_programs_only_sees_no_more() {
    need!("guests");
    let lab = lab();
    fs::write(lab.path("secret"), "secret").unwrap();
    let secret = lab.path("secret");
    let look = format!("cat {}; ls /root /tmp; echo room > /tmp/file && cat /tmp/file", secret.display());
    let ran = exec(&lab, &["--minimal", "--exercise"], &["sh", "-c", &look]);
    ran.ended.expect(0);
    assert!(ran.output.contains("No such file or directory") && ran.output.ends_with("room\n"), "{}", ran.output);
    assert!(!Path::new("/tmp/file").exists() || fs::read_to_string("/tmp/file").unwrap() != "room\n");
}

#[test]
fn debug_options_show_what_they_are_asked_for() {
    need!("guests");
    let lab = Lab::with_file_systems("append = [\"loglevel=7\"]");
    let debug = ["--qemu-command", "--console", "--gdb", "-v"];
    let ran = exec(&lab, &debug, &["cat", "/proc/cmdline"]);
    ran.ended.expect(0);
    assert!(ran.output.contains(" nokaslr"), "{}", ran.output);
    let name = kernel().name;
    let line_with = |mark: &str| {
        let line = ran.ended.stderr.lines().find(|line| line.starts_with(&format!("[{name}] ")) && line.contains(mark));
        line.unwrap_or_else(|| panic!("`{mark}` is missing in:\n{}", ran.ended.stderr)).to_owned()
    };
    let command = line_with("null,id=corematrix-data");
    assert!(shell_words::split(&command).unwrap().iter().any(|word| word == "-append"));
    line_with("-ex 'target remote ");
    line_with("Linux version ");
    let scratch = line_with("scratch directory: ").rsplit_once(' ').unwrap().1.to_owned();
    assert!(Path::new(&scratch).join("initramfs").is_file());
    ran.ended.expect_said(&["s of boot", "succeeded in"]);
}

#[test]
fn a_command_that_the_guest_has_no_memory_for_is_not_judged() {
    need!("guests");
    let ran = exec(&lab(), &[], &["sh", "-c", "tail /dev/zero; echo ended with $?; exit 1"]);
    ran.ended.expect(3);
    assert_eq!((ran.end.verdict, ran.end.cause), (Verdict::HarnessLimit, Some(Cause::GuestMemory)), "{:?}", ran.end);
    let reason = ran.end.reason.unwrap();
    assert!(reason.contains("the guest has 512 MiB") && reason.contains("Killed process"), "{reason}");
    // It gets by with a failure of a part of it.
    exec(&lab(), &[], &["sh", "-c", "tail /dev/zero; exit 0"]).ended.expect(0);
}
