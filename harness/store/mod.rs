//! [`Store`]: a cache folder with every kernel that was ever fetched, ready to boot.
//!
//! ```text
//! kernels/NAME-RELEASE-KEY/   one kernel each, whole or not there
//! packages/NAME_VERSION-SHA/  unpacked packages of tools
//! snapshots/NAME-GUEST-ID/    guests that have said hello
//! hopeless/KEY                which of them are not worth another try
//! apt/SUITE/                  private state of apt
//! downloads/SHA256            files that were not fetched to their end yet
//! builds/NAME/                kernels that are built here
//! unreachable/PLACE           what could not be reached a short while ago
//! tmp/, locks/                what runs are working on, and who may
//! ```
//!
//! Runs and threads may share a store. A source (one file each: `debian`, `local`, `package_file`, `oci`, `mainline`) delivers an image,
//! its config and modules; `entry` makes of these what a guest boots from.

mod apt;
mod bounded;
mod build;
mod build_tree;
mod candidates;
mod checksum;
mod compression;
mod contents;
mod deb;
mod debian;
mod disk;
mod download;
mod entry;
mod error;
mod file_lock;
mod file_systems;
mod given_btf;
mod hopeless;
mod host;
mod image;
mod kernel_build;
mod kmod;
mod local;
mod lockfile;
mod mainline;
mod mirror;
mod module_btf;
mod module_functions;
mod module_names;
mod modules;
mod oci;
mod offers;
mod package;
mod package_file;
mod probes;
mod proof;
mod request;
mod rpm;
mod snapshots;
mod sparse;
mod tarball;
mod tree;
mod unreachable;
mod version;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use etcetera::BaseStrategy;

pub use self::contents::{Kind, StoredFolder};
pub use self::error::StoreError;
pub use self::file_systems::FileSystems;
pub use self::given_btf::GivenBtf;
pub use self::lockfile::{LockFile, LockedKernel, LockedPackage, WhenGone};
pub use self::offers::Offer;
pub use self::proof::ProofOfBoot;
pub use self::snapshots::{Found, Shelf, Snapshot, SnapshotKey, SnapshotPlace, StoredSnapshot};
pub use self::sparse::Seal;

use self::apt::{Apt, AptTools, Lists};
use self::entry::{Delivery, Entry, Staging};
use self::error::IoContext;
use self::file_lock::Locks;
use self::module_names::ModuleNames;
use self::request::Request;
use crate::file_name::file_name;
use crate::manifest::{Archive, KernelSpec};
use crate::record::KernelIdentity;

/// What was begun to be downloaded, by SHA-256, so that the next run can go on with it.
const DOWNLOADS: &str = "downloads";

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
    /// What relocations take in the place of the kernel's own BTF, if the user gave something.
    pub given_btf: Option<GivenBtf>,
    /// What is missing in this package and what that costs.
    pub notes: Vec<String>,
    /// The GNU build id of the image in hex, if it tells one.
    pub build_id: Option<String>,
    /// When the store made the entry, RFC 3339 in UTC; `None` for one made before corematrix remembered that.
    pub fetched: Option<String>,
}

impl StoredKernel {
    /// The raw BTF that objects are relocated with: what was given, or the kernel's own.
    pub fn types(&self) -> Option<&Path> {
        self.given_btf.as_ref().map(|given| &given.path).or(self.btf.as_ref()).map(PathBuf::as_path)
    }
}

/// A cache folder of kernels, to be shared by all threads of a run.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    locks: Locks,
    virtme_ng: Option<PathBuf>,
    apt: Apt,
    /// Entries whose checksums were compared since this process started; later uses compare sizes only.
    verified: Mutex<HashSet<PathBuf>>,
    /// What all modules of all kernels have, read when it is first asked for.
    module_names: OnceLock<ModuleNames>,
}

