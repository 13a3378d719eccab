//! `corematrix kernels add`: declares a kernel at the end of the manifest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use toml::Value;

use super::super::Common;
use super::super::failure::Failure;
use crate::manifest::catalogue::declared_name;
use crate::manifest::{Catalogue, Manifest, listed};

#[derive(Debug, Args)]
pub(in super::super) struct AddArgs {
    /// Name of the kernel, for selectors; without a source, the name of a catalogue kernel such as ubuntu:22.04.
    name: String,
    /// Let a run go on without this kernel if it is unavailable.
    #[arg(long, global = true)]
    optional: bool,
    #[command(subcommand)]
    source: Option<Added>,
}

/// Where the kernel comes from.
#[derive(Debug, Subcommand)]
enum Added {
    /// Use packages of a Debian archive.
    Apt {
        /// Search this archive suite, such as bookworm; may be repeated.
        #[arg(long, required = true)]
        suite: Vec<String>,
        /// Globs of the package that holds the image, most preferred first.
        #[arg(required = true, value_name = "GLOB")]
        packages: Vec<String>,
    },
    /// Use packages of an RPM repository.
    Rpm(RepositoryArgs),
    /// Use packages of an Alpine repository.
    Apk(RepositoryArgs),
    /// Use packages of an Arch repository; its URL is that of the database.
    Pacman(RepositoryArgs),
    /// Use a bzImage, a vmlinux or an unpacked package on this machine.
    Path {
        /// Path of the image or package directory.
        image: PathBuf,
        /// Set the path of lib/modules/RELEASE, needed if the virtio drivers are modules.
        #[arg(long, value_name = "DIR")]
        modules: Option<PathBuf>,
        /// Set the path of the kernel's config.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Use a kernel tree that was built.
    Tree {
        /// Kernel tree.
        tree: PathBuf,
    },
    /// Build the kernel with `vng --build`.
    Build {
        /// Source tree or git repository.
        tree: PathBuf,
        /// Build this tag, branch or commit [default: the tree as it is].
        #[arg(long)]
        version: Option<String>,
        /// Add the kernel options of this file to those of virtme-ng.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Use the kernel that this machine runs.
    Host,
    /// Use the kernel of a disk image.
    Disk {
        /// Disk image, raw or in a format that `qemu-img` reads.
        disk: PathBuf,
        /// Use the release that matches this glob [default: the newest].
        #[arg(long, value_name = "GLOB")]
        release: Option<String>,
    },
    /// Use package files (.deb or .rpm), by path or URL.
    Package {
        /// Package files; all packages of the kernel.
        #[arg(required = true, value_name = "FILE|URL")]
        files: Vec<String>,
        /// Check each file against this checksum, one for each file; required for URLs.
        #[arg(long, value_name = "HEX")]
        sha256: Vec<String>,
    },
    /// Use an OCI image, such as REGISTRY/cilium/ci-kernels:6.6.
    Oci {
        /// Reference of the image.
        image: String,
    },
    /// Use Ubuntu's build of an upstream version: v6.6.87, or v6.6.* for the newest point release.
    Mainline {
        /// Upstream version or glob.
        version: String,
    },
}

/// A repository of packages.
#[derive(Debug, Args)]
struct RepositoryArgs {
    /// Set the URL of the repository; may be repeated.
    #[arg(long, value_name = "URL", required_unless_present_any = ["mirrorlist", "metalink"])]
    repository: Vec<String>,
    /// Set the URL of a mirror list; rpm only.
    #[arg(long, value_name = "URL")]
    mirrorlist: Vec<String>,
    /// Set the URL of a metalink; rpm only.
    #[arg(long, value_name = "URL")]
    metalink: Vec<String>,
    /// Set the file or URL of the signing keys; a URL requires `--fingerprint`.
    #[arg(long, value_name = "FILE|URL")]
    keyring: Option<String>,
    /// Accept signatures of this key; may be repeated.
    #[arg(long, value_name = "HEX", requires = "keyring")]
    fingerprint: Vec<String>,
    /// Accept an unsigned index; packages must be signed.
    #[arg(long)]
    unsigned_index: bool,
    /// Accept unsigned packages and an unsigned index.
    #[arg(long, conflicts_with = "keyring")]
    trusted: bool,
    /// Globs of the package that holds the image, most preferred first.
    #[arg(required = true, value_name = "GLOB")]
    packages: Vec<String>,
}

impl RepositoryArgs {
    /// The keys to write; `place` makes a value of a path.
    fn keys(&self, place: &dyn Fn(&Path) -> Value) -> Vec<(&'static str, Option<Value>)> {
        let texts = |all: &[String]| (!all.is_empty()).then(|| Value::from(all.to_vec()));
        let yes = |set: bool| set.then_some(Value::Boolean(true));
        let keyring = self.keyring.as_ref().map(|keyring| match keyring.contains("://") {
            true => Value::from(keyring.clone()),
            false => place(Path::new(keyring)),
        });
        vec![
            ("repositories", texts(&self.repository)),
            ("mirrorlist", texts(&self.mirrorlist)),
            ("metalink", texts(&self.metalink)),
            ("packages", texts(&self.packages)),
            ("keyring", keyring),
            ("fingerprints", texts(&self.fingerprint)),
            ("unsigned-index", yes(self.unsigned_index)),
            ("trusted", yes(self.trusted)),
        ]
    }
}

pub(in super::super) fn run(common: &Common, args: &AddArgs) -> Result<ExitCode, Failure> {
    let path = &common.changeable_manifest()?;
    let manifest = Manifest::load(path).map_err(|error| {
        let hint = error.hint();
        Failure::input(error, hint)
    })?;
    let name = match args.source {
        Some(_) => args.name.clone(),
        None => declared_name(&args.name),
    };
    if manifest.kernels.iter().any(|kernel| kernel.name == name) {
        let hint = "choose another name, or edit the manifest".to_owned();
        return Err(Failure::input(format!("`{}` already has a kernel `{name}`", path.display()), Some(hint)));
    }
    let read = |error: std::io::Error| Failure::input(format!("cannot read `{}`: {error}", path.display()), None);
    let mut table = match &args.source {
        Some(source) => table(&name, source, manifest.path.parent().unwrap_or(Path::new("/")))?,
        None => of_catalogue(&manifest.catalogue, &args.name, &name)?,
    };
    if args.optional {
        // Before the tables of fallbacks.
        let at = table.find("\n[[").map_or(table.len(), |at| at + 1);
        table.insert_str(at, "optional = true\n");
    }
    let text = format!("{}\n{table}", fs::read_to_string(path).map_err(read)?.trim_end_matches('\n').to_owned() + "\n");
    // Nothing is written that could not be read again.
    Manifest::parse(&text, &manifest.path).map_err(|error| {
        let hint = error.hint();
        Failure::input(error, hint)
    })?;
    fs::write(path, text)
        .map_err(|error| Failure::infrastructure(format!("cannot write `{}`: {error}", path.display()), None))?;
    print!("added to {}:\n\n{table}\n", path.display());
    println!("`corematrix kernels pull {name}` fetches it; `default` under `[matrix]` lists the default matrix");
    Ok(ExitCode::SUCCESS)
}

/// The table of a kernel of the catalogue.
fn of_catalogue(catalogue: &Catalogue, asked: &str, name: &str) -> Result<String, Failure> {
    let entry = catalogue.entry(asked).ok_or_else(|| {
        let near = catalogue.nearest(asked);
        let hint = match near.is_empty() {
            true => {
                "`corematrix kernels catalogue` lists its kernels; other kernels need a source, see `--help`".to_owned()
            }
            false => format!("the nearest are {}", listed(&near)),
        };
        Failure::input(format!("the catalogue has no kernel `{}`", asked.escape_debug()), Some(hint))
    })?;
    let note = match entry.note.as_str() {
        "" => String::new(),
        note => format!("# {note}\n"),
    };
    Ok(format!("# {}\n{note}{}", entry.about, entry.declaration(name)))
}

/// The table to write; paths are made to start at `folder`, where the manifest lies.
fn table(name: &str, source: &Added, folder: &Path) -> Result<String, Failure> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::infrastructure(format!("cannot determine the working directory: {error}"), None))?;
    let place = |path: &Path| {
        let whole = here.join(path);
        let from_manifest = if here == folder { path.to_owned() } else { whole };
        Value::from(from_manifest.to_string_lossy().into_owned())
    };
    let text = |text: &String| Value::from(text.clone());
    let texts = |all: &[String]| Value::from(all.to_vec());
    let maybe = |path: &Option<PathBuf>| path.as_deref().map(place);
    let (source, keys): (&str, Vec<(&str, Option<Value>)>) = match source {
        Added::Apt { suite, packages } => {
            ("apt", vec![("suites", Some(texts(suite))), ("packages", Some(texts(packages)))])
        }
        Added::Rpm(repository) => ("rpm", repository.keys(&place)),
        Added::Apk(repository) => ("apk", repository.keys(&place)),
        Added::Pacman(repository) => ("pacman", repository.keys(&place)),
        Added::Path { image, modules, config } => {
            ("path", vec![("image", Some(place(image))), ("modules", maybe(modules)), ("config", maybe(config))])
        }
        Added::Tree { tree } => ("tree", vec![("tree", Some(place(tree)))]),
        Added::Build { tree, version, config } => {
            let version = version.as_ref().map(text);
            ("build", vec![("tree", Some(place(tree))), ("version", version), ("config", maybe(config))])
        }
        Added::Host => ("host", Vec::new()),
        Added::Disk { disk, release } => {
            // The manifest asks for what proves an image on a server, and says so.
            let address = disk.to_str().filter(|disk| disk.contains("://"));
            let disk = address.map_or_else(|| place(disk), Value::from);
            ("disk", vec![("disk", Some(disk)), ("release", release.as_ref().map(text))])
        }
        Added::Package { files, sha256 } => {
            let is_address = |file: &String| file.contains("://");
            let files = files.iter().map(|file| if is_address(file) { text(file) } else { place(Path::new(file)) });
            let sums = (!sha256.is_empty()).then(|| texts(sha256));
            ("package", vec![("files", Some(Value::Array(files.collect()))), ("sha256", sums)])
        }
        Added::Oci { image } => ("oci", vec![("image", Some(text(image)))]),
        Added::Mainline { version } => ("mainline", vec![("version", Some(text(version)))]),
    };
    let mut table = format!("[kernel.{}]\nsource = \"{source}\"\n", Value::from(name));
    for (key, value) in keys {
        if let Some(value) = value {
            table += &format!("{key} = {value}\n");
        }
    }
    Ok(table)
}
