//! [`kernel`]: the kernel that this machine runs.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::checksum;
use crate::source::kernel_files::KernelFiles;
use crate::source::path;
use crate::source::request::Request;
use crate::store::StoredKernel;
use crate::store::entry::Staging;
use crate::store::error::{IoContext, StoreError};

/// No config is larger.
const CONFIG_LIMIT: u64 = 4 << 20;

/// The kernel of a `Source::Host`.
pub(super) fn kernel(request: &Request<'_>) -> Result<StoredKernel, StoreError> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    installed(request, Path::new("/"), &release)
}

/// The kernel `release` as it is installed below `root`.
pub(super) fn installed(request: &Request<'_>, root: &Path, release: &str) -> Result<StoredKernel, StoreError> {
    let modules = ["usr/lib/modules", "lib/modules"].map(|folder| root.join(folder).join(release));
    let mut images = vec![root.join("boot").join(format!("vmlinuz-{release}"))];
    images.extend(modules.iter().map(|folder| folder.join("vmlinuz")));
    let Some(image) = images.iter().find(|path| path.is_file()) else {
        let shown = images.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ");
        let reason = format!("the image of the running kernel {release} was not found (looked in {shown})");
        let hint = "in a container, name the image with `source = \"path\"`";
        return Err(request.unavailable(reason, hint));
    };
    if let Err(error) = fs::File::open(image)
        && error.kind() == ErrorKind::PermissionDenied
    {
        let reason = format!("no permission to read `{}`", image.display());
        return Err(request.unavailable(
            reason,
            "some distributions let only root read it; make it readable with `sudo \
    chmod a+r`",
        ));
    }
    let mut configs = vec![root.join("boot").join(format!("config-{release}"))];
    configs.extend(modules.iter().map(|folder| folder.join("config")));
    let config = configs.into_iter().find(|path| path.is_file());
    // It has to live until the entry is made.
    let staging = Staging::new(&request.store.locks)?;
    let config = match config {
        Some(config) => Some(config),
        None => running_config(root, &staging.work())?,
    };
    let tree =
        KernelFiles { image: image.clone(), config, modules: modules.into_iter().find(|folder| folder.is_dir()) };
    path::from_tree(request, tree, format!("host: {release}"), Vec::new())
}

/// The config that the running kernel shows, if it does.
fn running_config(root: &Path, into: &Path) -> Result<Option<std::path::PathBuf>, StoreError> {
    let Ok(packed) = fs::File::open(root.join("proc/config.gz")) else { return Ok(None) };
    let mut config = Vec::new();
    if flate2::read::GzDecoder::new(packed).take(CONFIG_LIMIT).read_to_end(&mut config).is_err() {
        return Ok(None);
    }
    let path = into.join(format!("config-{}", &checksum::of_bytes(&config)[..12]));
    fs::write(&path, config).during("write", &path)?;
    Ok(Some(path))
}
