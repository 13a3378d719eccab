//! Renders a record: each [`Format`] is a file here, and so is the live view of a run. Nothing here runs anything.
//!
//! [`write_all`] writes the files of a run, [`write_formats`] those that are requested later; [`table::render`] is what the terminal shows at its end and
//! [`progress::Progress`] what it shows on the way.

pub mod comparison;
pub mod compiler;
pub mod coverage;
pub mod csv;
pub mod explain;
pub mod features;
pub mod finding;
mod format;
pub mod gate;
pub mod github;
pub mod gitlab;
pub mod html;
pub mod jsonl;
pub mod junit;
pub mod machines;
pub mod markdown;
pub mod nightly;
pub mod object_grid;
mod place;
pub mod privileges;
pub mod progress;
pub mod repro;
mod reused;
mod run_cost;
pub mod sarif;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod schema;
mod source_root;
mod summary;
pub mod table;
mod text;
mod upgrade;

pub use format::{Baseline, Format, Material};
pub use place::SourceLocation;
pub use source_root::SourceRoot;
pub(crate) use text::{counted, one_line, paragraph, shorten_middle};
pub use upgrade::UpgradeReport;

use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::record::{RunRecord, json};
use crate::whole_file::{self, WriteError};

/// Why a report cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The directory for the reports cannot be made.
    #[error("cannot create the report directory `{}`: {source}", path.display())]
    Folder {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A report cannot be written; an older one of that name is untouched.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A report cannot be read.
    #[error(transparent)]
    Read(#[from] json::ReadError),
}

impl ReportError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            ReportError::Folder { path, source } | ReportError::Write(WriteError { path, source }) => {
                match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        Some("free space on that disk, or choose a report directory on another disk".to_owned())
                    }
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                        Some("choose a writable report directory".to_owned())
                    }
                    io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                        Some(format!("remove or rename `{}`, which is in the way", path.display()))
                    }
                    _ => None,
                }
            }
            ReportError::Read(error) => error.hint().map(str::to_owned),
        }
    }
}

/// Writes the reports of a run ([`Format::OF_A_RUN`]) into `folder`, which is made if it is not there.
///
/// # Errors
/// The first failure; the other files are tried nevertheless, since half of the reports is better than none.
pub fn write_all(record: &RunRecord, folder: &Path) -> Result<(), ReportError> {
    let sources = SourceRoot::around(folder);
    write_formats(&Material { record, folder, sources: &sources, baseline: None }, &Format::OF_A_RUN, folder)
}

/// Writes the page of a run once more, with what changed since an earlier one.
///
/// # Errors
/// [`ReportError::Write`]; the page without it is then untouched.
pub fn write_changes(record: &RunRecord, baseline: Baseline<'_>, folder: &Path) -> Result<(), ReportError> {
    let sources = SourceRoot::around(folder);
    write_formats(&Material { record, folder, sources: &sources, baseline: Some(baseline) }, &[Format::Html], folder)
}

/// Writes a text file whole or not at all.
///
/// # Errors
/// [`ReportError::Write`]; an older file at `path` is then untouched.
pub fn write_text(path: &Path, text: &str) -> Result<(), ReportError> {
    Ok(whole_file::replace(path, |out| out.write_all(text.as_bytes()))?)
}

/// Writes reports into `out`, which is made if it is not there.
///
/// # Errors
/// The first failure; the other files are tried nevertheless.
pub fn write_formats(material: &Material<'_>, formats: &[Format], out: &Path) -> Result<(), ReportError> {
    std::fs::create_dir_all(out).map_err(|source| ReportError::Folder { path: out.to_owned(), source })?;
    let written: Vec<_> = formats.par_iter().map(|format| format.write(material, out)).collect();
    written.into_iter().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod golden;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn all_reports_are_written_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let reports = folder.path().join("runs/1");
        let mut record = sample::record();
        write_all(&record, &reports).unwrap();
        record.interrupted = true;
        write_all(&record, &reports).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(&reports).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["junit.xml", "report.html", "report.json", "summary.md", "table.txt"]);
        assert!(json::read(&reports.join("report.json")).unwrap().interrupted);
    }

    #[test]
    fn the_page_is_written_once_more_with_what_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (before, after) = (sample::large(12, 3), sample::large(12, 2));
        write_all(&after, folder.path()).unwrap();
        let page = || std::fs::read_to_string(folder.path().join("report.html")).unwrap();
        assert!(html::data_of(&page())["changes"].is_null());
        let baseline = Baseline { name: "last night".to_owned(), record: &before };
        write_changes(&after, baseline, folder.path()).unwrap();
        assert_eq!(html::data_of(&page())["changes"]["baseline"], "last night");
    }

    #[test]
    fn what_is_in_the_way_is_named_and_the_other_reports_are_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("junit.xml")).unwrap();
        let error = write_all(&sample::record(), folder.path()).unwrap_err();
        assert!(error.to_string().contains("junit.xml"), "{error}");
        assert!(error.hint().unwrap().contains("in the way"), "{error:?}");
        assert!(folder.path().join("report.json").exists());
        assert!(folder.path().join("table.txt").exists());
        // No half-written file stays behind.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5);

        let error = write_all(&sample::record(), &folder.path().join("table.txt/runs")).unwrap_err();
        assert!(matches!(error, ReportError::Folder { .. }));
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_full_disk_has_a_hint() {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let error = ReportError::Write(WriteError { path: "reports/report.json".into(), source });
        assert_eq!(error.to_string(), "cannot write `reports/report.json`: no storage space");
        assert!(error.hint().unwrap().starts_with("free space"));
    }
}
