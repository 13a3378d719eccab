//! [`kernel`]: a kernel from the source tree in which it was built.

use std::fs;
use std::path::Path;

use crate::source::kernel_files::KernelFiles;
use crate::source::path;
use crate::source::request::Request;
use crate::store::StoredKernel;
use crate::store::error::StoreError;

/// Where the build puts the image.
const IMAGE: &str = "arch/x86/boot/bzImage";
const CONFIG: &str = ".config";
/// Options without which the guest's data channel is a module.
const CHANNEL: [&str; 2] = ["CONFIG_VIRTIO_PCI=y", "CONFIG_VIRTIO_CONSOLE=y"];

/// The kernel of a `Source::Tree`: as it was built last.
pub(super) fn kernel(request: &Request<'_>, tree: &Path) -> Result<StoredKernel, StoreError> {
    if !tree.is_dir() {
        let reason = format!("`{}` is not a directory", tree.display());
        return Err(request.unavailable(reason, "correct its path in the manifest"));
    }
    let Some(found) = find(tree) else {
        let reason = format!("`{}` has no `{IMAGE}`", tree.display());
        return Err(request.unavailable(
            reason,
            "build it with `make bzImage`, or let corematrix build it with `source = \
    \"build\"`",
        ));
    };
    let notes = stale(tree).into_iter().collect();
    path::from_tree(request, found, format!("tree: {}", tree.display()), notes)
}

/// What lies where in a tree after a build; `None` if it was not built.
pub(super) fn find(tree: &Path) -> Option<KernelFiles> {
    let image = Some(tree.join(IMAGE)).filter(|path| path.is_file())?;
    let config = Some(tree.join(CONFIG)).filter(|path| path.is_file());
    let text = config.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let built_in = CHANNEL.iter().all(|option| text.lines().any(|line| line == *option));
    // Reading all modules takes a while, and most kernels for guests have none: they are read when an object needs one.
    let modules = Some(tree.to_owned()).filter(|_| !built_in);
    Some(KernelFiles { image, config, modules })
}

/// Says so if the config was changed after the kernel was built.
fn stale(tree: &Path) -> Option<String> {
    let changed = |name: &str| fs::metadata(tree.join(name)).and_then(|found| found.modified()).ok();
    (changed(CONFIG)? > changed(IMAGE)?)
        .then(|| format!("`{CONFIG}` is newer than `{IMAGE}`: the kernel may not match the config"))
}
