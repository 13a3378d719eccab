//! [`RunScope`]: what all kernels of a run have in common.

use super::RunContext;
use super::probe_requests::ProbeRequests;
use super::reuse::KnownCells;
use super::subjects::Subjects;

/// What all kernels of a run have in common.
pub(super) struct RunScope {
    /// What kernels are asked for at the end.
    pub(super) wanted: ProbeRequests,
    /// The run's objects for predictions.
    pub(super) subjects: Subjects,
    /// What decides its cells.
    pub(super) cells: KnownCells,
}

impl RunScope {
    /// That of a run of objects.
    pub(super) fn of(run: &RunContext<'_>) -> RunScope {
        let subjects = Subjects::of(&run.plan.objects);
        RunScope { wanted: ProbeRequests::default(), subjects, cells: KnownCells::of(run) }
    }

    /// That of a run without objects, whose guests are for the user.
    pub(super) fn of_guests() -> RunScope {
        RunScope { wanted: ProbeRequests::default(), subjects: Subjects::of(&[]), cells: KnownCells::none() }
    }
}
