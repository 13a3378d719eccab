//! [`write()`]: the guest's file system: its executable, the modules, and the kernel's config.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cpio::newc::{Builder, ModeFileType, trailer};

use crate::checksum;
use crate::protocol::{GIVEN_BTF, INIT_PATH, LOADED_MODULES_DIR, MODULES_DIR};
use crate::store::{ModuleFile, StoredKernel};

/// Directories that the guest mounts things on, or that programs expect.
const FOLDERS: [&str; 9] = ["dev", "proc", "sys", "tmp", "run", "root", "boot", "etc", "corematrix"];

/// A file that a guest has from the start, beside what every guest has.
#[derive(Debug, Clone)]
pub struct GuestFile {
    /// Where it is in the guest.
    pub path: String,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
    /// Its content, which guests may execute.
    pub content: Arc<Vec<u8>>,
}

/// Why the initramfs could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot pack `{path}` into the initramfs: {source}")]
pub struct InitramfsError {
    path: PathBuf,
    source: io::Error,
}

impl InitramfsError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| InitramfsError { path, source }
    }
}

/// Writes the initramfs of `kernel` to `target`, with `guest` as its first process, with these files, and with these modules to load.
pub fn write(
    kernel: &StoredKernel,
    guest: &[u8],
    (files, modules): (&[GuestFile], &[ModuleFile]),
    target: &Path,
) -> Result<(), InitramfsError> {
    let file = File::create(target).map_err(InitramfsError::at(target))?;
    let mut archive = Archive { out: BufWriter::new(file), folders: BTreeSet::new(), inode: 0 };
    for folder in FOLDERS {
        archive.folder(Path::new(folder)).map_err(InitramfsError::at(target))?;
    }
    archive.folder(inside(MODULES_DIR)).map_err(InitramfsError::at(target))?;
    archive.add(guest, inside(INIT_PATH), 0o755).map_err(InitramfsError::at(target))?;
    for file in files {
        archive.add(&file.content, inside(&file.path), 0o755).map_err(InitramfsError::at(target))?;
    }
    for (number, module) in kernel.modules.iter().enumerate() {
        // The guest loads them in name order.
        let name = module.file_name().unwrap_or(OsStr::new("module.ko")).to_string_lossy();
        let place = inside(MODULES_DIR).join(format!("{number:02}-{name}"));
        archive.copy(module, &place, 0o644)?;
    }
    for (number, module) in modules.iter().enumerate() {
        let place = inside(LOADED_MODULES_DIR).join(format!("{number:03}-{}.ko", module.name));
        let content = content(module).map_err(InitramfsError::at(&module.path))?;
        archive.add(&content, &place, 0o644).map_err(InitramfsError::at(&module.path))?;
    }
    if let Some(config) = &kernel.config {
        // libbpf reads kconfig externs from here; no Debian kernel has /proc/config.gz.
        let place = Path::new("boot").join(format!("config-{}", kernel.identity.release));
        archive.copy(config, &place, 0o644)?;
    }
    if let Some(given) = &kernel.given_btf {
        archive.copy(&given.path, inside(GIVEN_BTF), 0o644)?;
    }
    archive.finish().map_err(InitramfsError::at(target))
}

/// The module as a kernel takes it. What was changed since it was looked at is another module.
fn content(module: &ModuleFile) -> io::Result<Vec<u8>> {
    if checksum::of_file(&module.path)? != module.sha256 {
        return Err(io::Error::other("its checksum changed"));
    }
    module.unpacked()
}

fn inside(path: &str) -> &Path {
    Path::new(path.trim_start_matches('/'))
}

struct Archive {
    out: BufWriter<File>,
    folders: BTreeSet<PathBuf>,
    inode: u32,
}

impl Archive {
    fn entry(&mut self, name: &Path, kind: ModeFileType, mode: u32) -> Builder {
        self.inode += 1;
        Builder::new(&name.to_string_lossy()).ino(self.inode).mode(mode).set_mode_file_type(kind)
    }

    /// Adds a directory and those above it, once.
    fn folder(&mut self, path: &Path) -> io::Result<()> {
        for folder in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
            if !folder.as_os_str().is_empty() && self.folders.insert(folder.to_owned()) {
                self.entry(folder, ModeFileType::Directory, 0o755).write(&mut self.out, 0).finish()?;
            }
        }
        Ok(())
    }

    fn copy(&mut self, from: &Path, name: &Path, mode: u32) -> Result<(), InitramfsError> {
        let content = fs::read(from).map_err(InitramfsError::at(from))?;
        self.add(&content, name, mode).map_err(InitramfsError::at(from))
    }

    fn add(&mut self, content: &[u8], name: &Path, mode: u32) -> io::Result<()> {
        let size = u32::try_from(content.len()).map_err(|_| io::Error::other("is larger than 4 GiB"))?;
        self.folder(name.parent().unwrap_or(Path::new("")))?;
        let mut entry = self.entry(name, ModeFileType::Regular, mode).write(&mut self.out, size);
        entry.write_all(content)?;
        entry.finish().map(drop)
    }

    fn finish(self) -> io::Result<()> {
        trailer(self.out)?.into_inner().map_err(|error| error.into_error())?.sync_data()
    }
}
