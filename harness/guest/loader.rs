//! [`judge`]: loads one object and finds out about each of its programs on its own.
//!
//! libbpf loads an object all or nothing. Here it prepares the object once (kernel BTF, externs, relocations, maps), and then a
//! forked copy of the process for each program switches all others off and loads: every program meets the kernel alone, with
//! libbpf's own code, and the kernel's BTF is parsed once. Only where the whole object cannot be prepared is each program
//! opened and prepared on its own, without maps that cannot be created.

use std::io::Write;
use std::time::Instant;

use libbpf_rs::{AsRawLibbpf, ErrorKind, ObjectBuilder, OpenObject};

use super::fault::Faults;
use super::{fork, transcript};
use crate::libbpf_log;
use crate::protocol::{self, GuestMessage, LeftOutMap, ProgramOutcome, Stage};

/// Where messages for the host go.
type Send<'a> = dyn FnMut(&GuestMessage, &[u8]) -> Result<(), String> + 'a;

/// Which programs of an object are switched on.
#[derive(Clone, Copy)]
enum Which<'a> {
    All,
    One(&'a str),
}

/// Why an object could not be prepared.
struct Failure {
    opened: bool,
    errno: i32,
    warnings: Vec<String>,
}

/// Judges `programs` of the object and sends what it finds.
pub fn judge(
    object: &str,
    programs: &[String],
    bytes: &[u8],
    faults: &Faults,
    send: &mut Send<'_>,
) -> Result<(), String> {
    transcript::listen();
    let mut left_out = Vec::new();
    let mut first_failure = None;
    match prepare(object, bytes, Which::All, &mut left_out, &mut first_failure) {
        Ok(prepared) => {
            send(
                &GuestMessage::Whole { prepared: first_failure.is_none(), warnings: first_failure.unwrap_or_default() },
                &[],
            )?;
            for program in programs {
                let load = || load_one(&prepared, program, &left_out);
                try_program(program, faults, send, load)?;
            }
        }
        Err(failure) if !failure.opened => {
            send(&GuestMessage::OpenFailed { errno: failure.errno, warnings: failure.warnings }, &[])?;
        }
        Err(failure) => {
            let warnings = first_failure.unwrap_or_else(|| failure.warnings.clone());
            send(&GuestMessage::Whole { prepared: false, warnings }, &[])?;
            let object_wide = failure.warnings.iter().any(|warning| libbpf_log::is_object_wide(warning));
            for program in programs {
                // What the whole object needs fails for every program alike; asking again would give the same answer.
                let known =
                    object_wide.then(|| outcome(program, Stage::Prepare, failure.errno, failure.warnings.clone(), 0));
                try_program(program, faults, send, || match known {
                    Some(outcome) => (outcome, String::new()),
                    None => isolate(object, program, bytes),
                })?;
            }
        }
    }
    Ok(())
}

/// Opens and prepares the object, leaving out map after map for as long as a map is what stands in the way.
///
/// `first_failure` gets the warnings of the first try if that failed.
fn prepare(
    object: &str,
    bytes: &[u8],
    which: Which<'_>,
    left_out: &mut Vec<LeftOutMap>,
    first_failure: &mut Option<Vec<String>>,
) -> Result<OpenObject, Failure> {
    loop {
        transcript::take();
        let mut open = open(object, bytes)?;
        for mut program in open.progs_mut() {
            program.set_autoload(match which {
                Which::All => true,
                Which::One(name) => program.name() == name,
            });
        }
        let mut struct_ops = Vec::new();
        for mut map in open.maps_mut() {
            let name = map.name().to_string_lossy().into_owned();
            if map.map_type() == libbpf_rs::MapType::StructOps {
                struct_ops.push(name.clone());
            }
            if left_out.iter().any(|left| left.map == name) {
                map.set_autocreate(false).map_err(|error| failure(true, &error))?;
            }
        }
        // SAFETY: the pointer belongs to `open`, which outlives the call and has not been prepared or loaded.
        let result = unsafe { libbpf_rs::libbpf_sys::bpf_object__prepare(open.as_libbpf_object().as_ptr()) };
        if result == 0 {
            return Ok(open);
        }
        let warnings = libbpf_log::warnings(&transcript::take());
        first_failure.get_or_insert_with(|| warnings.clone());
        let culprits = culprits(&warnings, &struct_ops);
        let known = left_out.len();
        for (map, warning) in culprits {
            if !left_out.iter().any(|left| left.map == map) {
                left_out.push(LeftOutMap { map, warning });
            }
        }
        if left_out.len() == known {
            return Err(Failure { opened: true, errno: -result, warnings });
        }
    }
}

/// The maps that kept an object from being prepared, each with the line that says so.
fn culprits(warnings: &[String], struct_ops: &[String]) -> Vec<(String, String)> {
    let mut culprits = Vec::new();
    for warning in warnings {
        if let Some(map) = libbpf_log::failed_map(warning) {
            culprits.push((map.to_owned(), warning.clone()));
        }
        match libbpf_log::failed_struct_ops(warning) {
            Some(Some(map)) => culprits.push((map.to_owned(), warning.clone())),
            // libbpf does not say which; programs of the innocent ones are reported as a limit of the harness, not as missing.
            Some(None) => culprits.extend(struct_ops.iter().map(|map| (map.clone(), warning.clone()))),
            None => {}
        }
    }
    culprits
}

