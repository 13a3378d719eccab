//! [`Store`]: a cache directory with every kernel that was ever fetched, ready to boot.
//!
//! ```text
//! kernels/NAME-RELEASE-KEY/   one kernel each, whole or not there
//! packages/NAME_VERSION-SHA/  unpacked packages of tools
//! unpacked/SHA256-FORMAT/     the files with objects of an image or an archive
//! tags/IMAGE                  the digest that an image's tag had last
//! snapshots/NAME-GUEST-ID/    guests that have said hello
//! cells/KEY                   what runs observed of single cells
//! hopeless/KEY                which of them are not worth another try
//! apt/SUITE/                  private state of apt
//! repositories/ID/            the index of a repository of packages, and its keys
//! tuf/ID/                     what is trusted of a TUF repository
//! downloads/SHA256            files that were not fetched to their end yet
//! builds/NAME/                kernels that are built here
//! unreachable/PLACE           what could not be reached a short while ago
//! tmp/, locks/                what runs are working on, and who may
//! ```
//!
//! Runs and threads may share a store. Where kernels come from is known in `source` alone, which delivers an image, its config and
//! modules; `entry` makes of these what a guest boots from.

mod contents;
pub(crate) mod entry;
pub(crate) mod error;
mod failed_snapshots;
mod feature_probes;
pub(crate) mod file_lock;
pub(crate) mod given_btf;
pub(crate) mod image;
mod kept_cells;
pub(crate) mod kmod;
mod module_btf;
pub(crate) mod module_files;
mod module_functions;
pub(crate) mod module_index;
mod module_info;
pub(crate) mod module_lookup;
mod module_names;
pub(crate) mod modules;
mod programs;
pub(crate) mod proof_of_boot;
mod snapshot_key;
mod snapshots;
mod sparse;
mod verified;
pub(crate) mod version;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use etcetera::BaseStrategy;

pub use self::contents::{FolderKind, StoredFolder};
pub use self::error::StoreError;
pub use self::given_btf::GivenBtf;
pub use self::kept_cells::{CELLS_BUDGET, Kept, KeptCell};
pub use self::module_files::{ModuleFile, ModuleFiles, ResolvedModules};
pub use self::module_index::ModuleIndex;
pub use self::module_info::ModuleInfo;
pub use self::module_lookup::FoundInModules;
pub use self::modules::types_of_module;
pub use self::proof_of_boot::ProofOfBoot;
pub use self::snapshot_key::SnapshotKey;
pub use self::snapshots::{Shelf, Snapshot, SnapshotLookup, SnapshotPlace, StoredSnapshot};
pub use self::sparse::Seal;

use self::entry::{Delivery, Entry, Staging};
use self::error::IoContext;
use self::file_lock::Locks;
use self::module_names::ModuleNames;
pub(crate) use self::programs::Programs;
use crate::checksum;
use crate::file_name::file_name;
use crate::record::KernelIdentity;

/// What was begun to be downloaded, by SHA-256, so that the next run can go on with it.
const DOWNLOADS: &str = "downloads";
/// The state of the BTF of a kernel that has none.
pub const NO_BTF_GIVEN: &str = "none";

/// Files with objects, out of images and archives.
pub(crate) const UNPACKED: &str = "unpacked";
/// The file that says out of which.
pub(crate) const UNPACKED_FROM: &str = "from";
/// Indexes of the types of kernels, and types that were unpacked, so that they are read quickly the next time.
pub(crate) const TYPES: &str = "types";
/// What tags of images meant last.
pub(crate) const TAGS: &str = "tags";

/// Indexes of repositories of packages, and the keys that they were verified with.
pub(crate) const REPOSITORIES: &str = "repositories";

/// What is trusted of TUF repositories, so that none of them goes back.
pub(crate) const TUF: &str = "tuf";

/// What could not be reached a short while ago.
pub(crate) const UNREACHABLE: &str = "unreachable";

/// Where kernels are built, by name, so that the next build has less to do.
const BUILDS: &str = "builds";

