mod privileges;

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, mpsc};

use super::super::kernel::KernelContext;
use super::super::run_scope::RunScope;
use super::super::{Isolation, Jobs, Logs, RunContext, Stop};
use super::*;
use crate::manifest::Manifest;
use crate::object::{BpfObject, ObjectError, Origin};
use crate::plan::Plan;
use crate::protocol::attach::Reach;
use crate::protocol::{ModuleLoad, Stage};
use crate::record::{KernelIdentity, LoadingPrivileges, ObjectProgram, ProgramRecord, TRIED_AGAIN};
use crate::source::LockFile;
use crate::store::{Store, StoredKernel};
use crate::suite::Settings;
use crate::vm::{Accelerator, DebugOptions, GuestLink, GuestShape, KvmCpu, Toolchain};

/// A guest that says what a test wrote down, and says the last of it for ever if it is to.
#[derive(Clone, Default)]
struct Script {
    messages: VecDeque<GuestMessage>,
    forever: bool,
    /// Bytes that each message counts for.
    weight: u64,
    received: u64,
}

impl GuestLink for Script {
    fn send(&mut self, _: &HostMessage, _: &[u8], _: Duration, _: &(dyn Fn() -> bool + Sync)) -> Result<(), GuestLoss> {
        Ok(())
    }

    fn receive(&mut self, _: Duration, _: &(dyn Fn() -> bool + Sync)) -> Result<(GuestMessage, Vec<u8>), GuestLoss> {
        self.received += self.weight;
        let last = self.forever && self.messages.len() == 1;
        let next = if last { self.messages.front().cloned() } else { self.messages.pop_front() };
        next.map(|message| (message, Vec::new())).ok_or(GuestLoss::Silent)
    }

    fn attend(
        &mut self,
        _: Duration,
        _: &(dyn Fn() -> bool + Sync),
        _: Option<BorrowedFd<'_>>,
    ) -> Result<Option<(GuestMessage, Vec<u8>)>, GuestLoss> {
        Ok(None)
    }

    fn silence(&self) -> GuestLoss {
        GuestLoss::Silent
    }

