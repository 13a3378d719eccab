//! [`Bundle`]: one failed cell of a run in one file, with everything that another machine needs to see it fail again.
//!
//! It is a tar archive, compressed by zstd, and a project of its own: after `tar --zstd -xf` its directory has a manifest, a lock file, a
//! suite and the object, and `corematrix run suite.toml` works there.
//!
//! ```text
//! bundle.json      format, which cell, what was run
//! report.json      the record: one object on all kernels of the run
//! kernels.toml     the kernel, and only that
//! kernels.lock     what exactly it is; not for an image on the machine of the run
//! suite.toml       the settings of the object, and what is expected of it
//! NAME.bpf.o       the object
//! targets/*.bpf.o  the objects that programs of it are loaded for, if there are any
//! modules/*.ko     the kernel modules that the user gave as files, if there are any
//! logs/N.log.zst   the verifier log of program N
//! ```
//!
//! A bundle is data that anyone may have made: opening one runs nothing, writes nothing, and reads it into memory within bounds.
//! `kernels.toml` and `kernels.lock` go through the same readers as a user's own, so no other kinds of sources exist.

mod about;
mod archive;
mod companions;
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
use std::sync::Arc;

use crate::file_name::file_name as plain;
use crate::manifest::{KernelSpec, Manifest};
use crate::record::json;
use crate::record::{ObjectRecord, RunRecord, ShapeRecord};
use crate::run_folder::RunFolder;
use crate::source::LockFile;
pub use about::{About, host_cpu};
use archive::ArchiveMember;
pub use companions::target_rows;
pub use error::BundleError;

/// The ending of a bundle's name.
pub const SUFFIX: &str = ".cmxb";
/// Where a run puts its bundles, in the report's directory.
pub const FOLDER: &str = "bundles";
/// The first bytes of everything that zstd compressed.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// One cell of a run, to be seen again elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// What it is about.
    pub about: About,
    /// The object on all kernels of the run, and after it those that its programs are loaded for.
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
    /// The objects that programs of the object are loaded for, as in the record, and modules: names in the bundle, and bytes.
    companions: Vec<ArchiveMember>,
}

/// What [`Bundle::lay_out`] wrote.
#[derive(Debug)]
pub struct LaidOut {
    /// The kernel.
    pub spec: KernelSpec,
    /// The object's file.
    pub object: PathBuf,
    /// The files of the objects that its programs are loaded for, as in the record.
    pub targets: Vec<PathBuf>,
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
    /// Those of each object of [`target_rows`].
    pub targets: &'a [Arc<[u8]>],
    /// The kernel as the manifest declares it.
    pub spec: &'a KernelSpec,
    /// The lock file of the run.
    pub lock: &'a LockFile,
    /// The report's directory, for the logs.
    pub folder: &'a Path,
    /// The command line of the run.
    pub command: &'a [String],
}