impl Store {
    /// Opens the store at `root`, else at `$COREMATRIX_STORE`, else in the user's cache folder, and clears what
    /// killed runs have left there.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the folder cannot be made or written.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        Store::open_with(root, None, AptTools::default())
    }

    /// `corematrix` in the user's cache folder.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the user has no home folder.
    pub fn default_folder() -> Result<PathBuf, StoreError> {
        let base = etcetera::choose_base_strategy()
            .map_err(std::io::Error::other)
            .during("find the cache folder of the user for", Path::new("corematrix"))?;
        Ok(base.cache_dir().join("corematrix"))
    }

    /// Sets the `vng` executable that downloads mainline kernels.
    pub fn download_with(&mut self, virtme_ng: PathBuf) {
        self.virtme_ng = Some(virtme_ng);
    }

    /// Says how to find out that the user wants to stop: waiting for another process ends then. Only the first one counts.
    pub fn stop_when(&self, stopped: impl Fn() -> bool + Send + Sync + 'static) {
        self.locks.stop_when(Box::new(stopped));
    }

    fn open_with(root: &Path, virtme_ng: Option<PathBuf>, tools: AptTools) -> Result<Store, StoreError> {
        for folder in
            ["kernels", "packages", snapshots::FOLDER, "apt", DOWNLOADS, BUILDS, unreachable::FOLDER, "tmp", "locks"]
        {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).during("create", &folder)?;
        }
        // apt and virtme-ng work in other folders, so everything below has to be absolute.
        let root = root.canonicalize().during("open", root)?;
        let locks = Locks::new(&root);
        entry::sweep(&locks)?;
        Ok(Store {
            apt: Apt::new(locks.clone(), tools),
            root,
            locks,
            virtme_ng,
            verified: Mutex::default(),
            module_names: OnceLock::new(),
        })
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Gives the kernel that `lock` pins for `spec`; fetches it if the store does not have it, and pins it if nothing
    /// is pinned.
    ///
    /// Nothing touches the network when the kernel is pinned and stored. `step` gets what takes time, such as
    /// "downloading linux-image-6.1.0-50-cloud-amd64". Threads may call this at once, for the same kernel too.
    ///
    /// # Errors
    /// See [`StoreError`]; [`StoreError::is_unavailable`] tells a kernel that cannot be had here from real trouble.
    pub fn kernel(
        &self,
        spec: &KernelSpec,
        lock: &LockFile,
        offline: bool,
        step: &dyn Fn(String),
    ) -> Result<StoredKernel, StoreError> {
        self.fetch(spec, lock, (offline, false), step)
    }

    /// Fetches and pins the newest kernel that `spec` may mean, whatever is pinned now. Debian's archives and the tags of
    /// OCI images move on; other kernels are given as [`kernel`](Self::kernel) gives them.
    ///
    /// # Errors
    /// As [`kernel`](Self::kernel); what is pinned and stored is then as it was.
    pub fn newest_kernel(
        &self,
        spec: &KernelSpec,
        lock: &LockFile,
        step: &dyn Fn(String),
    ) -> Result<StoredKernel, StoreError> {
        self.fetch(spec, lock, (false, true), step)
    }

    /// The version that is pinned and the newest that there is, in the words of the source that is pinned: package versions, or
    /// digests. `None` if what is pinned cannot move on. Nothing is fetched but lists.
    ///
    /// # Errors
    /// As [`kernel`](Self::kernel).
    pub fn newest_version(
        &self,
        spec: &KernelSpec,
        lock: &LockFile,
        step: &dyn Fn(String),
    ) -> Result<Option<(String, String)>, StoreError> {
        let what = format!("kernel `{}`", spec.name);
        Request { store: self, name: &spec.name, what, lock, offline: false, fresh: true, archive: None, step }
            .newest_version(spec)
    }

    fn fetch(
        &self,
        spec: &KernelSpec,
        lock: &LockFile,
        (offline, fresh): (bool, bool),
        step: &dyn Fn(String),
    ) -> Result<StoredKernel, StoreError> {
        let mut waiting = || step("waiting for another run that fetches the same kernel".to_owned());
        let _guard = self.locks.take(&format!("kernel-{}", spec.name), &mut waiting)?;
        lock.reload()?;
        let what = format!("kernel `{}`", spec.name);
        let request =
            Request { store: self, name: &spec.name, what: what.clone(), lock, offline, fresh, archive: None, step };
        let mut kernel = request.kernel(spec)?;
        if let Some(btf) = &spec.btf {
            given_btf::give(&mut kernel, &what, btf)?;
        }
        Ok(kernel)
    }

    /// Gives the folder with the unpacked files of a Debian package, such as `libbpf-tools`; pinned like a kernel.
    ///
    /// # Errors
    /// As [`kernel`](Self::kernel).
    pub fn debian_package(
        &self,
        package: &str,
        suites: &[String],
        lock: &LockFile,
        offline: bool,
        step: &dyn Fn(String),
    ) -> Result<PathBuf, StoreError> {
        package::folder(self, package, suites, lock, offline, step)
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

    fn downloads(&self) -> PathBuf {
        self.root.join(DOWNLOADS)
    }

    fn build_folders(&self) -> PathBuf {
        self.root.join(BUILDS)
    }

    /// What apt knows of an archive, or of the machine's own.
    fn apt<'a>(&'a self, archive: Option<&'a Archive>) -> Lists<'a> {
        self.apt.lists(archive)
    }

    fn virtme_ng(&self) -> Option<&Path> {
        self.virtme_ng.as_deref()
    }

    /// The sound entry with this key; a damaged one counts as absent. The caller holds the kernel's lock.
    fn stored(&self, name: &str, key: &str, notes: Vec<String>) -> Option<StoredKernel> {
        let (start, end) = (format!("{}-", file_name(name)), format!("-{}", key.get(..12)?));
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
    fn make(
        &self,
        name: &str,
        key: &str,
        delivery: Delivery,
        staging: Staging,
        notes: Vec<String>,
        accept: &dyn Fn(&Entry) -> Result<(), StoreError>,
    ) -> Result<StoredKernel, StoreError> {
        let entry = Entry::make(delivery, &staging.entry())?;
        let folder = format!("{}-{}-{}", file_name(name), entry.identity.release, &key[..12]);
        let target = self.root.join("kernels").join(folder);
        accept(&entry)?;
        staging.publish(&target)?;
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).insert(target.clone());
        Ok(entry.kernel(&target, notes))
    }
}

/// Compares what `kernels.lock` says with what was found.
fn expect(what: &str, field: &str, expected: &str, found: &str) -> Result<(), StoreError> {
    if expected == found {
        return Ok(());
    }
    Err(StoreError::Mismatch {
        what: what.to_owned(),
        field: field.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}

#[cfg(test)]
mod tests;
