//! `corematrix report`: a saved run in other formats, without booting anything.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Common;
use super::explain::{project_folder, read_record};
use super::failure::Failure;
use super::run::{report_failure, width};
use crate::output;
use crate::report::{Baseline, Format, Material, SourceRoot, table, write_formats};

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Report directory, its `report.json`, or `latest`.
    run: PathBuf,
    /// Set the formats, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "table")]
    format: Vec<Format>,
    /// Write to this directory, or to standard output if `-` [default: standard output for one format, the report
    /// directory for several].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Add a view of the changes since this earlier run to the HTML page.
    #[arg(long, value_name = "RUN|FILE")]
    baseline: Option<PathBuf>,
}

pub(super) fn run(common: &Common, args: &ReportArgs) -> Result<ExitCode, Failure> {
    let (folder, record) = read_record(common, &args.run)?;
    let before = args.baseline.as_deref().map(|run| read_record(common, run)).transpose()?;
    if before.is_some() && !args.format.contains(&Format::Html) {
        let hint = "add `--format html`; `corematrix compare` and `corematrix gate` show changes as text".to_owned();
        return Err(Failure::input("only the HTML page shows what changed since a baseline", Some(hint)));
    }
    let baseline = args.baseline.as_deref().zip(before.as_ref());
    let baseline = baseline.map(|(name, (_, record))| Baseline { name: name.display().to_string(), record });
    let sources = SourceRoot::around(&project_folder(common));
    let material = Material { record: &record, folder: &folder, sources: &sources, baseline };
    let to_stdout = args.out.as_deref().map_or(args.format.len() == 1, |out| out == Path::new("-"));
    if !to_stdout {
        let out = args.out.as_deref().unwrap_or(&folder);
        write_formats(&material, &args.format, out).map_err(|error| report_failure(&error))?;
        for format in &args.format {
            println!("{}", out.join(format.file_name()).display());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let [format] = args.format[..] else {
        let hint = "choose one format, or name a directory with `--out`".to_owned();
        return Err(Failure::input("only one format can be written to standard output", Some(hint)));
    };
    let text = match format {
        // A terminal has its own width.
        Format::Table => Ok(table::render(&record, width()).into_bytes()),
        _ => format.render(&material),
    };
    let text = text.map_err(|error| Failure::infrastructure(format!("cannot write the report: {error}"), None))?;
    output::write(&text);
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::record::{json, sample};

    fn report(folder: &Path, run_path: PathBuf, format: &[Format], out: Option<PathBuf>) -> Result<ExitCode, Failure> {
        let common = Common { manifest: folder.join("kernels.toml").as_path().into(), ..Common::default() };
        run(&common, &ReportArgs { run: run_path, format: format.to_vec(), out, baseline: None })
    }

    #[test]
    fn every_format_is_written_from_the_saved_record_alone() {
        let folder = tempfile::tempdir().unwrap();
        let saved = folder.path().join("saved.json");
        std::fs::write(&saved, json::render(&sample::record()).unwrap()).unwrap();
        let out = folder.path().join("a/b");
        report(folder.path(), saved, Format::value_variants(), Some(out.clone())).unwrap();
        for format in Format::value_variants() {
            assert!(out.join(format.file_name()).metadata().unwrap().len() > 0, "{format:?}");
        }
        // What was written is a report itself.
        report(folder.path(), out.clone(), &[Format::Markdown, Format::Csv], None).unwrap();
    }

    #[test]
    fn what_cannot_be_shown_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("report.json"), json::render(&sample::record()).unwrap()).unwrap();
        let both = [Format::Json, Format::Csv];
        let refused = report(folder.path(), folder.path().to_owned(), &both, Some(PathBuf::from("-"))).unwrap_err();
        assert!(refused.to_string().contains("hint: choose one format"), "{refused}");
        let common = Common { manifest: folder.path().join("kernels.toml").as_path().into(), ..Common::default() };
        let args = |format| ReportArgs {
            run: folder.path().to_owned(),
            format: vec![format],
            out: Some(folder.path().to_owned()),
            baseline: Some(folder.path().to_owned()),
        };
        let refused = run(&common, &args(Format::Markdown)).unwrap_err();
        assert!(refused.to_string().contains("hint: add `--format html`"), "{refused}");
        run(&common, &args(Format::Html)).unwrap();
        let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
        assert!(crate::report::html::data_of(&page)["changes"]["baseline"].is_string(), "{page}");
        let missing = report(folder.path(), PathBuf::from("latest"), &both, None).unwrap_err();
        assert!(missing.to_string().contains("`corematrix run` writes a report"), "{missing}");
    }
}
