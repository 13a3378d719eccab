//! [`PlannedBaseline`]: another build of an object, beside whose programs those of the object are measured.

use std::sync::Arc;

use super::PlannedObject;
use crate::protocol::HostMessage;
use crate::protocol::baseline::BaselineObject;

/// Its file in the guest.
const FILE: &str = "/corematrix/baseline/old.bpf.o";

/// Another build of an object.
#[derive(Debug, Clone)]
pub struct PlannedBaseline {
    object: BaselineObject,
    bytes: Arc<[u8]>,
}

impl PlannedObject {
    /// Has the object's programs measured beside those of another build.
    pub fn measure_against(&mut self, baseline: &PlannedObject) {
        let object = BaselineObject {
            object: FILE.to_owned(),
            name: baseline.object.name.clone(),
            setup: baseline.setup(),
            extern_users: baseline.extern_users(),
            programs: baseline.programs.iter().map(|program| program.name.clone()).collect(),
        };
        self.baseline = Some(PlannedBaseline { object, bytes: Arc::clone(&baseline.loaded) });
    }

    /// The file of the other build in a guest, and its content.
    pub(super) fn baseline_file(&self) -> Option<(HostMessage, Arc<[u8]>)> {
        let baseline = self.baseline.as_ref()?;
        let make = HostMessage::File { path: baseline.object.object.clone(), mode: 0o644 };
        Some((make, Arc::clone(&baseline.bytes)))
    }

    /// What a guest does with the other build.
    pub(super) fn baseline_setup(&self) -> Option<Box<BaselineObject>> {
        self.baseline.as_ref().map(|baseline| Box::new(baseline.object.clone()))
    }
}
