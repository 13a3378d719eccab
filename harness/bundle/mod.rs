//! [`Bundle`]: one failed cell of a run in one file, with everything that another machine needs to see it fail again.
//!
//! It is a tar archive, compressed by zstd, and a project of its own: after `tar --zstd -xf` its folder has a manifest, a lock file, a
//! suite and the object, and `corematrix run suite.toml` works there.
//!
//! ```text
//! bundle.json      format, which cell, what was run
//! report.json      the record: one object on all kernels of the run
//! kernels.toml     the kernel, and only that
//! kernels.lock     what exactly it is; not for an image on the machine of the run
//! suite.toml       the settings of the object, and what is expected of it
//! NAME.bpf.o       the object
//! logs/N.log.zst   the verifier log of program N
//! ```
//!
//! A bundle is data that anyone may have made: opening one runs nothing, writes nothing, and reads it into memory within bounds.
//! `kernels.toml` and `kernels.lock` go through the same readers as a user's own, so no other kinds of sources exist.

mod archive;
mod error;
mod project;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use crate::checksum;
use crate::whole_file;
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::file_name::file_name as plain;
use crate::manifest::{KernelSpec, Manifest};
use crate::record::json;
use crate::record::{RunRecord, ShapeRecord};
use crate::run_folder::RunFolder;
use crate::source::LockFile;
pub use error::BundleError;

/// The ending of a bundle's name.
pub const SUFFIX: &str = ".cmxb";
/// Where a run puts its bundles, in the report's folder.
pub const FOLDER: &str = "bundles";
/// The version of the format; raised when an older corematrix would misread it.
const FORMAT: u32 = 1;
/// The first bytes of everything that zstd compressed.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// One cell of a run, to be seen again elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// What it is about.
    pub about: About,
    /// The object on all kernels of the run.
    pub record: RunRecord,
    /// The cell's kernel, as an index.
    pub kernel: usize,
    /// The object, unchanged.
    pub object: Vec<u8>,
    manifest: String,
    lock: Option<String>,
    suite: String,
    /// The verifier logs of the cell's programs, compressed, by the number of the program.
    logs: Vec<(usize, Vec<u8>)>,
}

/// What a bundle is about: its `bundle.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    format: u32,
    /// The cell's kernel.
    pub kernel: String,
    /// The command line of the run; empty if nobody knows it any more.
    pub command: Vec<String>,
    /// The processor of the machine of the run, if it has a name.
    pub cpu: Option<String>,
}

/// A cell to make a bundle of, and what belongs to it.
pub struct Contents<'a> {
    /// The run.
    pub record: &'a RunRecord,
    /// The cell's object, as an index.
    pub object: usize,
    /// The cell's kernel, as an index.
    pub kernel: usize,
    /// The object's bytes.
    pub bytes: &'a [u8],
    /// The kernel as the manifest declares it.
    pub spec: &'a KernelSpec,
    /// The lock file of the run.
    pub lock: &'a LockFile,
    /// The report's folder, for the logs.
    pub folder: &'a Path,
    /// The command line of the run.
    pub command: &'a [String],
}

/// The name of a cell's bundle, `KERNEL-OBJECT`: without what a file name cannot have, and no two cells have the same.
pub fn file_name(kernel: &str, object: &str) -> String {
    // With a `-` in the kernel's name nobody knows where the object's begins.
    let between = if kernel.contains('-') { '/' } else { '-' };
    plain(&format!("{kernel}{between}{object}")) + SUFFIX
}

/// The processor of this machine, if it has a name.
pub fn host_cpu() -> Option<String> {
    let known = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = known.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}

impl Bundle {
    /// Whether a file begins like a bundle.
    pub fn is_bundle(path: &Path) -> bool {
        let mut magic = [0; 4];
        File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == ZSTD_MAGIC
    }

