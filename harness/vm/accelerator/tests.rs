//! Tests of choosing, with devices and boots that are none.

use std::time::Duration;

use super::*;

/// A folder with the file that remembers.
struct Memory(tempfile::TempDir);

impl Memory {
    fn new() -> Memory {
        Memory(tempfile::tempdir().expect("a folder"))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("kvm.json")
    }

    fn prove(
        &self,
        fingerprint: &str,
        (hours, anew): (u64, bool),
        boot: impl FnOnce(u32) -> Result<(), AcceleratorFailure>,
    ) -> ProvenAccelerator {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + hours * 3600);
        prove(fingerprint, KvmMemory { file: &self.file(), anew }, now, boot)
    }
}

fn failed(_: u32) -> Result<(), AcceleratorFailure> {
    Err(AcceleratorFailure::Failed("the guest fell silent".into()))
}

fn no_boot(_: u32) -> Result<(), AcceleratorFailure> {
    panic!("must not boot")
}

#[test]
fn kvm_that_was_asked_for_is_never_replaced_by_emulation() {
    let memory = Memory::new();
    let choose = |device: &Path, choice| {
        let file = memory.file();
        choose_with(device, choice, || "here".to_owned(), KvmMemory { file: &file, anew: false }, failed)
    };
    let missing = memory.0.path().join("no-such-device");
    let error = choose(&missing, Choice::Kvm).expect_err("there is no device");
    assert_eq!(
        error.to_string(),
        format!("KVM cannot be used: cannot open `{}`: No such file or directory (os error 2)", missing.display())
    );
    assert!(error.hint().contains("`--device /dev/kvm`") && error.hint().contains("`--accel tcg`"), "{}", error.hint());
    // A folder cannot be opened for writing, not even by root.
    choose(memory.0.path(), Choice::Kvm).expect_err("it is no device");
    let device = memory.0.path().join("device");
    fs::write(&device, "").expect("writes");
    assert_eq!(choose(&device, Choice::Kvm).expect("opens").accelerator, Accelerator::Kvm);
    // The others do without.
    for choice in [Choice::Auto, Choice::Tcg] {
        assert_eq!(choose(&missing, choice).expect("emulates").accelerator, Accelerator::Tcg);
    }
    assert!(!memory.file().exists(), "nothing was tried");
}

#[test]
fn who_may_not_open_the_device_learns_of_the_group() {
    let source = io::Error::from(rustix::io::Errno::ACCESS);
    let hint = NoKvm { device: DEVICE.into(), source }.hint();
    assert!(hint.contains("group `kvm`") && hint.contains("`--accel tcg`"), "{hint}");
}

#[test]
fn answer_is_remembered_until_the_machine_changes() {
    let memory = Memory::new();
    assert_eq!(memory.prove("here", (0, false), failed).accelerator, Accelerator::Tcg);
    let second = memory.prove("here", (0, false), no_boot);
    assert_eq!(second.accelerator, Accelerator::Tcg);
    assert!(second.reason.contains("the guest fell silent"), "{}", second.reason);
    let advice = second.advice.expect("says how to get KVM");
    assert!(advice.contains("after 60 min") && advice.contains("`corematrix doctor`"), "{advice}");
    assert_eq!(memory.prove("elsewhere", (0, false), |_| Ok(())).accelerator, Accelerator::Kvm);
    assert_eq!(memory.prove("elsewhere", (9999, false), no_boot).accelerator, Accelerator::Kvm);
}

#[test]
fn one_unlucky_boot_does_not_cost_kvm_for_good() {
    let memory = Memory::new();
    memory.prove("here", (0, false), failed);
    // Later a run tries again by itself, with more time.
    memory.prove("here", (2, false), |patience| {
        assert_eq!(patience, 2);
        failed(patience)
    });
    assert_eq!(memory.prove("here", (3, false), no_boot).accelerator, Accelerator::Tcg);
    // The doctor tries at once, and what it finds holds for runs.
    let cured = memory.prove("here", (3, true), |patience| {
        assert_eq!(patience, 4);
        Ok(())
    });
    assert_eq!(cured.accelerator, Accelerator::Kvm);
    assert_eq!(memory.prove("here", (4, false), no_boot).accelerator, Accelerator::Kvm);
    // So does a failure that it finds.
    memory.prove("here", (5, true), failed);
    assert_eq!(memory.prove("here", (5, false), no_boot).accelerator, Accelerator::Tcg);
}

#[test]
fn what_says_nothing_about_kvm_is_not_remembered() {
    let memory = Memory::new();
    let full = memory.prove("here", (0, false), |_| Err(AcceleratorFailure::Undecided("the disk is full".into())));
    assert_eq!((full.accelerator, memory.file().exists()), (Accelerator::Tcg, false));
    assert_eq!(memory.prove("here", (0, false), |_| Ok(())).accelerator, Accelerator::Kvm);
}
