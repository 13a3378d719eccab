//! `corematrix run --watch`: a [`Watch`] stays, runs an object again when it or its source changes, and shows what is different.

mod build;
mod inputs;
mod merge;
mod stale;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant, SystemTime};

use console::Term;

use super::failure::Failure;
use super::run::{RunArgs, Screen, code, no_signals, point_latest, report_failure, report_folder, width};
use super::{Common, say};
use crate::manifest::KernelSpec;
use crate::matrix::{Inputs as Found, Matrix, Project, Work};
use crate::object::BpfObject;
use crate::output;
use crate::plan::Plan;
use crate::record::RunRecord;
use crate::record::exit_code;
use crate::report::{self, table};
use crate::run::Stop;
use crate::suite::{Settings, Shape};
use build::Build;
use inputs::{Stamps, WatchedInputs};

/// Files that have not changed for this long are taken for whole.
const QUIET: Duration = Duration::from_millis(100);
/// How often files are looked at without a notification: network file systems send none.
const LOOK: Duration = Duration::from_secs(2);
/// The same where there are no notifications.
const POLL: Duration = Duration::from_millis(300);

/// A run that stays.
struct Watch<'a> {
    args: &'a RunArgs,
    matrix: &'a Matrix<'a>,
    /// The report's directory.
    folder: &'a Path,
    kernels: Vec<KernelSpec>,
    inputs: WatchedInputs,
    /// The objects, directories and suites that are run.
    places: Vec<PathBuf>,
    /// What makes objects out of sources, and the files as they were when it last ran.
    build: Option<Build>,
    built: Stamps,
    /// The files as they were when their objects were last found, and when they were last looked at.
    ran: Stamps,
    looked: Stamps,
    /// The objects behind the record.
    objects: Vec<BpfObject>,
    /// All objects, each with the outcome of its last run.
    record: RunRecord,
    /// How many times something was run.
    round: usize,
    began: SystemTime,
    /// What was shown since the last table, to be said once.
    shown: BTreeSet<String>,
    wakes: (Sender<()>, Receiver<()>),
}

pub(super) fn run(common: &Common, args: &RunArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let options = args.options()?;
    project.learn_builds(&args.machine.kernel, args.machine.offline, &say)?;
    let kernels = project.kernels(&args.machine.kernel)?;
    let began = SystemTime::now();
    let build = Build::of(&args.inputs, args.build.as_ref())?;
    let places = build.as_ref().map_or_else(|| args.inputs.clone(), |build| build.objects(&args.inputs));
    if let Some(build) = &build {
        first_build(build);
    }
    let mut found = project.inputs(&places, args.machine.offline, &say)?;
    project.assign_loaders(&mut found, &args.loader)?;
    project.apply_machines(&mut found, &args.guests.options())?;
    let Found { objects, notices, settings, expectations, .. } = found;
    let mut inputs = WatchedInputs::new(&watched(&places, build.as_ref(), &objects));
    let ran = inputs.look();
    project.tools()?;
    let wakes = mpsc::channel();
    let wake = wakes.0.clone();
    let stop = Stop::at_first_signal(move |line| {
        eprintln!("{line}");
        // The receiver lives as long as the watch.
        let _ = wake.send(());
    });
    let stop = stop.map_err(no_signals)?;

    let matrix = Matrix::new(&project, options).stopped_by(stop.clone()).with_pauses();
    let mut work = Work::new(Plan::new(kernels.clone(), objects.clone(), &settings), notices);
    work.expectations = expectations;
    matrix.accelerator(&work.plan.kernels, &say)?;
    work.notices.extend(matrix.notices());
    let folder = report_folder(&project.folder, args.out.as_deref())?;
    let start = Instant::now();
    let record = run_shown(&matrix, &work, args, (&folder, &folder))?;
    let (round, shown) = (1, BTreeSet::new());
    let (looked, built) = (ran.clone(), ran.clone());
    let mut watch = Watch {
        args,
        matrix: &matrix,
        folder: &folder,
        kernels,
        inputs,
        places,
        build,
        built,
        ran,
        looked,
        objects,
        record,
        round,
        began,
        shown,
        wakes,
    };
    watch.show(start.elapsed(), None);
    while !stop.requested() {
        watch.next()?;
    }
    println!("report: {}", folder.display());
    Ok(code(args, &watch.record, exit_code::of(&watch.record)))
}

/// Runs work with the live view. Logs go below the first directory, the growing record into the second.
fn run_shown(
    matrix: &Matrix<'_>,
    work: &Work,
    args: &RunArgs,
    (logs, live): (&Path, &Path),
) -> Result<RunRecord, Failure> {
    let mut screen = Screen::new(work, args.debug);
    Ok(matrix.run_apart(work, logs, live, &mut |event| screen.on(event))?)
}

