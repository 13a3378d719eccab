//! Where kernels lie in file systems: [`images`] with their releases, [`configs`] and [`modules`].

use std::io::{self, Write};

use glob::Pattern;

use crate::source::disk::tree::FileSystem;
use crate::store::image::{self, unified};

/// Where images lie; `*` stands for any name or part of one.
///
/// In this order: Debian, Ubuntu, Fedora and EL, Alpine, openSUSE; the same where `/boot` is a file system of its own; Fedora and openSUSE on
/// a merged `/usr`; OSTree, twice; Talos, whose two systems lie side by side; Flatcar; COS; kernels that firmware starts; and images
/// with no release in their names, as Bottlerocket has in its boot partition.
const IMAGES: [&str; 19] = [
    "boot/vmlinuz-*",
    "vmlinuz-*",
    "usr/lib/modules/*/vmlinuz",
    "lib/modules/*/vmlinuz",
    "boot/ostree/*/vmlinuz-*",
    "ostree/*/vmlinuz-*",
    "?/vmlinuz",
    "boot/?/vmlinuz",
    "flatcar/vmlinuz-*",
    "coreos/vmlinuz-*",
    "syslinux/vmlinuz.*",
    "EFI/Linux/*.efi",
    "boot/EFI/Linux/*.efi",
    "boot/efi/EFI/Linux/*.efi",
    "boot/vmlinuz",
    "boot/bzImage",
    "vmlinuz",
    "bzImage",
    "vmlinuz.efi",
];

/// Directories of modules, in front of the release: usual ones; a partition that is mounted at `/usr`, as Flatcar's; Bottlerocket; OSTree.
const MODULES: [&str; 5] = [
    "usr/lib/modules",
    "lib/modules",
    "*/sys-root/usr/lib/modules",
    "usr/*/sys-root/usr/lib/modules",
    "ostree/deploy/*/deploy/*/usr/lib/modules",
];

/// Names that one pattern may stand for, and what it finds in all.
const MOST_FOUND: usize = 256;
/// So much of an image has its release.
const HEAD: usize = 64 << 10;
/// No image of a kernel, with all that is unified with it, is larger.
const MOST_OF_IMAGE: u64 = 1 << 30;

/// An image in a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub release: String,
    pub path: String,
}

/// The images in a file system, the usual places first.
pub(super) fn images(system: &dyn FileSystem) -> io::Result<Vec<Found>> {
    let mut found: Vec<Found> = Vec::new();
    for pattern in IMAGES {
        for path in matching(system, pattern)? {
            let name = path.rsplit('/').next().unwrap_or_default();
            if name.contains("rescue") || found.len() >= MOST_FOUND {
                continue;
            }
            if let Some(release) = release(system, &path)? {
                found.push(Found { release, path });
            }
        }
    }
    Ok(found)
}

/// What a file says of its release; else what its name or its directory says.
fn release(system: &dyn FileSystem, path: &str) -> io::Result<Option<String>> {
    let mut head = Window::new(0, HEAD);
    if !system.copy(path, HEAD as u64, &mut head)? {
        return Ok(None);
    }
    let mut told = image::release_in_head(&head.bytes);
    if told.is_none()
        && let Some(section) = unified::linux(&head.bytes)
        && (section.end as u64) < MOST_OF_IMAGE
    {
        let mut inside = Window::new(section.start, HEAD);
        system.copy(path, (section.start + HEAD) as u64, &mut inside)?;
        told = image::release_in_head(&inside.bytes);
    }
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let of_name = name.strip_prefix("vmlinuz-").or_else(|| {
        let is_beside_modules = name == "vmlinuz" && folder.contains("lib/modules/");
        folder.rsplit('/').next().filter(|_| is_beside_modules)
    });
    Ok(told.or_else(|| of_name.filter(|name| name.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)))
}

/// Paths of the config of a kernel, in the file system with its image and in others.
pub(super) fn configs(found: &Found) -> Vec<String> {
    let release = &found.release;
    let mut paths = Vec::new();
    if let Some((folder, name)) = found.path.rsplit_once('/').or(Some(("", found.path.as_str())))
        && let Some(rest) = name.strip_prefix("vmlinuz")
    {
        paths.push(format!("{folder}/config{rest}"));
    }
    for folder in ["boot", "", "flatcar"] {
        paths.push(format!("{folder}/config-{release}"));
    }
    paths.extend(["usr/lib/modules", "lib/modules"].map(|folder| format!("{folder}/{release}/config")));
    paths.extend(["usr/boot", "boot"].map(|folder| format!("{folder}/config-{release}")));
    paths
}

