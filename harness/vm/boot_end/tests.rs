//! Tests of what consoles are taken for, on consoles as kernels and QEMU write them.

use super::*;
use Accelerator::{Kvm, Tcg};

#[track_caller]
fn expect(output: &str, blame: BootBlame, reason: &str, hint: &str) {
    let found = explain(output).unwrap_or_else(|| panic!("nothing told by {output}"));
    assert_eq!((found.blame, found.reason.as_str()), (blame, reason));
    let shown_hint = found.hint.unwrap_or_default();
    assert!(shown_hint.contains(hint), "{shown_hint}");
}

#[test]
fn what_qemu_refuses_is_told_apart() {
    expect(
        "Error loading uncompressed kernel without PVH ELF Note\n",
        BootBlame::Kernel,
        "QEMU cannot start an ELF without a PVH note: Error loading uncompressed kernel without PVH ELF Note",
        "CONFIG_PVH=y",
    );
    expect(
        "qemu: could not load kernel 'x': Invalid kernel header\n",
        BootBlame::Kernel,
        "QEMU cannot start the image: qemu: could not load kernel 'x': Invalid kernel header",
        "x86-64",
    );
    expect(
        "qemu: initrd is too large, cannot support.(max: 4128768, need 23000000)\n",
        BootBlame::Kernel,
        "the guest's files do not fit into its memory: qemu: initrd is too large, cannot support.(max: 4128768, need 23000000)",
        "`memory`",
    );
    expect(
        "[    0.000000] Kernel panic - not syncing: Cannot find place for new RAMDISK of size 73959080\n",
        BootBlame::Kernel,
        "the guest's files do not fit into its memory: Kernel panic - not syncing: Cannot find place for new RAMDISK of size 73959080",
        "`memory`",
    );
    expect(
        "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory\n",
        BootBlame::Host,
        "this machine has too little memory for the guest: qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory",
        "--jobs 1",
    );
    expect(
        "Could not access KVM kernel module: Permission denied\nqemu-system-x86_64: failed to initialize kvm: Permission denied\n",
        BootBlame::Host,
        "KVM cannot be used: Could not access KVM kernel module: Permission denied",
        "--accel tcg",
    );
    for (words, reason) in [
        ("qemu: could not load PC BIOS 'bios-256k.bin'", "QEMU's firmware is missing: "),
        // It goes on, with a machine that starts no kernel: QEMU 10, and QEMU 5.2.
        (
            "rom: file pvh.bin             : error Failed to open file “pvh.bin”: No such file or directory",
            "QEMU's firmware is missing: ",
        ),
        ("Could not open option rom 'linuxboot_dma.bin': No such file or directory", "QEMU's firmware is missing: "),
        (
            "qemu-system-x86_64: -device virtio-9p-pci,fsdev=x: 'virtio-9p-pci' is not a valid device model name",
            "this QEMU lacks a component that guests need: ",
        ),
        (
            "qemu-system-x86_64: unsupported machine type: \"microvm\"\nUse -machine help to list supported machines",
            "this QEMU lacks a component that guests need: ",
        ),
        (
            "qemu-system-x86_64: fatal: could not load module for type 'tcg-accel-ops'",
            "this QEMU lacks a component that guests need: ",
        ),
    ] {
        let line = words.lines().next().unwrap_or_default();
        expect(&format!("{words}\n"), BootBlame::HostForGood, &format!("{reason}{line}"), "install ");
    }
    expect(
        "qemu-system-x86_64: Host doesn't support requested features\n",
        BootBlame::HostForGood,
        "KVM no longer provides the CPU model that it provided before: qemu-system-x86_64: Host doesn't support \
    requested features",
        "`kvm-cpu.json`",
    );
    // One without which guests start all the same.
    assert_eq!(
        explain("rom: file kvmvapic.bin        : error Failed to open file “kvmvapic.bin”: No such file\n"),
        None
    );
    expect(
        "KVM: entry failed, hardware error 0x80000021\n[    0.1] Kernel panic - not syncing: nonsense\n",
        BootBlame::Host,
        "KVM cannot run the guest: KVM: entry failed, hardware error 0x80000021",
        "--accel tcg",
    );
    expect(
        "error: kvm run failed Bad address\n",
        BootBlame::Host,
        "KVM cannot run the guest: error: kvm run failed Bad address",
        "--accel tcg",
    );
    expect(
        "qemu-system-x86_64: error: failed to set MSR 0x10a to 0xc000069\n",
        BootBlame::Host,
        "KVM cannot run the guest: qemu-system-x86_64: error: failed to set MSR 0x10a to 0xc000069",
        "--accel tcg",
    );
}

