//! [`kernel`]: a kernel from an image on this machine; and [`Tree`]: where things lie in an unpacked Debian or Ubuntu
//! kernel.

use std::fs;
use std::path::{Path, PathBuf};

use super::entry::{Delivery, Staging};
use super::error::{IoContext, StoreError};
use super::kmod::{self, ModuleTree};
use super::request::Request;
use super::{StoredKernel, checksum};

/// The parts of an unpacked kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    pub image: PathBuf,
    pub config: Option<PathBuf>,
    pub modules: Option<PathBuf>,
}

impl Tree {
    /// Finds the one kernel below `root`: `boot/vmlinuz-X`, or `lib/modules/X/vmlinuz` as Debian has it since 7.2.
    ///
    /// # Errors
    /// Why there is none, or more than one, as a lowercase fragment.
    pub fn find(root: &Path) -> Result<Tree, String> {
        let names = |folder: &Path| -> Vec<String> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
        };
        let libs = ["usr/lib/modules", "lib/modules"].map(|folder| root.join(folder));
        let mut images: Vec<(String, PathBuf)> = Vec::new();
        for name in names(&root.join("boot")) {
            if let Some(release) = name.strip_prefix("vmlinuz-") {
                images.push((release.to_owned(), root.join("boot").join(&name)));
            }
        }
        for lib in &libs {
            for release in names(lib) {
                let image = lib.join(&release).join("vmlinuz");
                // On a merged `/usr` both folders are one, and a release may have its image in `/boot` too.
                if image.is_file() && !images.iter().any(|(known, _)| *known == release) {
                    images.push((release, image));
                }
            }
        }
        images.sort();
        let [(release, image)] = &images[..] else {
            let count = images.len();
            return Err(if count == 0 {
                "holds no kernel image".into()
            } else {
                format!("holds {count} kernel images")
            });
        };
        let modules: Vec<PathBuf> = libs.iter().map(|lib| lib.join(release)).filter(|folder| folder.is_dir()).collect();
        let configs = modules.iter().map(|folder| folder.join("config"));
        let config = [root.join("boot").join(format!("config-{release}"))]
            .into_iter()
            .chain(configs)
            .find(|path| path.is_file());
        Ok(Tree { image: image.clone(), config, modules: modules.first().cloned() })
    }
}

/// The kernel of a `Source::Path`. It is not pinned: the image is the user's own and may change with every build.
pub(super) fn kernel(
    request: &Request<'_>,
    (image, modules, config): (&Path, Option<&Path>, Option<&Path>),
) -> Result<StoredKernel, StoreError> {
    let Request { store, what, step, .. } = request;
    for path in [Some(image), modules, config].into_iter().flatten() {
        if !path.exists() {
            let reason = format!("`{}` does not exist", path.display());
            return Err(request.unavailable(reason, "build it or correct its path in the manifest"));
        }
    }
    let mut tree = if image.is_dir() {
        Tree::find(image).map_err(|reason| {
            request.unavailable(format!("`{}` {reason}", image.display()), "name the image itself in the manifest")
        })?
    } else {
        Tree { image: image.to_owned(), config: None, modules: None }
    };
    tree.config = config.map(Path::to_owned).or(tree.config);
    tree.modules = modules.map(Path::to_owned).or(tree.modules);

    let key = key(what, &tree)?;
    let source = format!("path: {}", image.display());
    if let Some(stored) = store.stored(request.name, &key, Vec::new()) {
        return Ok(StoredKernel { source, ..stored });
    }
    step(format!("unpacking {}", tree.image.display()));
    let staging = Staging::new(store.root())?;
    let delivery = Delivery {
        what: what.clone(),
        source,
        image: tree.image,
        config: tree.config,
        modules: tree.modules,
        notes: Vec::new(),
    };
    store.make(request.name, &key, delivery, staging, Vec::new(), &|_| Ok(()))
}

/// Changes with everything that goes into the entry.
fn key(what: &str, tree: &Tree) -> Result<String, StoreError> {
    let mut parts = checksum::of_file(&tree.image).during("read", &tree.image)?;
    if let Some(config) = &tree.config {
        parts += &checksum::of_file(config).during("read", config)?;
    }
    let modules = ModuleTree::read(tree.modules.as_deref(), tree.config.as_deref())
        .during("read", tree.modules.as_deref().unwrap_or(&tree.image))?;
    let selection = kmod::select(&modules)
        .map_err(|(name, reason)| StoreError::Corrupt { what: format!("{what}: module `{name}`"), reason })?;
    for module in &selection.modules {
        parts += &format!(" {} {}", module.name, checksum::of_bytes(&module.bytes));
    }
    for missing in &selection.missing {
        parts += &format!(" -{missing}");
    }
    Ok(checksum::of_bytes(parts.as_bytes()))
}
