//! [`GuestMemory`]: the RAM of a guest that is going to be snapshotted, and the options with which a restored guest maps the copy.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use crate::store::Seal;

/// What QEMU calls the RAM; the same on both sides of a snapshot.
const ID: &str = "corematrix-ram";

/// Memory that this process shares with a QEMU, so that it can be read once the guest is stopped. It is in no file system:
/// a full disk must not kill a guest.
#[derive(Debug)]
pub struct GuestMemory {
    memory: File,
    bytes: u64,
}

impl GuestMemory {
    /// Memory of `mib` MiB, not yet backed by anything.
    pub fn new(mib: u64) -> io::Result<Self> {
        let memory = File::from(memfd_create(ID, MemfdFlags::CLOEXEC)?);
        let bytes = mib << 20;
        ftruncate(&memory, bytes)?;
        Ok(GuestMemory { memory, bytes })
    }

    /// QEMU's options for a guest that runs in this memory.
    pub fn options(&self) -> Vec<String> {
        // Only QEMU, our child, looks it up, and only while this value lives.
        let path = format!("/proc/{}/fd/{}", std::process::id(), self.memory.as_raw_fd());
        options(Path::new(&path), self.bytes, "on")
    }

    /// Copies the pages that are not zero to a new sparse file. The guest must be stopped.
    pub fn save(&self, to: &Path) -> io::Result<Seal> {
        Seal::copy(&self.memory, self.bytes, to)
    }
}

/// QEMU's options for a guest that starts from a saved memory of `bytes`. It maps the file privately: restoring reads only the pages
/// that the guest touches, and what the guest writes never reaches the file.
pub fn restore_options(saved: &Path, bytes: u64) -> Vec<String> {
    options(saved, bytes, "off")
}

fn options(path: &Path, bytes: u64, share: &str) -> Vec<String> {
    // A comma separates QEMU's options; doubled it is one.
    let path = path.display().to_string().replace(',', ",,");
    let object = format!("memory-backend-file,id={ID},size={bytes},mem-path={path},share={share}");
    ["-object", &object, "-machine", &format!("memory-backend={ID}")].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guest_wrote_is_saved() {
        use std::os::unix::fs::FileExt;
        let folder = tempfile::tempdir().expect("a folder");
        let memory = GuestMemory::new(4).expect("memory");
        // As QEMU does: by the path in its options.
        let options = memory.options();
        let path = options[1].split("mem-path=").nth(1).and_then(|rest| rest.split(',').next()).expect("has a path");
        File::options().write(true).open(path).expect("opens").write_all_at(b"guest", 1 << 20).expect("writes");
        let saved = folder.path().join("ram");
        assert_eq!(memory.save(&saved).expect("saves").bytes, 4 << 20);
        assert_eq!(&std::fs::read(&saved).expect("reads")[1 << 20..][..5], b"guest");
    }

    #[test]
    fn comma_in_a_path_does_not_end_it() {
        assert!(restore_options(Path::new("/a,b"), 4096)[1].contains("mem-path=/a,,b,share=off"));
    }
}