/// A kernel in the store, ready to boot. All paths are inside its store entry and stay valid while the value lives.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredKernel {
    /// What it is.
    pub identity: KernelIdentity,
    /// Where it came from, in words.
    pub source: String,
    /// The image to give to QEMU: the uncompressed ELF if it has a PVH note, the bzImage otherwise.
    pub boot_image: PathBuf,
    /// The kernel's config, if the source ships one.
    pub config: Option<PathBuf>,
    /// Uncompressed modules that the guest has to load for its data channel, in load order.
    pub modules: Vec<PathBuf>,
    /// Raw BTF of vmlinux, read from the image; `None` if the kernel has none.
    pub btf: Option<PathBuf>,
    /// The BTF of its modules, see [`StoredKernel::module_types`]; `None` if the source had no modules with BTF.
    pub module_btf: Option<PathBuf>,
    /// The functions of its modules that have no BTF, see [`StoredKernel::module_functions`]; `None` if there are none, or the source had
    /// no modules.
    pub module_symbols: Option<PathBuf>,
    /// What relocations take instead of the kernel's own BTF, if the user gave something.
    pub given_btf: Option<GivenBtf>,
    /// What is missing in this package and what that costs.
    pub notes: Vec<String>,
    /// The GNU build id of the image in hex, if it has one.
    pub build_id: Option<String>,
    /// When the store made the entry, RFC 3339 in UTC; `None` for one made before corematrix remembered that.
    pub fetched: Option<String>,
}

impl StoredKernel {
    /// The raw BTF that objects are relocated with: what was given, or the kernel's own.
    pub fn types(&self) -> Option<&Path> {
        self.given_btf.as_ref().map(|given| &given.path).or(self.btf.as_ref()).map(PathBuf::as_path)
    }

    /// The state of its BTF in words: its own, given, or none and none given.
    pub fn btf_state(&self) -> &'static str {
        match (&self.given_btf, &self.btf) {
            (Some(_), _) => "given",
            (None, Some(_)) => "its own",
            (None, None) => NO_BTF_GIVEN,
        }
    }
}

/// A cache directory of kernels, to be shared by all threads of a run.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    pub(crate) locks: Locks,
    /// What sources run.
    pub(crate) programs: Programs,
    /// Suites whose lists were updated since this process started; once is enough, for any reason.
    pub(crate) updated_suites: Mutex<HashSet<String>>,
    /// Entries whose checksums were compared since this process started; later uses compare sizes only.
    verified: Mutex<HashSet<PathBuf>>,
    /// What all modules of all kernels have, read when it is first asked for.
    module_names: OnceLock<ModuleNames>,
}

