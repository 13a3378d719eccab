//! What goes wrong on purpose, on a real kernel: who is blamed, what is said, and that nothing is left behind.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{
    FullDisk, Lab, Run, expect_not_run, kernel, need, object, programs, send, state, until, verdicts, write_executable,
};
use corematrix::record::KernelState;
use corematrix::record::Verdict;
use rustix::process::Signal;

use Verdict::{FailedToOpen, HarnessError, KernelCrashed, Loaded, NotRun, TimedOut};

/// Exit codes.
const PROGRAM_FAILED: i32 = 1;
const BAD_CONFIGURATION: i32 = 2;
const INFRASTRUCTURE: i32 = 3;

#[test]
fn a_kernel_that_panics_while_booting_is_blamed_and_its_objects_are_not() {
    need!("guests");
    let lab = Lab::with_kernel(r#"append = ["rdinit=/nonexistent"]"#);
    lab.run(&[&object("five"), &object("plain")]).expect(INFRASTRUCTURE).expect_said(&["boot failed: ", "hint: "]);
    let report = lab.report();
    let KernelState::BootFailed { reason, hint, console_tail } = state(&report, kernel().name) else {
        panic!("{:?}", report.kernels)
    };
    assert!(reason.starts_with("the kernel found no init to run: Kernel panic - not syncing: "), "{reason}");
    assert!(
        reason.ends_with("(2 attempts)") && hint.as_ref().is_some_and(|hint| hint.contains("`rdinit=`")),
        "{reason}"
    );
    assert!(console_tail.iter().any(|line| line.contains("Kernel panic")), "{console_tail:?}");
    expect_not_run(&report, kernel().name, "the kernel did not boot");
    lab.expect_nothing_left();
}

#[test]
fn a_kernel_that_never_answers_is_given_up() {
    need!("guests");
    let lab = Lab::with_kernel("append = [\"corematrix.fault=silent\"]\nboot-timeout = \"1s\"");
    lab.run(&[&object("five")]).expect(INFRASTRUCTURE);
    let report = lab.report();
    let KernelState::BootFailed { reason, .. } = state(&report, kernel().name) else { panic!("{:?}", report.kernels) };
    assert!(reason.starts_with("did not respond within "), "{reason}");
    expect_not_run(&report, kernel().name, "the kernel did not boot");
    lab.expect_nothing_left();
}

#[test]
fn a_program_that_crashes_the_kernel_is_found_and_the_others_are_judged() {
    need!("guests");
    let lab = Lab::with_kernel(r#"append = ["corematrix.fault=panic@three"]"#);
    lab.run(&[&object("five")]).expect(PROGRAM_FAILED);
    let report = lab.report();
    assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded, Loaded, KernelCrashed, Loaded, Loaded]);
    let reason = programs(&report, kernel().name, "five")[2].reason.as_deref().unwrap();
    assert!(reason.contains("NULL pointer dereference") || reason.contains("sysrq"), "{reason}");
    // All at once shows nothing of one, and once might be chance: three guests crashed, a fourth one judged the rest. The kernel booted once
    // for all of them.
    assert_eq!((report.kernels[0].hello_ms.len(), report.kernels[0].restore_ms.len()), (1, 4));
    let notes = &report.cells[0].notes;
    assert!(notes[0].contains("while loading all programs at once, tried again one by one"), "{notes:?}");
    assert!(notes[1].contains("while loading `three`, tried again"), "{notes:?}");
    lab.expect_nothing_left();
}

#[test]
fn a_program_that_crashes_the_kernel_is_found_without_snapshots_too() {
    need!("guests");
    let lab = Lab::with_kernel(r#"append = ["corematrix.fault=panic@three"]"#);
    lab.run(&[&object("five"), &object("guards"), "--cold"]).expect(PROGRAM_FAILED);
    let report = lab.report();
    assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded, Loaded, KernelCrashed, Loaded, Loaded]);
    assert!(!verdicts(&report, kernel().name, "guards").contains(&NotRun));
    assert_eq!((report.kernels[0].hello_ms.len(), report.kernels[0].restore_ms.len()), (3, 0));
    assert!(lab.snapshots().is_empty());
    lab.expect_nothing_left();
}

