//! [`kernel`]: the kernel in a disk image of a distribution, taken out without mounting or starting anything.
//!
//! `partitions` makes plain bytes of the image and finds its partitions; a reader for each file system stands beside it; `layout` knows where
//! distributions keep their kernels. None of them needs root, and none lets the image's own kernel or programs run.

mod btrfs;
mod erofs;
mod ext4;
mod fat;
mod initramfs;
mod layout;
mod packed;
mod packing;
mod partitions;
pub(super) mod served;
mod squashfs;
mod tree;
mod volume;
mod xfs;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use glob::Pattern;

use self::layout::Found;
use self::partitions::corrupt;
use self::tree::FileSystem;
use self::volume::Volume;
use crate::checksum;
use crate::manifest::DiskImage;
use crate::source::archive::bounded::UnpackRoom;
use crate::source::kernel_files::KernelFiles;
use crate::source::request::{Fetched, Request};
use crate::store::StoredKernel;
use crate::store::entry::{Delivery, Staging};
use crate::store::error::{IoContext, StoreError};
use crate::store::image::unified;
use crate::store::{kmod, version};

/// What file systems may lie in, and what says so where.
const OTHERS: [(&str, u64, &[u8]); 3] =
    [("LVM", 536, b"LVM2 001"), ("LUKS", 0, b"LUKS"), ("RAID", 4096, &[0xfc, 0x4e, 0x2b, 0xa9])];

/// What the disk has, all of it read only.
struct Disk<'a> {
    request: &'a Request<'a>,
    /// As messages call it.
    disk: &'a str,
    work: PathBuf,
    systems: Vec<Box<dyn FileSystem>>,
    /// In which partition each of them lies.
    names: Vec<String>,
    /// Partitions that cannot be read, and why.
    unread: Vec<String>,
}

/// The kernel of a `Source::Disk`: the newest, or the newest whose release matches.
pub(super) fn kernel(
    request: &Request<'_>,
    disk: &DiskImage,
    wanted: Option<&str>,
) -> Result<StoredKernel, StoreError> {
    match disk {
        DiskImage::Path(path) => local(request, path, wanted),
        DiskImage::Server(image) => served::kernel(request, image, wanted),
    }
}

/// That of a file on this machine, which is the user's own and not pinned.
fn local(request: &Request<'_>, disk: &Path, wanted: Option<&str>) -> Result<StoredKernel, StoreError> {
    let Request { store, step, .. } = request;
    let Ok(file) = fs::metadata(disk) else {
        let reason = format!("`{}` does not exist", disk.display());
        return Err(request.unavailable(reason, "correct its path in the manifest"));
    };
    // Reading some gigabytes on each run would take longer than the run.
    let state = format!("{} {} {} {}", disk.display(), file.len(), file.mtime(), file.mtime_nsec());
    let key = checksum::of_bytes(format!("{state} {}", wanted.unwrap_or("*")).as_bytes());
    if let Some(stored) = store.stored(request.name, &key, Vec::new()) {
        return Ok(stored);
    }
    let staging = Staging::new(&store.locks)?;
    step(format!("reading {}", disk.display()));
    let delivery = delivered(request, (disk, &disk.display().to_string()), wanted, staging.work())?;
    request.publish_unpinned(Fetched { key, delivery, staging, notes: Vec::new() })
}

/// Takes the kernel out of an image, which messages call by its second name.
fn delivered(
    request: &Request<'_>,
    (file, shown): (&Path, &str),
    wanted: Option<&str>,
    work: PathBuf,
) -> Result<Delivery, StoreError> {
    let mut image = Disk { request, disk: shown, work, systems: Vec::new(), names: Vec::new(), unread: Vec::new() };
    let unpacked = image.work.join("unpacked.img");
    let is_packed = packed::unpack(file, &unpacked).map_err(|error| image.failure(error, &unpacked))?;
    let file = if is_packed { &unpacked } else { file };
    let raw = partitions::plain(request, (file, shown), &image.work)?;
    for partition in partitions::partitions(request, &raw)? {
        match open(&partition.volume) {
            Ok(systems) => {
                image.names.extend(systems.iter().map(|_| partition.name.clone()));
                image.systems.extend(systems);
            }
            Err(reason) => image.unread.push(format!("{} ({reason})", partition.name)),
        }
    }
    let (at, found) = image.choose(wanted)?;
    (request.step)(format!("unpacking {} of {shown}", found.release));
    let KernelFiles { image: file, config, modules } = image.take_out(at, &found)?;
    let source = format!("disk: {} in {shown}", found.release);
    let notes = image.unread.iter().map(|unread| format!("not all of the disk can be read: {unread}")).collect();
    Ok(Delivery { what: request.what.clone(), source, image: file, config, modules, notes })
}

