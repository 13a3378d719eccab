//! [`KernelFiles`]: where image, config and modules lie in an unpacked kernel, whoever packed it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::store::kmod;

/// The parts of an unpacked kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KernelFiles {
    /// A bzImage or vmlinux.
    pub image: PathBuf,
    pub config: Option<PathBuf>,
    /// `lib/modules/RELEASE`.
    pub modules: Option<PathBuf>,
}

/// An image, and the release in its name; the name may have none.
type Named = (Option<String>, PathBuf);

impl KernelFiles {
    /// Finds the one kernel below `root`: `boot/vmlinuz-X` (Debian, Ubuntu), `lib/modules/X/vmlinuz` (Fedora, Debian since
    /// 7.2) or `boot/vmlinuz` (images for continuous integration), at the top or in `data/kernels/NAME`, as
    /// little-vm-helper has it.
    ///
    /// # Errors
    /// Why there is none, or more than one, as a lowercase fragment.
    pub fn find(root: &Path) -> Result<KernelFiles, String> {
        let mut roots = vec![root.to_owned()];
        let kernels = root.join("data/kernels");
        roots.extend(names(&kernels).iter().map(|name| kernels.join(name)));
        let mut images: Vec<(PathBuf, Named)> = Vec::new();
        for root in roots {
            images.extend(images_in(&root).into_iter().map(|image| (root.clone(), image)));
        }
        let [(root, (release, image))] = &images[..] else {
            return Err(match images.len() {
                0 => "holds no kernel image".to_owned(),
                count => format!("holds {count} kernel images"),
            });
        };
        let libs = ["usr/lib/modules", "lib/modules"].map(|folder| root.join(folder));
        // Alpine's image has the name of its flavour, and config and modules have the release.
        let only = match libs.iter().flat_map(|lib| names(lib)).collect::<Vec<String>>().as_slice() {
            [only] if root.join("boot").join(format!("config-{only}")).is_file() => Some(only.clone()),
            _ => None,
        };
        let release = match release {
            Some(release) if root.join("boot").join(format!("config-{release}")).is_file() => Some(release),
            release => only.as_ref().or(release.as_ref()),
        };
        let modules = match release {
            Some(release) => libs.iter().map(|lib| lib.join(release)).find(|folder| folder.is_dir()),
            None => {
                let all: Vec<PathBuf> =
                    libs.iter().flat_map(|lib| names(lib).into_iter().map(|name| lib.join(name))).collect();
                all.first().filter(|first| all.iter().all(|one| one.file_name() == first.file_name())).cloned()
            }
        };
        let mut configs = vec![match release {
            Some(release) => root.join("boot").join(format!("config-{release}")),
            None => root.join("boot/config"),
        }];
        if let Some(release) = release {
            configs.extend(libs.iter().map(|lib| lib.join(release).join("config")));
        }
        let config = configs.into_iter().find(|path| path.is_file());
        Ok(KernelFiles { image: image.clone(), config, modules })
    }
}

/// Whether a file of a package, by its path, is one of the few that are of use.
pub(super) fn is_kernel_file(path: &str) -> bool {
    let path = path.strip_prefix("data/kernels/").and_then(|path| Some(path.split_once('/')?.1)).unwrap_or(path);
    if path.strip_prefix("boot/").is_some_and(|name| is_image(name) || name == "config" || name.starts_with("config-"))
    {
        return true;
    }
    let Some(path) = path.strip_prefix("usr/").unwrap_or(path).strip_prefix("lib/modules/") else {
        return false;
    };
    match path.split_once('/') {
        Some((_, "vmlinuz" | "config" | "modules.builtin")) => true,
        // Of modules the BTF is kept, and of a few of them all.
        _ => kmod::module_name(path).is_some(),
    }
}

fn is_image(name: &str) -> bool {
    name == "vmlinuz" || name == "bzImage" || name.starts_with("vmlinuz-")
}

fn images_in(root: &Path) -> Vec<Named> {
    let mut images: Vec<Named> = Vec::new();
    for name in names(&root.join("boot")).into_iter().filter(|name| is_image(name)) {
        images.push((name.strip_prefix("vmlinuz-").map(str::to_owned), root.join("boot").join(&name)));
    }
    for lib in ["usr/lib/modules", "lib/modules"].map(|folder| root.join(folder)) {
        for release in names(&lib) {
            let image = lib.join(&release).join("vmlinuz");
            // On a merged `/usr` both directories are one, and a release may have its image in `/boot` too.
            if image.is_file() && !images.iter().any(|(known, _)| known.as_ref() == Some(&release)) {
                images.push((Some(release), image));
            }
        }
    }
    images.sort();
    images
}

/// Names in a directory, if it is one, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> (tempfile::TempDir, Result<KernelFiles, String>) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
        let found = KernelFiles::find(folder.path());
        (folder, found)
    }

    #[test]
    fn every_layout_is_found_and_wanted() {
        for (image, config, module) in [
            ("boot/vmlinuz-6.1.0", "boot/config-6.1.0", "lib/modules/6.1.0/kernel/virtio.ko"),
            (
                "usr/lib/modules/7.2.0/vmlinuz",
                "usr/lib/modules/7.2.0/config",
                "usr/lib/modules/7.2.0/k/virtio_pci.ko.xz",
            ),
            ("boot/vmlinuz", "boot/config", "lib/modules/6.6.0/kernel/virtio.ko"),
            ("boot/vmlinuz-virt", "boot/config-6.12.31-0-virt", "lib/modules/6.12.31-0-virt/kernel/virtio.ko.gz"),
            ("boot/bzImage", "boot/config", "lib/modules/6.6.0/kernel/virtio.ko"),
            (
                "data/kernels/6.6-main/boot/vmlinuz-6.6.30",
                "data/kernels/6.6-main/boot/config-6.6.30",
                "data/kernels/6.6-main/lib/modules/6.6.30/kernel/virtio.ko",
            ),
        ] {
            let (folder, found) = tree(&[image, config, module]);
            let found = found.unwrap();
            assert_eq!(found.image, folder.path().join(image));
            assert_eq!(found.config, Some(folder.path().join(config)));
            let modules = found.modules.unwrap();
            assert!(folder.path().join(module).starts_with(&modules), "{}", modules.display());
            assert!([image, config, module].into_iter().all(is_kernel_file), "{image}");
        }
    }

    #[test]
    fn none_and_several_are_told_apart() {
        assert_eq!(tree(&["usr/share/doc/x"]).1, Err("holds no kernel image".to_owned()));
        let two = tree(&["boot/vmlinuz-6.1.0", "boot/vmlinuz-6.1.1"]).1;
        assert_eq!(two, Err("holds 2 kernel images".to_owned()));
    }

    #[test]
    fn what_a_kernel_does_not_need_stays_packed() {
        for path in ["boot/System.map-6.1.0", "lib/modules/6.1.0/modules.dep", "bin/busybox", "boot/initrd.img-1"] {
            assert!(!is_kernel_file(path), "{path}");
        }
    }
}
