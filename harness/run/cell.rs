//! [`run()`]: one object on one kernel, regardless of what happens to the guest on the way.

mod close;
mod loader;
mod loss;
mod outcome;
mod privileges;
mod together;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::allowance::{Allowance, Excess};
use super::coverage::CoverageEvidence;
use super::evidence::CellEvidence;
use super::kernel::Ended;
use super::session::{Session, prepare_limit};
use super::{judgement, user_space};
use crate::event::Event;
use crate::judge;
use crate::kernel_log::KernelLog;
use crate::plan::{PlannedObject, Room};
use crate::predict::Prediction;
use crate::protocol::attach::{AttachFacts, Step};
use crate::protocol::libbpf_log;
use crate::protocol::upgrade::UpgradeFacts;
use crate::protocol::{GuestMessage, HostMessage, LeftOutMap, ObjectSetup, ProgramOutcome};
use crate::record::{CostRecord, ExerciseRecord, MachineRecord, ProgramRecord, Verdict, WholeLoad};
use crate::vm::GuestLoss;

pub(super) use loader::files as loader_files;
use together::Together;

/// A guest that QEMU or the host lost is replaced this often in one cell.
const HARNESS_RETRIES: u32 = 2;
/// More maps that were left out are not kept.
const MOST_LEFT_OUT: usize = 1024;
/// What is waited for is bounded, however large maps are.
const MOST_GIB: u32 = 64;
/// The reason of a program of which a suite says `autoload = false`.
const LEFT_OUT: &str = "its loader does not load it, according to the suite";

/// What is known about a cell while it runs.
struct Cell<'a> {
    object: usize,
    planned: &'a PlannedObject,
    /// Indexes of the programs that have no verdict yet.
    open: Vec<usize>,
    whole: Option<WholeLoad>,
    took: Duration,
    notes: Vec<String>,
    /// The programs that a guest crashed on, and `None` for the object as a whole. All are kept, not only the last: a kernel that
    /// crashes now here, now there would be tried for ever.
    suspects: BTreeSet<Option<usize>>,
    /// Likewise, those at which a guest talked without an end.
    endless: BTreeSet<Option<usize>>,
    harness_losses: u32,
    evidence: CellEvidence,
    coverage: CoverageEvidence,
    kernel_log: KernelLog,
    /// What BTF predicts for the object, read when the first program has its verdict.
    prediction: OnceCell<Option<Prediction>>,
    /// What another loader than libbpf did.
    loader: loader::LoaderState,
    /// What is known by the privileges that it is loaded with.
    privileges: privileges::PrivilegesState,
    /// Maps that no guest can hold.
    without: Vec<LeftOutMap>,
    /// MiB of the guest.
    memory_mib: u64,
    /// What the guest's machine is like.
    machine: MachineRecord,
    /// Whether there was a guest.
    had_guest: bool,
    /// What is known about the program in flight, should its full log take too long.
    refused: Option<(ProgramOutcome, Vec<u8>)>,
    /// Whether a program failed for what does not follow from the object and the kernel's BTF: another object may have caused it.
    is_in_doubt: bool,
    /// What became of each program, once it is known.
    results: Vec<Option<ProgramRecord>>,
    /// What is being done with the program in flight.
    step: Step,
    together: Together,
    /// What became of the maps of an older build.
    upgrade: Option<Box<UpgradeFacts>>,
    /// How attaching the program in flight went.
    attached: Option<AttachFacts>,
    /// Whether the program in flight ran.
    exercised: Option<ExerciseRecord>,
    /// How long the program in flight runs beside the same program of another build.
    cost: Option<CostRecord>,
}

/// How one guest's work on a cell ended.
enum Leg {
    Done,
    Lost {
        in_flight: Option<usize>,
        loss: GuestLoss,
    },
    Endless {
        in_flight: Option<usize>,
        excess: Excess,
    },
    /// The cell was judged on trial, and is judged again anyway.
    Abandoned,
    /// The kernel logged something while all programs were loaded at once.
    Unattributed,
}

