//! [`OwnTypes`]: the BTF that an object is relocated with on every kernel, instead of the kernel's own.

use std::sync::Arc;

use super::PlannedObject;
use crate::object::btf::Btf;

/// Where guests have it.
pub(super) const PATH: &str = "/corematrix/object.btf";

/// BTF of an object's own loader.
#[derive(Debug, Clone)]
pub struct OwnTypes {
    /// As libbpf reads it.
    pub(super) raw: Arc<[u8]>,
    btf: Arc<Btf>,
}

impl OwnTypes {
    /// `None` for what is no BTF; a suite with it is refused.
    pub(super) fn of(raw: &Arc<[u8]>) -> Option<OwnTypes> {
        Some(OwnTypes { raw: Arc::clone(raw), btf: Arc::new(Btf::parse(raw).ok()?) })
    }
}

impl PlannedObject {
    /// The same as raw BTF.
    pub fn own_raw_types(&self) -> Option<&[u8]> {
        self.types.as_ref().map(|types| &*types.raw)
    }

    /// The types that it is relocated with everywhere; `None` if those are each kernel's.
    pub fn own_types(&self) -> Option<&Btf> {
        self.types.as_ref().map(|types| &*types.btf)
    }
}
