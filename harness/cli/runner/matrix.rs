//! Several kernels: the executable runs in each, and its tests become a report: test names down, kernels across.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{TROUBLE, TestCommand, tell};
use crate::cli::exec::executable;
use crate::cli::failure::Failure;
use crate::cli::run::{no_signals, report_failure, width};
use crate::exec::View;
use crate::manifest::KernelSpec;
use crate::matrix::{Matrix, Options, Project, Work};
use crate::output;
use crate::plan::Plan;
use crate::record::{RunRecord, Verdict, exit_code};
use crate::report::{self, table};
use crate::run::{CommandJob, Stop};
use crate::test_output::TestHarness;

/// As many directories of one name are made.
const MOST_FOLDERS: u32 = 10_000;
/// More of an output is not shown; all of it is in the report.
const MOST_SHOWN: u64 = 4 << 20;

pub(super) fn run(
    project: &Project,
    options: Options,
    kernels: Vec<KernelSpec>,
    command: &TestCommand,
) -> Result<ExitCode, Failure> {
    let stop = Stop::at_first_signal(|_| ()).map_err(no_signals)?;
    let matrix = Matrix::new(project, options).stopped_by(stop);
    let file = Path::new(&command.words[0]).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = without_hash(&file).to_owned();
    let words = told_by_name(command);
    let in_full = shell_words::join([&name].into_iter().chain(&words[1..]));
    let object = executable(&command.executable.path, name);
    let mut work = Work::new(Plan::of_command(kernels, object, in_full), Vec::new());
    matrix.accelerator(&work.plan.kernels, &|_| ())?;
    work.notices.extend(matrix.notices());

    let scratch = tempfile::Builder::new().prefix("corematrix-").tempdir();
    let scratch =
        scratch.map_err(|error| Failure::infrastructure(format!("cannot create a directory: {error}"), None))?;
    let folder = match &command.settings.report {
        Some(reports) => new_folder(reports, &file)?,
        None => scratch.path().to_owned(),
    };
    let harness = if command.executable.is_go { TestHarness::Go } else { TestHarness::Libtest };
    let mut live = command.live(None)?;
    live.words = words;
    let job = CommandJob {
        command: live,
        view: View::Everything,
        limit: command.settings.timeout,
        tests: Some(harness),
        out: None,
        report: folder.clone(),
    };
    let record = matrix.run_command(&work, &job, &folder, &mut |_| ())?;
    for (cell, kernel) in record.cells.iter().zip(&record.kernels) {
        if cell.programs.iter().any(|program| program.verdict.is_failure()) {
            show_output(&folder, &kernel.name);
        }
        cell.notes.iter().for_each(|note| tell(format_args!("note: {}: {note}", kernel.name)));
    }
    eprintln!("{}", table::brief(&record, width()));
    if command.settings.report.is_some() {
        report::write_all(&record, &folder).map_err(|error| report_failure(&error))?;
        tell(format_args!("report: {}", folder.display()));
    }
    output::finish()
        .map_err(|error| Failure::infrastructure(format!("cannot write to standard output: {error}"), None))?;
    Ok(ExitCode::from(code(&record)))
}

/// The words with which the harness prints the name of each test.
fn told_by_name(command: &TestCommand) -> Vec<String> {
    let mut words = command.words.clone();
    let is_flag = |word: &String, flag: &str| {
        let word = word.trim_start_matches('-');
        word == flag || word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='))
    };
    if !command.executable.is_go {
        words.retain(|word| word != "--quiet" && word != "-q");
        return words;
    }
    let flags = &words[1..];
    let is_test = words[0].ends_with(".test") || flags.iter().any(|word| word.starts_with("-test."));
    if is_test && !flags.iter().any(|word| is_flag(word, "test.v")) {
        words.insert(1, "-test.v=true".to_owned());
    }
    words
}

/// The name without what cargo appends to it.
fn without_hash(file: &str) -> &str {
    let hash = |end: &str| end.len() == 16 && end.bytes().all(|byte| byte.is_ascii_hexdigit());
    file.rsplit_once('-').filter(|(name, end)| !name.is_empty() && hash(end)).map_or(file, |(name, _)| name)
}

/// A new directory for the report of an executable: cargo runs several at once, and nextest each of them many times.
fn new_folder(reports: &Path, file: &str) -> Result<PathBuf, Failure> {
    let unusable = |error: std::io::Error| {
        Failure::infrastructure(format!("cannot create a directory in `{}`: {error}", reports.display()), None)
    };
    fs::create_dir_all(reports).map_err(unusable)?;
    for number in 1..MOST_FOLDERS {
        let name = if number == 1 { file.to_owned() } else { format!("{file}.{number}") };
        let folder = reports.join(name);
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unusable(error)),
        }
    }
    let hint = Some("remove old reports, or choose another directory with `--report`".to_owned());
    Err(Failure::infrastructure(format!("`{}` contains too many reports of `{file}`", reports.display()), hint))
}

/// Shows what the executable printed on a kernel.
fn show_output(folder: &Path, kernel: &str) {
    let path = folder.join("output").join(kernel).join("output.txt");
    let Ok(file) = fs::File::open(&path) else { return };
    let mut bytes = Vec::new();
    let mut start = std::io::Read::take(file, MOST_SHOWN);
    if std::io::Read::read_to_end(&mut start, &mut bytes).is_ok() && !bytes.is_empty() {
        tell(format_args!("output on {kernel}:"));
        output::write(&bytes);
    }
}

/// The exit code: the worst of all kernels.
fn code(record: &RunRecord) -> u8 {
    let mut programs = record.cells.iter().flat_map(|cell| &cell.programs);
    match exit_code::of(record) {
        code @ (exit_code::GOOD | exit_code::PROGRAM_FAILED | exit_code::INTERRUPTED) => code,
        // That all tests are ignored is no failure; they have been listed.
        _ if programs.all(|program| matches!(program.verdict, Verdict::Skipped | Verdict::Succeeded)) => {
            exit_code::GOOD
        }
        _ => TROUBLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_hash_is_no_part_of_a_name() {
        assert_eq!(without_hash("load-0123456789abcdef"), "load");
        assert_eq!(without_hash("my-tests"), "my-tests");
        assert_eq!(without_hash("-0123456789abcdef"), "-0123456789abcdef");
    }

    #[test]
    fn each_report_has_a_folder_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let reports = folder.path().join("reports");
        let names: Vec<PathBuf> = (0..3).map(|_| new_folder(&reports, "load").expect("a folder")).collect();
        assert_eq!(names, ["load", "load.2", "load.3"].map(|name| reports.join(name)));
    }
}
