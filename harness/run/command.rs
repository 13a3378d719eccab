//! [`run_command()`]: a command of the user on every kernel of the plan, and what it means how it ended.

mod recorder;

use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::kernel::{Ended, KernelContext};
use super::{RunContext, RunError, Subjects, fetch, fetch_failed, guest, pool, probe_requests::ProbeRequests};
use crate::event::{CellOutcome, Event};
use crate::exec::{CommandEnding, CommandSession, FinishedCommand, HostFiles, View};
use crate::judge::{self, Diagnosis};
use crate::kernel_log::KernelLog;
use crate::protocol;
use crate::protocol::live::{self, CommandEnd, LiveCommand};
use crate::record::KernelWarning;
use crate::record::Verdict;
use crate::record::{ProgramRecord, TRIED_AGAIN};
use crate::source::FileSystems;
use crate::vm::{GuestLink, GuestLoss};
use recorder::Recorder;

/// A guest that is lost on the way is replaced once: the command has changed nothing that outlived it.
const ATTEMPTS: u32 = 2;

/// What is run, and where its output goes.
#[derive(Debug)]
pub struct CommandJob {
    /// The command.
    pub command: LiveCommand,
    /// What it sees of the host.
    pub view: View,
    /// How long it may run.
    pub limit: Duration,
    /// Where what it leaves goes, in a folder for each kernel, which does not exist or is empty.
    pub out: Option<PathBuf>,
    /// The report's folder.
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
            let (wanted, subjects) = (ProbeRequests::default(), Subjects::of(&[]));
            let context = KernelContext::new(run, kernel, stored, (&wanted, &subjects), events);
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
        let mut machine = context.machine(context.spec.memory_mib)?;
        let machine_mib = machine.memory_mib;
        context.send(Event::ProgramStarted { kernel, object: 0, program: 0 });
        let mut record = ProgramRecord::not_run(program, "");
        let files = || HostFiles::new(job.view.clone()).map_err(|error| format!("cannot open `/`: {error}"));
        let finished = match Recorder::new(job, &name, attempt).and_then(|recorder| Ok((recorder, files()?))) {
            Ok((mut recorder, files)) => {
                let mut command = job.command.clone();
                command.environment.push((live::KERNEL.to_owned(), name.clone()));
                let session = CommandSession::new(&command, files, &file_systems.modules, Some(job.limit));
                let finished = session.run(&mut machine, &mut recorder, &|| run.stop.at_once());
                for note in recorder.root_notes.drain(..) {
                    context.send(Event::KernelNote { kernel, note });
                }
                recorder.finish(&finished, &mut record, &mut notes);
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
            let reason = lost(loss).1;
            notes.push(format!("{reason}; {TRIED_AGAIN} in a fresh guest"));
            context.send(Event::GuestLost { kernel, reason });
            continue;
        }
        (record.verdict, record.reason) = verdict(&finished.ending, job.limit, &record.log_tail);
        if let Some(diagnosis) = out_of_memory(&finished, machine_mib) {
            (record.verdict, record.reason) = (diagnosis.verdict, diagnosis.reason);
            (record.cause, record.evidence) = (diagnosis.cause, diagnosis.evidence);
        }
        record.load_ms = u64::try_from(finished.took.as_millis()).unwrap_or(u64::MAX);
        let (kernel_log, left_out) = complaints(&finished, &record.name);
        notes.extend(left_out);
        context.send(Event::ProgramDone { kernel, object: 0, program: 0, record: Box::new(record) });
        let outcome = CellOutcome { kernel_log, took: finished.took, notes, ..CellOutcome::default() };
        context.send(Event::CellDone { kernel, object: 0, outcome: Box::new(outcome) });
        break;
    }
    Ok(())
}

/// What the kernel complained of while the command ran, and survived, with notes on what is not among that.
fn complaints(finished: &FinishedCommand, program: &str) -> (Vec<KernelWarning>, Vec<String>) {
    let mut log = KernelLog::default();
    if !matches!(finished.ending, CommandEnding::Lost(_)) {
        // Each line begins with its time, `[   12.345678] `.
        let plain = |line: &str| line.split_once("] ").map_or(line, |(_, text)| text).to_owned() + "\n";
        log.read(Some(program.to_owned()), &finished.kernel_log.lines().map(plain).collect::<String>());
    }
    log.finish()
}

