//! Runs a plan: fetches and boots kernels in parallel, loads objects, sends events. Formats nothing.

mod allowance;
mod arrangement;
mod canary;
mod cell;
mod cell_key;
mod cell_view;
mod certain_failure;
mod collector;
mod command;
mod coverage;
mod dangers;
mod evidence;
mod failed_boot;
mod feature_probe;
mod guest;
mod host_memory;
mod isolation;
mod jobs;
mod judgement;
mod kernel;
mod kernel_modules;
mod kernel_view;
mod leftovers;
mod logs;
mod predicted_kernel;
mod prediction;
mod probe_requests;
mod proof_of_boot;
mod reuse;
mod run_scope;
mod session;
mod shared_stay;
mod standby;
mod stop;
mod subjects;
mod trial;
mod upgrade;
mod user_space;
mod wanted_names;

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::Scope;

use crate::event::Event;
use crate::manifest::ModuleChoice;
use crate::plan::Plan;
use crate::protocol::attach::Reach;
use crate::record::KernelState;
use crate::source::LockFile;
use crate::store::{CELLS_BUDGET, Store, StoreError, StoredKernel};
use crate::vm::{Accelerator, DebugOptions, GuestShape, MachineSpec, Toolchain};

pub use collector::Collector;
pub use command::{CommandJob, command_verdict, complaints, put_tests, run_command};
pub use feature_probe::{ProbeError, probe};
pub use guest::{Guest, start_guest};
pub use isolation::Isolation;
pub use jobs::Jobs;
use kernel::KernelContext;
pub use logs::Logs;
use predicted_kernel::PredictedKernel;
pub use proof_of_boot::prove;
use run_scope::RunScope;
use session::{Session, shape_of};
use shared_stay::{SharedObjects, SharedStay};
pub use standby::Standby;
pub use stop::Stop;

/// Kernels that are fetched at the same time.
const FETCHED_AT_ONCE: usize = 2;

/// Everything a run works with.
#[derive(Clone, Copy)]
pub struct RunContext<'a> {
    /// What to do.
    pub plan: &'a Plan,
    /// Where kernels come from.
    pub store: &'a Store,
    /// What exactly they are.
    pub lock: &'a LockFile,
    /// Whether to use no network.
    pub offline: bool,
    /// What makes machines.
    pub tools: &'a Toolchain,
    /// What runs the guests' code.
    pub accelerator: Accelerator,
    /// How many guests run at once.
    pub jobs: &'a Jobs,
    /// Whether the whole verifier log is wanted of programs that load, too.
    pub full_logs: bool,
    /// How far programs are taken.
    pub reach: Reach,
    /// Whether every guest is booted, and none is restored from a snapshot.
    pub cold: bool,
    /// Whether what earlier runs observed of a cell is taken instead of running it, where nothing that decides it has changed.
    pub reuse: bool,
    /// What separates the cells of a kernel.
    pub isolation: Isolation,
    /// How many bytes of snapshots the store may keep.
    pub snapshot_budget: u64,
    /// Where verifier logs go.
    pub logs: &'a Logs,
    /// Whether the user wants to stop.
    pub stop: &'a Stop,
    /// The guests that wait for this run, and for the next one.
    pub standby: Option<&'a Standby>,
    /// The modules that guests load, instead of those of suites and the manifest.
    pub modules: Option<&'a ModuleChoice>,
    /// What helps to look into guests.
    pub debug: DebugOptions,
}

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// No threads.
    #[error("cannot start {jobs} worker threads: {source}")]
    Threads {
        /// How many.
        jobs: usize,
        /// Why.
        source: rayon::ThreadPoolBuildError,
    },
}

/// Runs the plan to its end or until it is stopped. Every outcome, good or bad, is an event.
pub fn run(run: &RunContext<'_>, events: &Sender<Event>) -> Result<(), RunError> {
    let pool = pool(run)?;
    let common = RunScope::of(run);
    let mut order: Vec<usize> = (0..run.plan.kernels.len()).collect();
    order.sort_by_key(|kernel| !run.plan.urgent.contains(kernel));
    let order = Mutex::new(order.into_iter());
    let next = || order.lock().unwrap_or_else(PoisonError::into_inner).next();
    // Kernels are fetched beside the workers, which would wait for the network otherwise.
    pool.in_place_scope(|scope| {
        std::thread::scope(|threads| {
            for _ in 0..FETCHED_AT_ONCE {
                threads.spawn(|| {
                    while let Some(kernel) = next() {
                        fetch_kernel(run, kernel, &common, events, scope);
                    }
                });
            }
        });
    });
    pool.install(|| feature_probe::after_run(run, &common.wanted, events));
    let has_more_cells = common.cells.has_grown();
    // It keeps snapshots from being removed.
    drop(common);
    if !run.cold {
        // Those of this run were in use until now. Failing to make room is no failure of the run.
        let _ = run.store.shrink_snapshots(run.snapshot_budget);
        if has_more_cells {
            let _ = run.store.shrink_cells(CELLS_BUDGET);
        }
    }
    Ok(())
}

/// A pool of our own: its threads block, and children die with the thread that started them, so it has to last for the run.
fn pool(run: &RunContext<'_>) -> Result<rayon::ThreadPool, RunError> {
    let jobs = run.jobs.count();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).thread_name(|number| format!("guest-{number}"));
    pool.build().map_err(|source| RunError::Threads { jobs, source })
}

