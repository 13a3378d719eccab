//! [`probe`]: asks a booted guest for its kernel's features and keeps the answer.

use std::time::Duration;

use crate::object::btf::{Btf, Want};
use crate::probe::{FeatureProbe, ProbeRequest, ProbeTargets};
use crate::protocol::{GuestMessage, HostMessage};
use crate::store::{Store, StoreError, StoredKernel};
use crate::vm::{GuestLoss, Machine};

/// Functions that are made or kept for tracing, best first.
const FUNCTIONS: [&str; 3] = ["bpf_fentry_test1", "vfs_read", "do_exit"];
/// A hook as old as LSM programs.
const HOOK: &str = "bpf_lsm_file_open";

/// Why a kernel could not be asked, or its answer not kept.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The guest did not answer.
    #[error("the guest did not tell its features: {0}")]
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
    machine: &mut Machine,
    kernel: &StoredKernel,
    store: &Store,
    helpers_of: Option<Vec<String>>,
    limit: Duration,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<FeatureProbe, ProbeError> {
    let request = ProbeRequest { targets: targets(kernel), helpers_of };
    let lost = |loss: GuestLoss| {
        ProbeError::Guest(match loss {
            GuestLoss::Crashed(line) => format!("its kernel crashed: {line}"),
            GuestLoss::Silent => format!("no answer within {}s", limit.as_secs()),
            GuestLoss::Harness(line) => line,
            GuestLoss::Stopped => "stopped by the user".to_owned(),
        })
    };
    machine.send(&HostMessage::Probe(request), &[]).map_err(lost)?;
    match machine.receive(limit, stop).map_err(lost)? {
        (GuestMessage::Probed(new), _) => {
            let mut probe = store.probe(&kernel.identity).unwrap_or_default();
            probe.add(new);
            store.save_probe(&kernel.identity, &probe)?;
            Ok(probe)
        }
        (other, _) => Err(ProbeError::Guest(format!("it said {other:?}"))),
    }
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
