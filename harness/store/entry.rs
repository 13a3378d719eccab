//! [`Entry`]: one kernel in the store, and [`Staging`]: the temporary directory in which it is made.
//!
//! An entry appears under its name by one rename, so it is whole or not there. A run that is killed leaves a staging
//! directory behind, which is locked as long as its owner lives; the next run removes those that are not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::error::{IoContext, StoreError};
use super::file_lock::Locks;
use super::image::{Image, ImageError, unified};
use super::kmod::{self, ModuleTree};
use super::verified::Verified;
use super::{StoredKernel, module_files, modules};
use crate::checksum;
use crate::record::KernelIdentity;
use crate::timestamp;

/// The file that describes an entry.
const DESCRIPTION: &str = "entry.json";

/// Raised when what corematrix makes of an image changes, so that old entries are made again.
const FORMAT: u32 = 1;

/// The end of an entry's name: its key, and its format, so that the entries of two versions of corematrix stand side by side.
pub(crate) fn mark(key: &str) -> String {
    mark_of_format(key, FORMAT)
}

/// The first format had no mark of its own.
fn mark_of_format(key: &str, format: u32) -> String {
    let key = key.get(..12).unwrap_or(key);
    if format == 1 { key.to_owned() } else { format!("{key}.{format}") }
}

/// What an entry notes of a kernel without BTF.
pub(crate) const NO_BTF: &str =
    "the kernel has no BTF: every object with CO-RE relocations fails unless `btf` in the manifest names some";

/// The largest image that is read: a vmlinux with all its debug information may have a gigabyte.
const IMAGE_LIMIT: u64 = 4 << 30;

/// What a source delivered for one kernel, before the store has looked at it.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// Such as ``kernel `5.10` ``, for messages.
    pub what: String,
    /// Where it came from, in words.
    pub source: String,
    /// A bzImage or vmlinux.
    pub image: PathBuf,
    /// The kernel's config.
    pub config: Option<PathBuf>,
    /// A `lib/modules/RELEASE` directory, as far as it is needed.
    pub modules: Option<PathBuf>,
    /// What is missing in the package and what that costs.
    pub notes: Vec<String>,
}

/// The description of an entry. Paths are relative to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    format: u32,
    source: String,
    pub identity: KernelIdentity,
    boot_image: String,
    config: Option<String>,
    modules: Vec<String>,
    btf: Option<String>,
    /// Of entries made before this was kept: none.
    #[serde(default)]
    module_btf: Option<String>,
    /// Likewise.
    #[serde(default)]
    module_symbols: Option<String>,
    notes: Vec<String>,
    files: BTreeMap<String, Mark>,
    /// The GNU build id of the kernel, in hex.
    #[serde(default)]
    build_id: Option<String>,
    /// When the entry was made, RFC 3339 in UTC.
    #[serde(default)]
    fetched: Option<String>,
}

/// How a file of an entry is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    size: u64,
    sha256: String,
}

