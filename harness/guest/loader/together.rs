//! [`load_together`]: all programs of an object at once, as its own loader loads them.
//!
//! Most objects load, and a forked copy for each program is a good part of the time that they take. Only success counts: where a program
//! is refused, or the copy dies, it is as if nothing had happened, and each program is tried alone.

use std::collections::BTreeMap;
use std::time::Instant;

use libbpf_rs::{AsRawLibbpf, MapType};

use super::trial::{Frames, Messages, NO_LOG, STATISTICS, messages_in};
use super::{Request, Send, outcome::outcome, switch_on, without_need};
use crate::prepared::Prepared;
use crate::{fork, loaded, transcript};
use corematrix_protocol::attach::Reach;
use corematrix_protocol::{GuestMessage, MAPS_ALONE, Stage, libbpf_log};

/// Loads all programs in one forked copy of this process, if that is possible. Returns what is to be said of each; nothing if not all of
/// them load.
pub(super) fn load_together(
    prepared: &Prepared,
    request: &Request<'_>,
    send: &mut Send<'_>,
) -> Result<Option<BTreeMap<String, Messages>>, String> {
    if !is_possible(prepared, request) {
        return Ok(None);
    }
    send(&GuestMessage::Together, &[])?;
    let (ending, bytes) = fork::run_piped(|pipe| {
        request.programs.iter().for_each(|program| request.faults.before_program(program));
        i32::from(load(prepared, request, &mut Frames { pipe, send }).is_err())
    })?;
    if ending != fork::Ending::Code(0) {
        return Ok(Some(BTreeMap::new()));
    }
    let mut said: BTreeMap<String, Messages> = BTreeMap::new();
    for (message, blob) in messages_in(&bytes) {
        let program = match &message {
            GuestMessage::Lines { program } => program.clone(),
            GuestMessage::ProgramDone(outcome) => outcome.program.clone(),
            _ => continue,
        };
        said.entry(program).or_default().push((message, blob));
    }
    Ok(Some(said))
}

/// Whether it is of use, and nothing else is wanted than to load what is whole. A program array keeps what it is filled with at the end of a
/// load, and a map of struct_ops takes all its programs.
fn is_possible(prepared: &Prepared, request: &Request<'_>) -> bool {
    let is_plain = |program: &String| {
        request.reach_of(program) == Reach::Load
            && program != MAPS_ALONE
            && without_need(prepared, program, request).is_none()
    };
    request.together
        && !request.brief
        && !request.full_logs
        && request.programs.len() > 1
        && prepared.left_out.is_empty()
        && prepared.struct_ops.is_empty()
        && !prepared.open.maps().any(|map| map.map_type() == MapType::ProgArray)
        && request.programs.iter().all(is_plain)
}

/// Loads the object. Spoils it, so this is for a forked copy.
fn load(prepared: &Prepared, request: &Request<'_>, frames: &mut Frames<'_>) -> Result<(), String> {
    let log_level = if request.bare { NO_LOG } else { STATISTICS };
    switch_on(&prepared.open, log_level, |name| request.programs.iter().any(|program| program == name));
    transcript::take();
    let mut begin = Instant::now();
    // SAFETY: the object is prepared and not loaded; it is loaded once, in this process, and never used again.
    let result = unsafe { libbpf_rs::libbpf_sys::bpf_object__load(prepared.open.as_libbpf_object().as_ptr()) };
    if result != 0 {
        return Err(format!("not all programs load: error {}", -result));
    }
    let said = transcript::take_timed();
    // In the order in which libbpf loads them, so that each takes the time since the one before.
    for program in prepared.open.progs().filter(|program| program.autoload()) {
        let name = program.name().to_string_lossy().into_owned();
        let log = said.iter().find_map(|(line, at)| Some((libbpf_log::verifier_log_of(line, &name)?, *at)));
        let log = log.or_else(|| request.bare.then(|| ("", Instant::now())));
        let (log, at) = log.ok_or_else(|| format!("libbpf logs nothing of program `{name}`"))?;
        let descriptor = loaded::descriptor(&program);
        if let (true, Some(lines)) = (request.wants_evidence(), loaded::lines(descriptor)) {
            // Without them the program's coverage is unknown.
            let _ = frames.add(&GuestMessage::Lines { program: name.clone() }, &lines);
        }
        let mut done = outcome(&name, Stage::Loaded, begin);
        let took = at.saturating_duration_since(begin);
        done.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        done.loaded = loaded::info(descriptor);
        frames.done(done, log)?;
        begin = at;
    }
    Ok(())
}