impl Store {
    /// Opens the store at `root`, else at `$COREMATRIX_STORE`, else in the user's cache directory, and clears what
    /// killed runs have left there.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the directory cannot be made or written.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        Store::open_with(root, Programs::default())
    }

    /// `corematrix` in the user's cache directory.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the user has no home directory.
    pub fn default_folder() -> Result<PathBuf, StoreError> {
        // Without the variable, users are looked up by libraries that an executable without an interpreter cannot load.
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
        let base = home
            .ok_or_else(|| std::io::Error::other("`HOME` is not set"))
            .and_then(|_| etcetera::choose_base_strategy().map_err(std::io::Error::other))
            .during("find the cache directory of the user for", Path::new("corematrix"))?;
        Ok(base.cache_dir().join("corematrix"))
    }

    /// Sets the `vng` executable that downloads mainline kernels.
    pub fn download_with(&mut self, virtme_ng: PathBuf) {
        self.programs.virtme_ng = Some(virtme_ng);
    }

    /// Sets the Pythons that may have python-tuf, besides the one on the PATH; most preferred first.
    pub fn look_up_with(&mut self, mut pythons: Vec<PathBuf>) {
        pythons.push("python3".into());
        self.programs.pythons = pythons;
    }

    /// Says how to find out that the user wants to stop: waiting for another process ends then. Only the first one counts.
    pub fn stop_when(&self, stopped: impl Fn() -> bool + Send + Sync + 'static) {
        self.locks.stop_when(Box::new(stopped));
    }

    pub(crate) fn open_with(root: &Path, programs: Programs) -> Result<Store, StoreError> {
        let ours = [
            "kernels",
            "packages",
            UNPACKED,
            TAGS,
            snapshots::FOLDER,
            "apt",
            REPOSITORIES,
            TUF,
            DOWNLOADS,
            BUILDS,
            UNREACHABLE,
        ];
        for folder in ours.into_iter().chain(["tmp", "locks"]) {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).during("create", &folder)?;
        }
        // apt and virtme-ng work in other directories, so everything below has to be absolute.
        let root = root.canonicalize().during("open", root)?;
        let locks = Locks::new(&root);
        entry::sweep(&locks)?;
        Ok(Store {
            root,
            locks,
            programs,
            updated_suites: Mutex::default(),
            verified: Mutex::default(),
            module_names: OnceLock::new(),
        })
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The raw BTF of a kernel, or given to one, by its SHA-256 in hex, if the store has it. Nothing is fetched, and nothing is waited for.
    pub fn btf(&self, sha256: &str) -> Option<Vec<u8>> {
        // It may come from a report of anyone's, and becomes part of a path.
        if sha256.is_empty() || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let entries = fs::read_dir(self.root.join("kernels")).ok()?.flatten();
        let mut raw = entries.filter_map(|entry| {
            let folder = entry.path();
            if let Ok(given) = fs::read(folder.join(given_btf::file_name(sha256))) {
                return Some(given);
            }
            let kernel = Entry::read(&folder, false)?;
            let wanted = kernel.identity.btf_sha256.as_deref() == Some(sha256);
            fs::read(wanted.then(|| kernel.kernel(&folder, Vec::new()))?.btf?).ok()
        });
        raw.find(|raw| checksum::of_bytes(raw) == sha256)
    }

    /// The kernels that the store has: the name of each, and what it is. Nothing is fetched or compared with its checksum.
    pub fn kernels(&self) -> Vec<(String, StoredKernel)> {
        let Ok(entries) = fs::read_dir(self.root.join("kernels")) else { return Vec::new() };
        let kernel = |entry: fs::DirEntry| {
            let folder = entry.path();
            let kernel = Entry::read(&folder, false)?;
            let name = kernel.name_in(folder.file_name()?.to_str()?)?;
            Some((name, kernel.kernel(&folder, Vec::new())))
        };
        let mut kernels: Vec<_> = entries.flatten().filter_map(kernel).collect();
        kernels.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.identity.release.cmp(&b.1.identity.release)));
        kernels
    }

    pub(crate) fn downloads(&self) -> PathBuf {
        self.root.join(DOWNLOADS)
    }

    pub(crate) fn build_folders(&self) -> PathBuf {
        self.root.join(BUILDS)
    }

    pub(crate) fn virtme_ng(&self) -> Option<&Path> {
        self.programs.virtme_ng.as_deref()
    }

    /// The sound entry with this key; a damaged one counts as absent. The caller holds the kernel's lock.
    pub(crate) fn stored(&self, name: &str, key: &str, notes: Vec<String>) -> Option<StoredKernel> {
        let (start, end) = (format!("{}-", file_name(name)), format!("-{}", entry::mark(key)));
        let entries = fs::read_dir(self.root.join("kernels")).ok()?.flatten();
        let folder = entries.map(|entry| entry.path()).find(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&start) && name.ends_with(&end))
        })?;
        let verified = || self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let thorough = !verified().contains(&folder);
        let entry = Entry::read(&folder, thorough)?;
        verified().insert(folder.clone());
        Some(entry.kernel(&folder, notes))
    }

    /// Makes an entry of what a source delivered; `accept` may refuse it before it appears in the store.
    pub(crate) fn make(
        &self,
        name: &str,
        key: &str,
        delivery: Delivery,
        staging: Staging,
        notes: Vec<String>,
        accept: &dyn Fn(&Entry) -> Result<(), StoreError>,
    ) -> Result<StoredKernel, StoreError> {
        let entry = Entry::make(delivery, &staging.entry())?;
        let folder = format!("{}-{}-{}", file_name(name), entry.identity.release, entry::mark(key));
        let target = self.root.join("kernels").join(folder);
        accept(&entry)?;
        staging.publish(&target)?;
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).insert(target.clone());
        Ok(entry.kernel(&target, notes))
    }
}