impl Entry {
    /// Makes the entry in `folder`, which exists and is empty.
    pub fn make(delivery: Delivery, folder: &Path) -> Result<Entry, StoreError> {
        let corrupt =
            |file: &str, reason: String| StoreError::Corrupt { what: format!("{}: {file}", delivery.what), reason };
        let size = fs::metadata(&delivery.image).during("read", &delivery.image)?.len();
        if size > IMAGE_LIMIT {
            return Err(corrupt("image", format!("it has {size} bytes, too many for a kernel")));
        }
        let mut bytes = fs::read(&delivery.image).during("read", &delivery.image)?;
        if let Some(kernel) = unified::linux_of(&bytes) {
            bytes = kernel.to_vec();
        }
        let image = Image::parse(&bytes).map_err(|error| match error {
            ImageError::OtherMachine(machine) => StoreError::OtherMachine { what: delivery.what.clone(), machine },
            error => corrupt("image", error.to_string()),
        })?;
        let mut made = Files { folder, marks: BTreeMap::new() };
        let image_sha256 = made.write("image", &bytes)?;
        let boot_image = match &image.vmlinux {
            Some(vmlinux) if image.pvh && **vmlinux != bytes[..] => {
                made.write("vmlinux", vmlinux)?;
                "vmlinux"
            }
            _ => "image",
        };
        let btf_sha256 = image.btf.as_deref().map(|btf| made.write("btf", btf)).transpose()?;
        let config = match &delivery.config {
            Some(config) => Some(fs::read(config).during("read", config)?),
            None => image.config.clone(),
        };
        let config_sha256 = config.as_deref().map(|config| made.write("config", config)).transpose()?;

        let mut notes = delivery.notes.clone();
        notes.extend(image.note.clone());
        if image.vmlinux.is_some() && btf_sha256.is_none() {
            notes.push(NO_BTF.to_owned());
        }
        if config.is_none() {
            notes.push("no kernel config: objects with kconfig externs cannot be judged".to_owned());
        }
        let config_file = config.is_some().then(|| folder.join("config"));
        let tree = ModuleTree::read(delivery.modules.as_deref(), config_file.as_deref())
            .during("read", delivery.modules.as_deref().unwrap_or(&delivery.image))?;
        let selection = kmod::select(&tree).map_err(|(name, reason)| corrupt(&format!("module `{name}`"), reason))?;
        if !selection.missing.is_empty() {
            let names = selection.missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            notes.push(if tree.knows_builtin {
                format!("{names} neither built in nor a module here: the guest uses the slow serial port")
            } else {
                format!("cannot determine whether {names} are built in; assuming so")
            });
        }
        let packed =
            modules::pack(&tree).during("read the modules in", delivery.modules.as_deref().unwrap_or(folder))?;
        for (name, bytes) in [(modules::TYPES, &packed.types), (modules::FUNCTIONS, &packed.functions)] {
            if let Some(bytes) = bytes {
                made.write(name, bytes)?;
            }
        }
        if tree.files().next().is_some() {
            let kept = folder.join(module_files::FOLDER);
            module_files::keep(&tree, &kept).during("write", &kept)?;
        }
        let mut loaded = Vec::new();
        for (at, module) in selection.modules.iter().enumerate() {
            let name = format!("modules/{at:02}-{}.ko", module.name);
            made.write(&name, &module.bytes)?;
            loaded.push(name);
        }
        let identity = KernelIdentity {
            release: image.release.clone(),
            image_sha256,
            config_sha256,
            btf_sha256,
            given_btf_sha256: None,
        };
        let entry = Entry {
            format: FORMAT,
            source: delivery.source,
            boot_image: boot_image.to_owned(),
            config: identity.config_sha256.is_some().then(|| "config".to_owned()),
            btf: identity.btf_sha256.is_some().then(|| "btf".to_owned()),
            module_btf: packed.types.map(|_| modules::TYPES.to_owned()),
            module_symbols: packed.functions.map(|_| modules::FUNCTIONS.to_owned()),
            identity,
            modules: loaded,
            notes,
            files: made.marks,
            build_id: image.build_id.clone(),
            fetched: Some(timestamp::now()),
        };
        let path = folder.join(DESCRIPTION);
        let json = serde_json::to_vec_pretty(&entry).map_err(io::Error::from).during("write", &path)?;
        fs::write(&path, json).during("write", &path)?;
        Ok(entry)
    }

    /// Reads the entry in `folder`; `None` if there is none, or if it is damaged or of another format. `thorough`
    /// compares checksums too, not only sizes, unless they were compared before and no file was touched since.
    pub fn read(folder: &Path, thorough: bool) -> Option<Entry> {
        let entry: Entry = serde_json::from_slice(&fs::read(folder.join(DESCRIPTION)).ok()?).ok()?;
        let all = |is_sound: &dyn Fn(&Path, &Mark) -> bool| {
            entry.files.iter().all(|(name, mark)| is_sound(&folder.join(name), mark))
        };
        let sizes = |path: &Path, mark: &Mark| fs::metadata(path).is_ok_and(|found| found.len() == mark.size);
        if entry.format != FORMAT || !all(&sizes) {
            return None;
        }
        if thorough {
            let files = Verified::now(folder, entry.files.keys());
            if !files.as_ref().is_some_and(|files| files.is_remembered(folder)) {
                let equal =
                    |path: &Path, mark: &Mark| checksum::of_file(path).is_ok_and(|sha256| sha256 == mark.sha256);
                if !all(&equal) {
                    return None;
                }
                files.iter().for_each(|files| files.remember(folder));
            }
        }
        Some(entry)
    }

