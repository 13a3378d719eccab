//! [`kernel`]: the kernel in a disk image of a distribution, taken out without mounting or starting anything.
//!
//! `qemu-img` turns the image into plain bytes, `partx` tells the partitions, and `debugfs` reads ext2, 3 and 4: none of
//! them needs root, and none lets the image's own kernel or programs run.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use glob::Pattern;
use serde::Deserialize;

use crate::checksum;
use crate::process::{self, ProcessError};
use crate::source::kernel_files::KernelFiles;
use crate::source::request::{Fetched, Request};
use crate::store::StoredKernel;
use crate::store::entry::{Delivery, Staging};
use crate::store::error::{IoContext, StoreError};
use crate::store::version;

/// For turning an image of some gigabytes into plain bytes.
const CONVERT: Duration = Duration::from_secs(1800);
/// For everything else.
const SHORT: Duration = Duration::from_secs(120);
/// Where modules may lie.
const MODULES: [&str; 2] = ["/usr/lib/modules", "/lib/modules"];

/// What `qemu-img info` says of an image.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    format: String,
    backing_filename: Option<String>,
    format_specific: Option<Specific>,
}

#[derive(Deserialize)]
struct Specific {
    data: SpecificData,
}

/// What qcow2 and vmdk add.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SpecificData {
    data_file: Option<String>,
    #[serde(default)]
    extents: Vec<Extent>,
}

#[derive(Deserialize)]
struct Extent {
    filename: String,
}

impl Info {
    /// A file besides `disk` in which the image goes on.
    fn other_file(self, disk: &Path) -> Option<String> {
        let data = self.format_specific.map(|specific| specific.data);
        let (data_file, extents) = data.map_or((None, Vec::new()), |data| (data.data_file, data.extents));
        let elsewhere = extents.into_iter().map(|extent| extent.filename).find(|name| Path::new(name) != disk);
        self.backing_filename.or(data_file).or(elsewhere)
    }
}

/// A kernel in a partition.
struct Found {
    release: String,
    /// Where its partition begins, in bytes.
    offset: u64,
    /// Its folder: `/boot`, or `/` of a partition that is mounted there.
    folder: &'static str,
}

/// The kernel of a `Source::Disk`: the newest, or the newest whose release matches. It is the user's own and not pinned.
pub(super) fn kernel(request: &Request<'_>, disk: &Path, wanted: Option<&str>) -> Result<StoredKernel, StoreError> {
    let Request { store, what, step, .. } = request;
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
    let image = Disk { request, disk, work: staging.work() };
    step(format!("reading {}", disk.display()));
    let raw = image.plain()?;
    let (offset, found) = image.choose(&raw, wanted)?;
    step(format!("unpacking {} of {}", found.release, disk.display()));
    let tree = image.take_out(&raw, offset, &found)?;
    let source = format!("disk: {} in {}", found.release, disk.display());
    let KernelFiles { image, config, modules } = tree;
    let delivery = Delivery { what: what.clone(), source, image, config, modules, notes: Vec::new() };
    request.publish_unpinned(Fetched { key, delivery, staging, notes: Vec::new() })
}

struct Disk<'a> {
    request: &'a Request<'a>,
    disk: &'a Path,
    work: PathBuf,
}

