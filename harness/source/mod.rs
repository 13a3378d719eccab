//! Where kernels come from: [`Store::kernel`] and all else of a [`Store`] that fetches something.
//!
//! Each source of `kernels.toml` is one module, called as the manifest calls it: `apt`, `path`, `tree`, `vng_build`, `host`, `disk`,
//! `package_files`, `oci`, `mainline`. A source delivers an image, its config and modules; the store makes of these what a guest boots
//! from. `archive` unpacks what they come in, `download` fetches, `lock_file` remembers what exactly was fetched.

mod apt;
mod archive;
mod available_kernels;
mod disk;
mod download;
mod file_systems;
mod given_btf;
mod host;
mod kernel_files;
mod lock_file;
mod mainline;
mod modules;
mod oci;
mod package_files;
mod path;
mod request;
mod tree;
mod unreachable;
mod vng_build;

use std::fs::File;
use std::path::PathBuf;

pub use self::available_kernels::AvailableKernel;
pub use self::file_systems::FileSystems;
pub use self::lock_file::{LockFile, LockedKernel, LockedPackage, WhenGone};

use self::apt::tool_package;
use self::request::Request;
use crate::manifest::KernelSpec;
use crate::store::{Store, StoreError, StoredKernel};

impl Store {
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
        let _guard = self.lock_kernel(&spec.name, step)?;
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

    /// Takes the lock of a kernel, which another run may hold that fetches it, or something of it.
    fn lock_kernel(&self, name: &str, step: &dyn Fn(String)) -> Result<File, StoreError> {
        let mut waiting = || step("waiting for another run that fetches the same kernel".to_owned());
        self.locks.take(&format!("kernel-{name}"), &mut waiting)
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
        tool_package::folder(self, package, suites, lock, offline, step)
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
