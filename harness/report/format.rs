//! [`Format`]: the renderings of a record, each from the record alone and a separate file.

use std::io;
use std::path::Path;

use clap::ValueEnum;

use super::coverage::lcov;
use super::{ReportError, SourceRoot, compiler, csv, github, gitlab, html, json, jsonl, junit, markdown, sarif, table};
use crate::coverage::ProofLevel;
use crate::record::RunRecord;
use crate::run_folder::RunFolder;
use crate::whole_file;

/// Columns of `table.txt`, which is read in an editor or a CI log rather than in a narrow terminal.
const FILE_WIDTH: usize = 120;

/// One rendering of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Format {
    /// Table of verdicts, for terminals.
    Table,
    /// Self-contained HTML page.
    Html,
    /// Markdown, for pull requests and step summaries.
    Markdown,
    /// The complete record.
    Json,
    /// The complete record, one line for each kernel, object, cell and result.
    Jsonl,
    /// JUnit XML, for CI servers.
    Junit,
    /// SARIF, for code scanning.
    Sarif,
    /// Verifier statistics, in the columns of veristat.
    Csv,
    /// Compiler messages (`FILE:LINE:COLUMN: SEVERITY: TEXT`), for problem matchers and editors.
    Compiler,
    /// GitHub annotations, as workflow commands.
    Github,
    /// GitLab code quality report.
    Gitlab,
    /// LCOV tracefile of fallback coverage at level `verified`, for tools such as `genhtml`. `corematrix coverage
    /// --lcov` writes the other levels.
    Lcov,
}

/// What a report is rendered from.
pub struct Material<'a> {
    /// The run.
    pub record: &'a RunRecord,
    /// The run's directory, where the verifier logs are.
    pub folder: &'a Path,
    /// The repository that annotations point into.
    pub sources: &'a SourceRoot,
    /// What the page compares the run with.
    pub baseline: Option<Baseline<'a>>,
}

/// An earlier run.
pub struct Baseline<'a> {
    /// What its reader calls it.
    pub name: String,
    /// The run.
    pub record: &'a RunRecord,
}

impl Material<'_> {
    /// A verifier log, by its path in the record.
    ///
    /// # Errors
    /// As [`RunFolder::log`].
    pub fn log(&self, file: &str) -> io::Result<String> {
        RunFolder::new(self.folder).log(file)
    }
}

impl Format {
    /// What a run writes without being asked.
    pub const OF_A_RUN: [Format; 5] = [Format::Json, Format::Junit, Format::Table, Format::Html, Format::Markdown];

    /// The name of its file in a report's directory.
    pub fn file_name(self) -> &'static str {
        match self {
            Format::Table => "table.txt",
            Format::Html => "report.html",
            Format::Markdown => "summary.md",
            Format::Json => "report.json",
            Format::Jsonl => "report.jsonl",
            Format::Junit => "junit.xml",
            Format::Sarif => "report.sarif",
            Format::Csv => "statistics.csv",
            Format::Compiler => "diagnostics.txt",
            Format::Github => "annotations.txt",
            Format::Gitlab => "code-quality.json",
            Format::Lcov => "coverage.info",
        }
    }

    /// The report as bytes.
    ///
    /// # Errors
    /// Only what cannot be put into the format's own syntax.
    pub fn render(self, material: &Material<'_>) -> io::Result<Vec<u8>> {
        let Material { record, sources, .. } = *material;
        Ok(match self {
            Format::Table => table::render(record, FILE_WIDTH).into_bytes(),
            Format::Html => html::render(material)?.into_bytes(),
            Format::Markdown => markdown::render(record, sources).into_bytes(),
            Format::Json => json::render(record)?,
            Format::Jsonl => jsonl::render(record)?,
            Format::Junit => junit::render(record, None)?,
            Format::Sarif => sarif::render(record, sources, None)?,
            Format::Csv => csv::render(record)?,
            Format::Compiler => compiler::render(record, sources).into_bytes(),
            Format::Github => github::render(record, sources).into_bytes(),
            Format::Gitlab => gitlab::render(record, sources)?,
            Format::Lcov => {
                let all: Vec<usize> = (0..record.objects.len()).collect();
                lcov::render(record, &all, ProofLevel::Verified).into_bytes()
            }
        })
    }

    /// Writes the report into `folder`, under [`Format::file_name`].
    ///
    /// # Errors
    /// [`ReportError::Write`]; an older file of that name is then untouched.
    pub fn write(self, material: &Material<'_>, folder: &Path) -> Result<(), ReportError> {
        Ok(whole_file::replace(&folder.join(self.file_name()), |out| match self {
            // The record itself may be hundreds of megabytes.
            Format::Json => json::write(material.record, out),
            _ => out.write_all(&self.render(material)?),
        })?)
    }
}
