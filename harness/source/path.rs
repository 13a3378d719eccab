//! [`kernel`]: a kernel from an image on this machine.

use std::path::Path;

use crate::checksum;
use crate::source::kernel_files::KernelFiles;
use crate::source::request::{Fetched, Request};
use crate::store::StoredKernel;
use crate::store::entry::{Delivery, Staging};
use crate::store::error::{IoContext, StoreError};
use crate::store::kmod::{self, ModuleTree};

/// The kernel of a `Source::Path`. It is not pinned: the image is the user's own and may change with every build.
pub(super) fn kernel(
    request: &Request<'_>,
    (image, modules, config): (&Path, Option<&Path>, Option<&Path>),
) -> Result<StoredKernel, StoreError> {
    for path in [Some(image), modules, config].into_iter().flatten() {
        if !path.exists() {
            let reason = format!("`{}` does not exist", path.display());
            return Err(request.unavailable(reason, "build it, or correct its path in the manifest"));
        }
    }
    let mut tree = if image.is_dir() {
        KernelFiles::find(image).map_err(|reason| {
            request.unavailable(format!("`{}` {reason}", image.display()), "name the image file in the manifest")
        })?
    } else {
        KernelFiles { image: image.to_owned(), config: None, modules: None }
    };
    tree.config = config.map(Path::to_owned).or(tree.config);
    tree.modules = modules.map(Path::to_owned).or(tree.modules);

    from_tree(request, tree, format!("path: {}", image.display()), Vec::new())
}

/// The entry of a kernel that lies on this machine and may change any time; it is made again only when something did.
pub(super) fn from_tree(
    request: &Request<'_>,
    tree: KernelFiles,
    source: String,
    notes: Vec<String>,
) -> Result<StoredKernel, StoreError> {
    let Request { store, what, step, .. } = request;
    let key = key(what, &tree)?;
    if let Some(stored) = store.stored(request.name, &key, notes.clone()) {
        return Ok(StoredKernel { source, ..stored });
    }
    step(format!("unpacking {}", tree.image.display()));
    let staging = Staging::new(&store.locks)?;
    let KernelFiles { image, config, modules } = tree;
    let delivery = Delivery { what: what.clone(), source, image, config, modules, notes: Vec::new() };
    request.publish_unpinned(Fetched { key, delivery, staging, notes })
}

/// Changes with everything that goes into the entry.
fn key(what: &str, tree: &KernelFiles) -> Result<String, StoreError> {
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
    if modules.files().next().is_some() {
        parts += &modules.stamp().during("read", tree.modules.as_deref().unwrap_or(&tree.image))?;
    }
    for missing in &selection.missing {
        parts += &format!(" -{missing}");
    }
    Ok(checksum::of_bytes(parts.as_bytes()))
}