/// Judges every program of the object; returns whether each passed, or failed for what follows from the object and the kernel's BTF. `Err`
/// means that this kernel is out of the run.
pub(super) fn run(session: &mut Session<'_>, object: usize, planned: &PlannedObject) -> Result<bool, Ended> {
    let room = session.make_room(object, planned);
    let mut cell = Cell {
        object,
        planned,
        open: (0..planned.programs.len()).collect(),
        whole: None,
        took: Duration::ZERO,
        notes: Vec::new(),
        without: room.without,
        memory_mib: room.mib,
        machine: MachineRecord::default(),
        had_guest: false,
        suspects: BTreeSet::new(),
        endless: BTreeSet::new(),
        harness_losses: 0,
        evidence: loader::evidence(planned),
        loader: loader::LoaderState::default(),
        privileges: privileges::PrivilegesState::default(),
        coverage: CoverageEvidence::default(),
        kernel_log: KernelLog::default(),
        prediction: OnceCell::new(),
        refused: None,
        is_in_doubt: false,
        results: vec![None; planned.programs.len()],
        step: Step::Loading,
        together: Together::First,
        upgrade: None,
        attached: None,
        exercised: None,
        cost: None,
    };
    let mut result = cell.judge(session);
    let mut least = None;
    if result.is_ok() && session.run.plan.least_privileges && planned.is_searched() {
        match cell.least_privileges(session) {
            Ok(found) => least = Some(found),
            Err(ended) => result = Err(ended),
        }
    }
    let is_certain = !cell.is_in_doubt;
    // On trial another object may be why.
    if !is_certain && !session.is_trial() {
        session.shared.common.failed.note(object);
    }
    cell.conclude(session, (room.mib, room.note), least, result.is_ok());
    result.map(|()| is_certain)
}

