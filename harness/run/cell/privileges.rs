//! Privileges: what becomes of programs that fail without those of root, and the least privileges with which an object loads.
//!
//! A program that fails with fewer privileges is loaded once more as root, in the same guest. If that fails too, this failure counts;
//! if not, the privileges are to blame, and a search finds which of them is missing.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::allowance::Allowance;
use super::super::judgement;
use super::super::kernel::Ended;
use super::super::session::Session;
use super::Cell;
use crate::judge;
use crate::privileges::{Found, Oracle, Trial, least};
use crate::protocol::attach::Reach;
use crate::protocol::{GuestMessage, HostMessage, ObjectSetup, ProgramOutcome, Stage};
use crate::record::{
    Cause, Evidence, LeastPrivileges, LoadingPrivileges, Need, PrivilegesRecord, ProgramPrivileges, Verdict,
};
use crate::vm::GuestLoss;

/// Kernels that have it have BPF tokens.
const TOKEN_COMMAND: (&str, &str) = ("bpf_cmd", "BPF_TOKEN_CREATE");
const NO_TOKENS: &str = "this kernel has no BPF tokens (Linux 6.9 or later)";
const ONLY_LIBBPF: &str = "loading without root is supported only with libbpf";
/// A search that loses its guest begins once more.
const SEARCHES: usize = 2;

/// What is known about a cell by privileges.
#[derive(Default)]
pub(super) struct PrivilegesState {
    /// Whether what failed without the privileges of root is being loaded as root.
    as_root: bool,
    /// What failed without the privileges of root, by program.
    held: BTreeMap<usize, (ProgramOutcome, Vec<u8>)>,
    /// Of these, the programs that load as root.
    proven: Vec<usize>,
    /// Whether each program that was judged as root was loaded.
    judged: BTreeMap<usize, bool>,
}

/// Why a search has no result.
enum NoResult {
    Lost(GuestLoss),
    Said(String),
    Ended,
}

impl From<Ended> for NoResult {
    fn from(_: Ended) -> Self {
        NoResult::Ended
    }
}

