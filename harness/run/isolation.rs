//! [`Isolation`]: whether a cell has a guest of its own; and which objects may share one.

use super::kernel::KernelContext;
use super::session::shape_of;
use super::user_space;
use crate::plan::PlannedObject;
use crate::protocol::attach::Reach;
use crate::record::LoadingRecord;

/// What separates the cells of a kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[non_exhaustive]
pub enum Isolation {
    /// Each cell gets a guest of its own.
    Cell,
    /// Objects that are only loaded share a guest as long as it is proven clean; a failure that BTF does not predict is judged again.
    #[default]
    Shared,
}

impl std::fmt::Display for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Isolation::Cell => "cell",
            Isolation::Shared => "shared",
        })
    }
}

impl KernelContext<'_> {
    /// Whether an object, an index, may be judged in a guest that has seen others: nothing is done with it but loading it as root by
    /// libbpf, and the guest is like any other of the kernel.
    pub(super) fn may_share(&self, object: usize) -> bool {
        let run = self.run;
        let planned = &run.plan.objects[object];
        if run.isolation == Isolation::Cell || run.cold || run.reach > Reach::Load || run.plan.least_privileges {
            return false;
        }
        let machine = planned.machine_on(self.spec);
        let shape = shape_of(self.spec, &machine, planned.guest_mib(self.spec));
        let modules = self.modules_of(object, planned);
        is_only_loaded(planned)
            && !planned.needs_no_guest()
            && !run.plan.is_compared(planned)
            && machine.is_plain()
            && shape == self.standard
            && modules.files.is_empty()
            && modules.impossible.is_none()
            && user_space::files(planned, run.reach).is_empty()
    }
}

/// Whether nothing is done with an object that would need more than its bytes, or that may outlive its loader.
fn is_only_loaded(planned: &PlannedObject) -> bool {
    let PlannedObject {
        // What is loaded, and what is known about it.
        object: _,
        loaded: _,
        programs: _,
        broken: _,
        analysis: _,
        shape,
        machine: _,
        loading,
        loader,
        beside: _,
        patches: _,
        programs_setup,
        reused,
        targets,
        types,
        upgrade,
        baseline,
        shaped: _,
    } = planned;
    let of_shape = shape.as_ref().map(|shape| &shape.shape.setup);
    loader.is_none()
        && programs_setup.is_empty()
        && reused.is_empty()
        && targets.is_empty()
        && types.is_none()
        && upgrade.is_none()
        && baseline.is_none()
        && leaves_nothing(loading)
        && of_shape.is_none_or(|setup| setup.programs.is_empty() && leaves_nothing(&setup.loading))
}

/// Whether a loader with these settings is root, and pins no map where a suite says.
fn leaves_nothing(loading: &LoadingRecord) -> bool {
    loading.privileges.is_none() && loading.maps.iter().all(|map| map.pinning.is_none())
}
