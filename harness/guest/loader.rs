//! [`judge`]: loads one object and finds out about each of its programs on its own.
//!
//! libbpf loads an object all or nothing. Here it prepares the object once (kernel BTF, externs, relocations, maps). If all of it loads
//! then, that is all ([`load_together`]). Else a forked copy of the process for each program switches all others off and loads: every
//! program meets the kernel alone, with libbpf's own code, and the kernel's BTF is parsed once. Only where the whole object cannot be prepared is each program
//! opened and prepared on its own, without maps that cannot be created.

pub(super) mod outcome;
mod together;
mod trial;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use libbpf_rs::{AsRawLibbpf, OpenMap, OpenObject, OpenProgram};

use super::attach;
use super::exercise::{self, Counting};
use super::fault::Faults;
use super::kernel_log::KernelLog;
use super::prepared::{Prepared, Which, prepare};
use super::{created_maps, loaded, transcript, upgrade};
use corematrix_protocol::GIVEN_BTF;
use corematrix_protocol::attach::{AttachFacts, AttachTry, Reach, Step};
use corematrix_protocol::libbpf_log;
use corematrix_protocol::{GuestMessage, MAPS_ALONE, ObjectSetup, ProgramOutcome, Stage};
use outcome::{not_prepared, of_maps, outcome, without_extern, without_target};
use together::load_together;
use trial::{Frames, How, try_program};

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
    /// How far programs are taken.
    pub reach: Reach,
    /// The programs that refer to each strong extern.
    pub extern_users: BTreeMap<String, Vec<String>>,
    /// The object.
    pub bytes: Vec<u8>,
    /// The executable in the guest that loads it; `None` for libbpf.
    pub loader: Option<String>,
    /// Whether the maps that libbpf creates are wanted.
    pub compared: bool,
    /// Whether only that is wanted which programs load.
    pub brief: bool,
    /// Whether all programs may be loaded at once first.
    pub together: bool,
    /// Whether to load without collecting evidence, to measure what that costs.
    pub bare: bool,
    /// What to do wrong.
    pub faults: &'a Faults,
}

impl Request<'_> {
    /// The file with the BTF to relocate with, if not the kernel's own: the object's before that of the kernel.
    pub(super) fn types(&self) -> Option<&str> {
        self.setup.btf.as_deref().or_else(|| Path::new(GIVEN_BTF).exists().then_some(GIVEN_BTF))
    }

    /// Whether more is wanted than outcomes.
    pub(super) fn wants_evidence(&self) -> bool {
        !self.bare && !self.brief
    }

    /// How far a program is taken: a suite that says how takes it further than was asked for.
    pub(super) fn reach_of(&self, program: &str) -> Reach {
        let declared = self.setup.of_program(program).map_or(Reach::Load, |setup| match &setup.exercise {
            Some(_) => Reach::Exercise,
            None => Reach::Attach,
        });
        declared.max(self.reach)
    }
}

/// Where messages for the host go.
pub(super) type Send<'a> = dyn FnMut(&GuestMessage, &[u8]) -> Result<(), String> + 'a;