impl Cell<'_> {
    /// The privileges that the guest loads the object with now.
    pub(super) fn privileges(&self) -> Option<LoadingPrivileges> {
        self.planned.privileges().filter(|_| !self.privileges.as_root).cloned()
    }

    /// How far programs are taken. What comes after loading may take other privileges.
    pub(super) fn reach(&self, session: &Session<'_>) -> Reach {
        if self.planned.privileges().is_some() { Reach::Load } else { session.run.reach }
    }

    /// Closes what cannot have its privileges on this kernel.
    pub(super) fn close_unprivileged(&mut self, session: &Session<'_>) {
        let Some(privileges) = self.planned.privileges() else { return };
        if self.planned.by_executable() {
            self.close_all_unjudged(session, &judge::no_such_privileges(ONLY_LIBBPF));
        } else if *privileges == LoadingPrivileges::Token && lacks_tokens(session) {
            self.close_all_unjudged(session, &judge::no_such_privileges(NO_TOKENS));
        }
    }

    /// Keeps an outcome for later, if it may be due to privileges. Returns it if it is the program's verdict.
    pub(super) fn unless_held(
        &mut self,
        program: usize,
        outcome: ProgramOutcome,
        log: Vec<u8>,
    ) -> Option<(ProgramOutcome, Vec<u8>)> {
        let is_loaded = outcome.stage == Stage::Loaded;
        if self.privileges().is_some() {
            if is_loaded {
                return Some((outcome, log));
            }
            self.privileges.held.insert(program, (outcome, log));
            return None;
        }
        if is_loaded && self.privileges.held.contains_key(&program) {
            if !self.privileges.proven.contains(&program) {
                self.privileges.proven.push(program);
            }
            return None;
        }
        self.privileges.judged.insert(program, is_loaded);
        Some((outcome, log))
    }

    /// Does what is left to do when a guest has loaded all that it was asked for. What it did not answer is closed.
    pub(super) fn after_load(&mut self, session: &mut Session<'_>) -> Result<(), Ended> {
        let is_first = self.privileges().is_some();
        let PrivilegesState { held, proven, .. } = &self.privileges;
        let is_answered =
            |program: &usize| if is_first { held.contains_key(program) } else { proven.contains(program) };
        // A guest that is done owes nothing: what it did not answer is a fault of the harness, not a pass.
        let unanswered: Vec<usize> = self.open.iter().copied().filter(|program| !is_answered(program)).collect();
        for program in unanswered {
            self.close_as(session, program, Verdict::HarnessError, "the guest gave no verdict");
        }
        if is_first {
            self.privileges.as_root = true;
            return Ok(());
        }
        let proven = std::mem::take(&mut self.privileges.proven);
        if proven.is_empty() {
            return Ok(());
        }
        let found = self.search(session, &proven)?;
        for (place, program) in proven.into_iter().enumerate() {
            let least = found.as_ref().ok().and_then(|found| found.programs.get(place));
            self.close_not_permitted(session, program, least);
        }
        Ok(())
    }

    /// Closes a program that root can load, and whoever has these privileges cannot.
    fn close_not_permitted(&mut self, session: &Session<'_>, program: usize, least: Option<&LeastPrivileges>) {
        let Some((outcome, log)) = self.privileges.held.remove(&program) else { return };
        let Some(had) = self.planned.privileges() else { return };
        let view = session.view();
        let kernel = (&view as _, &self.machine);
        let mut record = judgement::record(self.planned, program, &outcome, &log, kernel, &self.evidence);
        let said = record.reason.take().unwrap_or_default();
        // What else would be concluded from a refusal without a verifier log is not so.
        let words = if log.is_empty() { refusal(&outcome).unwrap_or(said) } else { said };
        if log.is_empty() {
            record.evidence = None;
        }
        let (lacks, reason) = missing(had, least.map(|least| &least.needs));
        record.reason = Some(format!("{reason}: {words}"));
        (record.verdict, record.cause) = (Verdict::NotPermitted, Some(Cause::MissingCapability));
        let evidence = record.evidence.get_or_insert_with(|| Evidence::line(words));
        evidence.subject = Some(lacks);
        self.save_log(session, &mut record, &log);
        self.done(session, program, record);
    }

    /// The least privileges with which the object loads, which was judged as root before.
    pub(super) fn least_privileges(&mut self, session: &mut Session<'_>) -> Result<PrivilegesRecord, Ended> {
        let judged = self.privileges.judged.clone();
        let loaded: Vec<usize> = judged.iter().filter(|(_, loaded)| **loaded).map(|(program, _)| *program).collect();
        let supported = !self.planned.by_executable();
        let found = match (supported, loaded.is_empty()) {
            (false, _) => Err(ONLY_LIBBPF.to_owned()),
            (true, true) => Err(String::new()),
            (true, false) => self.search(session, &loaded)?,
        };
        let unknown = |needs: Need| LeastPrivileges { needs, token: None };
        let of_program = |(program, planned): (usize, &crate::record::ObjectProgram)| {
            let least = match (judged.get(&program), &found) {
                (Some(true), Ok(found)) => {
                    let place = loaded.iter().position(|known| *known == program);
                    place.and_then(|place| found.programs.get(place)).cloned()
                }
                (Some(true), Err(reason)) => Some(unknown(Need::Unknown(reason.clone()))),
                (Some(false), _) => Some(unknown(Need::FailsAsRoot)),
                (None, _) => None,
            };
            let least = least.unwrap_or_else(|| unknown(Need::Unknown("it was not judged as root".to_owned())));
            ProgramPrivileges { program: planned.name.clone(), least }
        };
        let programs = self.planned.programs.iter().enumerate().map(of_program).collect();
        Ok(match found {
            Ok(Found { object, no_token, .. }) => PrivilegesRecord { object, programs, no_token },
            Err(reason) => {
                let none_loads = supported && !judged.is_empty() && loaded.is_empty();
                let needs = if none_loads { Need::FailsAsRoot } else { Need::Unknown(reason) };
                PrivilegesRecord { object: unknown(needs), programs, no_token: None }
            }
        })
    }

    /// Finds the least privileges of programs that load as root. `Ok(Err)` is why they are not known.
    fn search(&mut self, session: &mut Session<'_>, programs: &[usize]) -> Result<Result<Found, String>, Ended> {
        let mut why = String::new();
        for _ in 0..SEARCHES {
            let mut oracle = |privileges: &LoadingPrivileges| self.trial(&mut *session, programs, privileges);
            let oracle: &mut Oracle<'_, NoResult> = &mut oracle;
            why = match least(programs.len(), oracle) {
                Ok(found) => return Ok(Ok(found)),
                Err(NoResult::Ended) => return Err(Ended),
                Err(NoResult::Lost(GuestLoss::Stopped)) => {
                    session.lose_machine("stopped by the user");
                    return Err(Ended);
                }
                Err(NoResult::Lost(loss)) => {
                    let why = match loss {
                        GuestLoss::Crashed(line) | GuestLoss::Harness(line) => line,
                        _ => "no answer".to_owned(),
                    };
                    let why = format!("{why} (while looking for the least privileges)");
                    session.lose_machine(&why);
                    why
                }
                Err(NoResult::Said(why)) => return Ok(Err(why)),
            };
        }
        self.notes.push(format!("the least privileges are unknown: {why}"));
        Ok(Err(why))
    }

    /// Loads programs with some privileges.
    fn trial(
        &mut self,
        session: &mut Session<'_>,
        programs: &[usize],
        privileges: &LoadingPrivileges,
    ) -> Result<Result<Trial, (Vec<String>, String)>, NoResult> {
        if *privileges == LoadingPrivileges::Token && lacks_tokens(session) {
            return Ok(Err((Vec::new(), NO_TOKENS.to_owned())));
        }
        let stop = session.run.stop;
        let (program_limit, prepare_limit) = self.limits(session);
        let names: Vec<String> = programs.iter().map(|program| self.planned.programs[*program].name.clone()).collect();
        let mut setup = ObjectSetup { without: self.without.clone(), programs: Vec::new(), ..self.planned.setup() };
        setup.loading.privileges = Some(privileges.clone());
        let request = HostMessage::Load {
            object: self.planned.object.name.clone(),
            programs: names.clone(),
            full_logs: false,
            visited: Vec::new(),
            setup: Box::new(setup),
            reach: Reach::Load,
            extern_users: self.planned.extern_users(),
            loader: None,
            compared: false,
            brief: true,
            together: false,
        };
        let machine = session.machine()?;
        for (make, content) in self.planned.files() {
            machine.send(&make, &content, prepare_limit, &|| stop.at_once()).map_err(NoResult::Lost)?;
        }
        let bytes = self.planned.bytes();
        machine.send(&request, &bytes, prepare_limit, &|| stop.at_once()).map_err(NoResult::Lost)?;
        let mut allowance = Allowance::new(session.deadlines, session.machine()?.received(), Instant::now());
        let mut trial = Trial { loaded: vec![false; names.len()], whole: false };
        let (mut limit, mut refused, mut failed) = (prepare_limit, None, None);
        loop {
            let machine = session.machine()?;
            let (message, blob) = machine.receive(limit, &|| stop.at_once()).map_err(NoResult::Lost)?;
            let (received, now) = (machine.received(), Instant::now());
            if allowance.excess(received, now).is_some() {
                return Err(NoResult::Lost(GuestLoss::Silent));
            }
            match message {
                GuestMessage::Whole { prepared, left_out, .. } => {
                    let root = self.whole.as_ref();
                    let is_known = |map: &String| root.is_some_and(|root| root.left_out.contains(map));
                    trial.whole = (prepared || root.is_some_and(|root| !root.prepared))
                        && left_out.iter().all(|left| is_known(&left.map));
                }
                GuestMessage::ProgramStarted { program } => {
                    limit = program_limit;
                    if let Some(place) = names.iter().position(|name| *name == program) {
                        allowance.tries(place, received, now);
                    }
                }
                GuestMessage::ProgramDone(outcome) => {
                    limit = prepare_limit;
                    if let Some(place) = names.iter().position(|name| *name == outcome.program) {
                        trial.loaded[place] = outcome.stage == Stage::Loaded;
                        allowance.judged(received, now);
                    }
                }
                GuestMessage::KernelLog { program, tainted, .. } => {
                    self.kernel_log.read(program, &String::from_utf8_lossy(&blob));
                    self.kernel_log.taint(tainted);
                }
                GuestMessage::NoSuchPrivileges { missing, reason } => refused = Some((missing, reason)),
                GuestMessage::Failed { reason } => failed = Some(reason),
                GuestMessage::OutOfMemory => failed = Some("the guest has too little memory".to_owned()),
                GuestMessage::OpenFailed { .. } => failed = Some("the object could not be opened".to_owned()),
                GuestMessage::LoadDone { .. } => {
                    return match (failed, refused) {
                        (Some(reason), _) => Err(NoResult::Said(reason)),
                        (None, Some(refused)) => Ok(Err(refused)),
                        (None, None) => Ok(Ok(trial)),
                    };
                }
                _ => {}
            }
        }
    }
}

