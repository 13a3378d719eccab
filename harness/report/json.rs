//! `report.json`: the record of a run as it is, for programs and for every later look at the run.

use std::io;
use std::path::Path;

use serde::Deserialize;

use super::ReportError;
use super::file::write_whole;
use crate::record::{RunRecord, SCHEMA_VERSION};

/// Writes `record` to `path`, as indented JSON.
///
/// # Errors
/// [`ReportError::Write`]; an older file at `path` is then untouched.
pub fn write(record: &RunRecord, path: &Path) -> Result<(), ReportError> {
    write_whole(path, |out| out.write_all(&render(record)?))
}

/// The record as indented JSON.
///
/// # Errors
/// None that comes from the record.
pub fn render(record: &RunRecord) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(record)?;
    text.push(b'\n');
    Ok(text)
}

/// The one field that every format has.
#[derive(Deserialize)]
struct Format {
    schema_version: u64,
}

/// Reads a record that [`write()`] wrote.
///
/// # Errors
/// The file cannot be read, is no report, is of another format version, or does not fit together.
pub fn read(path: &Path) -> Result<RunRecord, ReportError> {
    let text = std::fs::read(path).map_err(|source| ReportError::Read { path: path.to_owned(), source })?;
    parse(&text, path)
}

/// Reads a record from the bytes of a file; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &[u8], path: &Path) -> Result<RunRecord, ReportError> {
    let not_a_report = |reason: String| ReportError::NotAReport { path: path.to_owned(), reason };
    // The version first: a record of another format may well be readable, and mean something else.
    let format: Format = serde_json::from_slice(text).map_err(|error| not_a_report(error.to_string()))?;
    if format.schema_version != u64::from(SCHEMA_VERSION) {
        return Err(ReportError::OtherFormat {
            path: path.to_owned(),
            found: format.schema_version,
            known: SCHEMA_VERSION,
        });
    }
    let record: RunRecord = serde_json::from_slice(text).map_err(|error| not_a_report(error.to_string()))?;
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
                return Err(format!("the cell of `{}` on `{}` is not in its place", object.name, kernel.name));
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
    use super::super::sample;
    use super::*;

    fn read_text(text: &str) -> Result<RunRecord, ReportError> {
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
            write(&record, &path).unwrap();
            assert_eq!(read(&path).unwrap(), record);
        }
    }

    #[test]
    fn other_formats_are_told_apart_from_other_files() {
        let newer = read_text(r#"{"schema_version": 99, "kernels": "renamed"}"#).unwrap_err();
        assert!(newer.to_string().ends_with("has report format 99, and this corematrix reads format 1"), "{newer}");
        assert!(newer.hint().unwrap().contains("newer"));
        let older = read_text(r#"{"schema_version": 0}"#).unwrap_err();
        assert!(older.hint().unwrap().contains("again"));
        for text in ["", "[]", "{}", "not json", r#"{"schema_version": 1}"#, r#"{"schema_version": -1}"#] {
            let error = read_text(text).unwrap_err();
            assert!(matches!(error, ReportError::NotAReport { .. }), "{text}: {error}");
        }
        let missing = read(Path::new("no/such/report.json")).unwrap_err();
        assert!(matches!(missing, ReportError::Read { .. }));
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
            assert!(matches!(error, ReportError::NotAReport { .. }), "{error}");
        }
    }
}