/// The file systems in a volume, none if nothing is known about it; for what cannot be read, the reason.
fn open(volume: &Volume) -> Result<Vec<Box<dyn FileSystem>>, String> {
    fn one<F: FileSystem + 'static>(
        kind: &str,
        found: io::Result<Option<F>>,
    ) -> Result<Option<Box<dyn FileSystem>>, String> {
        let found = found.map_err(|error| format!("{kind}: {error}"))?;
        Ok(found.map(|system| Box::new(system) as Box<dyn FileSystem>))
    }
    for (kind, at, magic) in OTHERS {
        if volume.has(at, magic) {
            return Err(format!("{kind} is not supported"));
        }
    }
    if let Some(subvolumes) = btrfs::Btrfs::open(volume).map_err(|error| format!("btrfs: {error}"))? {
        return Ok(subvolumes.into_iter().map(|one| Box::new(one) as Box<dyn FileSystem>).collect());
    }
    let found = match one("ext4", ext4::Ext4::open(volume))? {
        None => one("XFS", xfs::Xfs::open(volume))?,
        found => found,
    };
    let found = match found {
        None => one("squashfs", squashfs::Squashfs::open(volume))?,
        found => found,
    };
    let found = match found {
        None => one("EROFS", erofs::Erofs::open(volume))?,
        found => found,
    };
    let found = match found {
        None => one("FAT", fat::Fat::open(volume))?,
        found => found,
    };
    Ok(found.into_iter().collect())
}

