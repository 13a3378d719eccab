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

/// Folders of modules, in front of the release: usual ones; a partition that is mounted at `/usr`, as Flatcar's; Bottlerocket; OSTree.
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

/// What a file says of its release; if it says nothing, what its name or its folder does.
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

/// The folder with the modules of a release.
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