    /// Makes the bundle of a cell.
    ///
    /// # Errors
    /// [`BundleError::NotToBundle`] where the kernel never got ready, is pinned as something else by now, or the object is another.
    pub fn of(contents: &Contents<'_>) -> Result<Bundle, BundleError> {
        let &Contents { record, object, kernel, bytes, spec, lock, folder, command } = contents;
        if let Some(btf) = &record.objects[object].loading.btf {
            let (object, kernel) = (record.objects[object].name.clone(), record.kernels[kernel].name.clone());
            let reason = format!("it is relocated with `{btf}`, and bundles hold no BTF");
            return Err(BundleError::NotToBundle { object, kernel, reason });
        }
        let object_record = &record.objects[object];
        let not = |reason: String| BundleError::NotToBundle {
            object: object_record.name.clone(),
            kernel: spec.name.clone(),
            reason,
        };
        if checksum::of_bytes(bytes) != object_record.sha256 {
            return Err(not("the object has changed since the run".to_owned()));
        }
        let Some(identity) = &record.kernels[kernel].identity else {
            return Err(not("the run never got that kernel".to_owned()));
        };
        let source = project::portable(spec, lock.kernel(&spec.name).as_ref());
        let excerpt = || not(format!("the lock file pins another kernel than {}", identity.release));
        let lock = match source {
            None => None,
            Some(_) => Some(lock.excerpt(&spec.name, &identity.image_sha256).ok_or_else(excerpt)?),
        };
        let base = object_record.base_name();
        let file = format!("{}.bpf.o", plain(base));
        let cannot_write = |error: toml::ser::Error| not(error.to_string());
        let mut record = row(record, object);
        let mut logs = Vec::new();
        let programs = record
            .cells
            .iter_mut()
            .enumerate()
            .flat_map(|(k, cell)| cell.programs.iter_mut().enumerate().map(move |(p, program)| (k, p, program)));
        for (k, p, program) in programs {
            let wanted = program.log_file.take().filter(|_| k == kernel && !program.verdict.is_pass());
            let name = format!("logs/{p}.log.zst");
            let most = archive::limit(&name).unwrap_or_default();
            let read = |log: String| {
                let mut bytes = Vec::new();
                RunFolder::new(folder).open(&log)?.take(most + 1).read_to_end(&mut bytes).map(|_| bytes)
            };
            // One too long is left out; the record has its end.
            if let Some(log) = wanted.and_then(|log| read(log).ok()).filter(|log| log.len() as u64 <= most) {
                program.log_file = Some(name);
                logs.push((p, log));
            }
        }
        Ok(Bundle {
            about: About { format: FORMAT, kernel: spec.name.clone(), command: command.to_vec(), cpu: host_cpu() },
            kernel,
            object: bytes.to_vec(),
            manifest: project::manifest(spec, source, &object_record.machine).map_err(cannot_write)?,
            lock,
            suite: project::suite((base, &file), &record.objects[0]).map_err(cannot_write)?,
            record,
            logs,
        })
    }

    /// Writes the bundle to `path`, whole or not at all, and returns its size in bytes.
    ///
    /// # Errors
    /// [`BundleError::Write`].
    pub fn write(&self, path: &Path) -> Result<u64, BundleError> {
        let error = |source: io::Error| BundleError::Write { path: path.to_owned(), source };
        let mut members = vec![
            ("bundle.json".to_owned(), serde_json::to_vec_pretty(&self.about).map_err(|e| error(e.into()))?),
            ("report.json".to_owned(), json::render(&self.record).map_err(error)?),
            ("kernels.toml".to_owned(), self.manifest.clone().into_bytes()),
        ];
        members.extend(self.lock.iter().map(|lock| ("kernels.lock".to_owned(), lock.clone().into_bytes())));
        members.push(("suite.toml".to_owned(), self.suite.clone().into_bytes()));
        members.push((format!("{}.bpf.o", plain(self.base())), self.object.clone()));
        members.extend(self.logs.iter().map(|(p, log)| (format!("logs/{p}.log.zst"), log.clone())));
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(error)?;
        whole_file::replace(path, |out| archive::pack(&members, out)).map_err(|failed| error(failed.source))?;
        let size = std::fs::metadata(path).map_err(error)?.len();
        Ok(size)
    }

