//! `report.json`: the record of a run as it is, for programs and for every later look at the run.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Serializer;

use crate::one_line_each::OneLineEach;
use crate::{RunRecord, SCHEMA_VERSION};

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not the record of a run.
    #[error("`{}` is not a corematrix report: {reason}", path.display())]
    NotAReport {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as a lowercase fragment.
        reason: String,
    },
    /// Another version of corematrix wrote the file.
    #[error("`{}` has report format {found}, but this corematrix reads format {known}", path.display())]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// The file's format version.
        found: u64,
        /// The version that [`read`] understands.
        known: u32,
    },
}

impl ReadError {
    /// What the user can do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            ReadError::File { .. } => None,
            ReadError::NotAReport { .. } => Some("name the `report.json` of a run"),
            ReadError::OtherFormat { found, known, .. } if *found > u64::from(*known) => {
                Some("use a newer corematrix to read it")
            }
            ReadError::OtherFormat { .. } => Some("run the matrix again"),
        }
    }
}

/// The record as JSON, with one line for each kernel, object and cell.
///
/// # Errors
/// None that comes from the record.
pub fn render(record: &RunRecord) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    write(record, &mut text)?;
    Ok(text)
}

/// Writes what [`render`] returns, without holding all of it in memory.
///
/// # Errors
/// Those of `out`.
pub fn write(record: &RunRecord, mut out: impl io::Write) -> io::Result<()> {
    record.serialize(&mut Serializer::with_formatter(&mut out, OneLineEach::default()))?;
    out.write_all(b"\n")
}

/// The one field that every format has.
#[derive(Deserialize)]
struct Format {
    schema_version: u64,
}

/// Reads the record in a file.
///
/// # Errors
/// The file cannot be read, is no report, is of another format version, or does not fit together.
pub fn read(path: &Path) -> Result<RunRecord, ReadError> {
    let text = std::fs::read(path).map_err(|source| ReadError::File { path: path.to_owned(), source })?;
    parse(&text, path)
}

/// Reads a record from the bytes of a file; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &[u8], path: &Path) -> Result<RunRecord, ReadError> {
    let not_a_report = |reason: String| ReadError::NotAReport { path: path.to_owned(), reason };
    let other_format = |found| ReadError::OtherFormat { path: path.to_owned(), found, known: SCHEMA_VERSION };
    let record: RunRecord = match serde_json::from_slice(text) {
        Ok(record) => record,
        // What cannot be read may be a record of another format.
        Err(error) => {
            let format: Format = serde_json::from_slice(text).map_err(|error| not_a_report(error.to_string()))?;
            let is_known = format.schema_version == u64::from(SCHEMA_VERSION);
            return Err(if is_known { not_a_report(error.to_string()) } else { other_format(format.schema_version) });
        }
    };
    // A record of another format may well be readable, and mean something else.
    if record.schema_version != SCHEMA_VERSION {
        return Err(other_format(u64::from(record.schema_version)));
    }
    fits_together(&record).map_err(not_a_report)?;
    Ok(record)
}

/// Checks what [`RunRecord::cell`] and the reports rely on: one cell for each object and kernel, in order, with one
/// result for each program.
fn fits_together(record: &RunRecord) -> Result<(), String> {
    let expected = record.objects.len() * record.kernels.len();
    if record.cells.len() != expected {
        return Err(format!("it has {} cells instead of {expected}", record.cells.len()));
    }
    for (o, object) in record.objects.iter().enumerate() {
        for (k, kernel) in record.kernels.iter().enumerate() {
            let cell = record.cell(o, k);
            let names = cell.programs.iter().map(|program| &program.name);
            if cell.kernel != kernel.name || cell.object != object.name {
                return Err(format!("the cell of `{}` on `{}` is out of order", object.name, kernel.name));
            }
            if !names.eq(object.programs.iter().map(|program| &program.name)) {
                return Err(format!("the cell of `{}` on `{}` has other programs", object.name, kernel.name));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn read_text(text: &str) -> Result<RunRecord, ReadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn a_record_survives_the_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        for record in [sample::record(), sample::large(30, 12), sample::large(0, 0)] {
            std::fs::write(&path, render(&record).unwrap()).unwrap();
            assert_eq!(read(&path).unwrap(), record);
        }
    }

    #[test]
    fn each_cell_has_a_line_of_its_own() {
        let record = sample::large(3, 2);
        let text = String::from_utf8(render(&record).unwrap()).unwrap();
        let cells = text.lines().filter(|line| line.starts_with("    {\"kernel\":")).count();
        assert_eq!(cells, record.cells.len());
        assert!(text.starts_with("{\n  \"schema_version\": 1,\n  \"tool\": {\n    \""), "{text}");
        assert!(text.ends_with("\n}\n"), "{text}");
        let empty = String::from_utf8(render(&sample::large(0, 0)).unwrap()).unwrap();
        assert!(empty.contains("  \"cells\": []"), "{empty}");
    }

    #[test]
    fn other_formats_are_told_apart_from_other_files() {
        let newer = read_text(r#"{"schema_version": 99, "kernels": "renamed"}"#).unwrap_err();
        assert!(newer.to_string().ends_with("has report format 99, but this corematrix reads format 1"), "{newer}");
        assert!(newer.hint().unwrap().contains("newer"));
        let older = read_text(r#"{"schema_version": 0}"#).unwrap_err();
        assert!(older.hint().unwrap().contains("again"));
        for text in ["", "[]", "{}", "not json", r#"{"schema_version": 1}"#, r#"{"schema_version": -1}"#] {
            let error = read_text(text).unwrap_err();
            assert!(matches!(error, ReadError::NotAReport { .. }), "{text}: {error}");
        }
        let missing = read(Path::new("no/such/report.json")).unwrap_err();
        assert!(matches!(missing, ReadError::File { .. }));
    }

    #[test]
    fn a_record_that_does_not_fit_together_is_refused() {
        let break_it: [fn(&mut RunRecord); 3] = [
            |record| drop(record.cells.pop()),
            |record| record.cells.swap(0, 1),
            |record| drop(record.cells[0].programs.pop()),
        ];
        for change in break_it {
            let mut record = sample::record();
            change(&mut record);
            let error = read_text(&serde_json::to_string(&record).unwrap()).unwrap_err();
            assert!(matches!(error, ReadError::NotAReport { .. }), "{error}");
        }
    }
}