fn open(object: &str, bytes: &[u8]) -> Result<OpenObject, Failure> {
    let mut builder = ObjectBuilder::default();
    builder.name(object).map_err(|error| failure(false, &error))?;
    builder.open_memory(bytes).map_err(|error| failure(false, &error))
}

fn failure(opened: bool, error: &libbpf_rs::Error) -> Failure {
    let mut warnings = libbpf_log::warnings(&transcript::take());
    if warnings.is_empty() {
        warnings.push(format!("{error:#}"));
    }
    Failure { opened, errno: errno_of(error), warnings }
}

fn errno_of(error: &libbpf_rs::Error) -> i32 {
    match error.kind() {
        ErrorKind::NotFound => libc::ENOENT,
        ErrorKind::PermissionDenied => libc::EPERM,
        ErrorKind::InvalidInput => libc::EINVAL,
        _ => std::io::Error::last_os_error().raw_os_error().unwrap_or(0),
    }
}

/// Tries one program in a forked copy of this process and sends the outcome.
fn try_program(
    program: &str,
    faults: &Faults,
    send: &mut Send<'_>,
    load: impl FnOnce() -> (ProgramOutcome, String),
) -> Result<(), String> {
    send(&GuestMessage::ProgramStarted { program: program.to_owned() }, &[])?;
    let (ending, frame) = fork::run_piped(|pipe| {
        faults.before_program(program);
        let (outcome, log) = load();
        match protocol::encode(&GuestMessage::ProgramDone(outcome), log.as_bytes()) {
            Ok(frame) => i32::from(pipe.write_all(&frame).is_err()),
            Err(_) => 1,
        }
    })?;
    let mut reader = protocol::FrameReader::default();
    reader.push(&frame);
    let whole = reader.take_message::<GuestMessage>().ok().flatten();
    match (ending, whole) {
        (fork::Ending::Code(0), Some((done, log))) => send(&done, &log),
        (fork::Ending::Signal(signal), _) => {
            let warning = format!("libbpf died of signal {signal} while it loaded the program");
            send(&GuestMessage::ProgramDone(outcome(program, Stage::Died, signal, vec![warning], 0)), &[])
        }
        (fork::Ending::Code(code), _) => Err(format!("the loader of program `{program}` ended with code {code}")),
    }
}

/// Opens, prepares and loads one program with all others switched off.
fn isolate(object: &str, program: &str, bytes: &[u8]) -> (ProgramOutcome, String) {
    let begin = Instant::now();
    let mut left_out = Vec::new();
    match prepare(object, bytes, Which::One(program), &mut left_out, &mut None) {
        Ok(prepared) => load_one(&prepared, program, &left_out),
        Err(failure) => {
            let outcome = outcome(program, Stage::Prepare, failure.errno, failure.warnings, elapsed_ms(begin));
            (outcome, String::new())
        }
    }
}

/// Loads one program of a prepared object. Spoils the object, so this is for a forked copy.
fn load_one(prepared: &OpenObject, program: &str, left_out: &[LeftOutMap]) -> (ProgramOutcome, String) {
    let begin = Instant::now();
    let mut kind = None;
    for candidate in prepared.progs() {
        let wanted = candidate.name() == program;
        if wanted {
            kind = Some(candidate.prog_type());
        }
        // SAFETY: the pointer is a live program of `prepared`, which is prepared but not loaded, so this may still change.
        unsafe {
            libbpf_rs::libbpf_sys::bpf_program__set_autoload(candidate.as_libbpf_object().as_ptr(), wanted);
        }
    }
    let Some(kind) = kind else {
        let warning = format!("libbpf finds no program `{program}` in the object");
        return (outcome(program, Stage::Died, 0, vec![warning], 0), String::new());
    };
    transcript::take();
    // SAFETY: as above; the object is loaded once, in this process, and never used again.
    let result = unsafe { libbpf_rs::libbpf_sys::bpf_object__load(prepared.as_libbpf_object().as_ptr()) };
    let took_ms = elapsed_ms(begin);
    let lines = transcript::take();
    let warnings = libbpf_log::warnings(&lines);
    if result == 0 || libbpf_log::only_slots_missing(&warnings) {
        return (outcome(program, Stage::Loaded, 0, Vec::new(), took_ms), String::new());
    }
    let log = libbpf_log::verifier_log(&lines).unwrap_or_default().to_owned();
    let mut outcome = outcome(program, Stage::Load, -result, warnings, took_ms);
    outcome.left_out = left_out.to_vec();
    if log.is_empty() {
        outcome.type_known = kind.is_supported().ok();
    }
    (outcome, log)
}

fn outcome(program: &str, stage: Stage, errno: i32, warnings: Vec<String>, took_ms: u64) -> ProgramOutcome {
    ProgramOutcome {
        program: program.to_owned(),
        stage,
        errno,
        warnings,
        left_out: Vec::new(),
        type_known: None,
        took_ms,
    }
}

fn elapsed_ms(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}
