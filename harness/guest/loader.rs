//! [`judge`]: loads one object and finds out about each of its programs on its own.
//!
//! libbpf loads an object all or nothing. Here it prepares the object once (kernel BTF, externs, relocations, maps), and then a
//! forked copy of the process for each program switches all others off and loads: every program meets the kernel alone, with
//! libbpf's own code, and the kernel's BTF is parsed once. Only where the whole object cannot be prepared is each program
//! opened and prepared on its own, without maps that cannot be created.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use libbpf_rs::{AsRawLibbpf, OpenObject};

use super::fault::Faults;
use super::prepared::{Failure, Prepared, Which, prepare};
use super::{fork, loaded, transcript, visited};
use crate::libbpf_log;
use crate::protocol::{self, GuestMessage, LeftOutMap, ObjectSetup, ProgramOutcome, Stage};

/// Nothing, unless the program is refused.
const NO_LOG: u32 = 0;
/// The verifier's statistics (`BPF_LOG_STATS`), which cost next to nothing.
const STATISTICS: u32 = 4;
/// Every instruction that the verifier looks at, and the statistics.
const FULL_LOG: u32 = 1 | STATISTICS;

/// As [`FULL_LOG`] with all states: of a program that is accepted, the kernel keeps the instructions only at this level.
const ALL_STATES: u32 = 2 | STATISTICS;

/// What the host asks for.
pub struct Request<'a> {
    /// The object's name.
    pub object: String,
    /// The programs to judge.
    pub programs: Vec<String>,
    /// Whether the whole log is wanted of programs that load, too.
    pub full_logs: bool,
    /// The programs whose visited instructions are wanted.
    pub visited: Vec<String>,
    /// What to set before the object is prepared.
    pub setup: ObjectSetup,
    /// The object.
    pub bytes: Vec<u8>,
    /// Whether to load without collecting evidence, to measure what that costs.
    pub bare: bool,
    /// What to do wrong.
    pub faults: &'a Faults,
}

/// Where messages for the host go.
type Send<'a> = dyn FnMut(&GuestMessage, &[u8]) -> Result<(), String> + 'a;

/// Judges the programs of the request and sends what it finds.
pub fn judge(request: &Request<'_>, send: &mut Send<'_>) -> Result<(), String> {
    if request.bare {
        transcript::ignore();
    } else {
        transcript::listen();
    }
    let mut first_failure = None;
    match prepare(request, Which::All, &mut first_failure) {
        Ok(prepared) => {
            let warnings = first_failure.clone().unwrap_or_default();
            let left_out = prepared.left_out.clone();
            send(&GuestMessage::Whole { prepared: first_failure.is_none(), warnings, left_out }, &[])?;
            if !request.bare {
                send(&GuestMessage::Transcript { complete: true }, &libbpf_log::pack(&prepared.lines))?;
                send_instructions(&prepared.open, send)?;
            }
            for program in &request.programs {
                let load =
                    |log_level, frames: &mut Frames<'_>| load_one(&prepared, program, log_level, frames, request);
                try_program(program, request, send, load)?;
            }
        }
        Err(failure) if !failure.opened => {
            send(&GuestMessage::OpenFailed { errno: failure.errno, warnings: failure.warnings() }, &[])?;
        }
        Err(failure) => {
            let warnings = first_failure.unwrap_or_else(|| failure.warnings());
            send(&GuestMessage::Whole { prepared: false, warnings, left_out: Vec::new() }, &[])?;
            send(&GuestMessage::Transcript { complete: false }, &libbpf_log::pack(&failure.lines))?;
            let object_wide = failure.warnings().iter().any(|warning| libbpf_log::is_object_wide(warning));
            for program in &request.programs {
                // What the whole object needs fails for every program alike; asking again would give the same answer.
                let known = object_wide.then(|| not_prepared(program, &failure, Instant::now()));
                try_program(program, request, send, |log_level, frames| match &known {
                    Some(outcome) => (outcome.clone(), String::new()),
                    None => isolate(program, request, log_level, frames),
                })?;
            }
        }
    }
    Ok(())
}

/// Frames that a forked copy writes for the host.
struct Frames<'a>(&'a mut File);