    fn console_tail(&self) -> Vec<String> {
        Vec::new()
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn shape(&self) -> &GuestShape {
        static SHAPE: GuestShape =
            GuestShape { memory_mib: 512, cpus: 1, numa_nodes: 1, append: Vec::new(), modules: Vec::new() };
        &SHAPE
    }

    fn modules(&self) -> &[ModuleLoad] {
        &[]
    }

    fn shut_down(&mut self) {}
}

/// Judges an object with the programs `a` and `b` by guests that follow these scripts, one after the other. Returns what became of the
/// programs, and the cell's notes.
fn judge(scripts: Vec<Script>) -> (Vec<ProgramRecord>, Vec<String>) {
    judge_with(scripts, None)
}

/// The same with these privileges.
fn judge_with(scripts: Vec<Script>, privileges: Option<LoadingPrivileges>) -> (Vec<ProgramRecord>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let kernels = Manifest::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels.toml")).unwrap().kernels;
    let mut plan = Plan::new(kernels[..1].to_vec(), vec![object()], &Settings::default());
    let programs = ["a", "b"].map(|name| ObjectProgram { name: name.to_owned(), section: "kprobe".to_owned() });
    (plan.objects[0].programs, plan.objects[0].broken) = (programs.to_vec(), None);
    plan.objects[0].loading.privileges = privileges;
    let store = Store::open(&folder.path().join("store")).unwrap();
    let lock = LockFile::open(&folder.path().join("kernels.lock")).unwrap();
    let tools = Toolchain {
        virtme_run: "none".into(),
        virtme_version: String::new(),
        qemu: "none".into(),
        qemu_version: String::new(),
        kvm_cpu: KvmCpu::default(),
    };
    let (logs, stop) = (Logs::new(folder.path()), Stop::default());
    let jobs = Jobs::choose(Some(1));
    let run_context = RunContext {
        plan: &plan,
        store: &store,
        lock: &lock,
        offline: true,
        tools: &tools,
        accelerator: Accelerator::Tcg,
        jobs: &jobs,
        full_logs: false,
        reach: Reach::Load,
        cold: false,
        reuse: false,
        isolation: Isolation::Cell,
        snapshot_budget: 0,
        logs: &logs,
        stop: &stop,
        standby: None,
        modules: None,
        debug: DebugOptions::default(),
    };
    let (sender, events) = mpsc::channel();
    let common = RunScope::of(&run_context);
    let context = Arc::new(KernelContext::new(&run_context, 0, stored(), &common, sender));
    let mut scripts = VecDeque::from(scripts);
    let start = move |_: &GuestShape| {
        scripts.pop_front().map(|script| Box::new(script) as Box<dyn GuestLink + Send>).ok_or(Ended)
    };
    let mut session = Session::with(context, Box::new(start));
    session.deadlines.boot = Duration::from_secs(1);
    session.deadlines.program = Duration::from_millis(5);
    let _ = run(&mut session, 0, &plan.objects[0]);
    drop(session);
    let mut records = programs.map(|program| ProgramRecord::not_run(&program, "no verdict")).to_vec();
    let mut all = Vec::new();
    for event in events {
        match event {
            Event::ProgramDone { program, record, .. } => records[program] = *record,
            Event::CellDone { outcome, .. } => all = outcome.notes,
            _ => {}
        }
    }
    (records, all)
}

fn object() -> BpfObject {
    let origin = Origin { path: "x.bpf.o".into(), embedded: None };
    let inventory = Err(ObjectError::Empty { path: "x.bpf.o".into() });
    BpfObject { name: "x".into(), origin, bytes: Arc::from(&b""[..]), sha256: String::new(), inventory }
}

fn stored() -> StoredKernel {
    StoredKernel {
        identity: KernelIdentity {
            release: "6.1.0".into(),
            image_sha256: String::new(),
            config_sha256: None,
            btf_sha256: None,
            given_btf_sha256: None,
        },
        source: String::new(),
        boot_image: "none".into(),
        config: None,
        modules: Vec::new(),
        btf: None,
        module_btf: None,
        module_symbols: None,
        given_btf: None,
        notes: Vec::new(),
        build_id: None,
        fetched: None,
    }
}

fn begins(program: &str) -> GuestMessage {
    GuestMessage::ProgramStarted { program: program.to_owned() }
}

fn loads(program: &str) -> GuestMessage {
    GuestMessage::ProgramDone(ProgramOutcome {
        program: program.to_owned(),
        stage: Stage::Loaded,
        errno: 0,
        warnings: Vec::new(),
        left_out: Vec::new(),
        type_known: None,
        loaded: None,
        took_ms: 1,
    })
}

fn says(messages: &[GuestMessage]) -> Script {
    Script { messages: messages.to_vec().into(), ..Script::default() }
}

fn says_for_ever(messages: &[GuestMessage]) -> Script {
    Script { forever: true, ..says(messages) }
}

fn chatter() -> Vec<GuestMessage> {
    let random = "random".to_owned();
    vec![
        GuestMessage::ProgramStep { step: Step::Loading },
        GuestMessage::KernelLog { program: None, missing: None, tainted: 0 },
        GuestMessage::Instructions { program: random.clone() },
        GuestMessage::Transcript { complete: false },
        GuestMessage::Whole { prepared: true, warnings: Vec::new(), left_out: Vec::new() },
        begins(&random),
        begins("a"),
    ]
}

#[test]
fn cell_without_trouble_has_its_verdicts() {
    let done = GuestMessage::LoadDone { took_ms: 1 };
    let (records, notes) = judge(vec![says(&[begins("a"), loads("a"), begins("b"), loads("b"), done])]);
    assert!(records.iter().all(|record| record.verdict == Verdict::Loaded), "{records:?}");
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn guest_that_talks_for_ever_is_tried_once_more_and_the_others_get_their_verdicts() {
    for message in chatter() {
        let talks = || says_for_ever(&[begins("a"), message.clone()]);
        let done = GuestMessage::LoadDone { took_ms: 1 };
        // At a program that is none no one is in flight.
        let blames_all = matches!(&message, GuestMessage::ProgramStarted { program } if program == "random");
        let (records, notes) = judge(vec![talks(), talks(), says(&[begins("b"), loads("b"), done])]);
        let reason = records[0].reason.clone().unwrap_or_default();
        assert_eq!(records[0].verdict, Verdict::TimedOut, "{message:?}: {reason}");
        assert!(reason.contains("responses did not end within") && reason.ends_with("(twice)"), "{reason}");
        assert!(notes[0].contains("responses did not end") && notes[0].ends_with(TRIED_AGAIN), "{notes:?}");
        if !blames_all {
            assert_eq!(records[1].verdict, Verdict::Loaded, "{message:?}");
        }
    }
}

#[test]
fn guest_that_talks_for_ever_once_costs_no_verdict() {
    let done = GuestMessage::LoadDone { took_ms: 1 };
    let sound = says(&[begins("a"), loads("a"), begins("b"), loads("b"), done]);
    for message in chatter() {
        let (records, notes) = judge(vec![says_for_ever(std::slice::from_ref(&message)), sound.clone()]);
        assert!(records.iter().all(|record| record.verdict == Verdict::Loaded), "{message:?}: {records:?}");
        assert_eq!(notes.len(), 1, "{notes:?}");
    }
}

#[test]
fn guest_that_says_unasked_that_it_loads_all_at_once_is_replaced_and_given_up_in_the_end() {
    for message in [GuestMessage::Together, GuestMessage::LoggedTogether] {
        let done = GuestMessage::LoadDone { took_ms: 1 };
        let sound = says(&[begins("a"), loads("a"), begins("b"), loads("b"), done]);
        let lies = || says(&[begins("a"), loads("a"), message.clone()]);
        let (records, notes) = judge(vec![says(std::slice::from_ref(&message)), sound]);
        assert!(records.iter().all(|record| record.verdict == Verdict::Loaded), "{message:?}: {records:?}");
        assert!(notes[0].contains("the guest restarted"), "{notes:?}");
        let (records, _) = judge((0..4).map(|_| lies()).collect());
        assert_eq!(records[1].verdict, Verdict::HarnessError, "{records:?}");
    }
}

#[test]
fn guest_that_sends_too_much_is_no_fault_of_the_program() {
    let heavy = || Script { weight: 200 << 20, ..says_for_ever(&[begins("a"), chatter().remove(0)]) };
    let done = GuestMessage::LoadDone { took_ms: 1 };
    let (records, _) = judge(vec![heavy(), heavy(), says(&[begins("b"), loads("b"), done])]);
    assert_eq!(records[0].verdict, Verdict::HarnessError);
    let reason = records[0].reason.clone().unwrap();
    assert!(reason.contains("sent more than 1024 MiB while loading `a` (twice)"), "{reason}");
    assert_eq!(records[1].verdict, Verdict::Loaded);
}
