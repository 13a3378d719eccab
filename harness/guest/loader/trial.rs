//! [`try_program`]: one program in forked copies of this process, once or, for its log, twice.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use super::outcome::outcome;
use super::{Request, Send, with_map};
use crate::{cost, fork, visited};
use corematrix_protocol::attach::{AttachFacts, AttachTry, Reach, Step};
use corematrix_protocol::{self as protocol, GuestMessage, ProgramOutcome, Stage};

/// Nothing, unless the program is refused.
pub(super) const NO_LOG: u32 = 0;
/// The verifier's statistics (`BPF_LOG_STATS`), which cost next to nothing.
pub(super) const STATISTICS: u32 = 4;
/// Every instruction that the verifier looks at, and the statistics.
const FULL_LOG: u32 = 1 | STATISTICS;
/// As [`FULL_LOG`] with all states: of a program that is accepted, the kernel keeps the instructions only at this level.
const ALL_STATES: u32 = 2 | STATISTICS;

/// Frames that a forked copy writes for the host.
pub(super) struct Frames<'a> {
    pub(super) pipe: &'a mut File,
    /// Straight to the host, past the process that waits for this one.
    pub(super) send: &'a mut Send<'a>,
}

impl Frames<'_> {
    /// Reports the next step to the host, before it can bring the kernel down.
    pub(super) fn step(&mut self, step: Step) -> Result<(), String> {
        (self.send)(&GuestMessage::ProgramStep { step }, &[])
    }

    /// Reports to the host that more is to be done.
    pub(super) fn alive(&mut self) {
        let _ = (self.send)(&GuestMessage::PreparingAgain, &[]);
    }

    pub(super) fn add(&mut self, message: &GuestMessage, blob: &[u8]) -> Result<(), String> {
        let frame = protocol::encode(message, blob).map_err(|error| error.to_string())?;
        self.pipe.write_all(&frame).map_err(|error| error.to_string())
    }

    pub(super) fn done(&mut self, outcome: ProgramOutcome, log: &str) -> Result<(), String> {
        self.add(&GuestMessage::ProgramDone(outcome), log.as_bytes())
    }
}

/// How a program is tried.
#[derive(Clone, Copy)]
pub(super) struct How {
    pub log_level: u32,
    pub reach: Reach,
    /// Whether it is loaded with all other programs of its struct_ops map, which is attached as one.
    pub with_map: bool,
}

/// What a forked copy had to say: messages with their blobs.
pub(super) type Messages = Vec<(GuestMessage, Vec<u8>)>;