/// The directory with the modules of a release.
pub(super) fn modules(system: &dyn FileSystem, release: &str) -> io::Result<Option<String>> {
    for folder in MODULES {
        // What a release is called may look like a pattern.
        for lib in matching(system, folder)? {
            let path = format!("{lib}/{release}");
            if !system.names(&path)?.is_empty() {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

/// Initial RAM disks beside an image.
pub(super) fn initramfs(system: &dyn FileSystem, found: &Found) -> io::Result<Vec<String>> {
    let folder = found.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let is_one = |name: &String| {
        let is_plain = ["initramfs", "initramfs.xz", "initramfs.zst", "initrd", "initrd.img"].contains(&name.as_str());
        is_plain || name.starts_with("init") && name.contains(&found.release)
    };
    Ok(system.names(folder)?.into_iter().filter(is_one).map(|name| format!("{folder}/{name}")).collect())
}

/// Paths that a pattern stands for, in order.
fn matching(system: &dyn FileSystem, pattern: &str) -> io::Result<Vec<String>> {
    let mut paths = vec![String::new()];
    for part in pattern.split('/') {
        let mut next = Vec::new();
        for path in paths {
            let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            if !part.contains(['*', '?']) {
                next.push(join(part));
                continue;
            }
            let Ok(part) = Pattern::new(part) else { continue };
            next.extend(system.names(&path)?.iter().filter(|name| part.matches(name)).map(|name| join(name)));
        }
        next.truncate(MOST_FOUND);
        paths = next;
    }
    Ok(paths)
}

/// Keeps bytes from an offset on, and lets go what comes before.
struct Window {
    skip: usize,
    limit: usize,
    bytes: Vec<u8>,
}

impl Window {
    fn new(skip: usize, limit: usize) -> Window {
        Window { skip, limit, bytes: Vec::new() }
    }
}

impl Write for Window {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let skipped = self.skip.min(buffer.len());
        self.skip -= skipped;
        let room = self.limit - self.bytes.len();
        self.bytes.extend(buffer[skipped..].iter().take(room));
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::source::disk::tree::TakeFile;
    use crate::store::image::tests::{Packed, Parts, bzimage, vmlinux};

    /// Files by their paths.
    struct Tree(BTreeMap<String, Vec<u8>>);

    impl FileSystem for Tree {
        fn names(&self, folder: &str) -> io::Result<Vec<String>> {
            let inside = |path: &String| {
                let rest = if folder.is_empty() { path } else { path.strip_prefix(folder)?.strip_prefix('/')? };
                rest.split('/').next().map(str::to_owned)
            };
            let mut names: Vec<String> = self.0.keys().filter_map(inside).collect();
            names.dedup();
            Ok(names)
        }

        fn copy(&self, file: &str, limit: u64, out: &mut dyn Write) -> io::Result<bool> {
            let Some(bytes) = self.0.get(file.trim_start_matches('/')) else { return Ok(false) };
            out.write_all(&bytes[..bytes.len().min(limit as usize)])?;
            Ok(true)
        }

        fn each_file(&self, _: &str, _: &mut TakeFile<'_>) -> io::Result<()> {
            Ok(())
        }
    }

    /// Files that are kernels of this release, and others.
    fn tree(kernel: &str, others: &[&str]) -> Tree {
        let image = bzimage("6.6.30-x", &vmlinux("6.6.30-x", Parts { pvh: true, btf: true }), Packed::Gzip);
        let mut files: BTreeMap<String, Vec<u8>> =
            others.iter().map(|path| ((*path).to_owned(), b"x".to_vec())).collect();
        files.insert(kernel.to_owned(), image);
        Tree(files)
    }

    #[test]
    fn kernels_are_found_where_each_system_has_them() {
        for (who, kernel, config) in [
            ("Alpine", "boot/vmlinuz-lts", Some("boot/config-6.6.30-x")),
            ("Debian", "boot/vmlinuz-6.6.30-x", Some("boot/config-6.6.30-x")),
            ("EL with /boot", "vmlinuz-6.6.30-x", Some("config-6.6.30-x")),
            ("openSUSE", "usr/lib/modules/6.6.30-x/vmlinuz", Some("usr/lib/modules/6.6.30-x/config")),
            ("OSTree", "ostree/fedora-0123/vmlinuz-6.6.30-x", None),
            ("OSTree in one", "boot/ostree/fedora-0123/vmlinuz-6.6.30-x", None),
            ("Talos with GRUB", "A/vmlinuz", None),
            ("Talos with systemd-boot", "EFI/Linux/Talos-v1.12.0.efi", None),
            ("Flatcar", "flatcar/vmlinuz-a", None),
            ("COS", "syslinux/vmlinuz.A", None),
            ("Bottlerocket", "vmlinuz", Some("config")),
        ] {
            let mut others = vec!["boot/vmlinuz-0-rescue-1f", "boot/initrd.img-6.6.30-x", "EFI/Linux/other.efi"];
            others.extend(config);
            let tree = tree(kernel, &others);
            let expected = Found { release: "6.6.30-x".to_owned(), path: kernel.to_owned() };
            assert_eq!(images(&tree).unwrap(), std::slice::from_ref(&expected), "{who}");
            let found = configs(&expected).into_iter().find(|path| tree.copy(path, 1, &mut Vec::new()).unwrap());
            assert_eq!(found.as_deref().map(|path| path.trim_start_matches('/')), config, "{who}");
        }
    }

    #[test]
    fn modules_and_initial_ram_disks_are_found() {
        for lib in [
            "lib/modules",
            "usr/lib/modules",
            "x86_64-bottlerocket-linux-gnu/sys-root/usr/lib/modules",
            "ostree/deploy/fedora/deploy/0123.0/usr/lib/modules",
        ] {
            let folder = format!("{lib}/6.6.30-x");
            let tree = tree("A/vmlinuz", &[&format!("{folder}/modules.builtin"), &format!("{lib}/6.6.3/x")]);
            assert_eq!(modules(&tree, "6.6.30-x").unwrap(), Some(folder));
            assert_eq!(modules(&tree, "6.6.31").unwrap(), None);
        }
        let tree = tree("A/vmlinuz", &["A/initramfs.xz", "B/initramfs.xz", "A/notes"]);
        let found = images(&tree).unwrap();
        assert_eq!(initramfs(&tree, &found[0]).unwrap(), ["A/initramfs.xz"]);
    }
}