impl Disk<'_> {
    fn run(&self, command: Command, limit: Duration, package: &str) -> Result<String, StoreError> {
        process::run(command, limit).map_err(|error| match error {
            ProcessError::Missing { .. } => {
                let hint = format!("install {package}");
                self.request.unavailable(format!("`{}` needs {error}", self.disk.display()), &hint)
            }
            error => self.corrupt(error.to_string()),
        })
    }

    /// The image as plain bytes.
    fn plain(&self) -> Result<PathBuf, StoreError> {
        let mut info = Command::new("qemu-img");
        info.args(["info", "--output=json"]).arg(self.disk);
        let info = self.run(info, SHORT, "qemu-utils")?;
        let info: Info = serde_json::from_str(&info).map_err(|error| self.corrupt(error.to_string()))?;
        let format = info.format.clone();
        if let Some(other) = info.other_file(self.disk) {
            // An image from elsewhere could name any file of this machine.
            return Err(self.corrupt(format!("it goes on in another file, `{other}`")));
        }
        if format == "raw" {
            return Ok(self.disk.to_owned());
        }
        let raw = self.work.join("disk.raw");
        let mut convert = Command::new("qemu-img");
        convert.args(["convert", "-f", &format, "-O", "raw"]).arg(self.disk).arg(&raw);
        self.run(convert, CONVERT, "qemu-utils")?;
        Ok(raw)
    }

    /// Where partitions begin, in bytes; the disk itself may be a file system.
    fn partitions(&self, raw: &Path) -> Result<Vec<u64>, StoreError> {
        let mut partx = administrative("partx");
        partx.args(["--noheadings", "--raw", "--output", "START"]).arg(raw);
        let table = match process::run(partx, SHORT) {
            // This is how it says that a disk has no partitions.
            Err(ProcessError::Failed { output, .. }) if output.contains("failed to read partition table") => {
                String::new()
            }
            Err(error) => return Err(self.request.unavailable(error.to_string(), "install util-linux")),
            Ok(text) => text,
        };
        let mut starts: Vec<u64> = table
            .lines()
            .filter_map(|line| line.trim().parse::<u64>().ok())
            .filter_map(|sector| sector.checked_mul(512))
            .collect();
        starts.push(0);
        Ok(starts)
    }

    /// The kernel to take, and where the partition with the modules may be.
    fn choose(&self, raw: &Path, wanted: Option<&str>) -> Result<(u64, Found), StoreError> {
        let file = File::open(raw).during("open", raw)?;
        let (mut kernels, mut unread) = (Vec::new(), Vec::new());
        for offset in self.partitions(raw)? {
            match file_system(&file, offset) {
                Some("ext") => kernels.extend(self.kernels(raw, offset)?),
                Some(other) => unread.push(other),
                None => {}
            }
        }
        let pattern = wanted.and_then(|wanted| Pattern::new(wanted).ok());
        let has: Vec<String> = kernels.iter().map(|kernel| kernel.release.clone()).collect();
        let matching = kernels.into_iter().filter(|one| pattern.as_ref().is_none_or(|glob| glob.matches(&one.release)));
        match matching.max_by(|a, b| version::compare(&a.release, &b.release)) {
            Some(found) => Ok((found.offset, found)),
            None => Err(self.without_kernel(wanted, &has, &unread)),
        }
    }

    fn without_kernel(&self, wanted: Option<&str>, has: &[String], unread: &[&str]) -> StoreError {
        let disk = self.disk.display();
        if let Some(wanted) = wanted.filter(|_| !has.is_empty()) {
            let reason = format!("`{disk}` has no kernel `{wanted}`, only {}", has.join(", "));
            return self.request.unavailable(reason, "correct `release` in the manifest");
        }
        if unread.is_empty() {
            return self
                .request
                .unavailable(format!("`{disk}` holds no kernel image"), "name a disk that boots by itself");
        }
        let reason = format!("`{disk}` has no kernel on ext4, and {} cannot be read", unread.join(", "));
        let hint = "mount it (`guestmount -a DISK -i --ro FOLDER`) and name the folder with `source = \"path\"`";
        self.request.unavailable(reason, hint)
    }

    /// What debugfs prints for one request to the file system at `offset`.
    fn debugfs(&self, raw: &Path, offset: u64, request: &str) -> Result<String, StoreError> {
        let mut debugfs = administrative("debugfs");
        debugfs.arg("-R").arg(request).arg(format!("{}?offset={offset}", raw.display()));
        self.run(debugfs, SHORT, "e2fsprogs")
    }

    /// Names in a folder; none if there is no such folder.
    fn names(&self, raw: &Path, offset: u64, folder: &str) -> Result<Vec<String>, StoreError> {
        // Lines are `/inode/mode/uid/gid/name/size/`.
        let text = self.debugfs(raw, offset, &format!("ls -p {folder}"))?;
        let names = text.lines().filter_map(|line| line.split('/').nth(5)).filter(|name| is_plain(name));
        Ok(names.map(str::to_owned).collect())
    }

    fn kernels(&self, raw: &Path, offset: u64) -> Result<Vec<Found>, StoreError> {
        let mut kernels = Vec::new();
        for folder in ["/boot", "/"] {
            for name in self.names(raw, offset, folder)? {
                if let Some(release) = name.strip_prefix("vmlinuz-").filter(|release| !release.contains("rescue")) {
                    kernels.push(Found { release: release.to_owned(), offset, folder });
                }
            }
        }
        Ok(kernels)
    }

    /// Image, config and the few modules that matter, in the staging folder.
    fn take_out(&self, raw: &Path, offset: u64, found: &Found) -> Result<KernelFiles, StoreError> {
        let Found { release, folder, .. } = found;
        let take = |offset: u64, from: &str, name: &str| -> Result<Option<PathBuf>, StoreError> {
            let to = self.work.join(name);
            self.debugfs(raw, offset, &format!("dump \"{from}\" \"{}\"", to.display()))?;
            Ok(Some(to).filter(|to| fs::metadata(to).is_ok_and(|file| file.len() > 0)))
        };
        let folder = folder.trim_end_matches('/');
        let image = take(offset, &format!("{folder}/vmlinuz-{release}"), "image")?
            .ok_or_else(|| self.corrupt(format!("`vmlinuz-{release}` cannot be read")))?;
        let config = take(offset, &format!("{folder}/config-{release}"), "config")?;
        let modules = self.work.join("modules");
        fs::create_dir(&modules).during("create", &modules)?;
        let file = File::open(raw).during("open", raw)?;
        for at in self.partitions(raw)?.into_iter().filter(|at| file_system(&file, *at) == Some("ext")) {
            for lib in MODULES {
                if take(at, &format!("{lib}/{release}/modules.builtin"), "modules/modules.builtin")?.is_some() {
                    for drivers in ["virtio", "char"] {
                        let from = format!("{lib}/{release}/kernel/drivers/{drivers}");
                        self.debugfs(raw, at, &format!("rdump \"{from}\" \"{}\"", modules.display()))?;
                    }
                    return Ok(KernelFiles { image, config, modules: Some(modules) });
                }
            }
        }
        Ok(KernelFiles { image, config, modules: None })
    }

    fn corrupt(&self, reason: String) -> StoreError {
        StoreError::Corrupt { what: format!("{}: `{}`", self.request.what, self.disk.display()), reason }
    }
}

/// A program that Debian keeps out of users' `PATH`.
fn administrative(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
    command
}

/// A name that can stand in a request to debugfs.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._+-~".contains(c)) && !name.starts_with('.')
}

/// The kind of file system at `offset`, as far as it matters.
fn file_system(disk: &File, offset: u64) -> Option<&'static str> {
    let has = |at: u64, magic: &[u8]| {
        let mut found = vec![0; magic.len()];
        disk.read_exact_at(&mut found, offset.saturating_add(at)).is_ok_and(|()| found == magic)
    };
    let kinds: [(u64, &[u8], &str); 6] = [
        (1080, &[0x53, 0xef], "ext"),
        (0, b"XFSB", "xfs"),
        (0x1_0040, b"_BHRfS_M", "btrfs"),
        (536, b"LVM2 001", "LVM"),
        (0, b"LUKS", "LUKS"),
        (0, b"hsqs", "squashfs"),
    ];
    kinds.into_iter().find(|(at, magic, _)| has(*at, magic)).map(|(.., kind)| kind)
}
