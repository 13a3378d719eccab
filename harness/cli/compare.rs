//! `corematrix compare`: what differs between two runs, two kernels, or builds of an object; and where two verifiers part on one program.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Common;
use super::answer::{ComparedObjects, ComparedRuns, ObjectDifferences, Print};
use super::explain::{index_of, read_record};
use super::failure::Failure;
use super::run::width;
use crate::compare::{ObjectGrid, differences, one_kernel, one_object};
use crate::record::{MachineRow, ProgramRecord, RunRecord};
use crate::report::machines::{machine_views, machines_named};
use crate::report::{comparison, object_grid, paragraph};
use crate::run_folder::RunFolder;
use crate::verifier::Parting;

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Earlier run: report directory, its `report.json`, or `latest`.
    before: PathBuf,
    /// Later run [default: the earlier run, to compare its kernels or objects].
    #[arg(required_unless_present_any = ["kernels", "objects", "profile"])]
    after: Option<PathBuf>,
    /// Compare only these two kernels: the first of the earlier run, the second of the later run.
    #[arg(long, num_args = 2, value_names = ["KERNEL", "KERNEL"])]
    kernels: Option<Vec<String>>,
    /// Compare builds of one object, program by program: the first, of the earlier run, with each of the others.
    #[arg(long, num_args = 2.., value_name = "OBJECT", conflicts_with_all = ["kernels", "log"])]
    objects: Option<Vec<String>>,
    /// Show what this profile, or another machine setting of the run, changed: each object with it and without it.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["kernels", "objects", "log", "after"])]
    profile: Option<String>,
    /// Show where the verifier logs of the two kernels diverge for this program.
    #[arg(long, num_args = 2, value_names = ["OBJECT", "PROGRAM"], requires = "kernels")]
    log: Option<Vec<String>>,
    /// Print the differences as JSON.
    #[arg(long, conflicts_with = "log")]
    json: bool,
}

pub(super) fn run(common: &Common, args: &CompareArgs) -> Result<ExitCode, Failure> {
    let (folder, before) = read_record(common, &args.before)?;
    let (later_folder, after) = match &args.after {
        Some(after) => read_record(common, after)?,
        None => (folder.clone(), before.clone()),
    };
    if let Some(profile) = args.profile.as_deref() {
        return compare_machines(args, &before, profile);
    }
    if let Some(objects) = args.objects.as_deref() {
        return compare_objects(args, (&before, &after), objects);
    }
    let mut names = [&args.before, args.after.as_ref().unwrap_or(&args.before)].map(|run| run.display().to_string());
    let (mut old, mut new) = (before, after);
    if let Some([a, b]) = args.kernels.as_deref() {
        let index = |record: &RunRecord, name: &str| {
            index_of("kernel", name, record.kernels.iter().map(|kernel| kernel.name.as_str()))
        };
        let places = [index(&old, a)?, index(&new, b)?];
        names = match args.after.is_some() {
            true => [format!("{} {a}", names[0]), format!("{} {b}", names[1])],
            false => [a.clone(), b.clone()],
        };
        if let Some([object, program]) = args.log.as_deref() {
            let logs = [
                log(&old, places[0], object, program, &folder)?,
                log(&new, places[1], object, program, &later_folder)?,
            ];
            let parting = Parting::of([&logs[0], &logs[1]]);
            print!("{}", comparison::render_parting(&parting, names.each_ref().map(String::as_str)));
            return Ok(ExitCode::SUCCESS);
        }
        let both = if a == b { a.clone() } else { format!("{a} -> {b}") };
        (old, new) = (one_kernel(&old, places[0], &both), one_kernel(&new, places[1], &both));
    }
    let found = differences(&old, &new);
    if args.json {
        ComparedRuns { differences: found }.print()?;
        return Ok(ExitCode::SUCCESS);
    }
    print!("{}", comparison::render(&found, names.each_ref().map(String::as_str), width()));
    Ok(ExitCode::SUCCESS)
}

