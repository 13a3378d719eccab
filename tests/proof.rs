//! What is active on a real kernel, what its config rules out beforehand, and what is said of a boot that fails.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Lab, expect_not_run, kernel, need, object, state};
use corematrix::record::KernelState;
use corematrix::store::{ProofOfBoot, Store};

/// Exit code.
const INFRASTRUCTURE: i32 = 3;

fn proofs(lab: &Lab) -> Vec<ProofOfBoot> {
    Store::open(&lab.store()).unwrap().proofs(&kernel().stored.identity)
}

#[test]
fn what_came_up_is_asked_once_and_what_is_missing_is_told_each_time() {
    need!("guests");
    let lab = Lab::with_kernel(r#"append = ["lsm=landlock", "lockdown=integrity"]"#);
    let file = kernel().stored.boot_image.with_file_name("proof.json");
    let file = lab.store().join("kernels").join(file.strip_prefix(kernel().store().join("kernels")).unwrap());
    let _ = fs::remove_file(&file);
    // By a guest that is booted to serve.
    lab.run(&[&object("five"), "--cold"]).expect(0);
    let report = lab.report();
    let [proof] = <[ProofOfBoot; 1]>::try_from(proofs(&lab)).unwrap();
    let facts = &proof.facts;
    assert_eq!(facts.release, kernel().stored.identity.release);
    assert!(facts.version.starts_with("#1 SMP") && facts.machine == "x86_64", "{facts:?}");
    assert!(facts.build_id.as_ref().is_some_and(|id| id.len() == 40), "{facts:?}");
    assert!(facts.btf && facts.bpffs && facts.cgroup2 && facts.page_size == 4096 && facts.cpus == 1, "{facts:?}");
    let tracing = facts.tracing;
    assert!(
        tracing.tracefs && tracing.kprobes && tracing.uprobes && tracing.functions && tracing.syscalls,
        "{facts:?}"
    );
    assert_eq!((facts.jit, proof.hello_ms), (Some(1), Some(report.kernels[0].hello_ms[0])));
    assert!(facts.lsm.as_ref().is_some_and(|active| !active.iter().any(|name| name == "bpf")), "{facts:?}");

    let notes = &report.kernels[0].notes;
    assert!(notes.iter().any(|note| note.contains("LSM programs never run")), "{notes:?}");
    assert!(notes.iter().any(|note| note.starts_with("lockdown is `integrity`")), "{notes:?}");
    // From the snapshot, of a kernel that is known.
    lab.run(&[&object("five")]).expect(0);
    assert_eq!(lab.report().kernels[0].notes, *notes);
    assert_eq!(proofs(&lab), [proof]);
    // From the snapshot, of one that is not.
    fs::remove_file(&file).unwrap();
    lab.run(&[&object("five")]).expect(0);
    assert_eq!(lab.report().kernels[0].notes, *notes);
    assert_eq!(proofs(&lab)[0].hello_ms, None);
}

#[test]
fn kernels_that_cannot_run_or_boot_say_why() {
    need!("guests");
    let lab = Lab::new();
    let config = fs::read_to_string(kernel().stored.config.as_ref().unwrap()).unwrap();
    let lacking = config.replace("CONFIG_BLK_DEV_INITRD=y", "# CONFIG_BLK_DEV_INITRD is not set");
    fs::write(lab.path("lacking"), lacking).unwrap();
    let mut arm64 = vec![0; 4096];
    arm64[0x38..0x3c].copy_from_slice(b"ARM\x64");
    fs::write(lab.path("arm64"), arm64).unwrap();
    let image = kernel().image().display().to_string();
    let table = |name: &str, image: &str, lines: &str| {
        format!("[kernel.{name}]\nsource = \"path\"\nimage = \"{image}\"\n{lines}\n")
    };
    lab.manifest(
        &[
            table("lacking", &image, "config = \"lacking\""),
            table("arm64", "arm64", ""),
            table("small", &image, "append = [\"mem=40M\"]"),
        ]
        .concat(),
    );
    let ended = lab.run(&[&object("five"), "--kernel", "all", "--accel", "tcg"]);
    ended
        .expect(INFRASTRUCTURE)
        .expect_said(&["cannot run as a guest: its config lacks `CONFIG_BLK_DEV_INITRD`", "hint: "]);
    let report = lab.report();
    let KernelState::Unavailable { reason, hint: Some(hint) } = state(&report, "lacking") else {
        panic!("{:?}", report.kernels)
    };
    assert_eq!(reason, "cannot run as a guest: its config lacks `CONFIG_BLK_DEV_INITRD`");
    assert!(hint.contains("initramfs") && hint.contains("`config` in the manifest"), "{hint}");
    expect_not_run(&report, "lacking", "the kernel is unavailable");
    let KernelState::BootFailed { reason, .. } = state(&report, "arm64") else { panic!("{:?}", report.kernels) };
    assert!(reason.contains("the kernel is for arm64"), "{reason}");
    let KernelState::BootFailed { reason, hint: Some(hint), console_tail } = state(&report, "small") else {
        panic!("{:?}", report.kernels)
    };
    assert!(hint.contains("`memory`") && reason.ends_with("(2 attempts)"), "{reason}; {hint}");
    assert!(console_tail.len() > 10, "{console_tail:?}");
    lab.expect_nothing_left();
}
