//! [`run_command()`]: a command of the user on every kernel of the plan, and what it means how it ended.

mod recorder;
mod tests_of;
mod verdict;

use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::arrangement::arranged;
use super::kernel::{Ended, KernelContext};
use super::run_scope::RunScope;
use super::{RunContext, RunError, fetch, fetch_failed, guest, pool};
use crate::event::{CellOutcome, Event};
use crate::exec::{CommandEnding, CommandSession, FinishedCommand, HostFiles, View};
use crate::judge::{self, Diagnosis};
use crate::kernel_log::KernelLog;
use crate::protocol::live::{self, LiveCommand};
use crate::record::KernelWarning;
use crate::record::{ProgramRecord, TRIED_AGAIN};
use crate::source::FileSystems;
use crate::test_output::TestHarness;
use crate::vm::{GuestLink, GuestLoss};
use recorder::Recorder;
pub use tests_of::put_tests;
pub use verdict::command_verdict;

/// A guest that is lost on the way is replaced once: the command has changed nothing that outlived it.
const ATTEMPTS: u32 = 2;

/// What is run, and where its output goes.
#[derive(Debug)]
pub struct CommandJob {
    /// The command.
    pub command: LiveCommand,
    /// What it sees of the host.
    pub view: View,
    /// How long it may run, if there is a limit.
    pub limit: Option<Duration>,
    /// What prints the results of its tests, if it is looked for them.
    pub tests: Option<TestHarness>,
    /// Where what it leaves goes, in a directory for each kernel, which does not exist or is empty.
    pub out: Option<PathBuf>,
    /// The report's directory.
    pub report: PathBuf,
}

/// Runs the command on every kernel of the plan, which has it for its only object. Every outcome is an event.
///
/// # Errors
/// [`RunError`] if there are no threads to run it on.
pub fn run_command(run: &RunContext<'_>, job: &CommandJob, events: &Sender<Event>) -> Result<(), RunError> {
    let pool = pool(run)?;
    pool.scope(|scope| {
        // A worker takes what it was given last, so the first kernel is given last.
        for kernel in (0..run.plan.kernels.len()).rev() {
            let events = events.clone();
            scope.spawn(move |_| on_kernel(run, job, kernel, events));
        }
    });
    Ok(())
}

fn on_kernel(run: &RunContext<'_>, job: &CommandJob, kernel: usize, events: Sender<Event>) {
    if run.stop.requested() {
        let _ = events.send(Event::KernelDone { kernel });
        return;
    }
    match fetch(run, kernel, &events) {
        Ok(stored) => {
            let file_systems = guest::file_systems(run, kernel, &stored, &events);
            let (source, identity, notes) = (stored.source.clone(), stored.identity.clone(), stored.notes.clone());
            let _ = events.send(Event::KernelReady { kernel, source, identity, notes });
            let common = RunScope::of_guests();
            let context = KernelContext::new(run, kernel, stored, &common, events);
            // If the kernel is out of the run it has said why.
            let _ = run_and_judge(&context, job, &file_systems);
        }
        Err(error) => fetch_failed(kernel, &error, &events),
    }
}

fn run_and_judge(context: &KernelContext<'_>, job: &CommandJob, file_systems: &FileSystems) -> Result<(), Ended> {
    let (run, kernel) = (context.run, context.index);
    let program = &run.plan.objects[0].programs[0];
    let name = context.spec.name.clone();
    let mut notes = Vec::new();
    context.send(Event::CellStarted { kernel, object: 0 });
    for attempt in 1.. {
        let (mut machine, modules) = match context.command_machine()? {
            Ok(started) => started,
            Err(reason) => return unjudged(context, judge::without_module(reason)),
        };
        if let Err(reason) = arranged(&mut machine, context) {
            return unjudged(context, judge::machine::unavailable(reason));
        }
        let machine_mib = machine.shape.memory_mib;
        context.send(Event::ProgramStarted { kernel, object: 0, program: 0 });
        let (mut record, mut tests) = (ProgramRecord::not_run(program, ""), None);
        let files = || HostFiles::new(job.view.clone()).map_err(|error| format!("cannot open `/`: {error}"));
        let finished = match Recorder::new(job, &name, attempt).and_then(|recorder| Ok((recorder, files()?))) {
            Ok((mut recorder, files)) => {
                let mut command = job.command.clone();
                command.environment.push((live::KERNEL.to_owned(), name.clone()));
                let session = CommandSession::new(&command, files, &file_systems.modules, job.limit);
                let finished = session.run(&mut machine, &mut recorder, &|| run.stop.at_once());
                for note in recorder.root_notes.drain(..) {
                    context.send(Event::KernelNote { kernel, note });
                }
                tests = recorder.finish(&finished, &mut record, &mut notes);
                finished
            }
            Err(reason) => FinishedCommand {
                ending: CommandEnding::Lost(GuestLoss::Harness(reason)),
                took: Duration::ZERO,
                kernel_log: String::new(),
            },
        };
        machine.shut_down();
        if let CommandEnding::Lost(loss) = &finished.ending
            && attempt < ATTEMPTS
            && *loss != GuestLoss::Stopped
            && !run.stop.requested()
        {
            let reason = verdict::lost(loss).1;
            notes.push(format!("{reason}; {TRIED_AGAIN} in a fresh guest"));
            context.send(Event::GuestLost { kernel, reason });
            continue;
        }
        let judged = command_verdict(&finished, job.limit, machine_mib, &record.log_tail);
        (record.verdict, record.reason) = (judged.verdict, judged.reason);
        (record.cause, record.evidence) = (judged.cause, judged.evidence);
        record.load_ms = u64::try_from(finished.took.as_millis()).unwrap_or(u64::MAX);
        let (kernel_log, left_out) = complaints(&finished, &record.name);
        notes.extend(left_out);
        context.send(Event::ProgramDone { kernel, object: 0, program: 0, record: Box::new(record) });
        let modules_loaded = modules.records();
        notes.extend(modules.notes.into_iter().chain(modules.reasons.into_iter().map(guest::refused)));
        let modules = modules_loaded;
        let outcome = CellOutcome { kernel_log, tests, took: finished.took, notes, modules, ..CellOutcome::default() };
        context.send(Event::CellDone { kernel, object: 0, outcome: Box::new(outcome) });
        break;
    }
    Ok(())
}

/// Says that the machine is not as it was wanted, so that nothing was run.
fn unjudged(context: &KernelContext<'_>, judged: Diagnosis) -> Result<(), Ended> {
    let mut record = ProgramRecord::not_run(&context.run.plan.objects[0].programs[0], "");
    (record.verdict, record.reason) = (judged.verdict, judged.reason);
    (record.cause, record.evidence) = (judged.cause, judged.evidence);
    let kernel = context.index;
    context.send(Event::ProgramDone { kernel, object: 0, program: 0, record: Box::new(record) });
    context.send(Event::CellDone { kernel, object: 0, outcome: Box::default() });
    Ok(())
}

/// What the kernel complained of while the command ran, and survived, with notes on what is not among that.
pub fn complaints(finished: &FinishedCommand, program: &str) -> (Vec<KernelWarning>, Vec<String>) {
    let mut log = KernelLog::default();
    if !matches!(finished.ending, CommandEnding::Lost(_)) {
        // Each line begins with its time, `[   12.345678] `.
        let plain = |line: &str| line.split_once("] ").map_or(line, |(_, text)| text).to_owned() + "\n";
        log.read(Some(program.to_owned()), &finished.kernel_log.lines().map(plain).collect::<String>());
    }
    log.finish()
}
