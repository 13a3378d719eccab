//! [`run`]: a short child process (`apt-get`, `vng`) with a deadline, whose output is read to its end.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};
use wait_timeout::ChildExt;

/// The most output that is kept of one pipe.
const OUTPUT_LIMIT: u64 = 64 << 20;

/// A child that ended by itself.
#[derive(Debug)]
pub(super) struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Why a child brought no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The program is not installed.
    #[error("`{0}` is not installed")]
    Missing(String),
    /// It did not end in time and was killed.
    #[error("`{program}` did not end within {}", humantime::format_duration(*.after))]
    TimedOut { program: String, after: Duration },
    /// The system refused to start or await it.
    #[error("cannot run `{program}`: {source}")]
    Failed { program: String, source: io::Error },
}

/// Runs `command` in its own process group, without input and in the C locale, and kills the group at the deadline.
pub(super) fn run(command: &mut Command, deadline: Duration) -> Result<Finished, CommandError> {
    let path = std::path::Path::new(command.get_program());
    let program = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let failed = |source: io::Error| CommandError::Failed { program: program.clone(), source };
    command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    // SAFETY: the closure runs between fork and exec and makes one async-signal-safe system call; it allocates nothing.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    let mut child = command.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CommandError::Missing(program.clone()),
        _ => failed(source),
    })?;
    let stdout = read_all(child.stdout.take());
    let stderr = read_all(child.stderr.take());
    let ended = child.wait_timeout(deadline);
    // The group is killed in any case: a grandchild that outlives the child would hold the pipes open.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    match ended {
        Ok(Some(status)) => Ok(Finished { status, stdout: received(&stdout), stderr: received(&stderr) }),
        Ok(None) => {
            child.wait().map_err(failed)?;
            Err(CommandError::TimedOut { program, after: deadline })
        }
        Err(source) => Err(failed(source)),
    }
}

fn read_all(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut bytes);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        let _ = sender.send(bytes);
    });
    receiver
}

/// What a reader collected; a process that left the group may hold its pipe for ever, so this does not wait for long.
fn received(pipe: &Receiver<Vec<u8>>) -> String {
    String::from_utf8_lossy(&pipe.recv_timeout(Duration::from_secs(5)).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn keeps_both_pipes_and_the_status() {
        let done =
            run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), Duration::from_secs(20)).unwrap();
        assert_eq!((done.stdout.as_str(), done.stderr.as_str(), done.status.code()), ("out\n", "err\n", Some(3)));
    }

    #[test]
    fn kills_the_whole_group_at_the_deadline() {
        let begun = Instant::now();
        let error =
            run(Command::new("sh").args(["-c", "sleep 60 & sleep 60"]), Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("/nowhere/apt-get"), Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.to_string(), "`apt-get` is not installed");
    }
}
