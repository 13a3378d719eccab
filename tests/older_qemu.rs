//! QEMUs as people have them: older ones, and such as are not installed whole.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{Lab, Run, expect_not_run, kernel, need, object, state, verdicts, write_executable};
use corematrix::record::KernelState;
use corematrix::record::Verdict::Loaded;

/// Exit code.
const INFRASTRUCTURE: i32 = 3;

/// Something in QEMU's place that says it is `version`; `then` is what it does as a machine.
fn qemu(lab: &Lab, version: &str, then: &str) -> PathBuf {
    let real = std::env::var("COREMATRIX_QEMU").unwrap_or("qemu-system-x86_64".to_owned());
    let then = then.replace("REAL", &real);
    let path = lab.path("qemu");
    let says = format!("echo 'QEMU emulator version {version} (Debian 1:{version})'");
    let text = format!("#!/bin/sh\nif [ \"$1\" = --version ]; then {says}; exit; fi\n{then}\n");
    write_executable(&path, text.as_bytes());
    path
}

#[test]
fn one_that_cannot_save_guests_runs_cold_and_says_so_in_one_line() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let mut command = lab.command(&[&object("five"), "--accel", "tcg"]);
    command.env("COREMATRIX_QEMU", qemu(&lab, "5.2.0", "exec REAL \"$@\""));
    Run::start(command, &lab.path("run")).wait().expect(0);
    let report = lab.report();
    assert_eq!(verdicts(&report, kernel().name, "five"), [Loaded; 5]);
    assert_eq!((report.kernels[0].hello_ms.len(), report.kernels[0].restore_ms.len()), (1, 0));
    let cold: Vec<_> = report.kernels[0].notes.iter().filter(|note| note.starts_with("runs cold")).collect();
    assert_eq!(cold, ["runs cold: QEMU 5.2.0 cannot save guests as snapshots; QEMU 6 and later can"]);
    assert!(report.notices.iter().any(|notice| notice.contains("QEMU 5.2.0 corrupts some guests under emulation")));
    assert!(lab.snapshots().is_empty());
    lab.expect_nothing_left();
}

#[test]
fn one_without_its_firmware_or_a_part_is_blamed_at_once_and_not_the_kernel() {
    need!("guests");
    // Without the code that starts a kernel QEMU goes on, and nothing ever happens.
    let pvh = "rom: file pvh.bin             : error Failed to open file: No such file or directory";
    let bios = "qemu: could not load PC BIOS bios-256k.bin";
    let device = "qemu-system-x86_64: -device i6300esb: i6300esb is not a valid device model name";
    for (words, then, meaning, hint) in [
        (pvh, "exec sleep 300", "firmware is missing", "`seabios`"),
        (bios, "exit 1", "firmware is missing", "`qemu-system-data`"),
        (device, "exit 1", "lacks a component that guests need", "`qemu-system-x86`"),
    ] {
        let lab = Lab::with_kernel("");
        let begin = Instant::now();
        let mut command = lab.command(&[&object("five"), "--accel", "tcg"]);
        command.env("COREMATRIX_QEMU", qemu(&lab, "10.0.2", &format!("echo '{words}' >&2; {then}")));
        Run::start(command, &lab.path("run")).wait().expect(INFRASTRUCTURE);
        assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
        let report = lab.report();
        let KernelState::HarnessFailed { reason, hint: Some(shown), .. } = state(&report, kernel().name) else {
            panic!("{:?}", report.kernels)
        };
        assert!(reason.contains(meaning) && shown.contains(hint), "{reason}; {shown}");
        expect_not_run(&report, kernel().name, "no guest could be started");
        lab.expect_nothing_left();
    }
}