/// Judges the programs of the request and sends what it finds.
pub fn judge(request: &Request<'_>, log: &mut KernelLog, send: &mut Send<'_>) -> Result<(), String> {
    if request.bare {
        transcript::ignore();
    } else {
        transcript::listen();
    }
    let mut first_failure = None;
    // Where this cannot be said the next message cannot either.
    let mut again = || drop(send(&GuestMessage::PreparingAgain, &[]));
    let from = request.setup.upgrade.as_ref();
    let upgrade = from.map(|from| upgrade::leave_maps(request, from, &mut again));
    let prepared = prepare(request, Which::All, &mut first_failure, &mut again);
    if let Some(mut facts) = upgrade {
        if let (Ok(prepared), None) = (&prepared, &facts.failed) {
            upgrade::look(prepared, &mut facts);
        }
        send(&GuestMessage::Upgraded(Box::new(facts)), &[])?;
    }
    if let Some((message, lines)) = log.take(None).filter(|_| !request.bare) {
        send(&message, &lines)?;
    }
    match prepared {
        Ok(prepared) => {
            let warnings = first_failure.clone().unwrap_or_default();
            let left_out = prepared.left_out.clone();
            send(&GuestMessage::Whole { prepared: first_failure.is_none(), warnings, left_out }, &[])?;
            if request.compared {
                let (name, version) = ("libbpf".to_owned(), created_maps::libbpf_version());
                send(&GuestMessage::LoaderStarted { name, version }, &[])?;
                let maps = created_maps::of(&prepared.open);
                send(&GuestMessage::MapsCreated { program: String::new(), maps }, &[])?;
            }
            if request.wants_evidence() {
                send(&GuestMessage::Transcript { complete: true }, &libbpf_log::pack(&prepared.lines))?;
                send_instructions(&prepared.open, send)?;
            }
            let together = load_together(&prepared, request, send)?;
            if together.is_some() && !request.bare && !log.lines().is_empty() {
                return send(&GuestMessage::LoggedTogether, &[]);
            }
            let mut together = together.unwrap_or_default();
            let apart = need_maps_of_their_own(&prepared.open);
            for program in &request.programs {
                if program == MAPS_ALONE {
                    send(&GuestMessage::ProgramStarted { program: program.clone() }, &[])?;
                    send(&GuestMessage::ProgramDone(of_maps(&prepared.left_out)), &[])?;
                    continue;
                }
                let without = without_need(&prepared, program, request);
                let load = |how, frames: &mut Frames<'_>| match &without {
                    Some((outcome, log)) => frames.done(outcome.clone(), log),
                    None if apart => isolate(program, request, how, frames),
                    None => load_one(&prepared, program, how, frames, request),
                };
                try_program(program, request, together.remove(program), send, load)?;
                send_log(log, program, request, send)?;
            }
        }
        Err(failure) if !failure.opened => {
            send(&GuestMessage::OpenFailed { errno: failure.errno, warnings: failure.warnings() }, &[])?;
        }
        Err(failure) => {
            let warnings = first_failure.unwrap_or_else(|| failure.warnings());
            send(&GuestMessage::Whole { prepared: false, warnings, left_out: Vec::new() }, &[])?;
            if request.wants_evidence() {
                send(&GuestMessage::Transcript { complete: false }, &libbpf_log::pack(&failure.lines))?;
            }
            // With given BTF only programs that attach by the kernel's own need that.
            let given = request.types().is_some();
            let object_wide = failure
                .warnings()
                .iter()
                .any(|warning| libbpf_log::is_object_wide(warning) && !(given && libbpf_log::is_missing_btf(warning)));
            for program in &request.programs {
                // What the whole object needs fails for every program alike; asking again would give the same answer.
                let known =
                    (object_wide || program == MAPS_ALONE).then(|| not_prepared(program, &failure, Instant::now()));
                try_program(program, request, None, send, |how, frames| match &known {
                    Some(outcome) => frames.done(outcome.clone(), ""),
                    None => isolate(program, request, how, frames),
                })?;
                send_log(log, program, request, send)?;
            }
        }
    }
    Ok(())
}

/// Whether programs must not share the maps that were prepared: a program array takes its type from the first program that is loaded with it,
/// and the kernel refuses those of another type from then on.
fn need_maps_of_their_own(open: &OpenObject) -> bool {
    let has_array = open.maps().any(|map| map.map_type() == libbpf_rs::MapType::ProgArray);
    let mut types = open.progs().map(|program| program.prog_type());
    let first = types.next();
    has_array && types.any(|one| Some(one) != first)
}

/// What the kernel had to say while the program was tried.
pub(super) fn send_log(
    log: &mut KernelLog,
    program: &str,
    request: &Request<'_>,
    send: &mut Send<'_>,
) -> Result<(), String> {
    match log.take(Some(program)).filter(|_| !request.bare) {
        Some((message, lines)) => send(&message, &lines),
        None => Ok(()),
    }
}

