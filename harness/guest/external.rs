//! [`judge`]: has another loader than libbpf load an object's programs, one after the other, and reports what the kernel was asked for.

mod bpf_call;
mod message;
mod process;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::Instant;

use super::fork::Ending;
use super::kernel_log::KernelLog;
use super::loader::outcome::outcome;
use super::loader::{Request, Send, send_log};
use super::reused::ReusedMaps;
use super::{loaded, transcript, visited};
use bpf_call::{BpfCall, MapCreate, ProgLoad};
use corematrix_protocol::attach::{AttachFacts, AttachTry, Reach};
use corematrix_protocol::{GuestMessage, LeftOutMap, MAPS_ALONE, ProgramOutcome, Stage};
use corematrix_record::{CreatedMap, MapDefinition};
use message::{Answer, LogTime};
use process::{Gone, LoaderProcess};

/// Where the loader finds the object.
const OBJECT: &str = "/corematrix/object.bpf.o";
/// Room for the verifier's log of a program that loads, and of one that does not.
const SHORT_LOG: u32 = 1 << 20;
const LONG_LOG: u32 = 32 << 20;
/// The verifier's statistics, its instructions, and all its states.
const STATISTICS: u32 = 4;
const FULL_LOG: u32 = 1 | STATISTICS;
const ALL_STATES: u32 = 2 | STATISTICS;
/// What a kernel keeps of a name.
const NAME: usize = 15;

/// Where an object is judged by another loader.
struct Judge<'a> {
    request: &'a Request<'a>,
    executable: &'a str,
    /// `None` before the first start, and once it has died.
    loader: Option<LoaderProcess>,
    /// Types that were loaded, by their descriptors in the loader.
    types: HashMap<i32, Vec<u8>>,
    /// Maps that were made, likewise.
    maps: HashMap<i32, MapDefinition>,
    /// The types that the host was sent last.
    sent_types: Vec<u8>,
    /// Maps that the object is given, and where they are pinned.
    reused: BTreeMap<String, PathBuf>,
    /// When the library gives the kernel room for a log.
    log_time: LogTime,
}

/// The outcome of loading a program once.
struct Tried {
    outcome: ProgramOutcome,
    log: Vec<u8>,
    /// What the kernel was given.
    load: Option<ProgLoad>,
    /// Every map that the loader made for it.
    maps: Vec<CreatedMap>,
    /// Of a program that is loaded.
    id: Option<u32>,
}

/// Judges the programs of the request with the loader `executable` and sends what it finds.
pub fn judge(request: &Request<'_>, executable: &str, log: &mut KernelLog, send: &mut Send<'_>) -> Result<(), String> {
    fs::write(OBJECT, &request.bytes).map_err(|error| format!("cannot write `{OBJECT}`: {error}"))?;
    let mut judge = Judge {
        request,
        executable,
        loader: None,
        types: HashMap::new(),
        maps: HashMap::new(),
        sent_types: Vec::new(),
        reused: BTreeMap::new(),
        log_time: LogTime::First,
    };
    if !judge.open(send)? {
        return Ok(());
    }
    let whole = GuestMessage::Whole { prepared: true, warnings: Vec::new(), left_out: Vec::new() };
    send(&whole, &[])?;
    for program in &request.programs {
        send(&GuestMessage::ProgramStarted { program: program.clone() }, &[])?;
        judge.program(program, send)?;
        send_log(log, program, request, send)?;
    }
    Ok(())
}

