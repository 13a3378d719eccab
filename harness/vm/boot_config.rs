//! [`check`]: what a kernel's config says about whether our guest can start on it at all, before it is tried.
//!
//! The list is what the guest needs, no more: an uncompressed initramfs, one ELF program as init, three file systems, a channel to
//! the host, and `bpf(2)`. What only some objects need the kernel reports once it is up.

use std::fs;

use crate::kernel_config::KernelConfig;
use crate::store::StoredKernel;

/// Options without which no guest starts, and what for.
const NEEDED: [(&str, &str); 8] = [
    ("X86_64", "corematrix boots x86-64 only"),
    ("BLK_DEV_INITRD", "the guest's files come in an initramfs"),
    ("BINFMT_ELF", "the guest's init is an ELF program"),
    ("FUTEX", "the guest's init has threads"),
    ("PROC_FS", "the guest mounts /proc"),
    ("SYSFS", "the guest mounts /sys"),
    ("DEVTMPFS", "the guest's channel to the host is a file in /dev"),
    ("BPF_SYSCALL", "without it no kernel loads any BPF program"),
];

/// Options with which no guest starts, and why.
const HARMFUL: [(&str, &str); 2] = [
    ("CMDLINE_OVERRIDE", "the kernel would ignore the command line that names the guest's init"),
    ("INITRAMFS_FORCE", "the kernel would ignore the initramfs that holds the guest's files"),
];

/// The two drivers of the fast channel, with the names of their modules.
const VIRTIO: [(&str, &str); 2] = [("VIRTIO_PCI", "virtio_pci"), ("VIRTIO_CONSOLE", "virtio_console")];

/// A kernel that no guest can start on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    /// A lowercase fragment that names the options.
    pub reason: String,
    pub hint: String,
}

/// Looks for what keeps a guest from starting. A kernel without a config is given the benefit of the doubt.
///
/// # Errors
/// [`Unfit`] if the config says that no guest can start.
pub(super) fn check(kernel: &StoredKernel) -> Result<(), Unfit> {
    read(kernel).map_or(Ok(()), |text| verdict(&KernelConfig::parse(&text), &modules(kernel)))
}

/// What else the config says that makes a guest poorer; lowercase fragments.
pub fn notes(kernel: &StoredKernel) -> Vec<String> {
    let Some(text) = read(kernel) else { return Vec::new() };
    let config = KernelConfig::parse(&text);
    let mut silent = ["PRINTK", "SERIAL_8250", "SERIAL_8250_CONSOLE"].into_iter().filter(|option| config.lacks(option));
    let note = silent.next().map(|option| {
        format!("its config lacks `CONFIG_{option}`, so its console is silent and a crash leaves no details")
    });
    note.into_iter().collect()
}

fn read(kernel: &StoredKernel) -> Option<String> {
    // One that cannot be read is noticed where it is packed for the guest.
    Some(String::from_utf8_lossy(&fs::read(kernel.config.as_ref()?).ok()?).into_owned())
}

/// Names of the modules that the guest loads, out of file names as `01-virtio_console.ko`.
fn modules(kernel: &StoredKernel) -> Vec<String> {
    let stems = kernel.modules.iter().filter_map(|path| path.file_stem()?.to_str());
    stems.map(|stem| stem.split_once('-').map_or(stem, |(_, name)| name).to_owned()).collect()
}

fn verdict(config: &KernelConfig, modules: &[String]) -> Result<(), Unfit> {
    let mut missing: Vec<(&str, &str)> = NEEDED.into_iter().filter(|(option, _)| config.lacks(option)).collect();
    if !missing.is_empty() {
        // Of another machine's kernel the rest means nothing.
        if missing[0].0 == "X86_64" {
            missing.truncate(1);
        }
        let options: Vec<String> = missing.iter().map(|(option, _)| format!("`CONFIG_{option}`")).collect();
        return Err(unfit(
            format!("cannot run as a guest: its config lacks {}", options.join(", ")),
            &format!("{}; build the kernel with {}", missing[0].1, if missing.len() == 1 { "it" } else { "them" }),
        ));
    }
    if let Some((option, why)) = HARMFUL.into_iter().find(|(option, _)| config.has(option)) {
        return Err(unfit(
            format!("cannot run as a guest: its config sets `CONFIG_{option}`"),
            &format!("{why}; build the kernel without it"),
        ));
    }
    let without = |(option, module): &(&str, &str)| config.lacks(option) && !modules.iter().any(|name| name == module);
    let virtio: Vec<_> = VIRTIO.iter().filter(|driver| without(driver)).collect();
    if !virtio.is_empty() && config.lacks("SERIAL_8250") {
        let options: Vec<String> = virtio.iter().map(|(option, _)| format!("`CONFIG_{option}`")).collect();
        return Err(unfit(
            format!("cannot run as a guest: its config lacks {} and `CONFIG_SERIAL_8250`", options.join(", ")),
            "the guest needs a virtio port (built in or as a module) or a serial port to communicate with the host; \
    build the kernel with one of them",
        ));
    }
    Ok(())
}