/// The outcome of a program that cannot be loaded since something it needs is not there: an extern, or its target; with the verifier's log
/// of that.
fn without_need(prepared: &Prepared, program: &str, request: &Request<'_>) -> Option<(ProgramOutcome, String)> {
    let no_target = prepared.targets.of(program).map(|target| (without_target(program, target), target.log.clone()));
    no_target.or_else(|| {
        prepared.missing_extern_of(program, request).map(|warning| (without_extern(program, warning), String::new()))
    })
}

/// Opens, prepares and loads one program with all others switched off.
fn isolate(program: &str, request: &Request<'_>, how: How, frames: &mut Frames<'_>) -> Result<(), String> {
    let begin = Instant::now();
    let tried = prepare(request, Which::One(program), &mut None, &mut || frames.alive());
    let lines = tried.as_ref().map_or_else(|failure| &failure.lines, |prepared| &prepared.lines);
    if request.wants_evidence() {
        let transcript = GuestMessage::Transcript { complete: false };
        // A transcript that cannot be passed on shows as records that are lost.
        let _ = frames.add(&transcript, &libbpf_log::pack(lines));
    }
    match tried {
        Ok(prepared) => {
            if let Some(found) = prepared.open.progs().find(|candidate| candidate.name() == program) {
                let message = GuestMessage::Instructions { program: program.to_owned() };
                let _ = frames.add(&message, loaded::instructions(&found));
            }
            match without_need(&prepared, program, request) {
                Some((outcome, log)) => frames.done(outcome, &log),
                None => load_one(&prepared, program, how, frames, request),
            }
        }
        Err(failure) => frames.done(not_prepared(program, &failure, begin), ""),
    }
}

/// Prepares the object again and attaches the struct_ops map of a program: a map that was attached once cannot be attached again.
fn with_map(program: &str, request: &Request<'_>, how: How, frames: &mut Frames<'_>) -> Result<(), String> {
    frames.step(Step::Attaching)?;
    match prepare(request, Which::All, &mut None, &mut || frames.alive()) {
        Ok(prepared) => load_one(&prepared, program, how, frames, request),
        Err(failure) => not_as_one(program, &failure.warnings(), frames),
    }
}

/// Reports that a struct_ops map could not be made with all its programs, so that nothing is known about attaching it.
fn not_as_one(program: &str, warnings: &[String], frames: &mut Frames<'_>) -> Result<(), String> {
    let why = warnings.first().map_or("libbpf gives no reason", String::as_str);
    let reason = format!("its struct_ops map does not load with all its programs: {why}");
    let facts =
        AttachFacts { to: "its struct_ops map".to_owned(), tried: AttachTry::NotPossible { reason }, took_us: 0 };
    frames.add(&GuestMessage::Attached { program: program.to_owned(), facts }, &[])
}

fn send_instructions(open: &OpenObject, send: &mut Send<'_>) -> Result<(), String> {
    for program in open.progs() {
        let name = program.name().to_string_lossy().into_owned();
        send(&GuestMessage::Instructions { program: name }, loaded::instructions(&program))?;
    }
    Ok(())
}

/// Switches on the programs that are wanted, by their names, and the others off.
fn switch_on(open: &OpenObject, log_level: u32, is_wanted: impl Fn(&str) -> bool) {
    for program in open.progs() {
        let is_wanted = is_wanted(&program.name().to_string_lossy());
        // SAFETY: the pointer is a live program of an object that is prepared but not loaded, so both may still change.
        unsafe {
            libbpf_rs::libbpf_sys::bpf_program__set_autoload(program.as_libbpf_object().as_ptr(), is_wanted);
            libbpf_rs::libbpf_sys::bpf_program__set_log_level(program.as_libbpf_object().as_ptr(), log_level);
        }
    }
}

