//! `kernels.toml`: the kernels that exist for corematrix, the default matrix, and how to choose from them.

mod asked_builds;
mod builds;
pub mod catalogue;
mod condition;
mod declaration;
mod disk_image;
mod image_reference;
mod kernel_selector;
mod limits;
pub mod machine;
mod module_choice;
mod parse;
mod place;
mod problem;
mod profiles;
pub mod quantity;
mod reader;
pub mod release;
mod repository;
mod repository_table;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod schema;
pub mod selector;
mod source;
mod source_table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::record::MachineSettings;

pub use builds::{Builds, MOST_BUILDS, split_name};
pub use catalogue::Catalogue;
pub(crate) use disk_image::VERSION;
pub use disk_image::{DiskImage, ImageProof, ImageSignature, NewestVersion, ServedImage, TufRepository};
pub use image_reference::ImageReference;
pub(crate) use image_reference::is_this_machine;
pub use kernel_selector::KernelSelector;
pub use module_choice::{ModuleChoice, NamedModule};
pub use place::ManifestPlace;
pub(crate) use place::{BUILT_IN, BUILT_IN_LOCK, FILE_NAME, repository};
pub use problem::{ManifestError, Problem};
pub use profiles::{Profiles, UnknownProfile, profile_table};
pub(crate) use reader::listed;
pub use repository::{Keyring, KeyringPlace, Repository, RepositoryAddress, RepositoryFormat};
pub use selector::SelectorError;
pub(crate) use source::file_name_of_url;
pub use source::{Archive, BtfArchive, BtfPlace, FileLocation, PackageFile, Source};

/// The whole of `kernels.toml`, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The file it was read from; for the built-in one, where a file would be.
    pub path: PathBuf,
    /// Every declared kernel, oldest series first.
    pub kernels: Vec<KernelSpec>,
    /// Names of the kernels that a run without `--kernel` takes.
    pub matrix: Vec<String>,
    /// Named settings of machines.
    pub profiles: Profiles,
    /// Kernels that may be chosen without being declared.
    pub catalogue: Catalogue,
}

impl Manifest {
    /// Reads and checks the file at `path`. Paths in it are relative to its directory; whether they exist is the store's
    /// business, since another machine may have them.
    ///
    /// # Errors
    /// The file cannot be read, or it is wrong; then all its problems are reported at once.
    pub fn load(path: &Path) -> Result<Manifest, ManifestError> {
        let read = |source| ManifestError::Read { path: path.to_owned(), source };
        let absolute = std::path::absolute(path).map_err(read)?;
        Manifest::parse(&std::fs::read_to_string(path).map_err(read)?, &absolute).map_err(|error| match error {
            // As the user named it.
            ManifestError::Invalid { problems, .. } => ManifestError::Invalid { path: path.to_owned(), problems },
            other => other,
        })
    }

    /// Checks the text of a manifest as if it stood in the file at `path`, which is absolute.
    ///
    /// # Errors
    /// It is wrong; then all its problems are reported at once.
    pub fn parse(text: &str, path: &Path) -> Result<Manifest, ManifestError> {
        let invalid = |problems| ManifestError::Invalid { path: path.to_owned(), problems };
        let mut manifest = parse::parse(text, path).map_err(invalid)?;
        manifest.catalogue = Catalogue::load(path.parent().unwrap_or(Path::new(".")), text)?;
        Ok(manifest)
    }

    /// The kernel of this name: a declared one, one of the catalogue, or a build of one of these.
    pub fn kernel(&self, name: &str) -> Option<KernelSpec> {
        let declared = self.kernels.iter().find(|kernel| kernel.name == name).cloned();
        declared.or_else(|| match split_name(name) {
            (kernel, Some(build)) => self.kernel(kernel)?.build(build).ok(),
            (name, None) => self.catalogue.kernel(name, &self.path)?.ok(),
        })
    }
}

/// One kernel of `kernels.toml`, with the defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelSpec {
    /// Its name; selectors match it.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// Sources that replace it where it is unavailable, most preferred first.
    pub fallbacks: Vec<Source>,
    /// Which of its builds are separate kernels that replace it; only its newest build by default.
    pub builds: Option<Builds>,
    /// Whether a matrix may go on without it where its source cannot be reached.
    pub optional: bool,
    /// Guest memory in MiB.
    pub memory_mib: u64,
    /// From starting QEMU to the guest's hello, with hardware virtualisation; scaled up for emulation.
    pub boot_timeout: Duration,
    /// For one program's load, with hardware virtualisation; scaled up for emulation.
    pub program_timeout: Duration,
    /// Extra words for the kernel's command line.
    pub append: Vec<String>,
    /// The modules that its guests load; `None` if nothing is said.
    pub modules: Option<ModuleChoice>,
    /// The machine of its guests, but for their memory.
    pub machine: MachineSettings,
    /// BTF that relocations take instead of the kernel's own: a file, or a directory laid out as BTFHub's archive. Absolute.
    pub btf: Option<PathBuf>,
    /// For a kernel that has no BTF of its own and to which none is given.
    pub btf_archive: Option<BtfArchive>,
}

impl KernelSpec {
    /// Its own source, and those that stand in for it.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.source).chain(&self.fallbacks)
    }
}