impl Frames<'_> {
    fn add(&mut self, message: &GuestMessage, blob: &[u8]) -> Result<(), String> {
        let frame = protocol::encode(message, blob).map_err(|error| error.to_string())?;
        self.0.write_all(&frame).map_err(|error| error.to_string())
    }
}

/// Tries one program in a forked copy of this process and sends the outcome. One that fails is tried once more for its full log:
/// asking for that at first would cost every program that loads.
fn try_program(
    program: &str,
    request: &Request<'_>,
    send: &mut Send<'_>,
    load: impl Fn(u32, &mut Frames<'_>) -> (ProgramOutcome, String),
) -> Result<(), String> {
    send(&GuestMessage::ProgramStarted { program: program.to_owned() }, &[])?;
    let first_level = match request {
        Request { bare: true, .. } => NO_LOG,
        Request { full_logs: true, .. } => ALL_STATES,
        _ => STATISTICS,
    };
    let mut messages = try_once(program, request, first_level, &load)?;
    let refused = |(message, _): &(GuestMessage, Vec<u8>)| matches!(message, GuestMessage::ProgramDone(outcome) if outcome.stage == Stage::Load);
    if first_level == STATISTICS && messages.iter().any(refused) {
        for (message, log) in messages {
            if let GuestMessage::ProgramDone(outcome) = message {
                send(&GuestMessage::ProgramRefused(outcome), &log)?;
            }
        }
        messages = try_once(program, request, FULL_LOG, &load)?;
    }
    if let Some(bits) = visited_insns(program, request, &messages, &load)? {
        send(&GuestMessage::Visited { program: program.to_owned() }, &bits)?;
    }
    messages.iter().try_for_each(|(message, blob)| send(message, blob))
}

/// Which instructions of a program that was loaded the verifier visited, if that is wanted and the program is not too large. It takes
/// another load, for the log.
fn visited_insns(
    program: &str,
    request: &Request<'_>,
    messages: &[(GuestMessage, Vec<u8>)],
    load: &impl Fn(u32, &mut Frames<'_>) -> (ProgramOutcome, String),
) -> Result<Option<Vec<u8>>, String> {
    let log_of = |messages: &[(GuestMessage, Vec<u8>)]| {
        messages.iter().find_map(|(message, log)| match message {
            GuestMessage::ProgramDone(outcome) if outcome.stage == Stage::Loaded => {
                Some(String::from_utf8_lossy(log).into_owned())
            }
            _ => None,
        })
    };
    let wanted = !request.bare && request.visited.iter().any(|wanted| wanted == program);
    let Some(first) = log_of(messages).filter(|_| wanted) else { return Ok(None) };
    if !visited::is_small(&first) {
        return Ok(None);
    }
    let again = try_once(program, request, ALL_STATES, load)?;
    Ok(log_of(&again).map(|log| visited::read(&log)))
}

/// What one forked copy has to say, ending with the outcome of the program.
fn try_once(
    program: &str,
    request: &Request<'_>,
    log_level: u32,
    load: &impl Fn(u32, &mut Frames<'_>) -> (ProgramOutcome, String),
) -> Result<Vec<(GuestMessage, Vec<u8>)>, String> {
    let (ending, bytes) = fork::run_piped(|pipe| {
        request.faults.before_program(program);
        let mut frames = Frames(pipe);
        let (outcome, log) = load(log_level, &mut frames);
        i32::from(frames.add(&GuestMessage::ProgramDone(outcome), log.as_bytes()).is_err())
    })?;
    let mut reader = protocol::FrameReader::default();
    reader.push(&bytes);
    let mut messages = Vec::new();
    while let Ok(Some(message)) = reader.take_message::<GuestMessage>() {
        messages.push(message);
    }
    match ending {
        fork::Ending::Code(0) => Ok(messages),
        fork::Ending::Code(code) => Err(format!("the loader of program `{program}` ended with code {code}")),
        fork::Ending::Signal(signal) => {
            let warning = format!("libbpf died of signal {signal} while it loaded the program");
            let mut died = outcome(program, Stage::Died, Instant::now());
            died.errno = signal;
            died.warnings = vec![warning];
            Ok(vec![(GuestMessage::ProgramDone(died), Vec::new())])
        }
    }
}

/// Opens, prepares and loads one program with all others switched off.
fn isolate(program: &str, request: &Request<'_>, log_level: u32, frames: &mut Frames<'_>) -> (ProgramOutcome, String) {
    let begin = Instant::now();
    let tried = prepare(request, Which::One(program), &mut None);
    let lines = tried.as_ref().map_or_else(|failure| &failure.lines, |prepared| &prepared.lines);
    let transcript = GuestMessage::Transcript { complete: false };
    // A transcript that cannot be passed on shows as records that are lost.
    let _ = frames.add(&transcript, &libbpf_log::pack(lines));
    match tried {
        Ok(prepared) => {
            if let Some(found) = prepared.open.progs().find(|candidate| candidate.name() == program) {
                let message = GuestMessage::Instructions { program: program.to_owned() };
                let _ = frames.add(&message, loaded::instructions(&found));
            }
            load_one(&prepared, program, log_level, frames, request)
        }
        Err(failure) => (not_prepared(program, &failure, begin), String::new()),
    }
}

fn send_instructions(open: &OpenObject, send: &mut Send<'_>) -> Result<(), String> {
    for program in open.progs() {
        let name = program.name().to_string_lossy().into_owned();
        send(&GuestMessage::Instructions { program: name }, loaded::instructions(&program))?;
    }
    Ok(())
}

/// Loads one program of a prepared object. Spoils the object, so this is for a forked copy.
fn load_one(
    prepared: &Prepared,
    program: &str,
    log_level: u32,
    frames: &mut Frames<'_>,
    request: &Request<'_>,
) -> (ProgramOutcome, String) {
    let begin = Instant::now();
    let mut wanted = None;
    for candidate in prepared.open.progs() {
        let this = candidate.name() == program;
        // SAFETY: the pointer is a live program of an object that is prepared but not loaded, so both may still change.
        unsafe {
            libbpf_rs::libbpf_sys::bpf_program__set_autoload(candidate.as_libbpf_object().as_ptr(), this);
            libbpf_rs::libbpf_sys::bpf_program__set_log_level(candidate.as_libbpf_object().as_ptr(), log_level);
        }
        if this {
            wanted = Some(candidate);
        }
    }
    let Some(wanted) = wanted else {
        let mut missing = outcome(program, Stage::Died, begin);
        missing.warnings = vec![format!("libbpf finds no program `{program}` in the object")];
        return (missing, String::new());
    };
    transcript::take();
    // SAFETY: as above; the object is loaded once, in this process, and never used again.
    let result = unsafe { libbpf_rs::libbpf_sys::bpf_object__load(prepared.open.as_libbpf_object().as_ptr()) };
    let mut tried = outcome(program, Stage::Load, begin);
    let lines = transcript::take();
    let log = libbpf_log::verifier_log(&lines).unwrap_or_default().to_owned();
    let warnings = libbpf_log::warnings(&lines);
    if result == 0 || libbpf_log::only_slots_missing(&warnings) {
        tried.stage = Stage::Loaded;
        tried.loaded = loaded::info(&wanted);
        if let (false, Some(lines)) = (request.bare, loaded::lines(&wanted)) {
            // Without them the program's coverage is unknown.
            let _ = frames.add(&GuestMessage::Lines { program: program.to_owned() }, &lines);
        }
        return (tried, log);
    }
    tried.errno = -result;
    tried.warnings = warnings;
    tried.left_out = prepared.left_out.clone();
    tried.type_known = wanted.prog_type().is_supported().ok();
    (tried, log)
}

fn not_prepared(program: &str, failure: &Failure, begin: Instant) -> ProgramOutcome {
    let mut failed = outcome(program, Stage::Prepare, begin);
    failed.errno = failure.errno;
    failed.warnings = failure.warnings();
    failed
}

fn outcome(program: &str, stage: Stage, begin: Instant) -> ProgramOutcome {
    ProgramOutcome {
        program: program.to_owned(),
        stage,
        errno: 0,
        warnings: Vec::new(),
        left_out: Vec::<LeftOutMap>::new(),
        type_known: None,
        loaded: None,
        took_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}