    /// Opens a bundle.
    ///
    /// # Errors
    /// See [`BundleError`]: it cannot be read, is damaged, of another format, or holds what no bundle holds.
    pub fn open(path: &Path) -> Result<Bundle, BundleError> {
        let file = File::open(path).map_err(|source| BundleError::Read { path: path.to_owned(), source })?;
        let damaged = |reason: String| BundleError::Damaged { path: path.to_owned(), reason };
        let mut members = archive::unpack(BufReader::new(file), path)?;
        let mut take = |wanted: &dyn Fn(&str) -> bool| {
            let place = members.iter().position(|(name, _)| wanted(name))?;
            Some(members.swap_remove(place))
        };
        let missing = |name: &str| damaged(format!("`{name}` is missing"));
        let mut need = |name: &str| take(&|found| found == name).map(|(_, bytes)| bytes).ok_or_else(|| missing(name));
        let about = about(&need("bundle.json")?, path)?;
        let record = json::parse(&need("report.json")?, Path::new("report.json"));
        let mut record = record.map_err(|error| damaged(error.to_string()))?;
        let manifest = text(need("kernels.toml")?).map_err(&damaged)?;
        let suite = text(need("suite.toml")?).map_err(&damaged)?;
        let lock = take(&|name| name == "kernels.lock").map(|(_, bytes)| text(bytes)).transpose().map_err(&damaged)?;
        let (_, object) = take(&|name| name.ends_with(".bpf.o")).ok_or_else(|| missing("*.bpf.o"))?;
        let mut logs = Vec::new();
        while let Some((name, log)) = take(&|name| name.starts_with("logs/")) {
            let number = name.trim_start_matches("logs/").trim_end_matches(".log.zst").parse();
            logs.push((number.map_err(|_| damaged(format!("`{name}` is of no program")))?, log));
        }
        logs.sort_by_key(|(number, _)| *number);

        if !members.is_empty() || record.objects.len() != 1 {
            return Err(damaged("it is not about one object".to_owned()));
        }
        if record.objects[0].sha256 != checksum::of_bytes(&object) {
            return Err(damaged("its object is not the one of its report".to_owned()));
        }
        let kernel = record.kernels.iter().position(|kernel| kernel.name == about.kernel);
        let kernel = kernel.ok_or_else(|| damaged(format!("its report has no kernel `{}`", about.kernel)))?;
        // The paths of logs in a report lead to files; these lead nowhere but into the bundle.
        for (index, cell) in record.cells.iter_mut().enumerate() {
            for (p, program) in cell.programs.iter_mut().enumerate() {
                let is_here = index == kernel && logs.iter().any(|(number, _)| *number == p);
                program.log_file = is_here.then(|| format!("logs/{p}.log.zst"));
            }
        }
        Ok(Bundle { about, record, kernel, object, manifest, lock, suite, logs })
    }

    /// The name of the object without settings.
    pub fn base(&self) -> &str {
        let object_record = &self.record.objects[0];
        object_record.base_name()
    }

    /// The settings that the object was tried with, if not its own.
    pub fn shape(&self) -> Option<&ShapeRecord> {
        self.record.objects[0].shape.as_ref()
    }

    /// Writes manifest, lock file and object into `folder`, which is empty, and returns the kernel and the path of the object.
    ///
    /// # Errors
    /// [`BundleError::Damaged`] if the manifest does not declare the kernel and nothing else, [`BundleError::Write`].
    pub fn lay_out(&self, folder: &Path) -> Result<(KernelSpec, PathBuf), BundleError> {
        let damaged = |reason: String| BundleError::Damaged { path: PathBuf::from("kernels.toml"), reason };
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            let written = std::fs::write(&path, bytes);
            written.map_err(|source| BundleError::Write { path: path.clone(), source }).map(|()| path)
        };
        let manifest = write("kernels.toml", self.manifest.as_bytes())?;
        if let Some(lock) = &self.lock {
            write("kernels.lock", lock.as_bytes())?;
        }
        let object = write("object.bpf.o", &self.object)?;
        let known = Manifest::load(&manifest).map_err(|error| damaged(error.to_string()))?.kernels;
        match <[KernelSpec; 1]>::try_from(known) {
            Ok([spec]) if !project::is_harmless(&spec) => {
                Err(damaged(format!("it wants `{}` from this machine, which no bundle does", spec.source)))
            }
            Ok([spec]) if spec.name == self.about.kernel => Ok((spec, object)),
            _ => Err(damaged(format!("it does not declare `{}` alone", self.about.kernel))),
        }
    }
}

/// The one row of an object in a record.
fn row(record: &RunRecord, object: usize) -> RunRecord {
    let width = record.kernels.len();
    let cells = record.cells[object * width..(object + 1) * width].to_vec();
    let optional = record.optional.iter().filter(|one| one.what.object == record.objects[object].name);
    RunRecord {
        tool: record.tool.clone(),
        started: record.started.clone(),
        finished: record.finished.clone(),
        kernels: record.kernels.clone(),
        objects: vec![record.objects[object].clone()],
        cells,
        optional: optional.cloned().collect(),
        notices: Vec::new(),
        alternatives: Vec::new(),
        minimum_coverage: None,
        partition: None,
        ..*record
    }
}

/// Reads `bundle.json`, its format first.
fn about(json: &[u8], path: &Path) -> Result<About, BundleError> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let damaged = |error: serde_json::Error| BundleError::Damaged {
        path: path.to_owned(),
        reason: format!("`bundle.json`: {error}"),
    };
    let Format { format } = serde_json::from_slice(json).map_err(damaged)?;
    if format != u64::from(FORMAT) {
        return Err(BundleError::OtherFormat { path: path.to_owned(), found: format, known: FORMAT });
    }
    serde_json::from_slice(json).map_err(damaged)
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "a text in it is not UTF-8".to_owned())
}
