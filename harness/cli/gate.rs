//! `corematrix gate`: whether a saved run passes; and what `run --gate` shares with it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Common;
use super::explain::{project_folder, read_record};
use super::failure::Failure;
use super::run::{report_failure, width};
use crate::coverage::CoverageFloor;
use crate::gate::{self, Expectations, GateLimits, GateReport};
use crate::output;
use crate::record::RunRecord;
use crate::report::gate::{self as gate_report, GateFormat};
use crate::report::{Baseline, Format, ReportError, SourceRoot, junit, write_text};
use crate::whole_file::WriteError;

#[derive(Debug, Args)]
pub(super) struct GateArgs {
    /// Report directory, its `report.json`, or `latest`.
    run: PathBuf,
    #[command(flatten)]
    terms: Terms,
    /// Set the output format.
    #[arg(long, value_enum, default_value = "table")]
    format: GateFormat,
}

/// What a run is weighed against.
#[derive(Debug, Args)]
pub(super) struct Terms {
    /// Compare with an earlier run: failures that it has, too, are known; anything worse makes the gate red.
    #[arg(long, value_name = "RUN|FILE")]
    baseline: Option<PathBuf>,
    /// Read known failures and kernel warnings from the `[[expect]]` and `[[allow-warning]]` tables of a suite or
    /// another TOML file; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(super) expect: Vec<PathBuf>,
    /// Set how many percent more instructions of a program the verifier may process than in the baseline.
    #[arg(long, value_name = "PERCENT", default_value_t = GateLimits::INSTRUCTIONS_PERCENT, value_parser = percent)]
    max_instructions_growth: f64,
    /// Limit the share of the kernel's instruction limit that a program may use, in percent; more makes the gate red.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    max_instructions: Option<f64>,
    /// Limit the run time of a program to this multiple of its run time in `--against`; more, beyond noise, makes the
    /// gate red.
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    max_cost: Option<f64>,
    /// Fail also for programs that are predicted to fail on kernels that cannot be booted here.
    #[arg(long)]
    fail_on_predicted: bool,
}

fn percent(text: &str) -> Result<f64, String> {
    let number: f64 = text.trim_end_matches('%').trim().parse().map_err(|_| "not a number".to_owned())?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err("must be 0 or more".to_owned()) }
}

fn ratio(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("must be more than 0, such as 1.3".to_owned()) }
}

fn read_all(files: &[&Path]) -> Result<Expectations, Failure> {
    let mut expectations = Expectations::default();
    for file in files {
        expectations.extend(Expectations::read(file).map_err(|error| {
            let hint = error.hint();
            Failure::input(error, hint)
        })?);
    }
    Ok(expectations)
}

/// [`Terms`] with their files read.
pub(super) struct ReadTerms {
    /// With its name as the user gave it.
    baseline: Option<(String, RunRecord)>,
    expectations: Expectations,
    limits: GateLimits,
}

impl Terms {
    /// Whether the user named anything to weigh a run against.
    pub(super) fn are_given(&self) -> bool {
        self.baseline.is_some()
            || !self.expect.is_empty()
            || self.fail_on_predicted
            || self.max_instructions.is_some()
            || self.max_cost.is_some()
    }

    /// Reads the files, so that a mistake in them is reported before anything is run. Suites among `inputs` have expectations, too.
    pub(super) fn read(&self, common: &Common, inputs: &[PathBuf]) -> Result<ReadTerms, Failure> {
        let baseline = self.baseline.as_deref().map(|run| read_record(common, run)).transpose()?;
        let suites = inputs.iter().filter(|input| input.extension().is_some_and(|extension| extension == "toml"));
        let mut files: Vec<&Path> = Vec::new();
        for file in self.expect.iter().chain(suites).map(PathBuf::as_path) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        let expectations = read_all(&files)?;
        let limits = GateLimits {
            instructions_percent: self.max_instructions_growth,
            instructions_share: self.max_instructions,
            cost_ratio: self.max_cost,
            predicted_failures: self.fail_on_predicted,
            ..GateLimits::now()
        };
        let name = self.baseline.as_deref().map(|run| run.display().to_string());
        Ok(ReadTerms { baseline: name.zip(baseline.map(|(_, record)| record)), expectations, limits })
    }
}

impl ReadTerms {
    /// Holds runs against this one, unless the user named another.
    pub(super) fn compare_with(&mut self, name: String, baseline: RunRecord) {
        self.baseline.get_or_insert((name, baseline));
    }

    /// Requires so much of the guards to be proven.
    pub(super) fn require_coverage(&mut self, floor: CoverageFloor) {
        self.limits.coverage = floor;
    }

    /// What runs are held against.
    pub(super) fn baseline(&self) -> Option<Baseline<'_>> {
        self.baseline.as_ref().map(|(name, record)| Baseline { name: name.clone(), record })
    }

    /// What the gate says of a run.
    pub(super) fn decide(&self, record: &RunRecord) -> GateReport {
        let baseline = self.baseline.as_ref().map(|(_, record)| record);
        gate::decide(record, baseline, &self.expectations, &self.limits)
    }
}

pub(super) fn run(common: &Common, args: &GateArgs) -> Result<ExitCode, Failure> {
    let terms = args.terms.read(common, &[])?;
    let (_, mut record) = read_record(common, &args.run)?;
    terms.expectations.mark_saved(&mut record, terms.limits.today);
    let report = terms.decide(&record);
    let sources = SourceRoot::around(&project_folder(common));
    let text = args.format.render(&report, &record, &sources, width());
    let text = text
        .map_err(|error| Failure::infrastructure(format!("cannot write the decisions of the gate: {error}"), None))?;
    output::write(&text);
    Ok(ExitCode::from(report.exit_code()))
}

/// Prints what the gate decided of a run that has just ended, and puts it into the run's `junit.xml`, which pipelines read.
pub(super) fn conclude(report: &GateReport, record: &RunRecord, folder: &Path) -> Result<(), Failure> {
    print!("\n{}", gate_report::render(report, width()));
    let file = folder.join(Format::Junit.file_name());
    let xml = junit::render(record, Some(report)).and_then(|xml| String::from_utf8(xml).map_err(std::io::Error::other));
    let xml = xml.map_err(|source| ReportError::Write(WriteError { path: file.clone(), source }));
    xml.and_then(|xml| write_text(&file, &xml)).map_err(|error| report_failure(&error))
}