impl Disk<'_> {
    /// The kernel to take, and in which file system it lies.
    fn choose(&mut self, wanted: Option<&str>) -> Result<(usize, Found), StoreError> {
        let mut kernels: Vec<(usize, Found)> = Vec::new();
        for (at, (system, name)) in self.systems.iter().zip(&self.names).enumerate() {
            match layout::images(&**system) {
                Ok(found) => kernels.extend(found.into_iter().map(|one| (at, one))),
                Err(error) => self.unread.push(format!("{name} ({error})")),
            }
        }
        let pattern = wanted.and_then(|wanted| Pattern::new(wanted).ok());
        let mut has: Vec<String> = kernels.iter().map(|(_, kernel)| kernel.release.clone()).collect();
        has.sort_by(|a, b| version::compare(a, b));
        has.dedup();
        let matching =
            kernels.into_iter().filter(|(_, one)| pattern.as_ref().is_none_or(|it| it.matches(&one.release)));
        // Of several with one release the first: the usual place comes first, and so does the subvolume that is mounted.
        let newest = matching.reduce(|a, b| if version::compare(&b.1.release, &a.1.release).is_gt() { b } else { a });
        newest.ok_or_else(|| self.without_kernel(wanted, &has))
    }

    fn without_kernel(&self, wanted: Option<&str>, has: &[String]) -> StoreError {
        let disk = self.disk;
        if let Some(wanted) = wanted.filter(|_| !has.is_empty()) {
            let reason = format!("`{disk}` has no kernel `{wanted}`, only {}", has.join(", "));
            return self.request.unavailable(reason, "correct `release` in the manifest");
        }
        if self.unread.is_empty() {
            return self.request.unavailable(format!("`{disk}` holds no kernel image"), "name a bootable disk image");
        }
        let reason =
            format!("no kernel found in the readable parts of `{disk}`; unreadable: {}", self.unread.join(", "));
        let hint = "mount it (`guestmount -a DISK -i --ro DIR`) and use the directory with `source = \"path\"`";
        self.request.unavailable(reason, hint)
    }

    /// Image, config and modules, in the staging directory.
    fn take_out(&self, at: usize, found: &Found) -> Result<KernelFiles, StoreError> {
        let mut room = UnpackRoom::default();
        let image = self.work.join("image");
        let home =
            self.systems.get(at).ok_or_else(|| self.corrupt("its file system can no longer be read".to_owned()))?;
        if !self.copy(&**home, &found.path, &image, &mut room)? {
            return Err(self.corrupt(format!("`{}` cannot be read", found.path)));
        }
        // The file system with the image first.
        let all = || std::iter::once(home).chain(&self.systems);
        let mut config = None;
        for (system, path) in
            all().flat_map(|system| layout::configs(found).into_iter().map(move |path| (system, path)))
        {
            let to = self.work.join("config");
            if config.is_none() && self.copy(&**system, &path, &to, &mut room)? {
                config = Some(to);
            }
        }
        for system in all() {
            if let Some(modules) = self.modules_in(&**system, &found.release, &mut room)? {
                return Ok(KernelFiles { image, config, modules: Some(modules) });
            }
        }
        let modules = self.modules_of_initramfs(&**home, found, &image, &mut room)?;
        Ok(KernelFiles { image, config, modules })
    }

    /// The modules that a file system has of a release, copied.
    fn modules_in(
        &self,
        system: &dyn FileSystem,
        release: &str,
        room: &mut UnpackRoom,
    ) -> Result<Option<PathBuf>, StoreError> {
        let Some(folder) = layout::modules(system, release).map_err(|error| self.damaged(&error))? else {
            return Ok(None);
        };
        let into = self.work.join("modules");
        fs::create_dir(&into).during("create", &into)?;
        let taken = system.each_file(&folder, &mut |path, write| {
            if path != "modules.builtin" && kmod::module_name(path).is_none() {
                return Ok(());
            }
            write_file(&into.join(path), room, write)
        });
        taken.map_err(|error| self.failure(error, &into))?;
        Ok(Some(into))
    }

    /// The modules that an initial RAM disk has: in the image, or beside it.
    fn modules_of_initramfs(
        &self,
        system: &dyn FileSystem,
        found: &Found,
        image: &Path,
        room: &mut UnpackRoom,
    ) -> Result<Option<PathBuf>, StoreError> {
        let disks = self.work.join("initramfs");
        let within = unified::take_initrd(image, &disks).during("write", &disks)?;
        let beside = layout::initramfs(system, found).map_err(|error| self.damaged(&error))?;
        for path in std::iter::once(None).chain(beside.iter().map(Some)) {
            let is_there = match path {
                None => within,
                Some(path) => self.copy(system, path, &disks, room)?,
            };
            if !is_there {
                continue;
            }
            let tree = self.work.join("unpacked");
            let _ = fs::remove_dir_all(&tree);
            initramfs::unpack(&disks, &tree, room).map_err(|error| self.failure(error, &tree))?;
            for lib in ["usr/lib/modules", "lib/modules"] {
                let folder = tree.join(lib).join(&found.release);
                if folder.is_dir() {
                    return Ok(Some(folder));
                }
            }
            let files = fs::read_dir(&tree).into_iter().flatten().flatten().map(|entry| entry.path());
            for file in files.filter(|path| path.to_str().is_some_and(initramfs::is_file_system)) {
                let length = fs::metadata(&file).during("read", &file)?.len();
                let opened = Rc::new(File::open(&file).during("open", &file)?);
                for inner in open(&Volume::new(opened, 0, length)).map_err(|reason| self.corrupt(reason))? {
                    if let Some(modules) = self.modules_in(&*inner, &found.release, room)? {
                        return Ok(Some(modules));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Copies a file, and says whether there was one.
    fn copy(&self, system: &dyn FileSystem, from: &str, to: &Path, room: &mut UnpackRoom) -> Result<bool, StoreError> {
        let copied = write_file(to, room, &|out| match system.copy(from, u64::MAX, out)? {
            true => Ok(()),
            false => Err(ErrorKind::NotFound.into()),
        });
        match copied {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let _ = fs::remove_file(to);
                Ok(false)
            }
            Err(error) => Err(self.failure(error, to)),
        }
    }

    fn damaged(&self, error: &io::Error) -> StoreError {
        self.corrupt(error.to_string())
    }

    /// A failure of the image is its own, anything else is this machine's.
    fn failure(&self, error: io::Error, path: &Path) -> StoreError {
        match error.kind() {
            ErrorKind::InvalidData => self.damaged(&error),
            _ => StoreError::Io { action: "unpack to", path: path.to_owned(), source: error },
        }
    }

    fn corrupt(&self, reason: String) -> StoreError {
        corrupt(self.request, self.disk, reason)
    }
}

/// A file that takes room as it grows.
struct Metered<'a> {
    file: File,
    room: &'a mut UnpackRoom,
}

impl Write for Metered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.room.take_bytes(written as u64)?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn write_file(to: &Path, room: &mut UnpackRoom, write: &dyn Fn(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    room.take(0)?;
    to.parent().map_or(Ok(()), fs::create_dir_all)?;
    write(&mut Metered { file: File::create(to)?, room })
}

#[cfg(test)]
mod tests;
