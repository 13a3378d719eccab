//! [`probe`]: asks a guest for its kernel's features and keeps the answer; [`after_run`]: asks where failures of the run are about them.

use std::sync::mpsc::Sender;
use std::time::Duration;

use rayon::prelude::*;

use super::RunContext;
use super::probe_requests::{ProbeRequests, Restorable};
use crate::event::Event;
use crate::feature;
use crate::object::btf::{Btf, Want};
use crate::protocol::feature_probe::{FeatureProbe, ProbeRequest, ProbeTargets};
use crate::protocol::{GuestMessage, HostMessage};
use crate::store::{Store, StoreError, StoredKernel};
use crate::vm::{GuestLink, GuestLoss, Machine};

/// Functions that are made or kept for tracing, most preferred first.
const FUNCTIONS: [&str; 3] = ["bpf_fentry_test1", "vfs_read", "do_exit"];
/// A hook as old as LSM programs.
const HOOK: &str = "bpf_lsm_file_open";

/// Why a kernel could not be asked, or its answer not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The guest did not answer.
    #[error("the guest did not report its features: {0}")]
    Guest(String),
    /// The answer is not kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks the guest for its features, with the helpers of these program types (`None` for all), and keeps the answer in the
/// store with what was there. `limit` is how long the guest may take.
///
/// # Errors
/// [`ProbeError::Guest`] if the guest is lost; the machine is of no use then.
pub fn probe(
    machine: &mut dyn GuestLink,
    kernel: &StoredKernel,
    store: &Store,
    helpers_of: Option<Vec<String>>,
    limit: Duration,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<FeatureProbe, ProbeError> {
    let request = ProbeRequest { names: feature::names(), targets: targets(kernel), helpers_of };
    let lost = |loss: GuestLoss| {
        ProbeError::Guest(match loss {
            GuestLoss::Crashed(line) => format!("its kernel crashed: {line}"),
            GuestLoss::Silent => format!("no response within {}s", limit.as_secs()),
            GuestLoss::Harness(line) => line,
            GuestLoss::Stopped => "stopped by the user".to_owned(),
        })
    };
    machine.send(&HostMessage::Probe(request), &[], limit, stop).map_err(lost)?;
    match machine.receive(limit, stop).map_err(lost)? {
        (GuestMessage::Probed(new), _) => {
            let mut probe = store.probe(&kernel.identity).unwrap_or_default();
            probe.add(new);
            store.save_probe(&kernel.identity, &probe)?;
            Ok(probe)
        }
        (other, _) => Err(ProbeError::Guest(format!("it sent {}", other.name()))),
    }
}

/// Asks kernels for their features if failures of the run are about them, as far as the store does not know them. Every verdict is
/// known by now: what goes wrong here makes advice poorer, and nothing else.
pub(super) fn after_run(run: &RunContext<'_>, wanted: &ProbeRequests, events: &Sender<Event>) {
    let Some(helpers_of) = wanted.helpers_of() else { return };
    wanted.take_restorable().into_par_iter().for_each_with(events.clone(), |events, known| {
        let Restorable { kernel, stored, shape, snapshot } = known;
        let stop = || run.stop.at_once();
        if run.stop.requested() || knows(run, &stored, &helpers_of) {
            return;
        }
        let spec = super::machine_spec(run, (kernel, &stored), &shape, &stop);
        let asked =
            Machine::restore(&spec, &snapshot).map_err(|failure| failure.to_string()).and_then(|mut machine| {
                let helpers_of = Some(helpers_of.clone());
                probe(&mut machine, &stored, run.store, helpers_of, spec.deadlines.boot, &stop)
                    .map_err(|error| error.to_string())
            });
        if let Err(reason) = asked {
            let _ = events.send(Event::Notice(format!("`{}`: {reason}", run.plan.kernels[kernel].name)));
        }
    });
}

/// Whether the store knows what is requested.
pub(super) fn knows(run: &RunContext<'_>, stored: &StoredKernel, helpers_of: &[String]) -> bool {
    run.store.probe(&stored.identity).is_some_and(|probe| probe.covers(Some(helpers_of)))
}

/// What tracing and LSM programs can be tried on.
fn targets(kernel: &StoredKernel) -> ProbeTargets {
    let read = || Btf::parse(&std::fs::read(kernel.btf.as_ref()?).ok()?).ok();
    let Some(btf) = read() else { return ProbeTargets::default() };
    ProbeTargets {
        function: FUNCTIONS.iter().find_map(|name| btf.find(name, Want::Function)),
        hook: btf.find(HOOK, Want::Function),
    }
}
