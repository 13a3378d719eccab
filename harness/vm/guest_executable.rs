//! [`GuestExecutable`]: `corematrix-guest`, the first process of every guest.
//!
//! The one for this machine's own type is part of this executable. One for another type is a file of its own, beside it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs, io};

/// What `build.rs` made.
static OWN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/corematrix-guest"));

/// The first process of guests of one machine type.
#[derive(Debug, Clone)]
pub struct GuestExecutable(Cow<'static, [u8]>);

/// There is no guest for a machine type.
#[derive(Debug, thiserror::Error)]
#[error("no guest for `{machine}`: cannot read `{}`: {source}", path.display())]
pub struct NoGuest {
    machine: String,
    path: PathBuf,
    source: io::Error,
}

impl NoGuest {
    /// What the user can do.
    pub fn hint(&self) -> String {
        format!("build `corematrix-guest` for `{}` and put it there", self.machine)
    }
}

impl GuestExecutable {
    /// The guest for this machine's own type.
    pub fn own() -> GuestExecutable {
        GuestExecutable(Cow::Borrowed(OWN))
    }

    /// The guest for a machine type, named as Rust does: `x86_64`, `aarch64`.
    ///
    /// # Errors
    /// [`NoGuest`] for another type than this machine's, if its file does not lie beside this executable.
    pub fn for_machine(machine: &str) -> Result<GuestExecutable, NoGuest> {
        if machine == env::consts::ARCH {
            return Ok(GuestExecutable::own());
        }
        let own = env::current_exe().unwrap_or_default();
        GuestExecutable::beside(&own, machine)
    }

    fn beside(own: &Path, machine: &str) -> Result<GuestExecutable, NoGuest> {
        let path = own.with_file_name(format!("corematrix-guest-{machine}"));
        match fs::read(&path) {
            Ok(bytes) => Ok(GuestExecutable(Cow::Owned(bytes))),
            Err(source) => Err(NoGuest { machine: machine.to_owned(), path, source }),
        }
    }

    /// The ELF file.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its XXH3 checksum of 128 bits, in hex.
    pub fn checksum(&self) -> String {
        static OF_OWN: OnceLock<String> = OnceLock::new();
        let compute = || format!("{:032x}", twox_hash::XxHash3_128::oneshot(&self.0));
        match self.0 {
            Cow::Borrowed(_) => OF_OWN.get_or_init(compute).clone(),
            Cow::Owned(_) => compute(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_guest_is_small_and_static() {
        let guest = GuestExecutable::for_machine(env::consts::ARCH).expect("it is inside");
        assert!(guest.bytes().starts_with(b"\x7fELF"));
        assert!(guest.bytes().len() <= 3 << 20, "{} bytes", guest.bytes().len());
        let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(guest.bytes()).expect("an ELF file");
        let kinds = elf.elf_program_headers().iter().map(|header| header.p_type.get(elf.endian()));
        assert!(!kinds.into_iter().any(|kind| kind == object::elf::PT_INTERP), "it needs an interpreter");
        let id = crate::protocol::BUILD_ID.as_bytes();
        assert!(guest.bytes().windows(id.len()).any(|bytes| bytes == id), "it was built from other messages");
    }

    #[test]
    fn guest_of_another_machine_lies_beside_the_host() {
        let folder = tempfile::tempdir().expect("a folder");
        let host = folder.path().join("corematrix");
        let missing = GuestExecutable::beside(&host, "aarch64").expect_err("there is none");
        assert!(missing.to_string().starts_with("no guest for `aarch64`: cannot read"), "{missing}");
        assert!(missing.hint().contains("build `corematrix-guest` for `aarch64`"));
        fs::write(folder.path().join("corematrix-guest-aarch64"), "other").expect("a file");
        let found = GuestExecutable::beside(&host, "aarch64").expect("it is there");
        assert_eq!(found.bytes(), b"other");
        assert_ne!(found.checksum(), GuestExecutable::own().checksum());
    }
}