/// Loads one program of a prepared object, and takes it as far as was asked. Spoils the object, so this is for a forked copy.
fn load_one(
    prepared: &Prepared,
    program: &str,
    how: How,
    frames: &mut Frames<'_>,
    request: &Request<'_>,
) -> Result<(), String> {
    let begin = Instant::now();
    let map = prepared.struct_ops.iter().find(|known| known.programs.iter().any(|own| own == program));
    let others = map.filter(|_| how.with_map).map_or(&[][..], |map| &map.programs);
    switch_on(&prepared.open, how.log_level, |name| name == program || others.iter().any(|other| name == other));
    let Some(wanted) = prepared.open.progs().find(|candidate| candidate.name() == program) else {
        let mut missing = outcome(program, Stage::Died, begin);
        missing.warnings = vec![format!("libbpf finds no program `{program}` in the object")];
        return frames.done(missing, "");
    };
    transcript::take();
    // SAFETY: the object is prepared and not loaded; it is loaded once, in this process, and never used again.
    let result = unsafe { libbpf_rs::libbpf_sys::bpf_object__load(prepared.open.as_libbpf_object().as_ptr()) };
    let mut tried = outcome(program, Stage::Load, begin);
    let lines = transcript::take();
    let log = libbpf_log::verifier_log(&lines).unwrap_or_default().to_owned();
    let warnings = libbpf_log::warnings(&lines);
    if result == 0 || libbpf_log::only_slots_missing(&warnings) {
        tried.stage = Stage::Loaded;
        tried.loaded = loaded::info(loaded::descriptor(&wanted));
        if let (true, Some(lines)) = (request.wants_evidence(), loaded::lines(loaded::descriptor(&wanted))) {
            // Without them the program's coverage is unknown.
            let _ = frames.add(&GuestMessage::Lines { program: program.to_owned() }, &lines);
        }
        frames.done(tried, &log)?;
        let of_struct_ops = wanted.prog_type() == libbpf_rs::ProgramType::StructOps;
        return match how.reach {
            Reach::Load => Ok(()),
            _ if of_struct_ops && !how.with_map => Ok(()),
            reach => {
                let map = map.and_then(|known| prepared.open.maps().find(|map| map.name() == known.map.as_str()));
                attach_one(&wanted, map.as_ref(), reach, frames, request)
            }
        };
    }
    if how.with_map {
        return not_as_one(program, &warnings, frames);
    }
    tried.errno = -result;
    tried.warnings = warnings;
    tried.left_out = prepared.left_out.clone();
    // Who may not load anything cannot ask either.
    if request.setup.loading.privileges.is_none() {
        tried.type_known = wanted.prog_type().is_supported().ok();
    }
    frames.done(tried, &log)
}

/// Attaches a program that was just loaded, one of struct_ops by its map, and makes it run if that was asked for. It is detached before anything is said: a program
/// that is attached may forbid that.
fn attach_one(
    loaded: &OpenProgram<'_>,
    map: Option<&OpenMap<'_>>,
    reach: Reach,
    frames: &mut Frames<'_>,
    request: &Request<'_>,
) -> Result<(), String> {
    let program = &*loaded.name().to_string_lossy();
    let setup = request.setup.of_program(program);
    let plan = setup.and_then(|setup| setup.exercise.as_ref());
    let to = setup.and_then(|setup| setup.attach.as_ref());
    // A test run needs no target.
    if request.reach == Reach::Load && to.is_none() && plan.is_some_and(|plan| !plan.is_triggered()) {
        frames.step(Step::Exercising)?;
        let record = exercise::exercise(loaded, None, &Counting::begin(), plan);
        return frames.add(&GuestMessage::Exercised { program: program.to_owned(), record }, &[]);
    }
    frames.step(Step::Attaching)?;
    request.faults.before_step("attach", program);
    let counting = (reach == Reach::Exercise).then(Counting::begin);
    let (facts, held) = match map {
        Some(map) => attach::attach_map(map),
        None => {
            let target = request.setup.targets.iter().find(|one| one.program == program);
            attach::attach(loaded, to, target.map(|target| target.name.as_str()))
        }
    };
    let attached = GuestMessage::Attached { program: program.to_owned(), facts };
    let Some(counting) = counting else {
        drop(held);
        return frames.add(&attached, &[]);
    };
    // Where the program forbids to say so, a guest that is lost now was lost while attaching.
    let _ = frames.step(Step::Exercising);
    request.faults.before_step("exercise", program);
    let record = exercise::exercise(loaded, held, &counting, plan);
    frames.add(&attached, &[])?;
    frames.add(&GuestMessage::Exercised { program: program.to_owned(), record }, &[])
}