#[test]
fn a_program_that_hangs_times_out_and_one_whose_loader_dies_is_the_harness_s_fault() {
    need!("guests");
    let lab = Lab::with_kernel(
        "append = [\"corematrix.fault=hang@two\", \"corematrix.fault=die@four\"]\nprogram-timeout = \"1s\"",
    );
    lab.run(&[&object("five")]).expect(PROGRAM_FAILED);
    let report = lab.report();
    assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded, TimedOut, Loaded, HarnessError, Loaded]);
    let reasons = [1, 3].map(|index| programs(&report, kernel().name, "five")[index].reason.as_deref().unwrap());
    assert!(
        reasons[0].starts_with("no response within ") && reasons[0].ends_with("while loading `two`"),
        "{reasons:?}"
    );
    assert!(reasons[1].contains("died of signal 6 while it loaded the program"), "{reasons:?}");
    lab.expect_nothing_left();
}

#[test]
fn a_qemu_that_is_killed_is_replaced_and_the_object_is_never_blamed() {
    need!("guests");
    let lab = Lab::with_kernel("append = [\"corematrix.fault=hang@three\"]\nprogram-timeout = \"2m\"");
    let run = lab.start(&[&object("five"), "--cold"]);
    // Kills QEMU after QEMU until the run gives up, each after it said hello.
    let mut killed = Vec::new();
    while killed.len() < 3 {
        let booted = until("the next guest", || {
            let said = fs::read_to_string(lab.path("run.err")).unwrap();
            let booted = said.matches("booted in").count() > killed.len();
            lab.qemus().into_iter().find(|pid| booted && !killed.contains(pid))
        });
        send(booted, Signal::KILL);
        killed.push(booted);
    }
    run.wait().expect(INFRASTRUCTURE);
    let report = lab.report();
    for program in programs(&report, kernel().name, "five") {
        assert!(matches!(program.verdict, Loaded | HarnessError), "{program:?}");
    }
    let reason = programs(&report, kernel().name, "five")[2].reason.as_deref().unwrap();
    assert!(reason.contains("signal: 9") && reason.contains("3 guests lost"), "{reason}");
    assert_eq!(*state(&report, kernel().name), KernelState::Ready);
    lab.expect_nothing_left();
}

#[test]
fn missing_and_broken_tools_are_named_before_anything_is_made() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let nowhere = lab.path("nowhere");
    let failing = script(&lab, "failing", "echo out of order >&2; exit 1");
    let cases: [(&str, &Path, &[&str]); 3] = [
        ("COREMATRIX_VIRTME_RUN", &nowhere, &["`virtme-run` is not installed", "corematrix setup"]),
        ("COREMATRIX_QEMU", &nowhere, &["`qemu-system-x86_64` is not installed", "qemu-system-x86"]),
        ("COREMATRIX_QEMU", &failing, &["failing", "out of order", "corematrix setup"]),
    ];
    for (variable, program, said) in cases {
        let mut command = lab.command(&[&object("five"), "--accel", "tcg"]);
        command.env(variable, program);
        let ended = Run::start(command, &lab.path("run")).wait();
        ended.expect(INFRASTRUCTURE).expect_said(said).expect_said(&["error: ", "hint: "]);
        assert!(!lab.out().exists(), "a report of a run that never began");
    }
}

#[test]
fn a_qemu_or_virtme_ng_that_is_none_is_the_harness_s_fault() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let fake = script(&lab, "fake", "echo 'lorem ipsum'");
    for (variable, words) in [
        ("COREMATRIX_QEMU", "QEMU ended (exit status: 0)"),
        ("COREMATRIX_VIRTME_RUN", "virtme-ng printed something that is not a QEMU command: lorem ipsum"),
    ] {
        let mut command = lab.command(&[&object("five"), "--accel", "tcg"]);
        command.env(variable, &fake);
        Run::start(command, &lab.path("run")).wait().expect(INFRASTRUCTURE);
        let report = lab.report();
        let KernelState::HarnessFailed { reason, hint: Some(hint), .. } = state(&report, kernel().name) else {
            panic!("{:?}", report.kernels)
        };
        assert!(reason.starts_with(words), "{reason}");
        assert!(hint.contains(&fake.display().to_string()), "{hint}");
        expect_not_run(&report, kernel().name, "no guest could be started");
        lab.expect_nothing_left();
    }
}

/// An executable shell script in the lab.
fn script(lab: &Lab, name: &str, text: &str) -> PathBuf {
    let path = lab.path(name);
    write_executable(&path, format!("#!/bin/sh\n{text}\n").as_bytes());
    path
}

