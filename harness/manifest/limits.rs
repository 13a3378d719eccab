//! [`GuestLimits`]: how much memory and time a kernel gets, for all kernels or for one.

use std::time::Duration;

use super::quantity::{memory_mib, timeout};
use super::reader::{TableReader, TomlSection};

/// The keys that set limits: every kernel may have them, and `[defaults]` sets them for all.
pub const KEYS: [&str; 3] = ["memory", "boot-timeout", "program-timeout"];

/// Memory and timeouts of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestLimits {
    /// Guest memory in MiB.
    pub memory_mib: u64,
    /// From starting QEMU to the guest's hello.
    pub boot_timeout: Duration,
    /// For one program's load.
    pub program_timeout: Duration,
}

impl GuestLimits {
    /// What holds where neither the kernel nor `[defaults]` says anything.
    pub const BUILT_IN: GuestLimits = GuestLimits {
        memory_mib: 512,
        boot_timeout: Duration::from_secs(20),
        program_timeout: Duration::from_secs(10),
    };

    /// The limits that `section` sets, and those of `fallback` for the rest.
    pub fn read<'t>(reader: &mut TableReader<'t>, section: &TomlSection<'t>, fallback: GuestLimits) -> GuestLimits {
        let memory = value(reader, section, "memory", memory_mib, "write it like `512MiB` or `1GiB`");
        let boot = value(reader, section, "boot-timeout", timeout, "write it like `20s` or `1m 30s`");
        let program = value(reader, section, "program-timeout", timeout, "write it like `10s` or `1m`");
        GuestLimits {
            memory_mib: memory.unwrap_or(fallback.memory_mib),
            boot_timeout: boot.unwrap_or(fallback.boot_timeout),
            program_timeout: program.unwrap_or(fallback.program_timeout),
        }
    }
}

fn value<'t, T>(
    reader: &mut TableReader<'t>,
    section: &TomlSection<'t>,
    key: &str,
    read: fn(&str) -> Result<T, String>,
    hint: &str,
) -> Option<T> {
    let (text, place) = reader.string(section, key)?;
    match read(text) {
        Ok(value) => Some(value),
        Err(message) => {
            let message = format!("{}: `{key}` {message}", section.title);
            reader.problem(place.start, message, Some(hint.to_owned()));
            None
        }
    }
}