/// Tries one program in a forked copy of this process, unless it is `known` what becomes of it, and sends the outcome. One that fails is
/// tried once more for its full log: asking for that at first would cost every program that loads.
pub(super) fn try_program(
    program: &str,
    request: &Request<'_>,
    known: Option<Messages>,
    send: &mut Send<'_>,
    load: impl Fn(How, &mut Frames<'_>) -> Result<(), String>,
) -> Result<(), String> {
    send(&GuestMessage::ProgramStarted { program: program.to_owned() }, &[])?;
    let first_level = match request {
        Request { bare: true, .. } => NO_LOG,
        Request { full_logs: true, .. } => ALL_STATES,
        _ => STATISTICS,
    };
    let reach = request.reach_of(program);
    let mut messages = match known {
        Some(known) => known,
        None => try_once(program, request, How { log_level: first_level, reach, with_map: false }, send, &load)?,
    };
    let refused = |(message, _): &(GuestMessage, Vec<u8>)| matches!(message, GuestMessage::ProgramDone(outcome) if outcome.stage == Stage::Load);
    if first_level == STATISTICS && !request.brief && messages.iter().any(refused) {
        for (message, log) in messages {
            if let GuestMessage::ProgramDone(outcome) = message {
                send(&GuestMessage::ProgramRefused(outcome), &log)?;
            }
        }
        messages = try_once(program, request, How { log_level: FULL_LOG, reach, with_map: false }, send, &load)?;
    }
    // Only what is attached with others was loaded and is not attached yet.
    let is_loaded = |(message, _): &(GuestMessage, Vec<u8>)| matches!(message, GuestMessage::ProgramDone(outcome) if outcome.stage == Stage::Loaded);
    let is_further = |(message, _): &(GuestMessage, Vec<u8>)| {
        matches!(message, GuestMessage::Attached { .. } | GuestMessage::Exercised { .. })
    };
    if reach > Reach::Load && messages.iter().any(is_loaded) && !messages.iter().any(is_further) {
        let how = How { log_level: NO_LOG, reach, with_map: true };
        let further = try_once(program, request, how, send, &|how, frames| with_map(program, request, how, frames))?;
        messages.extend(further.into_iter().filter(is_further));
    }
    if let Some(baseline) = &request.setup.baseline
        && reach == Reach::Exercise
        && messages.iter().any(is_loaded)
    {
        cost::measure(program, baseline, request, send)?;
    }
    if let Some(bits) = visited_insns(program, request, &messages, send, &load)? {
        send(&GuestMessage::Visited { program: program.to_owned() }, &bits)?;
    }
    // The outcome ends the program for the host.
    messages.sort_by_key(|(message, _)| matches!(message, GuestMessage::ProgramDone(_)));
    messages.iter().try_for_each(|(message, blob)| send(message, blob))
}

/// Which instructions of a program that was loaded the verifier visited, if that is wanted and the program is not too large. It takes
/// another load, for the log.
fn visited_insns(
    program: &str,
    request: &Request<'_>,
    messages: &[(GuestMessage, Vec<u8>)],
    send: &mut Send<'_>,
    load: &impl Fn(How, &mut Frames<'_>) -> Result<(), String>,
) -> Result<Option<Vec<u8>>, String> {
    let log_of = |messages: &[(GuestMessage, Vec<u8>)]| {
        messages.iter().find_map(|(message, log)| match message {
            GuestMessage::ProgramDone(outcome) if outcome.stage == Stage::Loaded => {
                Some(String::from_utf8_lossy(log).into_owned())
            }
            _ => None,
        })
    };
    let wanted = request.wants_evidence() && request.visited.iter().any(|wanted| wanted == program);
    let Some(first) = log_of(messages).filter(|_| wanted) else { return Ok(None) };
    if !visited::is_small(&first) {
        return Ok(None);
    }
    if request.reach_of(program) > Reach::Load {
        send(&GuestMessage::ProgramStep { step: Step::Loading }, &[])?;
    }
    let again =
        try_once(program, request, How { log_level: ALL_STATES, reach: Reach::Load, with_map: false }, send, load)?;
    Ok(log_of(&again).map(|log| visited::read(&log)))
}

/// What one forked copy has to say, the outcome of the program among it.
fn try_once(
    program: &str,
    request: &Request<'_>,
    how: How,
    send: &mut Send<'_>,
    load: &impl Fn(How, &mut Frames<'_>) -> Result<(), String>,
) -> Result<Messages, String> {
    let (ending, bytes) = fork::run_piped(|pipe| {
        request.faults.before_program(program);
        i32::from(load(how, &mut Frames { pipe, send }).is_err())
    })?;
    let mut messages = messages_in(&bytes);
    match ending {
        fork::Ending::Code(0) => {}
        fork::Ending::Code(code) => return Err(format!("the loader of program `{program}` ended with code {code}")),
        // It got as far as being loaded, so it died of what came then.
        fork::Ending::Signal(signal)
            if messages.iter().any(|(message, _)| matches!(message, GuestMessage::ProgramDone(_))) =>
        {
            let facts = AttachFacts { to: "its target".to_owned(), tried: AttachTry::Died { signal }, took_us: 0 };
            messages.push((GuestMessage::Attached { program: program.to_owned(), facts }, Vec::new()));
        }
        fork::Ending::Signal(signal) => {
            let warning = format!("libbpf died of signal {signal} while it loaded the program");
            let mut died = outcome(program, Stage::Died, Instant::now());
            died.errno = signal;
            died.warnings = vec![warning];
            messages = vec![(GuestMessage::ProgramDone(died), Vec::new())];
        }
    }
    Ok(messages)
}

/// What a forked copy wrote.
pub(super) fn messages_in(bytes: &[u8]) -> Messages {
    let mut reader = protocol::FrameReader::for_guest();
    reader.push(bytes);
    let mut messages = Messages::new();
    while let Ok(Some(message)) = reader.take_message::<GuestMessage>() {
        messages.push(message);
    }
    messages
}