#[test]
fn kvm_that_was_asked_for_is_never_replaced_by_emulation() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let ours = lab.tool("run");
    let real = ours.get_envs().find(|(name, _)| *name == "COREMATRIX_VIRTME_RUN").and_then(|(_, path)| path);
    let real = real.map_or("virtme-run".to_owned(), |path| path.display().to_string());
    // What virtme-run does by itself where it cannot open the device.
    let emulating = script(&lab, "emulating", &format!("exec {real} --disable-kvm \"$@\""));
    let mut command = lab.command(&[&object("five"), "--accel", "kvm"]);
    command.env("COREMATRIX_VIRTME_RUN", emulating);
    let ended = Run::start(command, &lab.path("run")).wait();
    ended.expect(INFRASTRUCTURE).expect_said(&["hint: ", "`--accel tcg`"]);
    if fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok() {
        ended.expect_said(&["virtme-ng composed a machine for emulation, but `kvm` was chosen"]);
        expect_not_run(&lab.report(), kernel().name, "no guest could be started");
    } else {
        ended.expect_said(&["error: KVM cannot be used: cannot open `/dev/kvm`: "]);
        assert!(!lab.out().exists(), "a report of a run that never began");
    }
    assert!(lab.snapshots().is_empty());
    lab.expect_nothing_left();
}

#[test]
fn a_program_that_virtme_ng_lacks_is_named_with_its_package() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let empty = lab.path("empty");
    fs::create_dir(&empty).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let find = |name: &str| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    let mut command = lab.command(&[&object("five"), "--accel", "tcg"]);
    if let Some(qemu) = find("qemu-system-x86_64").filter(|_| std::env::var_os("COREMATRIX_QEMU").is_none()) {
        command.env("COREMATRIX_QEMU", qemu);
    }
    if let Some(virtme_run) = find("virtme-run") {
        command.env("COREMATRIX_VIRTME_RUN", virtme_run);
    }
    command.env("PATH", &empty);
    Run::start(command, &lab.path("run")).wait().expect(INFRASTRUCTURE);
    let report = lab.report();
    let KernelState::HarnessFailed { reason, hint: Some(hint), .. } = state(&report, kernel().name) else {
        panic!("{:?}", report.kernels)
    };
    assert_eq!(reason, "virtme-ng cannot compose a machine: it needs `strings`, which is not installed");
    assert_eq!(hint, "`corematrix setup` installs the package `binutils`");
    lab.expect_nothing_left();
}

#[test]
fn last_words_of_kvm_in_mid_run_are_noticed_at_once_and_never_blamed_on_the_object() {
    need!("guests");
    let lab = Lab::with_kernel("append = [\"corematrix.fault=hang@three\"]\nprogram-timeout = \"10m\"");
    let real = std::env::var("COREMATRIX_QEMU").unwrap_or("qemu-system-x86_64".to_owned());
    let breaks = lab.path("breaks");
    // QEMU stays after such words, and a guest is silent.
    let text = format!(
        "if [ \"$1\" = --version ]; then exec {real} --version; fi\n{real} \"$@\" & qemu=$!\n\
         while kill -0 $qemu; do if rm {} 2>/dev/null; then echo 'KVM: entry failed, hardware error 0x80000021' >&2; fi; sleep 0.1; done",
        breaks.display()
    );
    let mut command = lab.command(&[&object("five"), "--cold", "--accel", "tcg"]);
    command.env("COREMATRIX_QEMU", script(&lab, "qemu", &text));
    let run = Run::start(command, &lab.path("run"));
    for lost in 1..=3 {
        until("the next guest", || {
            let said = fs::read_to_string(lab.path("run.err")).unwrap();
            (said.matches("booted in").count() == lost).then_some(())
        });
        fs::write(&breaks, "").unwrap();
    }
    run.wait().expect(INFRASTRUCTURE);
    let report = lab.report();
    for program in programs(&report, kernel().name, "five") {
        assert!(matches!(program.verdict, Loaded | HarnessError), "{program:?}");
    }
    let reason = programs(&report, kernel().name, "five")[2].reason.as_deref().unwrap();
    assert_eq!(reason, "KVM: entry failed, hardware error 0x80000021 (3 guests lost)");
    lab.expect_nothing_left();
}

