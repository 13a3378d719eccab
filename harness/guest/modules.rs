//! Loading kernel modules: those of the data channel ([`load_drivers`]), and those that objects need ([`load_wanted`]).

use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use corematrix_protocol::{LOADED_MODULES_DIR, MODULES_DIR, ModuleLoad};

use crate::kernel_log::KernelLog;

/// More of what the kernel says of one module is not kept.
const MOST_LINES: usize = 8;

/// Loads the packed drivers in name order; the host numbered them so that each comes after what it needs.
pub fn load_drivers(notes: &mut Vec<String>) -> Result<(), String> {
    for module in files(MODULES_DIR).map_err(|error| format!("cannot read {MODULES_DIR}: {error}"))? {
        match load(&module) {
            Err(error) if error.raw_os_error() != Some(libc::EEXIST) => {
                notes.push(format!("cannot load module {}: {error}", module.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Loads the modules that objects need, in the same order, and reports what the kernel said of each that it refused.
pub fn load_wanted() -> Vec<ModuleLoad> {
    let Ok(modules) = files(LOADED_MODULES_DIR) else { return Vec::new() };
    let mut log = KernelLog::open();
    let tell = |module: PathBuf| {
        let errno = match load(&module) {
            Ok(()) => 0,
            // Another module has brought it.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => 0,
            Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
        };
        let (said, name) = (log.lines(), name(&module));
        // A module that is loaded may have no types all the same; the kernel says so.
        let says_why = |line: &&str| is_about(line, &name) && (errno != 0 || line.contains("BTF"));
        let words = said.lines().filter(says_why).take(MOST_LINES).map(str::to_owned).collect();
        ModuleLoad { module: name, errno, words, has_types: false }
    };
    let mut loads: Vec<ModuleLoad> = modules.into_iter().map(tell).collect();
    for load in &mut loads {
        load.has_types = Path::new("/sys/kernel/btf").join(&load.module).exists();
    }
    loads
}

/// Whether a line of the kernel's log is about a module. The kernel goes on with other work meanwhile and logs that, too.
fn is_about(line: &str, name: &str) -> bool {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let (line, name) = (plain(line), plain(name));
    // `xfs: unknown parameter`, and of kvm_intel `kvm: no hardware support`.
    let speaker = line.split(':').next().unwrap_or_default();
    let speaks = speaker.len() > 2 && (name.starts_with(speaker) || speaker.starts_with(&name));
    speaks || line.contains(&name) || ["module", "btf", "bpf:", "lockdown"].iter().any(|word| line.contains(word))
}

fn files(folder: &str) -> std::io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

fn load(module: &Path) -> std::io::Result<()> {
    let file = fs::File::open(module)?;
    // SAFETY: the descriptor is open and the parameter string is a valid C string for the call.
    match unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// `/corematrix/loaded/003-nf_conntrack.ko` -> `nf_conntrack`.
fn name(module: &Path) -> String {
    let stem = module.file_stem().unwrap_or_default().to_string_lossy();
    stem.split_once('-').map_or(&*stem, |(_, name)| name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_about_the_module_count() {
        for line in [
            "Loading of unsigned module is rejected",
            "xfs: Unknown symbol crc32c (err -2)",
            "failed to validate module [xfs] BTF: -22",
            "BPF: \t type_id=1",
            "Lockdown: init: unsigned module loading is restricted",
        ] {
            assert!(is_about(line, "xfs"), "{line}");
        }
        assert!(is_about("kvm: no hardware support", "kvm_intel"));
        assert!(is_about("nf-conntrack: bad", "nf_conntrack"));
        for line in
            ["tsc: Refined TSC clocksource calibration: 2596.148 MHz", "clocksource: Switched to clocksource tsc", ""]
        {
            assert!(!is_about(line, "xfs"), "{line}");
        }
    }

    #[test]
    fn names_have_no_number() {
        assert_eq!(name(Path::new("/corematrix/loaded/003-nf_conntrack.ko")), "nf_conntrack");
        assert_eq!(name(Path::new("odd")), "odd");
    }
}