#[test]
fn what_keeps_init_from_running_is_told_apart() {
    expect(
        "[    1.2] VFS: Cannot open root device \"(null)\" or unknown-block(0,0): error -6\n\
         [    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n",
        BootBlame::Kernel,
        "the kernel found no init to run: Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
        "CONFIG_BLK_DEV_INITRD",
    );
    expect(
        "[    0.8] Failed to execute /init (error -8)\n[    0.8] Kernel panic - not syncing: No working init found.  Try passing init=\n",
        BootBlame::Kernel,
        "the kernel cannot execute the guest's program: Failed to execute /init (error -8)",
        "CONFIG_BINFMT_ELF",
    );
    expect(
        "[    0.7] Initramfs unpacking failed: write error\n[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs\n",
        BootBlame::Kernel,
        "the kernel could not unpack the guest's files: Initramfs unpacking failed: write error",
        "`memory`",
    );
    expect(
        "[    1.4] Kernel panic - not syncing: System is deadlocked on memory\n",
        BootBlame::Kernel,
        "the guest ran out of memory: Kernel panic - not syncing: System is deadlocked on memory",
        "`memory`",
    );
}

#[test]
fn last_words_of_our_own_init_come_before_the_panic() {
    let panic = "[    1.5] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00007f00\n";
    expect(
        &format!("/init: error while loading shared libraries: libelf.so.1: cannot open shared object file\n{panic}"),
        BootBlame::HostForGood,
        "the guest's program cannot start: /init: error while loading shared libraries: libelf.so.1: cannot open shared object file",
        "C library",
    );
    expect(
        "corematrix guest: cannot mount devtmpfs on /dev: No such device (os error 19)\n",
        BootBlame::Kernel,
        "the guest could not be set up: corematrix guest: cannot mount devtmpfs on /dev: No such device (os error 19)",
        "`config`",
    );
    expect(
        panic,
        BootBlame::Host,
        "the guest's program died: Kernel panic - not syncing: Attempted to kill init! exitcode=0x00007f00",
        "executable",
    );
}

#[test]
fn oops_is_the_cause_of_what_comes_after_it() {
    expect(
        "[    1.0] BUG: kernel NULL pointer dereference, address: 0\n[    1.1] Kernel panic - not syncing: Attempted to kill init!\n",
        BootBlame::Kernel,
        "crashed while booting: BUG: kernel NULL pointer dereference, address: 0",
        "",
    );
    assert_eq!(explain("all is well\n"), None);
}

#[test]
fn silence_is_told_from_a_boot_that_got_stuck() {
    let mute = silence("\x1bcSeaBIOS (version 1.16.2)\r\nBooting from ROM..\r\n", 120, Tcg);
    assert_eq!(mute.reason, "did not respond within 120s, and wrote nothing to its serial console");
    assert!(mute.hint.is_some_and(|hint| hint.contains("CONFIG_SERIAL_8250_CONSOLE")));
    let stuck = silence("SeaBIOS\n[    0.000000] Linux version 6.1\n[    0.200000] Probing EDD\n\n", 120, Tcg);
    assert_eq!(stuck.reason, "did not respond within 120s; last console line: Probing EDD");
}

#[test]
fn silence_under_kvm_makes_kvm_a_suspect() {
    let firmware = "\x1bcSeaBIOS (version 1.16.2)\r\nBooting from ROM..\r\n";
    let mute = silence(firmware, 20, Kvm);
    assert_eq!(mute.blame, BootBlame::Kernel);
    let hint = mute.hint.unwrap_or_default();
    assert!(
        hint.starts_with("try `--accel tcg` to check whether KVM is to blame; ") && hint.contains("SERIAL_8250"),
        "{hint}"
    );
    // A kernel that never ran cannot be at fault.
    let nothing = silence("\x1bc\nqemu-system-x86_64: warning: host doesn't support topoext\n", 20, Kvm);
    assert_eq!(
        (nothing.blame, nothing.reason.as_str()),
        (BootBlame::Host, "did not respond within 20s, and neither it nor the firmware wrote any output")
    );
    assert!(
        nothing.hint.is_some_and(|hint| hint.contains("KVM is most likely broken") && hint.contains("`--accel tcg`"))
    );
    assert!(silence(firmware, 20, Tcg).hint.is_some_and(|hint| !hint.contains("KVM")));
    let reset = without_a_word("[    0.000000] Linux version 6.1\n", "QEMU ended (exit status: 0) after 900ms", Kvm);
    assert!(reset.hint.is_some_and(|hint| hint.contains("`--accel tcg`") && hint.contains("triple fault")));
}

#[test]
fn guest_that_resets_itself_is_to_blame_only_if_it_has_spoken() {
    let ending = "QEMU ended (exit status: 0) after 900ms";
    let spoken = without_a_word("[    0.000000] Linux version 6.1\n", ending, Tcg);
    assert_eq!(spoken.blame, BootBlame::Kernel);
    assert!(spoken.reason.ends_with("after 900ms; last console line: Linux version 6.1"), "{}", spoken.reason);
    let mute = without_a_word("", ending, Tcg);
    assert_eq!(
        (mute.blame, mute.reason.as_str()),
        (BootBlame::Host, "QEMU ended (exit status: 0) after 900ms without any output")
    );
}