/// The name of a cell's bundle, `KERNEL-OBJECT`: without what a file name cannot have, and no two cells have the same.
pub fn file_name(kernel: &str, object: &str) -> String {
    // With a `-` in the kernel's name no one knows where the object's begins.
    let between = if kernel.contains('-') { '/' } else { '-' };
    plain(&format!("{kernel}{between}{object}")) + SUFFIX
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
        let &Contents { record, object, kernel, bytes, targets, spec, lock, folder, command } = contents;
        if let Some(btf) = &record.objects[object].loading.btf {
            let (object, kernel) = (record.objects[object].name.clone(), record.kernels[kernel].name.clone());
            let reason = format!("it is relocated with `{btf}`, but bundles hold no BTF");
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
        let rows = target_rows(record, object);
        let mut companions: Vec<ArchiveMember> = Vec::new();
        for (target, bytes) in rows.iter().map(|row| &record.objects[*row]).zip(targets) {
            if checksum::of_bytes(bytes) != target.sha256 {
                return Err(not(format!("its target `{}` has changed since the run", target.name)));
            }
            companions.push((companions::target_file(target.base_name()), bytes.to_vec()));
        }
        let Some(identity) = &record.kernels[kernel].identity else {
            return Err(not("that kernel was unavailable in the run".to_owned()));
        };
        let source = project::portable(spec, lock.kernel(&spec.name).as_ref());
        let excerpt = || not(format!("the lock file pins a kernel other than {}", identity.release));
        let lock = match source {
            None => None,
            Some(_) => Some(lock.excerpt(&spec.name, &identity.image_sha256).ok_or_else(excerpt)?),
        };
        let base = object_record.base_name();
        let file = format!("{}.bpf.o", plain(base));
        let cannot_write = |error: toml::ser::Error| not(error.to_string());
        let mut record = excerpt_of(record, std::iter::once(object).chain(rows));
        companions.extend(companions::modules(&mut record.kernels[kernel]).map_err(not)?);
        record.kernels.iter_mut().for_each(companions::hide_paths);
        let mut logs = Vec::new();
        let width = record.kernels.len();
        let programs = record
            .cells
            .iter_mut()
            .enumerate()
            .take(width)
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
            about: About::of(spec.name.clone(), command.to_vec(), companions.is_empty()),
            kernel,
            object: bytes.to_vec(),
            manifest: project::manifest(spec, source, &object_record.machine, &record.kernels[kernel].modules)
                .map_err(cannot_write)?,
            lock,
            suite: project::suite((base, &file), &record.objects).map_err(cannot_write)?,
            record,
            logs,
            companions,
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
        members.extend(self.companions.iter().cloned());
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
        let about = About::read(&need("bundle.json")?, path)?;
        let record = json::parse(&need("report.json")?, Path::new("report.json"));
        let mut record = record.map_err(|error| damaged(error.to_string()))?;
        let manifest = text(need("kernels.toml")?).map_err(&damaged)?;
        let suite = text(need("suite.toml")?).map_err(&damaged)?;
        let lock = take(&|name| name == "kernels.lock").map(|(_, bytes)| text(bytes)).transpose().map_err(&damaged)?;
        let is_object = |name: &str| name.ends_with(".bpf.o") && !name.contains('/');
        let (_, object) = take(&is_object).ok_or_else(|| missing("*.bpf.o"))?;
        let mut companions = Vec::new();
        for target in record.objects.iter().skip(1) {
            let name = companions::target_file(target.base_name());
            let (_, bytes) = take(&|found| found == name).ok_or_else(|| missing(&name))?;
            if target.sha256 != checksum::of_bytes(&bytes) {
                return Err(damaged(format!("`{name}` does not match its report")));
            }
            companions.push((name, bytes));
        }
        while let Some(module) = take(&|name| name.starts_with(companions::MODULES)) {
            companions.push(module);
        }
        let mut logs = Vec::new();
        while let Some((name, log)) = take(&|name| name.starts_with("logs/")) {
            let number = name.trim_start_matches("logs/").trim_end_matches(".log.zst").parse();
            logs.push((number.map_err(|_| damaged(format!("`{name}` belongs to no program")))?, log));
        }
        logs.sort_by_key(|(number, _)| *number);

        if !members.is_empty() || record.objects.is_empty() {
            return Err(damaged("it holds no object, or unexpected files".to_owned()));
        }
        if record.objects[0].sha256 != checksum::of_bytes(&object) {
            return Err(damaged("its object does not match its report".to_owned()));
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
        Ok(Bundle { about, record, kernel, object, manifest, lock, suite, logs, companions })
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

    /// The names of the objects that its programs are loaded for.
    pub fn target_names(&self) -> impl Iterator<Item = &str> {
        self.record.objects.iter().skip(1).map(ObjectRecord::base_name)
    }

    /// Writes manifest, lock file, objects and modules into `folder`, which is empty.
    ///
    /// # Errors
    /// [`BundleError::Damaged`] if the manifest does not declare the kernel and nothing else, [`BundleError::Write`].
    pub fn lay_out(&self, folder: &Path) -> Result<LaidOut, BundleError> {
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
        let mut targets = Vec::new();
        for (name, bytes) in &self.companions {
            let (within, _) = name.split_once('/').unwrap_or((".", name));
            std::fs::create_dir_all(folder.join(within))
                .map_err(|source| BundleError::Write { path: folder.join(within), source })?;
            let path = write(name, bytes)?;
            targets.extend(name.starts_with(companions::TARGETS).then_some(path));
        }
        let known = Manifest::load(&manifest).map_err(|error| damaged(error.to_string()))?.kernels;
        match <[KernelSpec; 1]>::try_from(known) {
            Ok([spec]) if !project::is_harmless(&spec) => {
                Err(damaged(format!("it refers to `{}` on this machine, which bundles never do", spec.source)))
            }
            Ok([spec]) if !companions::are_own(spec.modules.as_ref(), folder, &self.companions) => {
                Err(damaged("it refers to kernel modules on this machine, which bundles never do".to_owned()))
            }
            Ok([spec]) if spec.name == self.about.kernel => Ok(LaidOut { spec, object, targets }),
            _ => Err(damaged(format!("it must declare `{}` and nothing else", self.about.kernel))),
        }
    }
}

/// The rows of some objects of a record.
fn excerpt_of(record: &RunRecord, objects: impl Iterator<Item = usize>) -> RunRecord {
    let objects: Vec<usize> = objects.collect();
    let width = record.kernels.len();
    let cells = objects.iter().flat_map(|object| &record.cells[object * width..(object + 1) * width]).cloned();
    let names: Vec<&str> = objects.iter().map(|&object| record.objects[object].name.as_str()).collect();
    let optional = record.optional.iter().filter(|one| names.contains(&&*one.what.object));
    RunRecord {
        tool: record.tool.clone(),
        started: record.started.clone(),
        finished: record.finished.clone(),
        kernels: record.kernels.clone(),
        objects: objects.iter().map(|&object| record.objects[object].clone()).collect(),
        cells: cells.collect(),
        optional: optional.cloned().collect(),
        notices: Vec::new(),
        alternatives: Vec::new(),
        minimum_coverage: None,
        partition: None,
        ..*record
    }
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "a text in it is not UTF-8".to_owned())
}