#[test]
fn images_that_are_missing_cut_short_or_garbage_are_told_apart() {
    need!("guests");
    let lab = Lab::new();
    let image = fs::read(kernel().image()).unwrap();
    fs::write(lab.path("short"), &image[..image.len() / 2]).unwrap();
    fs::write(lab.path("garbage"), b"garbage ".repeat(1000)).unwrap();
    fs::write(lab.path("empty"), b"").unwrap();
    let names = ["missing", "short", "garbage", "empty"];
    let table = |name| format!("[kernel.{name}]\nsource = \"path\"\nimage = \"{name}\"\n");
    lab.manifest(&names.map(table).concat());
    lab.run(&[&object("five"), "--kernel", "all", "--accel", "tcg"]).expect(INFRASTRUCTURE);
    let report = lab.report();
    let KernelState::Unavailable { reason, hint: Some(_) } = state(&report, "missing") else {
        panic!("{:?}", report.kernels)
    };
    assert!(reason.contains("missing` does not exist"), "{reason}");
    expect_not_run(&report, "missing", "the kernel is unavailable");
    for (name, words) in [("short", "truncated"), ("garbage", "neither a bzImage"), ("empty", "neither a bzImage")] {
        let KernelState::BootFailed { reason, hint: Some(_), .. } = state(&report, name) else {
            panic!("{:?}", report.kernels)
        };
        assert!(reason.contains(words) && reason.contains(&format!("kernel `{name}`")), "{reason}");
        expect_not_run(&report, name, "the kernel did not boot");
    }
    // Nothing of them may look like a kernel to the next run.
    assert_eq!(fs::read_dir(lab.store().join("kernels")).unwrap().count(), 0);
    lab.expect_nothing_left();
}

#[test]
fn damaged_objects_fail_to_open_and_the_others_are_judged() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let five = fs::read(object("five")).unwrap();
    let folder = lab.path("objects");
    fs::create_dir(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    write("cut.bpf.o", &five[..five.len() / 2]);
    // Sections that lie nowhere: the header says so, the file does not.
    let mut corrupt = five.clone();
    corrupt[40..48].copy_from_slice(&(five.len() as u64 * 2).to_le_bytes());
    write("corrupt.bpf.o", &corrupt);
    write("sound.bpf.o", &five);
    lab.run(&[&folder.display().to_string(), &object("plain")]).expect(PROGRAM_FAILED);
    let report = lab.report();
    for name in ["cut", "corrupt"] {
        assert_eq!(verdicts(&report, kernel().name, name), [FailedToOpen]);
        let reason = programs(&report, kernel().name, name)[0].reason.as_deref().unwrap();
        assert!(reason.contains(&format!("{name}.bpf.o` is not a valid BPF object: ")), "{reason}");
    }
    assert_eq!(verdicts(&report, kernel().name, "sound"), [Loaded; 5]);
    // Without BTF, which only maps need; its other program has a section that only its own loader understands.
    assert_eq!(verdicts(&report, kernel().name, "plain")[0], Loaded);
    // Objects that cannot be opened need no guest; the first of the others boots the kernel, and each starts from there.
    assert_eq!((report.kernels[0].hello_ms.len(), report.kernels[0].restore_ms.len()), (1, 2));
    lab.expect_nothing_left();
}

#[test]
fn files_without_an_object_are_refused_before_anything_is_made() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let empty = lab.path("empty.o");
    fs::write(&empty, b"").unwrap();
    let host = fs::canonicalize("/bin/true").unwrap().display().to_string();
    let inputs = [&host, &empty.display().to_string(), "no-such.o", &object("five")];
    let ended = lab.run(&inputs);
    ended.expect(BAD_CONFIGURATION).expect_said(&[
        "is an ELF file for x86-64 and contains no BPF object",
        "empty.o` is an empty file",
        "`no-such.o` does not exist",
    ]);
    assert_eq!(ended.stderr.matches("hint: ").count(), 3, "{}", ended.stderr);
    assert!(!lab.out().exists());
    lab.expect_nothing_left();
}

#[test]
fn a_full_scratch_folder_is_the_harness_s_fault() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let Some(disk) = FullDisk::mount(&lab.scratch(), 1024) else { return };
    lab.run(&[&object("five")]).expect(INFRASTRUCTURE).expect_said(&["harness failed: ", "hint: ", "TMPDIR"]);
    let report = lab.report();
    let KernelState::HarnessFailed { reason, hint: Some(hint), .. } = state(&report, kernel().name) else {
        panic!("{:?}", report.kernels)
    };
    assert!(reason.contains("No space left on device") && hint.contains("TMPDIR"), "{reason}; {hint}");
    assert_eq!(verdicts(&report, kernel().name, "five"), [NotRun; 5]);
    assert!(disk.files().is_empty(), "{:?}", disk.files());
    lab.expect_nothing_left();
}