/// What a kernel of the plan boots with.
fn machine_spec<'s>(
    run: &'s RunContext<'s>,
    (kernel, stored): (usize, &'s StoredKernel),
    shape: &'s GuestShape,
    stop: &'s (dyn Fn() -> bool + Sync),
) -> MachineSpec<'s> {
    let spec = MachineSpec::new(run.tools, &run.plan.kernels[kernel], (stored, shape), run.accelerator, stop);
    MachineSpec { debug: run.debug, ..spec }
}

/// Fetches a kernel and gives its cells to the workers.
fn fetch_kernel<'s>(
    run: &'s RunContext<'s>,
    kernel: usize,
    common: &'s RunScope,
    events: &Sender<Event>,
    scope: &Scope<'s>,
) {
    if run.stop.requested() {
        let _ = events.send(Event::KernelDone { kernel });
        return;
    }
    match fetch(run, kernel, events) {
        Ok(stored) => {
            let (source, identity, notes) = (stored.source.clone(), stored.identity.clone(), stored.notes.clone());
            let _ = events.send(Event::KernelReady { kernel, source, identity, notes });
            let shared = Arc::new(KernelContext::new(run, kernel, stored, common, events.clone()));
            scope.spawn(move |scope| run_cells(&shared, scope));
        }
        Err(error) if error.is_unavailable() => {
            PredictedKernel { run, index: kernel, subjects: &common.subjects, events }.stand_in(&error);
            let _ = events.send(Event::KernelDone { kernel });
        }
        Err(error) => fetch_failed(kernel, &error, events),
    }
}

/// Says that a kernel is out of the run since it is unavailable.
fn fetch_failed(kernel: usize, error: &StoreError, events: &Sender<Event>) {
    // What the run was stopped before says so itself.
    if !matches!(error, StoreError::Stopped) {
        let _ = events.send(Event::KernelFailed { kernel, state: fetch_failure(error) });
    }
    let _ = events.send(Event::KernelDone { kernel });
}

/// Starts the first guest. If others start in a moment, each cell is a task of its own and gets a guest of its own; otherwise one
/// guest has to serve all objects, one after the other.
fn run_cells<'s>(shared: &Arc<KernelContext<'s>>, scope: &Scope<'s>) {
    let plan = shared.run.plan;
    let mut order: Vec<usize> = (0..plan.objects.len()).collect();
    // Longest first: then the end of the run is made of short ones, and no worker is left waiting for another.
    order.sort_by_key(|object| std::cmp::Reverse(plan.objects[*object].expected_cost()));
    // Larger guests come last, so that one guest can serve all the others.
    order.sort_by_key(|object| plan.objects[*object].guest_mib(shared.spec));
    // A guest serves one machine after the other, and that of most objects first.
    order.sort_by_cached_key(|object| plan.objects[*object].machine_on(shared.spec));
    order.retain(|object| !shared.reuse(*object));
    if order.is_empty() {
        return;
    }
    // Some objects need no guest.
    if order.iter().all(|object| plan.objects[*object].needs_no_guest()) {
        return Session::new(Arc::clone(shared), None).run(&order);
    }
    let own = |object: usize| {
        let planned = &plan.objects[object];
        let wanted = planned.machine_on(shared.spec);
        let modules = shared.modules_of(object, planned).files;
        GuestShape { modules, ..shape_of(shared.spec, &wanted, wanted.memory_mib) }
    };
    // The first guest is of use to the object that takes longest.
    let Ok(first) = shared.machine(&own(order[0])) else { return };
    if !shared.is_warm(&first.shape) {
        // One guest serves all that want the same, this one to begin with.
        order.sort_by_cached_key(|object| Some(own(*object)).filter(|shape| *shape != first.shape));
        return Session::new(Arc::clone(shared), Some(first)).run(&order);
    }
    let mut first = Some(first);
    let Some(longest) = order.first().copied() else { return };
    let (together, alone): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|object| shared.may_share(*object));
    let first_is_shared = together.first() == Some(&longest);
    let others = if first_is_shared { &alone[..] } else { alone.get(1..).unwrap_or_default() };
    // A worker takes what it was given last.
    for object in others.iter().rev() {
        let session = Session::new(Arc::clone(shared), None);
        let object = *object;
        scope.spawn(move |_| session.run(&[object]));
    }
    let together = Arc::new(SharedObjects::new(together));
    // One guest for each worker that has nothing better to do.
    let jobs = shared.run.jobs.count();
    let workers = jobs.div_ceil(plan.kernels.len());
    for _ in 1..jobs.min(together.guests(workers)) {
        let stay = SharedStay::new(Session::new(Arc::clone(shared), None), Arc::clone(&together));
        scope.spawn(move |_| stay.run());
    }
    if !first_is_shared {
        Session::new(Arc::clone(shared), first.take()).run(&[longest]);
    }
    SharedStay::new(Session::new(Arc::clone(shared), first), together).run();
}

/// Gets a kernel of the plan from the store, reporting what takes time.
pub fn fetch(run: &RunContext<'_>, kernel: usize, events: &Sender<Event>) -> Result<StoredKernel, StoreError> {
    let step = |step: String| {
        let _ = events.send(Event::Fetching { kernel, step });
    };
    run.store.kernel(&run.plan.kernels[kernel], run.lock, run.offline, &step)
}

fn fetch_failure(error: &StoreError) -> KernelState {
    let (reason, hint) = (error.reason(), error.hint());
    if error.is_unavailable() {
        return KernelState::Unavailable { reason, hint };
    }
    match error {
        // The image is there and is no kernel; the harness has done its part.
        StoreError::Corrupt { .. } | StoreError::OtherMachine { .. } => {
            KernelState::BootFailed { reason, hint, console_tail: Vec::new() }
        }
        _ => KernelState::HarnessFailed { reason, hint, console_tail: Vec::new() },
    }
}