/// What libbpf says of a refusal: of the program's own map before the program.
fn refusal(outcome: &ProgramOutcome) -> Option<String> {
    let of_map = outcome.left_out.iter().map(|left| &left.warning);
    let mut all = of_map.chain(&outcome.warnings);
    all.clone().find(|warning| warning.contains("EPERM")).or_else(|| all.next()).cloned()
}

fn lacks_tokens(session: &Session<'_>) -> bool {
    use crate::judge::KernelView;
    session.view().has_enumerator(TOKEN_COMMAND.0, TOKEN_COMMAND.1) == Some(false)
}

/// What is missing from these privileges, and the same in words.
fn missing(had: &LoadingPrivileges, needs: Option<&Need>) -> (String, String) {
    let by_root_alone = || ("root".to_owned(), format!("loads as root, but not with {had}"));
    let LoadingPrivileges::Capabilities(had) = had else { return by_root_alone() };
    match needs {
        Some(Need::Capabilities(names)) => {
            let lacks: Vec<&str> = names.iter().filter(|name| !had.contains(name)).map(String::as_str).collect();
            // Other capabilities than the least may do as well.
            let lacks = if lacks.is_empty() { names.iter().map(String::as_str).collect() } else { lacks };
            let all = lacks.join(" + ");
            let reason = format!("needs {all}, which its loader lacks");
            (all, reason)
        }
        Some(Need::AllCapabilities) => ("all capabilities".to_owned(), "needs more capabilities".to_owned()),
        Some(Need::Root) => {
            ("root".to_owned(), "needs root: all capabilities are not enough for another user".to_owned())
        }
        _ => by_root_alone(),
    }
}