#[test]
fn a_full_report_folder_is_found_before_the_first_boot() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let Some(disk) = FullDisk::mount(&lab.out(), 64) else { return };
    fs::write(lab.out().join("ballast"), vec![0; 64 << 10]).unwrap();
    let ended = lab.run(&[&object("five")]);
    ended.expect(INFRASTRUCTURE).expect_said(&["error: cannot write `", "report.json`", "hint: free space"]);
    assert!(!ended.stderr.contains("booted"), "{}", ended.stderr);
    assert_eq!(disk.files(), [lab.out().join("ballast")]);
    lab.expect_nothing_left();
}

#[test]
fn a_report_folder_that_fills_up_keeps_a_whole_report() {
    need!("guests");
    let lab = Lab::with_kernel("");
    // Room for the record as planned, and hardly more.
    let Some(_disk) = FullDisk::mount(&lab.out(), 20) else { return };
    let ended = lab.run(&[&object("five"), &object("guards")]);
    ended.expect(INFRASTRUCTURE).expect_said(&["report", "hint: free space"]);
    lab.report();
    lab.expect_nothing_left();
}

#[test]
fn a_full_store_is_the_harness_s_fault_and_keeps_no_half_kernel() {
    need!("guests");
    let lab = Lab::new();
    lab.manifest(&format!("[kernel.own]\nsource = \"path\"\nimage = \"{}\"\n", kernel().image().display()));
    let Some(disk) = FullDisk::mount(&lab.store(), 2048) else { return };
    let ended = lab.run(&[&object("five"), "--kernel", "own", "--accel", "tcg"]);
    ended.expect(INFRASTRUCTURE).expect_said(&["harness failed: ", "No space left on device", "hint: free some space"]);
    let report = lab.report();
    assert!(matches!(state(&report, "own"), KernelState::HarnessFailed { .. }), "{:?}", report.kernels);
    expect_not_run(&report, "own", "no guest could be started");
    // The versions of QEMU and virtme-ng are remembered there, and are small enough.
    let is_half = |path: &PathBuf| path.metadata().unwrap().len() > 0 && !path.ends_with("tools.json");
    let left: Vec<_> = disk.files().into_iter().filter(is_half).collect();
    assert!(left.is_empty(), "{left:?}");
    lab.expect_nothing_left();
}

#[test]
fn what_a_kernel_complains_about_and_survives_is_told_and_the_gate_is_red() {
    need!("guests");
    let lab = Lab::with_kernel(r#"append = ["corematrix.fault=warn@two", "corematrix.fault=taint@one"]"#);
    // Without a gate it is no program's failure.
    lab.run(&[&object("five")]).expect(0);
    let table = fs::read_to_string(lab.out().join("table.txt")).unwrap();
    assert!(table.contains("Kernel warnings") && table.contains("while loading `two`: WARNING: at"), "{table}");
    let report = lab.report();
    let [warning] = &report.cells[0].kernel_log[..] else { panic!("{:?}", report.cells[0].kernel_log) };
    assert_eq!(warning.program.as_deref(), Some("two"));
    assert_eq!(warning.headline, "WARNING: at kernel/bpf/core.c:1407 corematrix_fault");
    assert_eq!(warning.text.lines().count(), 6, "{}", warning.text);
    let gate = |expect: &[&str]| {
        let output = lab.tool("gate").arg(lab.out()).args(expect).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = gate(&[]);
    assert_eq!(code, Some(PROGRAM_FAILED), "{text}");
    assert!(text.contains("kernel warning: `five/two` on 5.10: WARNING: at kernel/bpf/core.c:1407"), "{text}");
    let allowed = lab.path("allowed.toml");
    fs::write(&allowed, "[[allow-warning]]\ncontains = \"corematrix_fault\"\nreason = \"made up\"\n").unwrap();
    assert_eq!(gate(&["--expect", allowed.to_str().unwrap()]).0, Some(0));
}

#[test]
fn a_kernel_that_is_tainted_without_a_word_is_told() {
    need!("guests");
    let lab = Lab::with_kernel(r#"append = ["corematrix.fault=taint@three"]"#);
    // Booted guests are judged alike; the second object finds the taint where it was.
    lab.run(&[&object("five"), &object("plain"), "--cold"]).expect(INFRASTRUCTURE);
    let report = lab.report();
    assert_eq!(
        report.cells[0].kernel_log[0].headline,
        "the kernel became tainted (W: a warning), but its log gives no reason"
    );
    assert!(report.cells[1].kernel_log.is_empty(), "{:?}", report.cells[1].kernel_log);
    lab.expect_nothing_left();
}
