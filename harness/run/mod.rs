//! Runs a plan: fetches and boots kernels in parallel, loads objects, sends events. Formats nothing.

mod cell;
mod collector;
mod coverage;
mod evidence;
mod jobs;
mod judgement;
mod logs;
mod session;
mod stop;

use std::sync::mpsc::Sender;

use rayon::prelude::*;

use crate::event::Event;
use crate::plan::Plan;
use crate::record::KernelState;
use crate::store::{LockFile, Store, StoreError, StoredKernel};
use crate::vm::{Accelerator, Toolchain};

pub use collector::Collector;
pub use jobs::Jobs;
pub use logs::Logs;
use session::Session;
pub use stop::Stop;

/// Everything a run works with.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// What to do.
    pub plan: &'a Plan,
    /// Where kernels come from.
    pub store: &'a Store,
    /// What exactly they are.
    pub lock: &'a LockFile,
    /// Whether to do without the network.
    pub offline: bool,
    /// What makes machines.
    pub tools: &'a Toolchain,
    /// What runs the guests' code.
    pub accelerator: Accelerator,
    /// How many guests run at once.
    pub jobs: Jobs,
    /// Whether the whole verifier log is wanted of programs that load, too.
    pub full_logs: bool,
    /// Where verifier logs go.
    pub logs: &'a Logs,
    /// Whether the user wants to stop.
    pub stop: &'a Stop,
}

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
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
pub fn run(bench: &Bench<'_>, events: &Sender<Event>) -> Result<(), RunError> {
    let jobs = bench.jobs.count();
    // A pool of our own: its threads block, and children die with the thread that started them, so it has to last for the run.
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(jobs).thread_name(|number| format!("guest-{number}")).build();
    let pool = pool.map_err(|source| RunError::Threads { jobs, source })?;
    pool.install(|| {
        (0..bench.plan.kernels.len()).into_par_iter().with_max_len(1).for_each_with(
            events.clone(),
            |events, kernel| {
                run_kernel(bench, kernel, events);
                let _ = events.send(Event::KernelDone { kernel });
            },
        );
    });
    Ok(())
}

fn run_kernel(bench: &Bench<'_>, kernel: usize, events: &Sender<Event>) {
    if bench.stop.requested() {
        return;
    }
    match fetch(bench, kernel, events) {
        Ok(stored) => {
            let (source, identity, notes) = (stored.source.clone(), stored.identity.clone(), stored.notes.clone());
            let _ = events.send(Event::KernelReady { kernel, source, identity, notes });
            Session::new(bench, kernel, stored, events.clone()).run(&bench.plan.objects);
        }
        Err(error) => {
            let _ = events.send(Event::KernelFailed { kernel, state: fetch_failure(&error) });
        }
    }
}

/// Gets a kernel of the plan from the store, telling what takes time.
pub fn fetch(bench: &Bench<'_>, kernel: usize, events: &Sender<Event>) -> Result<StoredKernel, StoreError> {
    let step = |step: String| {
        let _ = events.send(Event::Fetching { kernel, step });
    };
    bench.store.kernel(&bench.plan.kernels[kernel], bench.lock, bench.offline, &step)
}

fn fetch_failure(error: &StoreError) -> KernelState {
    let (reason, hint) = (error.reason(), error.hint());
    if error.is_unavailable() {
        return KernelState::Unavailable { reason, hint };
    }
    match error {
        // The image is there and is no kernel; the harness has done its part.
        StoreError::Corrupt { .. } => KernelState::BootFailed { reason, hint, console_tail: Vec::new() },
        _ => KernelState::HarnessFailed { reason, hint, console_tail: Vec::new() },
    }
}