impl Judge<'_> {
    /// Starts the loader and has it read the object. `false` if that was the end, and was said.
    fn open(&mut self, send: &mut Send<'_>) -> Result<bool, String> {
        let mut loader = LoaderProcess::start(self.executable)?;
        if !self.request.setup.reused.is_empty() && self.reused.is_empty() {
            transcript::listen();
            let (created, refused) = ReusedMaps::create(self.request, &mut || ());
            // A program that is to give them to the object does not come to load it.
            if let Some(first) = refused.first() {
                return self.all_without_maps(&refused, &first.warning, send);
            }
            self.reused = created.pin()?.into_iter().collect();
        }
        let settings = &self.request.setup.loading;
        let open = message::Request::open(&self.request.object, OBJECT, self.request.types(), settings, &self.reused);
        let (answer, calls) = loader.ask(&open);
        let (_, maps) = self.take(calls);
        let hello = |name: String, version: String, send: &mut Send<'_>| {
            send(&GuestMessage::LoaderStarted { name, version }, &[])
        };
        let refused = |warning: String, send: &mut Send<'_>| {
            send(&GuestMessage::OpenFailed { errno: 0, warnings: vec![warning] }, &[]).map(|()| false)
        };
        match answer {
            Ok(Answer::Opened { loader: name, version, log }) => {
                hello(name, version, send)?;
                self.log_time = log;
                self.loader = Some(loader);
                Ok(true)
            }
            Ok(Answer::Failed { loader: name, version, error }) => {
                hello(name, version, send)?;
                match refused_maps(&maps, &error) {
                    none if none.is_empty() => refused(error, send),
                    maps => self.all_without_maps(&maps, &error, send),
                }
            }
            Ok(Answer::Unsupported { loader: name, version, error }) => {
                hello(name, version, send)?;
                self.all_unsupported(&error, send)
            }
            Ok(Answer::Loaded { .. }) => Err("the loader answered `loaded` to `open`".to_owned()),
            Err(Gone::Ended(ending, words)) => Err(died(ending, &words)),
            Err(Gone::Garbage(reason) | Gone::Broken(reason)) => Err(reason),
        }
    }

    fn all_unsupported(&self, error: &str, send: &mut Send<'_>) -> Result<bool, String> {
        for program in &self.request.programs {
            send(&GuestMessage::ProgramStarted { program: program.clone() }, &[])?;
            send(&GuestMessage::ProgramDone(unsupported(program, error)), &[])?;
        }
        Ok(false)
    }

    /// A loader that creates all maps at once gets no further than the first that is refused.
    fn all_without_maps(&self, maps: &[LeftOutMap], error: &str, send: &mut Send<'_>) -> Result<bool, String> {
        let whole = GuestMessage::Whole { prepared: false, warnings: vec![error.to_owned()], left_out: maps.to_vec() };
        send(&whole, &[])?;
        for program in &self.request.programs {
            send(&GuestMessage::ProgramStarted { program: program.clone() }, &[])?;
            let mut refused = outcome(program, Stage::Prepare, Instant::now());
            refused.warnings = vec![error.to_owned()];
            refused.left_out = maps.to_vec();
            send(&GuestMessage::ProgramDone(refused), &[])?;
        }
        Ok(false)
    }

    /// Judges one program, and sends its outcome last. One that fails is tried once more for its full log.
    fn program(&mut self, program: &str, send: &mut Send<'_>) -> Result<(), String> {
        if program == MAPS_ALONE {
            let what = "loaders other than libbpf are asked for programs, and the object has maps alone";
            return send(&GuestMessage::ProgramDone(unsupported(program, what)), &[]);
        }
        // Where a log is given after a failure alone, the library makes room for a short one first.
        let full_at_once = self.request.full_logs && self.log_time == LogTime::First;
        let first_level = if full_at_once { ALL_STATES } else { STATISTICS };
        let mut tried = self.try_once(program, first_level, send)?;
        if tried.outcome.stage == Stage::Load && first_level == STATISTICS {
            send(&GuestMessage::ProgramRefused(tried.outcome.clone()), &tried.log)?;
            let again = self.try_once(program, FULL_LOG, send)?;
            // Where a second try goes another way the first is what a user would see.
            if again.outcome.stage == Stage::Load {
                tried = again;
            }
        }
        if tried.outcome.stage == Stage::Loaded && self.request.full_logs && !full_at_once {
            let again = self.try_once(program, ALL_STATES, send)?;
            // A library may not have room for it all.
            if again.outcome.stage == Stage::Loaded {
                tried = again;
            }
        }
        self.report(program, &tried, send)?;
        if tried.outcome.stage == Stage::Loaded {
            self.report_loaded(program, &tried, send)?;
        }
        send(&GuestMessage::ProgramDone(tried.outcome), &tried.log)
    }

    fn try_once(&mut self, program: &str, log_level: u32, send: &mut Send<'_>) -> Result<Tried, String> {
        if self.loader.is_none() && !self.open_again(send)? {
            return Err("the loader opened the object once and not again".to_owned());
        }
        let Some(loader) = &mut self.loader else { return Err("there is no loader".to_owned()) };
        let begin = Instant::now();
        // It loads at the second attempt what it would have loaded at the first, with a log.
        loader.refuse_without_log((self.log_time == LogTime::AfterFailure).then(|| kept_name(program)));
        let log_size = if log_level == STATISTICS { SHORT_LOG } else { LONG_LOG };
        let (answer, calls) = loader.ask(&message::Request::Load { program, log_level, log_size });
        let (loads, maps) = self.take(calls);
        let is_loaded = matches!(answer, Ok(Answer::Loaded { .. }));
        let load = of_program(loads, program, is_loaded);
        let mut tried = Tried { outcome: outcome(program, Stage::Load, begin), log: Vec::new(), load, maps, id: None };
        match answer {
            Ok(Answer::Loaded { id }) => {
                tried.outcome.stage = Stage::Loaded;
                tried.id = Some(id);
            }
            Ok(Answer::Failed { error, .. }) => {
                tried.outcome.warnings = vec![error];
                tried.fail();
            }
            Ok(Answer::Unsupported { error, .. }) => {
                tried.outcome.stage = Stage::Unsupported;
                tried.outcome.warnings = vec![error];
            }
            Ok(Answer::Opened { .. }) => return Err("the loader answered `opened` to `load`".to_owned()),
            Err(Gone::Ended(ending, words)) => {
                self.loader = None;
                tried.outcome.stage = Stage::Died;
                tried.outcome.errno = if let Ending::Signal(signal) = ending { signal } else { 0 };
                tried.outcome.warnings = vec![died(ending, &words)];
            }
            Err(Gone::Garbage(reason) | Gone::Broken(reason)) => return Err(reason),
        }
        if let Some(load) = &mut tried.load {
            tried.log = std::mem::take(&mut load.log);
        }
        Ok(tried)
    }

    /// After the loader has died.
    fn open_again(&mut self, send: &mut Send<'_>) -> Result<bool, String> {
        send(&GuestMessage::PreparingAgain, &[])?;
        self.types.clear();
        self.maps.clear();
        self.open(send)
    }

    /// Sends what the kernel was given.
    fn report(&mut self, program: &str, tried: &Tried, send: &mut Send<'_>) -> Result<(), String> {
        let program = program.to_owned();
        if !tried.maps.is_empty() {
            send(&GuestMessage::MapsCreated { program: program.clone(), maps: tried.maps.clone() }, &[])?;
        }
        let Some(load) = &tried.load else { return Ok(()) };
        let types = i32::try_from(load.btf).ok().and_then(|descriptor| self.types.get(&descriptor));
        // Mostly those of the program before.
        let fresh = types.filter(|types| **types != self.sent_types).cloned();
        let functions = if types.is_some() { load.functions.clone() } else { Vec::new() };
        let message = GuestMessage::Functions { program: program.clone(), functions };
        send(&message, fresh.as_deref().unwrap_or_default())?;
        if let Some(fresh) = fresh {
            self.sent_types = fresh;
        }
        send(&GuestMessage::Instructions { program }, &load.insns)
    }

    /// Sends what the kernel says of a program that is loaded.
    fn report_loaded(&mut self, program: &str, tried: &Tried, send: &mut Send<'_>) -> Result<(), String> {
        let descriptor = tried.id.and_then(loaded::by_id);
        if let Some(lines) = descriptor.as_ref().and_then(|program| loaded::lines(program.as_raw_fd())) {
            send(&GuestMessage::Lines { program: program.to_owned() }, &lines)?;
        }
        drop(descriptor);
        if self.request.reach_of(program) > Reach::Load {
            let reason = "corematrix attaches only what libbpf has loaded".to_owned();
            let tried = AttachTry::NotPossible { reason };
            let facts = AttachFacts { to: "its target".to_owned(), tried, took_us: 0 };
            send(&GuestMessage::Attached { program: program.to_owned(), facts }, &[])?;
        }
        let is_wanted = self.request.visited.iter().any(|wanted| wanted == program);
        if is_wanted && visited::is_small(&String::from_utf8_lossy(&tried.log)) {
            let again = self.try_once(program, ALL_STATES, send)?;
            if again.outcome.stage == Stage::Loaded {
                let bits = visited::read(&String::from_utf8_lossy(&again.log));
                send(&GuestMessage::Visited { program: program.to_owned() }, &bits)?;
            }
        }
        Ok(())
    }

    /// Takes in what was called: remembers types and maps, and returns loads of programs and the maps that were made.
    fn take(&mut self, calls: Vec<BpfCall>) -> (Vec<ProgLoad>, Vec<CreatedMap>) {
        let (mut loads, mut maps) = (Vec::new(), Vec::new());
        for call in calls {
            match call {
                BpfCall::BtfLoad(load) => drop(load.result.map(|descriptor| self.types.insert(descriptor, load.bytes))),
                BpfCall::MapCreate(create) => {
                    let created = self.created(&create);
                    if let Ok(descriptor) = create.result {
                        self.maps.insert(descriptor, create.definition);
                    }
                    maps.push(created);
                }
                BpfCall::ProgLoad(load) => loads.push(load),
            }
        }
        (loads, maps)
    }

    fn created(&self, create: &MapCreate) -> CreatedMap {
        let kind = create.definition.map_type.as_deref().unwrap_or_default();
        let inner = i32::try_from(create.inner).ok().filter(|_| kind.ends_with("_of_maps"));
        CreatedMap {
            map: create.name.clone(),
            definition: create.definition.clone(),
            inner: inner.and_then(|inner| self.maps.get(&inner).cloned()),
            changes: Vec::new(),
            errno: create.result.err(),
        }
    }
}