    /// Files whose checksum is not what it was, by name.
    pub fn damaged(&self, folder: &Path) -> Vec<String> {
        let sound = |(name, mark): &(&String, &Mark)| {
            checksum::of_file(&folder.join(name)).is_ok_and(|sha256| sha256 == mark.sha256)
        };
        self.files.iter().filter(|file| !sound(file)).map(|(name, _)| name.clone()).collect()
    }

    /// The kernel's name in the name of its directory, `NAME-RELEASE-KEY`.
    pub fn name_in(&self, folder: &str) -> Option<String> {
        let (rest, _key) = folder.rsplit_once('-')?;
        Some(rest.strip_suffix(&self.identity.release)?.strip_suffix('-')?.to_owned())
    }

    /// The kernel as callers see it.
    pub fn kernel(self, folder: &Path, mut notes: Vec<String>) -> StoredKernel {
        notes.extend(self.notes);
        StoredKernel {
            identity: self.identity,
            source: self.source,
            boot_image: folder.join(self.boot_image),
            config: self.config.map(|name| folder.join(name)),
            modules: self.modules.iter().map(|name| folder.join(name)).collect(),
            btf: self.btf.map(|name| folder.join(name)),
            given_btf: None,
            module_btf: self.module_btf.map(|name| folder.join(name)),
            module_symbols: self.module_symbols.map(|name| folder.join(name)),
            notes,
            build_id: self.build_id,
            fetched: self.fetched,
        }
        .with_learned(folder)
    }
}

/// Writes the files of an entry and remembers their marks.
struct Files<'a> {
    folder: &'a Path,
    marks: BTreeMap<String, Mark>,
}

impl Files<'_> {
    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<String, StoreError> {
        let path = self.folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).during("create", parent)?;
        }
        fs::write(&path, bytes).during("write", &path)?;
        let sha256 = checksum::of_bytes(bytes);
        self.marks.insert(name.to_owned(), Mark { size: bytes.len() as u64, sha256: sha256.clone() });
        Ok(sha256)
    }
}

/// A temporary directory in the store: `work` for downloads, `entry` for what is going to be published.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: TempDir,
    /// Held locked as long as this run lives.
    _owner: File,
}

impl Staging {
    /// Makes a directory below the store's `tmp`.
    pub fn new(locks: &Locks) -> Result<Staging, StoreError> {
        let tmp = locks.root().join("tmp");
        // Between the making of a directory and its lock, a sweeper would take it for a dead run's.
        let _guard = locks.take("tmp", &mut || {})?;
        let folder = TempDir::new_in(&tmp).during("create a directory in", &tmp)?;
        let owner = File::open(folder.path()).during("open", folder.path())?;
        flock(&owner, FlockOperation::NonBlockingLockExclusive).map_err(Into::into).during("lock", folder.path())?;
        for part in ["work", "entry"] {
            let path = folder.path().join(part);
            fs::create_dir(&path).during("create", &path)?;
        }
        Ok(Staging { folder, _owner: owner })
    }

    /// Where to download and unpack.
    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// What [`publish`](Self::publish) moves into the store.
    pub fn entry(&self) -> PathBuf {
        self.folder.path().join("entry")
    }

    /// Moves the entry to its place; a damaged one that stands there is removed first.
    pub fn publish(self, target: &Path) -> Result<(), StoreError> {
        if target.exists() {
            // Moved, not deleted in place: another run may just be reading it, and half an entry must never be seen.
            let old = self.folder.path().join("replaced");
            fs::rename(target, &old).during("replace", target)?;
        }
        fs::rename(self.entry(), target).during("create", target)
    }
}

/// Removes what killed runs have left in the store's `tmp`.
pub(crate) fn sweep(locks: &Locks) -> Result<(), StoreError> {
    let tmp = locks.root().join("tmp");
    let _guard = locks.take("tmp", &mut || {})?;
    for left in fs::read_dir(&tmp).during("read", &tmp)? {
        let path = left.during("read", &tmp)?.path();
        let free =
            File::open(&path).is_ok_and(|folder| flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok());
        if free {
            // What cannot be removed now is left for the next run.
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}
