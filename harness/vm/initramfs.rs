//! [`write()`]: the guest's file system: this executable with the libraries it runs on, the modules, and the kernel's config.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use cpio::newc::{Builder, ModeFileType, trailer};

use crate::guest::{GIVEN_BTF, INIT_PATH, MODULES_DIR};
use crate::store::StoredKernel;

/// Folders that the guest mounts things on, or that programs expect.
const FOLDERS: [&str; 9] = ["dev", "proc", "sys", "tmp", "run", "root", "boot", "etc", "corematrix"];

/// Where libbpf looks for the libraries of Debian and its like, which mappings show where they really are.
const LIBRARIES: (&str, &str) = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu");

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

/// Writes the initramfs of `kernel` to `target`.
pub fn write(kernel: &StoredKernel, target: &Path) -> Result<(), InitramfsError> {
    let file = File::create(target).map_err(InitramfsError::at(target))?;
    let mut archive = Archive { out: BufWriter::new(file), folders: BTreeSet::new(), inode: 0 };
    for folder in FOLDERS {
        archive.folder(Path::new(folder)).map_err(InitramfsError::at(target))?;
    }
    archive.folder(inside(MODULES_DIR)).map_err(InitramfsError::at(target))?;
    let executable = Path::new("/proc/self/exe");
    archive.copy(executable, inside(INIT_PATH), 0o755)?;
    for library in mapped_libraries().map_err(InitramfsError::at(Path::new("/proc/self/maps")))? {
        archive.copy(&library, inside_path(&library), 0o755)?;
    }
    archive.libraries_as_libbpf_looks().map_err(InitramfsError::at(target))?;
    for (number, module) in kernel.modules.iter().enumerate() {
        // The guest loads them in name order.
        let name = module.file_name().unwrap_or(OsStr::new("module.ko")).to_string_lossy();
        let place = inside(MODULES_DIR).join(format!("{number:02}-{name}"));
        archive.copy(module, &place, 0o644)?;
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

/// The shared libraries and the dynamic linker this process runs on: exactly what the guest needs, without guessing.
pub fn mapped_libraries() -> io::Result<BTreeSet<PathBuf>> {
    let own = fs::read_link("/proc/self/exe")?;
    let maps = fs::read("/proc/self/maps")?;
    let mut libraries = BTreeSet::new();
    for line in maps.split(|byte| *byte == b'\n') {
        let Some(at) = line.iter().position(|byte| *byte == b'/') else { continue };
        let path = PathBuf::from(OsStr::from_bytes(&line[at..]));
        // Other mapped files, such as locale archives, are no code.
        if path != own && is_elf(&path) {
            libraries.insert(path);
        }
    }
    Ok(with_aliases(libraries))
}

/// The linker looks libraries up by the names they were linked with; mappings show the files behind the links.
fn with_aliases(libraries: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let mut all = libraries.clone();
    for library in &libraries {
        let siblings = library.parent().and_then(|folder| fs::read_dir(folder).ok());
        for entry in siblings.into_iter().flatten().flatten() {
            let link = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_symlink())
                && fs::canonicalize(&link).is_ok_and(|file| &file == library)
                && entry.file_name().as_bytes().windows(4).any(|part| part == b".so.")
            {
                all.insert(link);
            }
        }
    }
    // Every dynamic executable names its linker by this path.
    let linker = Path::new("/lib64/ld-linux-x86-64.so.2");
    if linker.exists() {
        all.insert(linker.to_owned());
    }
    all
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| io::Read::read_exact(&mut file, &mut magic)).is_ok() && magic == *b"\x7fELF"
}

fn inside(path: &str) -> &Path {
    Path::new(path.trim_start_matches('/'))
}

fn inside_path(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
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

    /// Adds a folder and those above it, once.
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
        let size = u32::try_from(content.len()).map_err(|_| io::Error::other("is larger than 4 GiB"));
        let size = size.map_err(InitramfsError::at(from))?;
        let mut add = || {
            self.folder(name.parent().unwrap_or(Path::new("")))?;
            let mut entry = self.entry(name, ModeFileType::Regular, mode).write(&mut self.out, size);
            entry.write_all(&content)?;
            entry.finish().map(drop)
        };
        add().map_err(InitramfsError::at(from))
    }

    /// Links the folder in which libbpf looks for a library that a probe names without its path.
    fn libraries_as_libbpf_looks(&mut self) -> io::Result<()> {
        let (link, folder) = (Path::new(LIBRARIES.0), Path::new(LIBRARIES.1));
        if self.folders.contains(link) || !self.folders.contains(folder) {
            return Ok(());
        }
        self.folder(link.parent().unwrap_or(Path::new("")))?;
        let to = format!("/{}", LIBRARIES.1);
        let size = u32::try_from(to.len()).unwrap_or_default();
        let mut entry = self.entry(link, ModeFileType::Symlink, 0o777).write(&mut self.out, size);
        entry.write_all(to.as_bytes())?;
        entry.finish().map(drop)
    }

    fn finish(self) -> io::Result<()> {
        trailer(self.out)?.into_inner().map_err(|error| error.into_error())?.sync_data()
    }
}
