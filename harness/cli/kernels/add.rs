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
    /// What it will be called; selectors match it. Or, without a source, a kernel of the catalogue, such as ubuntu:22.04.
    name: String,
    /// A matrix may do without it where it cannot be had.
    #[arg(long, global = true)]
    optional: bool,
    #[command(subcommand)]
    source: Option<Added>,
}

/// Where the kernel comes from.
#[derive(Debug, Subcommand)]
enum Added {
    /// Packages of a Debian archive.
    Apt {
        /// Where to look, such as bookworm; may be repeated.
        #[arg(long, required = true)]
        suite: Vec<String>,
        /// Globs of the package with the image, best first.
        #[arg(required = true, value_name = "GLOB")]
        packages: Vec<String>,
    },
    /// Packages of Red Hat's kind of repository.
    Rpm(RepositoryArgs),
    /// Packages of a repository of Alpine's.
    Apk(RepositoryArgs),
    /// Packages of a repository of Arch's; its address is that of the database.
    Pacman(RepositoryArgs),
    /// A bzImage, a vmlinux or an unpacked package on this machine.
    Path {
        image: PathBuf,
        /// lib/modules/RELEASE, if the virtio drivers are modules.
        #[arg(long, value_name = "DIR")]
        modules: Option<PathBuf>,
        /// The kernel's config.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// The tree in which a kernel was built.
    Tree { tree: PathBuf },
    /// A kernel that `vng --build` builds.
    Build {
        /// A source tree or git repository.
        tree: PathBuf,
        /// A tag, branch or commit; without it the tree is built as it is.
        #[arg(long)]
        version: Option<String>,
        /// Kernel options on top of virtme-ng's own, such as images/bpf.config.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// The kernel that this machine runs.
    Host,
    /// The kernel in a disk image of a distribution.
    Disk {
        disk: PathBuf,
        /// A glob of the release to take [default: the newest].
        #[arg(long, value_name = "GLOB")]
        release: Option<String>,
    },
    /// Files of packages (.deb or .rpm), by path or address.
    Package {
        #[arg(required = true, value_name = "FILE|URL")]
        files: Vec<String>,
        /// One for each file; needed for addresses.
        #[arg(long, value_name = "HEX")]
        sha256: Vec<String>,
    },
    /// An OCI image, such as REGISTRY/cilium/ci-kernels:6.6.
    Oci { image: String },
    /// An upstream version as Ubuntu builds it: v6.6.87, or v6.6.* for the newest point release.
    Mainline { version: String },
}

/// A repository of packages.
#[derive(Debug, Args)]
struct RepositoryArgs {
    /// Address of the repository; may be repeated.
    #[arg(long, value_name = "URL", required_unless_present_any = ["mirrorlist", "metalink"])]
    repository: Vec<String>,
    /// Address of a list of mirrors, of rpm only.
    #[arg(long, value_name = "URL")]
    mirrorlist: Vec<String>,
    /// Address of a metalink, of rpm only.
    #[arg(long, value_name = "URL")]
    metalink: Vec<String>,
    /// The keys that sign it: a file, or an address together with --fingerprint.
    #[arg(long, value_name = "FILE|URL")]
    keyring: Option<String>,
    /// A key that may sign; may be repeated.
    #[arg(long, value_name = "HEX", requires = "keyring")]
    fingerprint: Vec<String>,
    /// Take an index that is not signed; packages have to be.
    #[arg(long)]
    unsigned_index: bool,
    /// Take what nobody signed.
    #[arg(long, conflicts_with = "keyring")]
    trusted: bool,
    /// Globs of the package with the image, best first.
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
        return Err(Failure::input(format!("`{}` has a kernel `{name}` already", path.display()), Some(hint)));
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
    println!("`corematrix kernels pull {name}` fetches it; `default` under `[matrix]` says what runs take by default");
    Ok(ExitCode::SUCCESS)
}

/// The table of a kernel of the catalogue.
fn of_catalogue(catalogue: &Catalogue, asked: &str, name: &str) -> Result<String, Failure> {
    let entry = catalogue.entry(asked).ok_or_else(|| {
        let near = catalogue.nearest(asked);
        let hint = match near.is_empty() {
            true => "`corematrix kernels catalogue` lists them; a kernel of another kind needs a source, see `--help`"
                .to_owned(),
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
        .map_err(|error| Failure::infrastructure(format!("cannot tell the working folder: {error}"), None))?;
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
            ("disk", vec![("disk", Some(place(disk))), ("release", release.as_ref().map(text))])
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
