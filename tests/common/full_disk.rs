//! [`FullDisk`]: a small file system with little room.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// A tmpfs, unmounted when dropped.
pub struct FullDisk(PathBuf);

impl FullDisk {
    /// Mounts one of `kib` KiB at `folder`, which is made. `None` without the right to, which only root has; the test says so.
    pub fn mount(folder: &Path, kib: u32) -> Option<FullDisk> {
        fs::create_dir_all(folder).unwrap();
        let options = std::ffi::CString::new(format!("size={kib}k,mode=755")).unwrap();
        match mount("corematrix-test", folder, "tmpfs", MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Some(FullDisk(folder.to_owned())),
            Err(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => {
                super::need::say_skipped("a full disk is made by mounting a tmpfs, which needs root");
                None
            }
            Err(error) => panic!("cannot mount a tmpfs at `{}`: {error}", folder.display()),
        }
    }

    /// Files on it, at any depth.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                if entry.file_type().unwrap().is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
            }
        }
        files
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}
