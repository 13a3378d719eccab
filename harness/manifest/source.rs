//! [`Source`]: where a kernel comes from.

use std::fmt;
use std::path::PathBuf;

use super::disk_image::DiskImage;
use super::image_reference::ImageReference;
use super::repository::{Keyring, Repository};

/// Where a kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// Debian packages from the machine's own mirror, or from the archive that is named.
    Apt {
        /// Suites to look in, such as `bullseye`.
        suites: Vec<String>,
        /// Globs of the package that holds the image, most preferred first: `linux-image-5.10.*-cloud-amd64`.
        packages: Vec<String>,
        /// Another archive than the machine's own.
        archive: Option<Archive>,
    },
    /// Packages of a distribution that is not Debian's: `rpm`, `apk` or `pacman`.
    Repository(Repository),
    /// An image on this machine; paths are absolute.
    Path {
        /// A bzImage, an ELF vmlinux, or the root of a Debian-style tree (`boot/vmlinuz-*`, `lib/modules/*`).
        image: PathBuf,
        /// `lib/modules/RELEASE`, if the kernel has the virtio drivers as modules.
        modules: Option<PathBuf>,
        /// The kernel's config file.
        config: Option<PathBuf>,
    },
    /// A kernel's source tree on this machine, in which it was built.
    Tree {
        /// The tree, or the directory that was given as `O=`; absolute.
        tree: PathBuf,
    },
    /// A kernel that `vng --build` builds.
    Build {
        /// A source tree or git repository on this machine; absolute.
        tree: PathBuf,
        /// A tag, branch or commit of the repository; without one the tree is built as it is.
        version: Option<String>,
        /// Kernel options on top of virtme-ng's own; absolute.
        config: Option<PathBuf>,
    },
    /// The kernel that this machine runs.
    Host,
    /// The kernel in a disk image of a distribution.
    Disk {
        /// Where the image is.
        disk: DiskImage,
        /// A glob of the release to take; the newest if there is none.
        release: Option<String>,
    },
    /// Packages of a distribution: `.deb` or `.rpm`.
    Package {
        /// Files of one kernel, the one with the image first.
        files: Vec<PackageFile>,
    },
    /// An OCI image that holds a kernel, as Cilium's `ci-kernels` and little-vm-helper publish them.
    Oci {
        /// Where it is.
        image: ImageReference,
    },
    /// The types of a kernel that cannot be booted here: objects get predictions for it.
    Btf {
        /// Where they are.
        place: BtfPlace,
        /// The release of the kernel that they are of; without one, the name of the file.
        release: Option<String>,
    },
    /// An upstream version as Ubuntu builds it.
    Mainline {
        /// Such as `v6.6.87`, or `v6.6.*` for the newest point release.
        version: String,
        /// The address of an archive laid out as Ubuntu's, instead of that.
        mirror: Option<String>,
        /// Who signs its checksums, if not Ubuntu does.
        keys: Option<Keyring>,
    },
}

/// Where the BTF of a kernel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BtfPlace {
    /// On this machine, absolute: raw BTF, an ELF file, either packed, or an archive laid out as BTFHub's with or without a pattern such as
    /// `archive/ubuntu/20.04/x86_64/*`.
    Path(PathBuf),
    /// A file on a web server: raw BTF or an ELF file, either packed.
    Server {
        /// Its address.
        url: String,
        /// Its SHA-256 in lower-case hex; without one, that of the file that is fetched first is pinned.
        sha256: Option<String>,
    },
    /// In a Debian package.
    Package {
        /// Its name.
        package: String,
        /// Suites to look in.
        suites: Vec<String>,
        /// The file in it, relative to the root.
        file: String,
    },
}

/// BTF of many kernels, laid out as BTFHub's archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BtfArchive {
    /// A directory on this machine; absolute.
    Folder(PathBuf),
    /// The address of such a directory on a web server.
    Server(String),
}

/// An archive of Debian packages: Debian's, Ubuntu's, or one that is laid out like them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Its address: `http` or `https`.
    pub mirror: String,
    /// The keys that sign it, absolute; Debian's own if there is none.
    pub keyring: Option<PathBuf>,
    /// Takes it without any signature.
    pub trusted: bool,
    /// Such as `main`.
    pub components: Vec<String>,
}

/// A package that is named by its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFile {
    /// Where it is.
    pub place: FileLocation,
    /// In lower-case hex; always there for a package on a server.
    pub sha256: Option<String>,
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileLocation {
    /// On this machine; absolute.
    Path(PathBuf),
    /// On a web server: `http` or `https`.
    Url(String),
}

impl Source {
    /// What `source = "..."` calls it in the manifest.
    pub fn label(&self) -> &'static str {
        match self {
            Source::Apt { .. } => "apt",
            Source::Repository(repository) => repository.format.label(),
            Source::Path { .. } => "path",
            Source::Tree { .. } => "tree",
            Source::Build { .. } => "build",
            Source::Host => "host",
            Source::Disk { .. } => "disk",
            Source::Package { .. } => "package",
            Source::Oci { .. } => "oci",
            Source::Btf { .. } => "btf",
            Source::Mainline { .. } => "mainline",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())?;
        if *self != Source::Host {
            f.write_str(": ")?;
        }
        match self {
            Source::Apt { suites, .. } => f.write_str(&suites.join(", ")),
            Source::Repository(repository) => write!(f, "{repository}"),
            Source::Path { image, .. } => write!(f, "{}", image.display()),
            Source::Tree { tree } | Source::Build { tree, version: None, .. } => write!(f, "{}", tree.display()),
            Source::Build { tree, version: Some(version), .. } => write!(f, "{version} of {}", tree.display()),
            Source::Host => Ok(()),
            Source::Disk { disk: DiskImage::Path(path), .. } => write!(f, "{}", path.display()),
            Source::Disk { disk: DiskImage::Server(image), .. } => f.write_str(&image.url),
            Source::Package { files } => f.write_str(files.first().map_or("", |first| first.name())),
            Source::Oci { image } => write!(f, "{image}"),
            Source::Btf { place: BtfPlace::Path(path), .. } => write!(f, "{}", path.display()),
            Source::Btf { place: BtfPlace::Server { url, .. }, .. } => f.write_str(url),
            Source::Btf { place: BtfPlace::Package { package, file, .. }, .. } => {
                write!(f, "{} of {package}", file.rsplit('/').next().unwrap_or(file))
            }
            Source::Mainline { version, .. } => f.write_str(version),
        }
    }
}

impl PackageFile {
    /// The last part of its path or address.
    pub fn name(&self) -> &str {
        match &self.place {
            FileLocation::Path(path) => path.file_name().and_then(|name| name.to_str()).unwrap_or("package"),
            FileLocation::Url(url) => file_name_of_url(url).unwrap_or("package"),
        }
    }
}

/// The last part of an address, without its query.
pub(crate) fn file_name_of_url(url: &str) -> Option<&str> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').find(|part| !part.is_empty())
}
