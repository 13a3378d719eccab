//! [`RunScope`]: what all kernels of a run have in common.

use std::sync::atomic::{AtomicBool, Ordering};

use super::RunContext;
use super::probe_requests::ProbeRequests;
use super::reuse::KnownCells;
use super::subjects::Subjects;

/// What all kernels of a run have in common.
pub(super) struct RunScope {
    /// What kernels are requested at the end.
    pub(super) wanted: ProbeRequests,
    /// The run's objects for predictions.
    pub(super) subjects: Subjects,
    /// What decides its cells.
    pub(super) cells: KnownCells,
    /// The objects that failed on a kernel for what another object may have caused.
    pub(super) failed: FailedObjects,
}

impl RunScope {
    /// That of a run of objects.
    pub(super) fn of(run: &RunContext<'_>) -> RunScope {
        let subjects = Subjects::of(&run.plan.objects);
        let failed = FailedObjects::of(run.plan.objects.len());
        RunScope { wanted: ProbeRequests::default(), subjects, cells: KnownCells::of(run), failed }
    }

    /// That of a run without objects, whose guests are for the user.
    pub(super) fn of_guests() -> RunScope {
        let (wanted, failed) = (ProbeRequests::default(), FailedObjects::of(0));
        RunScope { wanted, subjects: Subjects::of(&[]), cells: KnownCells::none(), failed }
    }
}

/// Which objects failed on some kernel for what does not follow from BTF: on another one they are likely to, too. This decides where and in
/// what steps an object is judged, and nothing of its verdict.
pub(super) struct FailedObjects(Vec<AtomicBool>);

impl FailedObjects {
    fn of(objects: usize) -> FailedObjects {
        FailedObjects((0..objects).map(|_| AtomicBool::default()).collect())
    }

    /// Notes that an object, an index, failed.
    pub(super) fn note(&self, object: usize) {
        if let Some(failed) = self.0.get(object) {
            failed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether an object, an index, is known to have failed.
    pub(super) fn has(&self, object: usize) -> bool {
        self.0.get(object).is_some_and(|failed| failed.load(Ordering::Relaxed))
    }
}
