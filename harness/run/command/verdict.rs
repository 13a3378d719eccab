//! [`command_verdict`]: what it means how a command ended.

use std::time::Duration;

use crate::exec::{CommandEnding, FinishedCommand};
use crate::judge::{self, Diagnosis};
use crate::protocol;
use crate::protocol::live::CommandEnd;
use crate::record::Verdict;
use crate::vm::GuestLoss;

/// Judges a command that was allowed to run for `limit` in a guest with so much memory; `said` are the last lines of its output.
pub fn command_verdict(
    finished: &FinishedCommand,
    limit: Option<Duration>,
    memory_mib: u64,
    said: &[String],
) -> Diagnosis {
    if let Some(diagnosis) = out_of_memory(finished, memory_mib) {
        return diagnosis;
    }
    let (verdict, reason) = verdict(&finished.ending, limit, said);
    Diagnosis { verdict, reason, cause: None, evidence: None }
}

/// A command that failed in a guest whose kernel killed for lack of memory: that does not show anything about the command.
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
fn verdict(ending: &CommandEnding, limit: Option<Duration>, said: &[String]) -> (Verdict, Option<String>) {
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
            let limit = limit.unwrap_or_default();
            (Verdict::TimedOut, format!("still ran after {} and was killed", humantime::format_duration(limit)))
        }
        CommandEnding::NoRoot(reason) => (Verdict::HarnessError, reason.clone()),
        CommandEnding::Lost(loss) => lost(loss),
    };
    (verdict, Some(reason))
}

pub(super) fn lost(loss: &GuestLoss) -> (Verdict, String) {
    match loss {
        GuestLoss::Crashed(line) => (Verdict::KernelCrashed, format!("the kernel crashed: {line}")),
        GuestLoss::Silent => (Verdict::TimedOut, "the guest stopped responding".to_owned()),
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
            let (verdict, reason) = verdict(&ending, Some(Duration::from_secs(90)), &said);
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
        timed out: still ran after 1m 30s and was killed
        infrastructure failure: this kernel has no FUSE
        kernel crashed: the kernel crashed: BUG: x
        timed out: the guest stopped responding
        infrastructure failure: QEMU ended
        not run: the run was stopped
        ");
    }
}