/// A command that failed in a guest whose kernel killed for lack of memory: that says nothing about the command.
fn out_of_memory(finished: &FinishedCommand, memory_mib: u64) -> Option<Diagnosis> {
    let line = match &finished.ending {
        CommandEnding::Command(CommandEnd::Code { code: 0 }) | CommandEnding::NoRoot(_) => return None,
        CommandEnding::Lost(GuestLoss::Crashed(line)) => line.as_str(),
        _ => finished.kernel_log.lines().find(|line| protocol::is_out_of_memory(line))?,
    };
    protocol::is_out_of_memory(line).then_some(())?;
    // Each line begins with its time.
    let line = line.split_once("] ").map_or(line, |(_, text)| text).trim();
    let reason = format!("the kernel killed {}: {line}", judge::guest_memory(Some(memory_mib)));
    Some(judge::out_of_memory(reason))
}

/// What it means how a command ended; `said` are the last lines of its output.
fn verdict(ending: &CommandEnding, limit: Duration, said: &[String]) -> (Verdict, Option<String>) {
    let last = said.iter().rev().find(|line| !line.trim().is_empty());
    let with_words = |what: String| last.map_or(what.clone(), |last| format!("{what}: {}", last.trim()));
    let (verdict, reason) = match ending {
        CommandEnding::Command(CommandEnd::Code { code: 0 }) => return (Verdict::Succeeded, None),
        CommandEnding::Command(CommandEnd::Code { code }) => {
            (Verdict::CommandFailed, with_words(format!("ended with exit code {code}")))
        }
        CommandEnding::Command(CommandEnd::Signal { signal }) => {
            (Verdict::CommandFailed, with_words(format!("was killed by {}", signal_name(*signal))))
        }
        CommandEnding::Command(CommandEnd::NotStarted { errno }) => {
            let error = std::io::Error::from_raw_os_error(*errno);
            (Verdict::CommandFailed, format!("could not be started: {error}"))
        }
        CommandEnding::Deadline => {
            (Verdict::TimedOut, format!("still ran after {}, and was killed", humantime::format_duration(limit)))
        }
        CommandEnding::NoRoot(reason) => (Verdict::HarnessError, reason.clone()),
        CommandEnding::Lost(loss) => lost(loss),
    };
    (verdict, Some(reason))
}

fn lost(loss: &GuestLoss) -> (Verdict, String) {
    match loss {
        GuestLoss::Crashed(line) => (Verdict::KernelCrashed, format!("the kernel crashed: {line}")),
        GuestLoss::Silent => (Verdict::TimedOut, "the guest does not answer any more".to_owned()),
        GuestLoss::Harness(reason) => (Verdict::HarnessError, reason.clone()),
        GuestLoss::Stopped => (Verdict::NotRun, "the run was stopped".to_owned()),
    }
}

/// `signal 11 (SIGSEGV)`.
fn signal_name(signal: i32) -> String {
    let name = signal_hook::low_level::signal_name(signal);
    name.map_or_else(|| format!("signal {signal}"), |name| format!("signal {signal} ({name})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ending_is_an_outcome_of_its_own() {
        let said = ["starting".to_owned(), "cannot attach".to_owned(), String::new()];
        let ended = |ending: CommandEnding| {
            let (verdict, reason) = verdict(&ending, Duration::from_secs(90), &said);
            format!("{verdict}: {}", reason.unwrap_or_default())
        };
        let end = |end: CommandEnd| ended(CommandEnding::Command(end));
        let lines = [
            end(CommandEnd::Code { code: 0 }),
            end(CommandEnd::Code { code: 3 }),
            end(CommandEnd::Signal { signal: 11 }),
            end(CommandEnd::NotStarted { errno: 2 }),
            ended(CommandEnding::Deadline),
            ended(CommandEnding::NoRoot("this kernel has no FUSE".to_owned())),
            ended(CommandEnding::Lost(GuestLoss::Crashed("BUG: x".to_owned()))),
            ended(CommandEnding::Lost(GuestLoss::Silent)),
            ended(CommandEnding::Lost(GuestLoss::Harness("QEMU ended".to_owned()))),
            ended(CommandEnding::Lost(GuestLoss::Stopped)),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        succeeded: 
        command failed: ended with exit code 3: cannot attach
        command failed: was killed by signal 11 (SIGSEGV): cannot attach
        command failed: could not be started: No such file or directory (os error 2)
        timed out: still ran after 1m 30s, and was killed
        harness error: this kernel has no FUSE
        kernel crashed: the kernel crashed: BUG: x
        timed out: the guest does not answer any more
        harness error: QEMU ended
        not run: the run was stopped
        ");
    }
}
