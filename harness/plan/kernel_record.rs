//! [`kernel_record`]: a kernel before anything is known about it.

use crate::manifest::KernelSpec;
use crate::record::{KernelRecord, KernelState};

pub(super) fn kernel_record(spec: &KernelSpec) -> KernelRecord {
    KernelRecord {
        name: spec.name.clone(),
        source: spec.source.to_string(),
        optional: spec.optional,
        modules: Vec::new(),
        state: KernelState::Pending,
        identity: None,
        hello_ms: Vec::new(),
        restore_ms: Vec::new(),
        notes: Vec::new(),
    }
}
