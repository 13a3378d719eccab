//! [`partitions`]: the stretches of a disk that may be file systems, and [`plain`]: the disk as plain bytes.
//!
//! `qemu-img` turns the image into plain bytes and `partx` lists the partitions: neither needs root.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;

use crate::process::{self, ProcessError};
use crate::source::disk::volume::Volume;
use crate::source::request::Request;
use crate::store::error::{IoContext, StoreError};

/// For turning an image of some gigabytes into plain bytes.
const CONVERT: Duration = Duration::from_secs(1800);
/// For everything else.
const SHORT: Duration = Duration::from_secs(120);
const SECTOR: u64 = 512;

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

/// A partition, or the whole disk.
pub(super) struct Partition {
    /// As messages call it.
    pub name: String,
    pub volume: Volume,
}

/// The image as plain bytes; in `work` if it is not plain itself.
pub(super) fn plain(request: &Request<'_>, (disk, shown): (&Path, &str), work: &Path) -> Result<PathBuf, StoreError> {
    let mut info = Command::new("qemu-img");
    info.args(["info", "--output=json"]).arg(disk);
    let info = run(request, shown, info, SHORT)?;
    let info: Info = serde_json::from_str(&info).map_err(|error| corrupt(request, shown, error.to_string()))?;
    let format = info.format.clone();
    if let Some(other) = info.other_file(disk) {
        // An image from elsewhere could name any file of this machine.
        return Err(corrupt(request, shown, format!("it continues in another file, `{other}`")));
    }
    if format == "raw" {
        return Ok(disk.to_owned());
    }
    let raw = work.join("disk.raw");
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-f", &format, "-O", "raw"]).arg(disk).arg(&raw);
    run(request, shown, convert, CONVERT)?;
    Ok(raw)
}

fn run(request: &Request<'_>, shown: &str, command: Command, limit: Duration) -> Result<String, StoreError> {
    process::run(command, limit).map_err(|error| match error {
        ProcessError::Missing { .. } => request.unavailable(format!("`{}` needs {error}", shown), "install qemu-utils"),
        error => corrupt(request, shown, error.to_string()),
    })
}

/// The partitions of a disk, and the disk itself, which may be a file system.
pub(super) fn partitions(request: &Request<'_>, raw: &Path) -> Result<Vec<Partition>, StoreError> {
    let mut partx = Command::new("partx");
    partx.args(["--noheadings", "--raw", "--output", "NR,START,SECTORS"]).arg(raw);
    let table = match process::run(partx, SHORT) {
        // This is how it says that a disk has no partitions.
        Err(ProcessError::Failed { output, .. }) if output.contains("failed to read partition table") => String::new(),
        Err(error) => return Err(request.unavailable(error.to_string(), "install util-linux")),
        Ok(text) => text,
    };
    let file = Rc::new(File::open(raw).during("open", raw)?);
    let length = fs::metadata(raw).during("read", raw)?.len();
    let mut partitions = Vec::new();
    for line in table.lines() {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        if let [number, start, sectors] = numbers[..]
            && let Some(start) = start.checked_mul(SECTOR).filter(|start| *start < length)
        {
            let room = sectors.saturating_mul(SECTOR).min(length - start);
            let volume = Volume::new(Rc::clone(&file), start, room);
            partitions.push(Partition { name: format!("partition {number}"), volume });
        }
    }
    let whole = Partition { name: "the disk itself".to_owned(), volume: Volume::new(file, 0, length) };
    partitions.push(whole);
    Ok(partitions)
}

pub(super) fn corrupt(request: &Request<'_>, disk: &str, reason: String) -> StoreError {
    StoreError::Corrupt { what: format!("{}: `{}`", request.what, disk), reason }
}