fn unfit(reason: String, hint: &str) -> Unfit {
    Unfit { reason, hint: format!("{hint}, or correct `config` in the manifest if it is not this kernel's") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel_config::WHOLE;

    /// What our guest needs, as a whole config has it.
    fn sound() -> String {
        let needed: String = NEEDED.iter().map(|(option, _)| format!("CONFIG_{option}=y\n")).collect();
        format!("#\n{WHOLE}\n#\n{needed}CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=m\nCONFIG_SERIAL_8250=y\n")
    }

    fn of(text: &str, modules: &[&str]) -> Result<(), Unfit> {
        let modules: Vec<String> = modules.iter().map(|name| (*name).to_owned()).collect();
        verdict(&KernelConfig::parse(text), &modules)
    }

    #[test]
    fn every_needed_option_is_named_when_it_is_off_or_absent() {
        assert_eq!(of(&sound(), &[]), Ok(()));
        for (option, why) in NEEDED {
            let line = format!("CONFIG_{option}=y\n");
            for instead in [String::new(), format!("# CONFIG_{option} is not set\n")] {
                let unfit = of(&sound().replace(&line, &instead), &[]).expect_err(option);
                assert_eq!(unfit.reason, format!("cannot run as a guest: its config lacks `CONFIG_{option}`"));
                assert!(unfit.hint.starts_with(why), "{}", unfit.hint);
            }
        }
        let none = format!(
            "{WHOLE}\nCONFIG_X86_64=y\nCONFIG_BINFMT_ELF=y\nCONFIG_FUTEX=y\nCONFIG_SYSFS=y\nCONFIG_DEVTMPFS=y\n"
        );
        let several = of(&none, &[]).expect_err("lacks several").reason;
        assert!(
            several.ends_with("lacks `CONFIG_BLK_DEV_INITRD`, `CONFIG_PROC_FS`, `CONFIG_BPF_SYSCALL`"),
            "{several}"
        );
        let arm = of(&format!("{WHOLE}\nCONFIG_ARM64=y\n"), &[]).expect_err("is of another machine").reason;
        assert!(arm.ends_with("lacks `CONFIG_X86_64`"), "{arm}");
    }

    #[test]
    fn options_that_disobey_us_are_named() {
        let harmful = of(&(sound() + "CONFIG_CMDLINE_OVERRIDE=y\n"), &[]).expect_err("obeys nobody");
        assert!(harmful.reason.ends_with("sets `CONFIG_CMDLINE_OVERRIDE`"), "{}", harmful.reason);
        assert!(of(&(sound() + "CONFIG_INITRAMFS_FORCE=y\n"), &[]).is_err());
    }

    #[test]
    fn one_channel_is_enough() {
        let serial_only = sound().replace("CONFIG_VIRTIO_PCI=y\n", "").replace("CONFIG_VIRTIO_CONSOLE=m\n", "");
        assert_eq!(of(&serial_only, &[]), Ok(()));
        let virtio_only = sound().replace("CONFIG_SERIAL_8250=y", "# CONFIG_SERIAL_8250 is not set");
        assert_eq!(of(&virtio_only, &["virtio", "virtio_console"]), Ok(()));
        let lost = of(&virtio_only, &[]).expect_err("its module is not there");
        assert_eq!(
            lost.reason,
            "cannot run as a guest: its config lacks `CONFIG_VIRTIO_CONSOLE` and \
    `CONFIG_SERIAL_8250`"
        );
    }

    #[test]
    fn fragment_proves_nothing_but_what_it_says() {
        assert_eq!(of("CONFIG_BPF_SYSCALL=y\n", &[]), Ok(()));
        let says = of("# CONFIG_BLK_DEV_INITRD is not set\n", &[]).expect_err("says so");
        assert!(says.reason.contains("BLK_DEV_INITRD"));
        assert_eq!(of("", &[]), Ok(()));
    }
}
