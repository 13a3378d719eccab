//! [`Line`]: the record as lines of JSON, for `jq` and for loading into tables.
//!
//! First the run, then each kernel, each object, and each cell followed by the results of its programs. Every line names its
//! `type`.

use std::io;

use serde::Serialize;

use crate::record::{
    AlternativesRecord, CellRecord, KernelRecord, ObjectRecord, OptionalRecord, PartitionRecord, ProgramRecord,
    RunRecord, ToolRecord,
};

/// One line of `report.jsonl`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line<'a> {
    /// What belongs to the run as a whole; the first line.
    Run {
        /// Version of the format, the same as that of `report.json`.
        schema_version: u32,
        /// Versions of everything that took part.
        tool: &'a ToolRecord,
        /// When the run began, RFC 3339 in UTC.
        started: &'a str,
        /// When the run ended, RFC 3339 in UTC; null while it is running.
        finished: Option<&'a str>,
        /// Whether the user stopped the run before its end.
        interrupted: bool,
        /// Things the user should know that belong to no cell.
        notices: &'a [String],
        /// Programs, maps or objects of which one is enough.
        alternatives: &'a [AlternativesRecord],
        /// What may fail.
        optional: &'a [OptionalRecord],
        /// Percent of the guard sides that have to be verified; null if no one asks for it.
        minimum_coverage: Option<f64>,
        /// Which part of a matrix this is; absent for a whole one.
        #[serde(skip_serializing_if = "Option::is_none")]
        partition: Option<&'a PartitionRecord>,
    },
    /// One kernel of the matrix.
    Kernel(&'a KernelRecord),
    /// One object.
    Object(&'a ObjectRecord),
    /// One kernel x object. Its `programs` is empty: they follow as separate lines.
    Cell(Box<CellRecord>),
    /// What became of one program on one kernel.
    Result {
        /// Name of the kernel.
        kernel: &'a str,
        /// Name of the object.
        object: &'a str,
        /// When an earlier run observed it, RFC 3339 in UTC; absent for what this run observed itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        observed: Option<&'a str>,
        /// The result itself; its fields stand beside the two names.
        #[serde(flatten)]
        result: &'a ProgramRecord,
    },
}

/// The record, a line for each part of it.
///
/// # Errors
/// None that comes from the record.
pub fn render(record: &RunRecord) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut put = |line: Line<'_>| -> io::Result<()> {
        serde_json::to_writer(&mut out, &line)?;
        out.push(b'\n');
        Ok(())
    };
    put(Line::Run {
        schema_version: record.schema_version,
        tool: &record.tool,
        started: &record.started,
        finished: record.finished.as_deref(),
        interrupted: record.interrupted,
        notices: &record.notices,
        alternatives: &record.alternatives,
        optional: &record.optional,
        minimum_coverage: record.minimum_coverage,
        partition: record.partition.as_ref(),
    })?;
    record.kernels.iter().try_for_each(|kernel| put(Line::Kernel(kernel)))?;
    record.objects.iter().try_for_each(|object| put(Line::Object(object)))?;
    for cell in &record.cells {
        let mut without_programs = cell.clone();
        without_programs.programs.clear();
        put(Line::Cell(Box::new(without_programs)))?;
        for result in &cell.programs {
            let observed = cell.observed.as_deref();
            put(Line::Result { kernel: &cell.kernel, object: &cell.object, observed, result })?;
        }
    }
    Ok(out)
}
