//! `corematrix run --watch`: a [`Watch`] stays, runs an object again when it changes, and shows what is different.

mod inputs;
mod merge;
mod stale;

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant, SystemTime};

use console::Term;

use super::failure::Failure;
use super::run::{Ground, RunArgs, no_signals, point_latest, report_failure, report_folder, run_plan, width};
use super::setup::Setup;
use super::{Common, acceleration, exit_code};
use crate::manifest::KernelSpec;
use crate::object::BpfObject;
use crate::plan::Plan;
use crate::record::RunRecord;
use crate::report::{self, table};
use crate::run::Stop;
use crate::vm::Proof;
use inputs::{Inputs, Stamps};

/// Files that have not changed for this long are taken for whole.
const QUIET: Duration = Duration::from_millis(100);
/// How often files are looked at although nothing was told: network file systems tell nothing.
const LOOK: Duration = Duration::from_secs(2);
/// The same where nothing can be told.
const POLL: Duration = Duration::from_millis(300);

/// A run that stays.
struct Watch<'a> {
    ground: Ground<'a>,
    kernels: Vec<KernelSpec>,
    proof: Proof,
    inputs: Inputs,
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
    /// What the user was told since the last table, to be said once.
    told: BTreeSet<String>,
    wakes: (Sender<()>, Receiver<()>),
}

pub(super) fn run(common: &Common, args: &RunArgs) -> Result<ExitCode, Failure> {
    let setup = Setup::load(common)?;
    let snapshot_budget = super::store::snapshot_budget()?;
    let kernels = setup.kernels(&args.machine)?;
    let began = SystemTime::now();
    let mut inputs = Inputs::new(&args.inputs);
    let ran = inputs.look();
    let (objects, notices) = setup.objects(&args.inputs, args.machine.offline)?;
    let tools = super::doctor::tools(&setup)?;
    let folder = report_folder(&setup.project, args.out.as_deref())?;
    let wakes = mpsc::channel();
    let wake = wakes.0.clone();
    let stop = Stop::at_first_signal(move |line| {
        eprintln!("{line}");
        // The receiver lives as long as the watch.
        let _ = wake.send(());
    });
    let stop = stop.map_err(no_signals)?;

    let ground = Ground { args, setup: &setup, tools, stop: &stop, folder: &folder, snapshot_budget };
    let plan = Plan::new(kernels.clone(), objects.clone());
    let proof = acceleration::choose(&setup, tools, &plan, &args.machine, &stop);
    let start = Instant::now();
    let record = run_plan(&ground, &plan, &proof, notices, &folder)?;
    let (round, told) = (1, BTreeSet::new());
    let looked = ran.clone();
    let mut watch = Watch { ground, kernels, proof, inputs, ran, looked, objects, record, round, began, told, wakes };
    watch.show(start.elapsed(), None);
    while !stop.requested() {
        watch.next()?;
    }
    println!("report: {}", folder.display());
    Ok(ExitCode::from(exit_code::of(&watch.record)))
}

impl Watch<'_> {
    /// Waits for a change, and runs what changed.
    fn next(&mut self) -> Result<(), Failure> {
        let Some(stamps) = self.wait() else { return Ok(()) };
        let start = Instant::now();
        let Ground { args, setup, stop, .. } = self.ground;
        let found = setup.objects(&args.inputs, args.machine.offline);
        let (objects, notices) = match found {
            Ok(found) => found,
            Err(failure) => {
                // A build removes an object before it writes the next one.
                self.say(&format!("{failure}\nwaiting for it; the last table stands"));
                return Ok(());
            }
        };
        let ran = std::mem::replace(&mut self.ran, stamps);
        let chosen = self.chosen(&objects, &ran);
        let names: Vec<&str> = objects.iter().map(|object| object.name.as_str()).collect();
        let is_fewer = self.record.objects.iter().any(|object| !names.contains(&object.name.as_str()));
        if chosen.is_empty() && !is_fewer {
            return Ok(());
        }
        let what: Vec<&str> = chosen.iter().map(|object| object.name.as_str()).collect();
        let what = if what.is_empty() { "objects are gone".to_owned() } else { what.join(", ") };
        let plan = Plan::new(self.kernels.clone(), chosen.into_iter().cloned().collect());
        // The report's folder has the last whole table until there is the next.
        let scratch = tempfile::Builder::new().prefix("corematrix-watch-").tempdir();
        let scratch =
            scratch.map_err(|error| Failure::infrastructure(format!("cannot make a folder: {error}"), None))?;
        let fresh = run_plan(&self.ground, &plan, &self.proof, notices, scratch.path())?;
        if stop.requested() {
            eprintln!("the report is that of the last whole run");
            return Ok(());
        }
        let after = merge::merge(&self.record, fresh, &names);
        let changes = merge::changes(&self.record, &after);
        self.record = after;
        self.objects = objects;
        self.round += 1;
        self.show(start.elapsed() + QUIET, Some((&what, &changes)));
        Ok(())
    }

    /// The objects to run: those with other contents than last time, or else those of files that were touched. What cannot be read
    /// is half-written and waits for the rest.
    fn chosen<'o>(&mut self, objects: &'o [BpfObject], ran: &Stamps) -> Vec<&'o BpfObject> {
        let record = &self.record;
        let is_known = |object: &BpfObject| {
            record.objects.iter().any(|known| known.name == object.name && known.sha256 == object.sha256)
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
            self.say(&format!("{error}\nwaiting for the rest of it; the last table stands"));
        }
        chosen
    }

    /// Waits until a file has changed and all are quiet; `None` if the user wants to end.
    fn wait(&mut self) -> Option<Stamps> {
        loop {
            // Anew each time: folders may have been replaced.
            let sender = self.wakes.0.clone();
            let watcher = self.inputs.watch(move || {
                // The receiver lives as long as the watch.
                let _ = sender.send(());
            });
            let pause = match &watcher {
                Ok(_) => LOOK,
                Err(error) => {
                    self.say(&format!("looking at the files every {} ms: {error}", POLL.as_millis()));
                    POLL
                }
            };
            // Before the first pause: what happened while nobody watched.
            let mut now = self.inputs.look();
            if now == self.looked {
                // Never disconnected: one sender is here.
                let _ = self.wakes.1.recv_timeout(pause);
                now = self.inputs.look();
            }
            let is_changed = now != self.looked;
            loop {
                if self.ground.stop.requested() {
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
            for line in stale::stale(&self.objects, self.began) {
                self.say(&line);
            }
        }
    }

    /// Says something once between two tables.
    fn say(&mut self, text: &str) {
        if self.told.insert(text.to_owned()) {
            eprintln!("{text}");
        }
    }

    /// Writes the reports and shows the table, with what changed since the last one.
    fn show(&mut self, took: Duration, changed: Option<(&str, &[String])>) {
        let Ground { args, folder, .. } = self.ground;
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
        // A reader that has gone away is no reason to end.
        let mut out = std::io::stdout();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        self.told.clear();
        if let Err(error) = written {
            // The next table may find room on the disk.
            self.say(&report_failure(&error).to_string());
        }
    }
}