/// What a machine changed, object by object.
fn compare_machines(args: &CompareArgs, record: &RunRecord, name: &str) -> Result<ExitCode, Failure> {
    let views = machine_views(record);
    if views.is_empty() {
        let hint = "`corematrix run --profile NAME` also loads each object with the profile".to_owned();
        return Err(Failure::input("all objects of the run have the same machine settings", Some(hint)));
    }
    let named = machines_named(&views, name);
    let named = named.or_else(|known| index_of("profile", name, known.into_iter()).map(|_| Vec::new()))?;
    let of_rows = |rows: &MachineRow| {
        let name = &record.objects[rows.base].name;
        differences(&one_object(record, rows.base, name), &one_object(record, rows.row, name))
    };
    if args.json {
        let rows = named.iter().flat_map(|view| &view.rows);
        ComparedRuns { differences: rows.flat_map(of_rows).collect() }.print()?;
        return Ok(ExitCode::SUCCESS);
    }
    for view in named {
        print!("{}", paragraph(&view.title(), 0, width()));
        view.lines(record).iter().for_each(|line| print!("{}", paragraph(line, 2, width())));
        for rows in &view.rows {
            let (base, other) = (&record.objects[rows.base].name, &record.objects[rows.row].name);
            let found = of_rows(rows);
            if !found.is_empty() {
                print!("\n{}", comparison::render(&found, [base, other], width()));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds of an object side by side, and what differs from the first to each of the others.
fn compare_objects(
    args: &CompareArgs,
    (before, after): (&RunRecord, &RunRecord),
    objects: &[String],
) -> Result<ExitCode, Failure> {
    let mut found: Vec<(&RunRecord, usize)> = Vec::new();
    let mut names = Vec::new();
    for (number, name) in objects.iter().enumerate() {
        let (record, run) = match (number, &args.after) {
            (0, _) | (_, None) => (before, &args.before),
            (_, Some(run)) => (after, run),
        };
        let index = index_of("object", name, record.objects.iter().map(|object| object.name.as_str()))?;
        found.push((record, index));
        // The same name in two runs is two builds.
        let again = objects.iter().filter(|other| *other == name).count() > 1;
        names.push(if again { format!("{} {name}", run.display()) } else { name.clone() });
    }
    let grid = ObjectGrid::of(&found, &names);
    let others = found.iter().zip(&names).skip(1).map(|((record, o), name)| {
        // Both by the later name: the heading has the two.
        let (old, new) = (one_object(found[0].0, found[0].1, name), one_object(record, *o, name));
        (name, differences(&old, &new))
    });
    let others: Vec<_> = others.collect();
    if args.json {
        let builds =
            others.into_iter().map(|(name, differences)| ObjectDifferences { name: name.clone(), differences });
        ComparedObjects { grid, builds: builds.collect() }.print()?;
        return Ok(ExitCode::SUCCESS);
    }
    print!("{}", object_grid::render(&grid));
    for (name, found) in &others {
        print!("\n{}", comparison::render(found, [&names[0], name], width()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The verifier's log of a program on a kernel.
fn log(record: &RunRecord, kernel: usize, object: &str, program: &str, folder: &Path) -> Result<String, Failure> {
    let o = index_of("object", object, record.objects.iter().map(|object| object.name.as_str()))?;
    let cell = record.cell(o, kernel);
    let p = index_of("program", program, cell.programs.iter().map(|program| program.name.as_str()))?;
    let ProgramRecord { log_file, log_tail, verdict, .. } = &cell.programs[p];
    match log_file {
        Some(file) => RunFolder::new(folder).log(file).map_err(|error| {
            Failure::infrastructure(format!("cannot read the log `{file}` of `{}`: {error}", folder.display()), None)
        }),
        None if !log_tail.is_empty() => Ok(log_tail.join("\n")),
        None => {
            let message = format!("no verifier log of `{program}` on {}: {verdict}", cell.kernel);
            let hint = "`corematrix run --full-logs` also keeps the logs of programs that load".to_owned();
            Err(Failure::input(message, Some(hint)))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn report_of_a_stranger_reads_no_file_of_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        std::fs::create_dir(&run).unwrap();
        std::fs::write(run.join("own.txt"), "own").unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink("../secret", run.join("link")).unwrap();
        let mut record = sample::record();
        let (object, program) = (record.objects[0].name.clone(), record.cell(0, 0).programs[0].name.clone());
        let mut named = |file: &str| {
            record.cells[0].programs[0].log_file = Some(file.to_owned());
            log(&record, 0, &object, &program, &run)
        };
        assert_eq!(named("own.txt").unwrap(), "own");
        let absolute = folder.path().join("secret").display().to_string();
        for file in ["../secret", &absolute, "link", "/etc/passwd"] {
            let error = named(file).unwrap_err().to_string();
            assert!(error.contains("cannot read the log") && !error.contains("secret\n"), "{error}");
        }
    }
}
