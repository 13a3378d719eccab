//! [`ProbeRequests`]: whether a run has failures that kernels' features explain, so that guests are requested them before they end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::record::Cause;
use crate::store::{Snapshot, StoredKernel};
use crate::vm::GuestShape;

/// Shared by all kernels of a run: what one kernel lacks, the others are requested.
#[derive(Debug, Default)]
pub(super) struct ProbeRequests {
    helpers_of: Mutex<Option<BTreeSet<String>>>,
    /// Kernels that can be asked at the end of the run.
    restorable: Mutex<Vec<Restorable>>,
}

/// A kernel of the run of which there is a snapshot.
#[derive(Debug)]
pub(super) struct Restorable {
    /// Its index in the plan.
    pub kernel: usize,
    pub stored: StoredKernel,
    /// The shape of the guest in the snapshot.
    pub shape: GuestShape,
    pub snapshot: Arc<Snapshot>,
}

impl ProbeRequests {
    /// Takes notice of a failure of a program of this type, as libbpf names it.
    pub fn note(&self, cause: Option<Cause>, program_type: Option<&str>) {
        let helper = matches!(cause, Some(Cause::UnknownHelper | Cause::ForbiddenHelper | Cause::UnsupportedCallForm));
        let types = [Cause::MissingMapType, Cause::MissingProgramType, Cause::MissingAttachType].map(Some);
        if !helper && !types.contains(&cause) {
            return;
        }
        let mut wanted = self.helpers_of.lock().unwrap_or_else(PoisonError::into_inner);
        let helpers_of = wanted.get_or_insert_default();
        helpers_of.extend(program_type.filter(|_| helper).map(str::to_owned));
    }

    /// Keeps a kernel to be asked. One snapshot of it is enough, the plainest.
    pub fn keep(&self, kernel: Restorable) {
        let mut kept = self.restorable.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.iter_mut().find(|known| known.kernel == kernel.kernel) {
            Some(known) if kernel.shape < known.shape => *known = kernel,
            Some(_) => {}
            None => kept.push(kernel),
        }
    }

    /// Does not ask a kernel in a guest of this shape.
    pub fn forget(&self, kernel: usize, shape: &GuestShape) {
        let is_it = |kept: &Restorable| kept.kernel == kernel && kept.shape == *shape;
        self.restorable.lock().unwrap_or_else(PoisonError::into_inner).retain(|kept| !is_it(kept));
    }

    /// The kernels that were kept.
    pub fn take_restorable(&self) -> Vec<Restorable> {
        std::mem::take(&mut *self.restorable.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The program types whose helpers are requested; `None` if nothing is.
    pub fn helpers_of(&self) -> Option<Vec<String>> {
        let wanted = self.helpers_of.lock().unwrap_or_else(PoisonError::into_inner);
        Some(wanted.as_ref()?.iter().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_for_want_of_features_ask() {
        let wanted = ProbeRequests::default();
        wanted.note(None, Some("kprobe"));
        wanted.note(Some(Cause::MissingField), Some("kprobe"));
        assert_eq!(wanted.helpers_of(), None);
        wanted.note(Some(Cause::MissingMapType), Some("kprobe"));
        assert_eq!(wanted.helpers_of(), Some(Vec::new()));
        wanted.note(Some(Cause::UnknownHelper), Some("xdp"));
        wanted.note(Some(Cause::UnknownHelper), None);
        assert_eq!(wanted.helpers_of(), Some(vec!["xdp".to_owned()]));
    }
}