/// Builds until it works once.
fn first_build(build: &Build) {
    while let Err(said) = build.run() {
        eprintln!("{said}\nwaiting for a change");
        let mut sources = WatchedInputs::new(&build.sources(&[]).into_iter().collect::<Vec<_>>());
        let before = sources.look();
        while sources.look() == before {
            std::thread::sleep(POLL);
        }
    }
}

/// The files to look at.
fn watched(places: &[PathBuf], build: Option<&Build>, objects: &[BpfObject]) -> Vec<PathBuf> {
    let sources = build.map(|build| build.sources(objects)).unwrap_or_default();
    places.iter().cloned().chain(sources).collect()
}

impl Watch<'_> {
    /// Waits for a change, and runs what changed.
    fn next(&mut self) -> Result<(), Failure> {
        self.matrix.pause();
        let Some(mut stamps) = self.wait() else { return Ok(()) };
        let start = Instant::now();
        if self.is_source_changed(&stamps) {
            let Some(after) = self.rebuild(stamps) else { return Ok(()) };
            stamps = after;
        }
        let (args, project, stop) = (self.args, self.matrix.project, &self.matrix.stop);
        let folder = self.folder;
        let found = project.inputs(&self.places, args.machine.offline, &say).and_then(|mut found| {
            project.assign_loaders(&mut found, &args.loader)?;
            project.apply_machines(&mut found, &args.guests.options())?;
            Ok(found)
        });
        let Found { objects, notices, settings, expectations, .. } = match found {
            Ok(found) => found,
            Err(failure) => {
                // A build removes an object before it writes the next one.
                self.say(&format!("{failure}\nwaiting for a change; the last table is still valid"));
                return Ok(());
            }
        };
        let ran = std::mem::replace(&mut self.ran, stamps);
        let chosen = self.chosen(&objects, &settings, &ran);
        let rows = settings.rows(&objects);
        let names: Vec<&str> = rows.iter().map(String::as_str).collect();
        let is_fewer = self.record.objects.iter().any(|object| !names.contains(&object.name.as_str()));
        if chosen.is_empty() && !is_fewer {
            return Ok(());
        }
        let what: Vec<&str> = chosen.iter().map(|object| object.name.as_str()).collect();
        let what = if what.is_empty() { "objects are missing".to_owned() } else { what.join(", ") };
        let mut plan = Plan::new(self.kernels.clone(), chosen.into_iter().cloned().collect(), &settings);
        plan.urgent = self.failing(&plan);
        // The report's directory has the last whole table until there is the next.
        let scratch = tempfile::Builder::new().prefix("corematrix-watch-").tempdir();
        let scratch =
            scratch.map_err(|error| Failure::infrastructure(format!("cannot create a directory: {error}"), None))?;
        let mut work = Work::new(plan, notices);
        work.expectations = expectations;
        work.notices.extend(self.matrix.notices());
        let fresh = run_shown(self.matrix, &work, args, (folder, scratch.path()))?;
        if stop.requested() {
            eprintln!("the report is that of the last complete run");
            return Ok(());
        }
        let after = merge::merge(&self.record, fresh, &names);
        let mut changes = merge::changes(&self.record, &after);
        changes.extend(merge::costs(&self.record, &after));
        self.record = after;
        self.objects = objects;
        self.round += 1;
        self.show(start.elapsed() + QUIET, Some((&what, &changes)));
        Ok(())
    }

    /// Whether a file has changed since the last build that objects are built from.
    fn is_source_changed(&self, stamps: &Stamps) -> bool {
        let Some(build) = &self.build else { return false };
        build.sources(&self.objects).iter().any(|source| stamps.get(source) != self.built.get(source))
    }

    /// Builds, and looks at the files again. `None` if that fails, with a message to the user.
    fn rebuild(&mut self, stamps: Stamps) -> Option<Stamps> {
        let build = self.build.as_ref()?;
        self.built = stamps;
        if let Err(said) = build.run() {
            eprintln!("{said}\nthe last table is still valid");
            return None;
        }
        self.inputs = WatchedInputs::new(&watched(&self.places, Some(build), &self.objects));
        let stamps = self.inputs.look();
        // What the build wrote is no change of its own.
        (self.built, self.looked) = (stamps.clone(), stamps.clone());
        Some(stamps)
    }

    /// The kernels on which an object of the plan failed, as indexes: whoever fixes it waits for them.
    fn failing(&self, plan: &Plan) -> Vec<usize> {
        let is_in_plan = |name: &str| plan.objects.iter().any(|object| object.object.name == name);
        let fails = |kernel: &usize| {
            let mut objects = self.record.objects.iter().enumerate().filter(|(_, object)| is_in_plan(&object.name));
            objects.any(|(o, _)| self.record.cell(o, *kernel).programs.iter().any(|program| !program.verdict.is_pass()))
        };
        (0..self.kernels.len()).filter(fails).collect()
    }

    /// The objects to run: those with other contents than last time, or else those of files that were touched. What cannot be read
    /// is half-written and waits for the rest.
    fn chosen<'o>(&mut self, objects: &'o [BpfObject], settings: &Settings, ran: &Stamps) -> Vec<&'o BpfObject> {
        let record = &self.record;
        let is_known = |object: &BpfObject| {
            let shapes = settings.shapes.iter().filter(|(of, _)| *of == object.name);
            let is_same =
                |name: &str| record.objects.iter().any(|known| known.name == name && known.sha256 == object.sha256);
            let is_set = |shape: &Shape| {
                let mut known = record.objects.iter().filter_map(|known| known.shape.as_ref());
                known.any(|known| {
                    known.of == object.name && known.name == shape.name && known.settings == shape.settings
                })
            };
            is_same(&object.name) && shapes.into_iter().all(|(_, shape)| is_set(shape))
        };
        let is_touched = |path: &Path| ran.get(path) != self.ran.get(path);
        let mut chosen = Vec::new();
        let mut unreadable = Vec::new();
        for object in objects {
            let path = &object.origin.path;
            let mut others = objects.iter().filter(|other| other.origin.path == *path);
            let is_wanted = !is_known(object) || (is_touched(path) && others.all(is_known));
            match &object.inventory {
                _ if !is_wanted => {}
                Ok(_) => chosen.push(object),
                Err(error) => unreadable.push(error.to_string()),
            }
        }
        for error in unreadable {
            self.say(&format!("{error}\nwaiting until it is complete; the last table is still valid"));
        }
        chosen
    }

    /// Waits until a file has changed and all are quiet; `None` if the user wants to end.
    fn wait(&mut self) -> Option<Stamps> {
        loop {
            // Again each time: directories may have been replaced.
            let sender = self.wakes.0.clone();
            let watcher = self.inputs.watch(move || {
                // The receiver lives as long as the watch.
                let _ = sender.send(());
            });
            let pause = match &watcher {
                Ok(_) => LOOK,
                Err(error) => {
                    self.say(&format!("polling the files every {} ms: {error}", POLL.as_millis()));
                    POLL
                }
            };
            // Before the first pause: what happened while no one watched.
            let mut now = self.inputs.look();
            if now == self.looked {
                // Never disconnected: one sender is here.
                let _ = self.wakes.1.recv_timeout(pause);
                now = self.inputs.look();
            }
            let is_changed = now != self.looked;
            loop {
                if self.matrix.stop.requested() {
                    return None;
                }
                std::thread::sleep(QUIET);
                while self.wakes.1.try_recv().is_ok() {}
                let before = std::mem::replace(&mut now, self.inputs.look());
                if now == before {
                    break;
                }
            }
            if is_changed || now != self.looked {
                self.looked.clone_from(&now);
                return Some(now);
            }
            // Who builds knows what failed.
            if self.build.is_none() {
                stale::stale(&self.objects, self.began).iter().for_each(|line| self.say(line));
            }
        }
    }

    /// Says something once between two tables.
    fn say(&mut self, text: &str) {
        if self.shown.insert(text.to_owned()) {
            eprintln!("{text}");
        }
    }

    /// Writes the reports and shows the table, with what changed since the last one.
    fn show(&mut self, took: Duration, changed: Option<(&str, &[String])>) {
        let (args, folder) = (self.args, self.folder);
        let mut text = String::new();
        if let Some((what, _)) = changed {
            text += &format!("\nrun {}: {what}\n", self.round);
        }
        text += &table::render(&self.record, width());
        match changed {
            None => {}
            Some((_, [])) => text += "\nchanged: nothing\n",
            Some((_, lines)) => {
                text += "\nchanged:\n";
                lines.iter().for_each(|line| text += &report::paragraph(line, 2, width()));
            }
        }
        let files = self.ran.len();
        if !self.record.interrupted {
            let took = took.as_secs_f64();
            text += &format!("\ntook {took:.1} s; watching {}, Ctrl-C ends\n", report::counted(files, "file"));
        }
        // The files first: who sees the table may open them.
        let written = report::write_all(&self.record, folder);
        if args.out.is_none() {
            point_latest(folder);
        }
        if std::io::stdout().is_terminal() {
            // A terminal that cannot be cleared gets one table below the other.
            let _ = Term::stdout().clear_screen();
        }
        output::write(text.as_bytes());
        self.shown.clear();
        if let Err(error) = written {
            // The next table may find room on the disk.
            self.say(&report_failure(&error).to_string());
        }
    }
}
