//! Tests of choosing, with devices and boots that are none.

use std::time::Duration;

use super::*;

/// A directory with the file that remembers.
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
        let cpu = Cpu::parse("vendor_id: AuthenticAMD\nflags: fpu svm\n");
        choose_with((device, &cpu), choice, || "here".to_owned(), KvmMemory { file: &file, anew: false }, failed)
    };
    let missing = memory.0.path().join("no-such-device");
    let error = choose(&missing, Choice::Kvm).expect_err("there is no device");
    assert_eq!(
        error.to_string(),
        format!("KVM cannot be used: cannot open `{}`: No such file or directory (os error 2)", missing.display())
    );
    assert!(
        error.hint().contains("`sudo modprobe kvm_amd`") && error.hint().contains("`--accel tcg`"),
        "{}",
        error.hint()
    );
    // A directory cannot be opened for writing, not even by root.
    choose(memory.0.path(), Choice::Kvm).expect_err("it is no device");
    let device = memory.0.path().join("device");
    fs::write(&device, "").expect("writes");
    assert_eq!(choose(&device, Choice::Kvm).expect("opens").accelerator, Accelerator::Kvm);
    // The others lack it.
    for choice in [Choice::Auto, Choice::Tcg] {
        assert_eq!(choose(&missing, choice).expect("emulates").accelerator, Accelerator::Tcg);
    }
    assert!(!memory.file().exists(), "nothing was tried");
}

#[test]
fn who_may_not_open_the_device_learns_of_the_group() {
    let folder = tempfile::tempdir().expect("a folder");
    let device = folder.path().join("kvm");
    fs::write(&device, "").expect("writes");
    let hint = || {
        let (device, source) = (device.clone(), io::Error::from(rustix::io::Errno::ACCESS));
        NoKvm { device, source, cpu: Virtualisation::Module("kvm_amd") }.hint()
    };
    let groups = fs::read_to_string("/etc/group").expect("there are groups");
    let mut others = groups.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some((fields.next()?, fields.nth(1)?.parse::<u32>().ok().filter(|id| *id != 0)?))
    });
    // Only root can give a file to any group.
    if let Some((name, id)) =
        others.next_back().filter(|(_, id)| std::os::unix::fs::chown(&device, None, Some(*id)).is_ok())
    {
        assert!(hint().contains(&format!("group `{name}` (`sudo usermod -aG {name} $USER`)")), "{id}: {}", hint());
        std::os::unix::fs::chown(&device, None, Some(0)).expect("gives it to root");
        assert!(hint().starts_with("give a group access (`sudo chown root:kvm "), "{}", hint());
    }
    assert!(hint().contains("log in again") && hint().contains("`--accel tcg`"), "{}", hint());
}

#[test]
fn what_stands_in_the_way_of_kvm_is_named() {
    let choose = |flags: &str, choice| {
        let cpu = Cpu::parse(&format!("vendor_id: GenuineIntel\nflags: fpu {flags}\n"));
        let memory = KvmMemory { file: Path::new("/none"), anew: false };
        choose_with((Path::new("/no/such/kvm"), &cpu), choice, || "here".to_owned(), memory, failed)
    };
    for (flags, way, can_be_mended) in [
        ("vmx", "load the module (`sudo modprobe kvm_intel`)", true),
        ("vmx hypervisor", "load the module (`sudo modprobe kvm_intel`)", true),
        ("hypervisor", "without nested virtualisation", false),
        ("sse2", "in the firmware", false),
    ] {
        let hint = choose(flags, Choice::Kvm).expect_err("there is none").hint();
        assert!(hint.contains(way) && hint.contains("`--accel tcg`"), "{flags}: {hint}");
        // A machine that cannot run guests is not nagged about it in every run.
        let advice = choose(flags, Choice::Auto).expect("emulates").advice;
        assert_eq!(advice.is_some_and(|advice| advice.contains(way)), can_be_mended, "{flags}");
    }
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
    let full = memory.prove("here", (0, false), |_| {
        Err(AcceleratorFailure::Undecided { reason: "the disk is full".into(), hint: Some("make room".into()) })
    });
    assert_eq!(full.advice.as_deref(), Some("make room"));
    assert_eq!((full.accelerator, memory.file().exists()), (Accelerator::Tcg, false));
    assert_eq!(memory.prove("here", (0, false), |_| Ok(())).accelerator, Accelerator::Kvm);
}