impl Tried {
    /// The loader says that it failed: what the kernel refused is why, if it refused anything.
    fn fail(&mut self) {
        if let Some(load) = &self.load {
            self.outcome.errno = load.result.err().unwrap_or_default();
            return;
        }
        self.outcome.stage = Stage::Prepare;
        let words = self.outcome.warnings.first().map_or("", String::as_str);
        self.outcome.left_out = refused_maps(&self.maps, words);
    }
}

/// The maps that the kernel refused; `words` are the loader's.
fn refused_maps(maps: &[CreatedMap], words: &str) -> Vec<LeftOutMap> {
    // A map that was refused may have been made at a second try.
    let made = |name: &str| maps.iter().any(|map| map.map == name && map.errno.is_none());
    let refused = maps.iter().filter(|map| !map.map.is_empty() && !made(&map.map));
    let left_out = |map: &CreatedMap| {
        let warning = format!("map `{}`: BPF_MAP_CREATE: -{:?}", map.map, nix::errno::Errno::from_raw(map.errno?));
        Some(LeftOutMap { map: map.map.clone(), warning, context: vec![words.to_owned()], untried: false })
    };
    refused.filter_map(left_out).collect()
}

/// The load of a program among the small ones by which loaders find out what a kernel can do. It has the program's name.
fn of_program(loads: Vec<ProgLoad>, program: &str, is_loaded: bool) -> Option<ProgLoad> {
    let kept = kept_name(program);
    let is_it = |load: &ProgLoad| load.result.is_ok() == is_loaded && load.name == kept;
    // Of several the last counts, which has the log.
    loads.into_iter().rfind(is_it)
}

/// What the kernel keeps of a program's name.
fn kept_name(program: &str) -> String {
    let allowed = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
    program.chars().filter(allowed).take(NAME).collect()
}

fn unsupported(program: &str, what: &str) -> ProgramOutcome {
    let mut outcome = outcome(program, Stage::Unsupported, Instant::now());
    outcome.warnings = vec![what.to_owned()];
    outcome
}

fn died(ending: Ending, words: &str) -> String {
    let how = match ending {
        Ending::Code(code) => format!("ended with code {code}"),
        Ending::Signal(signal) => format!("was killed by signal {signal}"),
    };
    match words {
        "" => format!("the loader {how}"),
        words => format!("the loader {how}: {words}"),
    }
}