impl Cell<'_> {
    fn judge(&mut self, session: &mut Session<'_>) -> Result<(), Ended> {
        if let Some(broken) = &self.planned.broken {
            self.close_all(session, Verdict::FailedToOpen, broken);
        }
        if let Some(unclaimed) = self.planned.unclaimed() {
            self.close_all_unjudged(session, &judge::unclaimed(unclaimed));
        }
        for program in self.open.clone() {
            if self.planned.loading.leaves_out(&self.planned.programs[program].name) {
                self.close_as(session, program, Verdict::NotRun, LEFT_OUT);
            }
        }
        self.close_refused(session);
        self.close_unprivileged(session);
        if let Some(impossible) = session.modules.impossible.clone() {
            self.close_all_unjudged(session, &judge::without_module(impossible));
        }
        while !self.open.is_empty() {
            match self.leg(session)? {
                Leg::Done => {}
                // Another guest decides.
                _ if session.is_trial() => return Ok(()),
                Leg::Abandoned => {}
                leg if self.together == Together::Now => self.after_together(session, leg)?,
                Leg::Lost { in_flight, loss } => self.after_loss(session, in_flight, loss)?,
                Leg::Endless { in_flight, excess } => self.after_excess(session, in_flight, excess),
                Leg::Unattributed => {}
            }
        }
        Ok(())
    }

    /// Sends what is open to the guest and takes its answers until it is done or lost.
    fn leg(&mut self, session: &mut Session<'_>) -> Result<Leg, Ended> {
        let (program_limit, prepare_limit) = self.limits(session);
        let stop = session.run.stop;
        let programs = self.open.iter().map(|index| self.planned.programs[*index].name.clone()).collect();
        let (object, visited) = (self.planned.object.name.clone(), self.planned.visited());
        let memory_mib = session.machine()?.shape().memory_mib;
        if let Err(loss) = session.arrange(prepare_limit)? {
            return Ok(Leg::Lost { in_flight: None, loss });
        }
        (self.machine, self.had_guest) = (session.machine_record()?, true);
        if let Some(reason) = session.shortcoming()? {
            self.close_all_unjudged(session, &judge::machine::unavailable(reason));
            return Ok(Leg::Done);
        }
        if memory_mib < self.memory_mib {
            // There is no guest as large as it should be. What does not fit would only bring this one to its knees.
            self.without = Room::of(self.planned, self.machine.cpus, memory_mib, memory_mib).without;
        }
        self.memory_mib = memory_mib;
        let mut setup = Box::new(ObjectSetup { without: self.without.clone(), ..self.planned.setup() });
        setup.loading.privileges = self.privileges();
        let (reach, extern_users) = (self.reach(session), self.planned.extern_users());
        let compared = session.run.plan.is_compared(self.planned);
        let request = HostMessage::Load {
            object,
            programs,
            full_logs: session.run.full_logs,
            visited,
            setup,
            reach,
            extern_users,
            loader: loader::path(self.planned),
            compared,
            brief: false,
            together: self.asks_for_all_at_once(session),
        };
        let mut in_flight = None;
        let mut limit = prepare_limit;
        for file in user_space::files(self.planned, reach) {
            let request = HostMessage::File { path: file.path.to_string_lossy().into_owned(), mode: 0o755 };
            if let Err(loss) = session.machine()?.send(&request, &file.content, prepare_limit, &|| stop.at_once()) {
                return Ok(Leg::Lost { in_flight, loss });
            }
        }
        for (make, content) in self.planned.files() {
            if let Err(loss) = session.machine()?.send(&make, &content, prepare_limit, &|| stop.at_once()) {
                return Ok(Leg::Lost { in_flight, loss });
            }
        }
        let bytes = self.planned.bytes();
        if let Err(loss) = session.machine()?.send(&request, &bytes, prepare_limit, &|| stop.at_once()) {
            return Ok(Leg::Lost { in_flight, loss });
        }
        let mut allowance = Allowance::new(session.deadlines, session.machine()?.received(), Instant::now());
        loop {
            if session.is_trial() && self.is_in_doubt {
                session.abandon();
                return Ok(Leg::Abandoned);
            }
            let (message, blob) = match session.machine()?.receive(limit, &|| stop.at_once()) {
                Ok(received) => received,
                Err(loss) => return Ok(Leg::Lost { in_flight, loss }),
            };
            let (received, now) = (session.machine()?.received(), Instant::now());
            if let Some(excess) = allowance.excess(received, now) {
                return Ok(Leg::Endless { in_flight, excess });
            }
            match message {
                GuestMessage::Whole { prepared, warnings, left_out } => {
                    let reason = (!prepared).then(|| self.whole_failure(&warnings));
                    // Of several guests the first saw the object whole.
                    self.whole.get_or_insert(WholeLoad { prepared, reason, left_out: Vec::new(), expected: None });
                    self.leave_out(&left_out);
                }
                GuestMessage::OpenFailed { warnings, .. } => {
                    let inventory = self.planned.object.inventory.as_ref().ok();
                    let diagnosis = match self.planned.by_executable() {
                        true => judge::not_opened(&warnings),
                        false => judge::open_failure(&warnings, inventory),
                    };
                    for program in self.open.clone() {
                        let planned = &self.planned.programs[program];
                        self.done(session, program, judgement::of_diagnosis(planned, diagnosis.clone()));
                    }
                }
                // Of several guests the last one saw as much as the first.
                GuestMessage::Upgraded(facts) => self.upgrade = Some(facts),
                GuestMessage::Transcript { complete } => {
                    self.evidence.transcript(&libbpf_log::unpack(&blob), complete);
                }
                // What is kept is kept of the object's own programs alone.
                GuestMessage::Instructions { program }
                | GuestMessage::Functions { program, .. }
                | GuestMessage::Lines { program }
                | GuestMessage::Visited { program }
                | GuestMessage::Exercised { program, .. }
                | GuestMessage::Measured { program, .. }
                    if !self.planned.programs.iter().any(|known| known.name == program) => {}
                GuestMessage::Instructions { program } => self.evidence.instructions(program, blob),
                GuestMessage::LoaderStarted { name, version } => self.loader_started(name, version),
                GuestMessage::Functions { program, functions } => self.functions(&program, &functions, &blob),
                GuestMessage::MapsCreated { maps, .. } => self.maps_created(maps),
                GuestMessage::Lines { program } => self.coverage.lines(program, &blob),
                GuestMessage::Visited { program } => self.coverage.visited(program, blob),
                GuestMessage::KernelLog { program, missing, tainted } => {
                    self.kernel_log.read(program, &String::from_utf8_lossy(&blob));
                    self.kernel_log.taint(tainted);
                    missing.iter().for_each(|why| self.kernel_log.note_missing(why));
                }
                GuestMessage::Together if self.together == Together::First => {
                    (self.together, limit) = (Together::Now, together::limit(program_limit));
                }
                GuestMessage::LoggedTogether if self.together == Together::Now => return Ok(Leg::Unattributed),
                GuestMessage::ProgramStarted { program } => {
                    self.together = Together::Never;
                    in_flight = self.index_of(&program);
                    self.refused = None;
                    (self.attached, self.exercised, self.cost) = (None, None, None);
                    self.step = Step::Loading;
                    limit = program_limit;
                    if let Some(program) = in_flight.filter(|program| allowance.tries(*program, received, now)) {
                        session.send(Event::ProgramStarted { kernel: session.kernel, object: self.object, program });
                    }
                }
                GuestMessage::ProgramStep { step } => self.step = step,
                GuestMessage::Attached { facts, .. } => self.attached = Some(facts),
                GuestMessage::Exercised { program, record } => {
                    if record.ran() {
                        self.coverage.ran(program);
                    }
                    self.exercised = Some(record);
                }
                GuestMessage::Measured { record, .. } => self.cost = Some(record),
                GuestMessage::ProgramRefused(outcome) => self.refused = Some((outcome, blob)),
                GuestMessage::ProgramDone(outcome) => {
                    let outcome = self.with_own_maps(outcome);
                    self.refused = None;
                    self.leave_out(&outcome.left_out);
                    if let Some(program) = self.index_of(&outcome.program) {
                        allowance.judged(received, now);
                        if let Some((outcome, log)) = self.unless_held(program, outcome, blob) {
                            self.close(session, program, &outcome, &log);
                        }
                    }
                    in_flight = None;
                    limit = prepare_limit;
                }
                GuestMessage::LoadDone { took_ms } => {
                    self.took = self.took.saturating_add(Duration::from_millis(took_ms));
                    self.after_load(session)?;
                    return Ok(Leg::Done);
                }
                GuestMessage::PreparingAgain => {}
                GuestMessage::NoSuchPrivileges { reason, .. } => {
                    self.close_all_unjudged(session, &judge::no_such_privileges(&reason));
                }
                GuestMessage::OutOfMemory => {
                    let reason = format!("the loader was killed {}", judge::guest_memory(Some(self.memory_mib)));
                    self.close_all_unjudged(session, &judge::out_of_memory(reason));
                }
                GuestMessage::Failed { reason } => self.close_all(session, Verdict::HarnessError, &reason),
                GuestMessage::Together
                | GuestMessage::LoggedTogether
                | GuestMessage::Hello { .. }
                | GuestMessage::Woken { .. }
                | GuestMessage::Facts(_)
                | GuestMessage::State(_)
                | GuestMessage::Arranged(_)
                | GuestMessage::Probed(_)
                | GuestMessage::Live(_) => {
                    return Ok(Leg::Lost { in_flight, loss: GuestLoss::Harness("the guest restarted".to_owned()) });
                }
            }
        }
    }

    /// How long the guest may be silent with a program in flight, and without one. Kernels take their time to get large maps ready.
    fn limits(&self, session: &Session<'_>) -> (Duration, Duration) {
        let deadlines = &session.deadlines;
        let gib = u32::try_from(self.planned.map_bytes(session.wanted_machine().cpus) >> 30)
            .unwrap_or(u32::MAX)
            .min(MOST_GIB);
        let for_maps = deadlines.program / 2 * gib;
        (deadlines.program + for_maps, prepare_limit(deadlines) + for_maps)
    }

    /// Keeps which maps the kernel would not create.
    fn leave_out(&mut self, maps: &[LeftOutMap]) {
        let Some(whole) = &mut self.whole else { return };
        for LeftOutMap { map, .. } in maps {
            if whole.left_out.len() < MOST_LEFT_OUT && !whole.left_out.contains(map) {
                whole.left_out.push(map.clone());
            }
        }
    }

    fn index_of(&self, name: &str) -> Option<usize> {
        self.open.iter().copied().find(|index| self.planned.programs[*index].name == name)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
