//! Where kernels, and objects of others, come from: [`Store::kernel`] and all else of a [`Store`] that fetches something.
//!
//! Each source of `kernels.toml` is one module, called as the manifest calls it: `apt`, `repository` (for `rpm`, `apk` and `pacman`), `path`,
//! `tree`, `vng_build`, `host`, `disk`, `package_files`, `oci`, `mainline`. A source delivers an image, its config and modules; the store makes of these what a guest boots
//! from. `unpacked` has the objects out of images and archives. `archive` unpacks what they come in, `download` fetches, `lock_file`
//! remembers what exactly was fetched.

mod apt;
mod archive;
mod available_kernels;
mod btf_files;
mod btf_server;
mod checksum_list;
mod disk;
mod distribution;
mod download;
mod file_systems;
mod given_btf;
mod host;
mod kernel_files;
mod lock_file;
mod mainline;
mod mapped;
mod modules;
mod oci;
mod package_files;
mod path;
mod repository;
mod request;
mod served_btf;
mod tree;
mod tuf;
mod types_only;
mod unpacked;
mod unreachable;
mod vng_build;

use std::fs::File;
use std::path::{Path, PathBuf};

pub use self::available_kernels::AvailableKernel;
pub use self::btf_files::{BtfFile, BtfFileError, age};
pub use self::file_systems::FileSystems;
pub use self::lock_file::{LockFile, LockedKernel, LockedPackage, WhenGone};
pub use self::modules::NoModuleFiles;
pub(crate) use self::oci::layout::MARK as LAYOUT_MARK;
pub use self::types_only::TypesOnly;
pub(crate) use self::unpacked::SCHEME;
pub use self::unpacked::{Unpacked, unpacked_file};

use self::apt::tool_package;
use self::request::Request;
use crate::manifest::{BtfArchive, ImageReference, KernelSpec};
use crate::store::{Store, StoreError, StoredKernel};

impl Store {
    /// Gives the kernel that `lock` pins for `spec`; fetches it if the store does not have it, and pins it if nothing
    /// is pinned.
    ///
    /// Nothing touches the network when the kernel is pinned and stored. `step` gets what takes time, such as
    /// "downloading linux-image-6.1.0-50-cloud-amd64". Threads may call this at once, for the same kernel too.
    ///
    /// # Errors
    /// See [`StoreError`]; [`StoreError::is_unavailable`] distinguishes an unavailable kernel from other failures.
    pub fn kernel(
        &self,
        spec: &KernelSpec,
        lock: &LockFile,
        offline: bool,
        step: &dyn Fn(String),
    ) -> Result<StoredKernel, StoreError> {
        self.fetch(spec, lock, (offline, false), step)
    }

    /// Fetches and pins the newest kernel that `spec` may mean, regardless of what is pinned now. Archives of packages and the tags of
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
        if spec.builds.is_some() {
            return Err(self.unknown_builds(spec, lock, offline, step));
        }
        let _guard = self.lock_kernel(&spec.name, step)?;
        lock.reload()?;
        let what = format!("kernel `{}`", spec.name);
        let request =
            Request { store: self, name: &spec.name, what: what.clone(), lock, offline, fresh, archive: None, step };
        let pinned = lock.kernel(&spec.name);
        let mut kernel = request.kernel(spec)?;
        match (&spec.btf, &spec.btf_archive) {
            (Some(btf), _) => given_btf::give(&mut kernel, &what, btf)?,
            (None, Some(BtfArchive::Folder(archive))) if kernel.btf.is_none() => {
                given_btf::give_missing(&mut kernel, &what, archive)?;
            }
            (None, Some(BtfArchive::Server(base))) if kernel.btf.is_none() => {
                btf_server::give_missing(&request, &mut kernel, base, pinned.as_ref())?;
            }
            (None, _) => {}
        }
        Ok(kernel)
    }

    /// Why the builds of a kernel are not known.
    fn unknown_builds(&self, spec: &KernelSpec, lock: &LockFile, offline: bool, step: &dyn Fn(String)) -> StoreError {
        let what = format!("kernel `{}`", spec.name);
        if offline {
            return StoreError::Offline { what };
        }
        self.builds(spec, lock, false, step).err().unwrap_or_else(|| StoreError::Unavailable {
            what,
            reason: "its builds were unknown when the run started".to_owned(),
            hint: Some("`corematrix kernels pull` fetches and pins them".to_owned()),
        })
    }

    /// Takes the lock of a kernel, which another run may hold that fetches it, or something of it.
    fn lock_kernel(&self, name: &str, step: &dyn Fn(String)) -> Result<File, StoreError> {
        let mut waiting = || step("waiting for another run that is fetching the same kernel".to_owned());
        self.locks.take(&format!("kernel-{name}"), &mut waiting)
    }

    /// Gives the directory with the unpacked files of a Debian package, such as `libbpf-tools`; pinned like a kernel.
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
        tool_package::folder(self, package, suites, lock, offline, step)
    }

    /// The digest that the tag of an image has now, in hex; offline, what it had when it was last asked for.
    ///
    /// # Errors
    /// As [`kernel`](Self::kernel).
    pub fn image_digest(
        &self,
        image: &ImageReference,
        lock: &LockFile,
        offline: bool,
        step: &dyn Fn(String),
    ) -> Result<String, StoreError> {
        unpacked::image_digest(&self.of_objects(image_name(image), lock, offline, step), image)
    }

    /// Gives the files with objects of an OCI image, by its digest in hex.
    ///
    /// # Errors
    /// As [`kernel`](Self::kernel).
    pub fn image(
        &self,
        image: &ImageReference,
        digest: &str,
        lock: &LockFile,
        offline: bool,
        step: &dyn Fn(String),
    ) -> Result<Unpacked, StoreError> {
        unpacked::image(&self.of_objects(image_name(image), lock, offline, step), image, digest)
    }

    /// Gives the files with objects of a tar archive on this machine, packed or not, or of an image in it or in a directory: OCI's layout, or what
    /// `docker save` wrote.
    ///
    /// # Errors
    /// As [`kernel`](Self::kernel).
    pub fn archive(&self, path: &Path, lock: &LockFile, step: &dyn Fn(String)) -> Result<Unpacked, StoreError> {
        unpacked::archive(&self.of_objects(format!("`{}`", path.display()), lock, true, step), path)
    }

    /// Gives the files with objects of a tar archive on a web server, or the object there, by its SHA-256 in hex.
    ///
    /// # Errors
    /// As [`kernel`](Self::kernel).
    pub fn address(
        &self,
        url: &str,
        sha256: &str,
        lock: &LockFile,
        offline: bool,
        step: &dyn Fn(String),
    ) -> Result<Unpacked, StoreError> {
        unpacked::address(&self.of_objects("input".to_owned(), lock, offline, step), url, sha256)
    }

    fn of_objects<'a>(
        &'a self,
        what: String,
        lock: &'a LockFile,
        offline: bool,
        step: &'a dyn Fn(String),
    ) -> Request<'a> {
        Request { store: self, name: "", what, lock, offline, fresh: false, archive: None, step }
    }
}

/// An image for messages.
fn image_name(image: &ImageReference) -> String {
    format!("image `{}/{}`", image.registry, image.repository)
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
