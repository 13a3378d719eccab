//! [`TypesOnly`]: a kernel of which only the types are known, of a `Source::Btf`.

use std::path::PathBuf;
use std::sync::Arc;

use super::btf_files::BtfFile;
use super::lock_file::LockFile;
use super::request::Request;
use super::served_btf;
use crate::checksum;
use crate::core_relo::TypeTable;
use crate::manifest::{BtfPlace, KernelSpec, Source};
use crate::store::{Store, StoreError};

/// A kernel of which only the types are known.
#[derive(Debug)]
pub struct TypesOnly {
    /// Its release, as far as the file or the manifest says.
    pub release: String,
    /// Where the types come from, in words.
    pub source: String,
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the BTF, in hex.
    pub sha256: String,
    /// The types.
    pub types: Arc<TypeTable>,
}

impl Store {
    /// The types that stand in for `spec` where it cannot be booted: those of its first source that has BTF alone; `None` if the manifest
    /// names no such source.
    ///
    /// # Errors
    /// As [`Store::kernel`].
    pub fn types_only(
        &self,
        spec: &KernelSpec,
        lock: &LockFile,
        offline: bool,
        step: &dyn Fn(String),
    ) -> Result<Option<TypesOnly>, StoreError> {
        let mut failure = None;
        for source in spec.sources() {
            let Source::Btf { place, release } = source else { continue };
            match self.types_at(spec, (place, release.as_deref()), lock, offline, step) {
                Ok(found) => return Ok(Some(found)),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    fn types_at(
        &self,
        spec: &KernelSpec,
        (place, release): (&BtfPlace, Option<&str>),
        lock: &LockFile,
        offline: bool,
        step: &dyn Fn(String),
    ) -> Result<TypesOnly, StoreError> {
        let what = format!("kernel `{}`", spec.name);
        let mut told = None;
        let (listed, source) = match place {
            BtfPlace::Path(path) => (path.clone(), format!("btf: {}", path.display())),
            BtfPlace::Server { url, sha256 } => {
                let request = Request::of_kernel(self, spec, (lock, offline), step);
                let found = served_btf::fetch(&request, url, sha256.as_deref())?;
                told = Some(found.release);
                (found.path, found.source)
            }
            BtfPlace::Package { package, suites, file } => {
                let folder = self.debian_package(package, suites, lock, offline, step)?;
                let version =
                    lock.package(package, suites).map_or_else(String::new, |pinned| format!(" {}", pinned.version));
                (folder.join(file), format!("btf: {package}{version} {}", suites.join(", ")))
            }
        };
        let unavailable = |reason: String| StoreError::Unavailable {
            what: what.clone(),
            reason,
            hint: Some("name raw BTF, an ELF file with a `.BTF` section, or a directory of such files".to_owned()),
        };
        let files = BtfFile::list(&listed).map_err(|error| unavailable(error.to_string()))?;
        let [file] = &files[..] else {
            let count = files.len();
            return Err(unavailable(format!("`{}` matches {count} BTF files, but one is needed", listed.display())));
        };
        let types = self.type_table(&file.path).map_err(|error| StoreError::GivenBtf {
            what: what.clone(),
            path: file.path.clone(),
            reason: error.reason,
            hint: "name raw BTF or an ELF file with a `.BTF` section, plain or as `.gz`, `.xz` or `.tar.xz`".to_owned(),
        })?;
        Ok(TypesOnly {
            release: release.or(told.as_deref()).unwrap_or(&file.release).to_owned(),
            source,
            path: file.path.clone(),
            sha256: checksum::of_bytes(types.raw()),
            types,
        })
    }
}
