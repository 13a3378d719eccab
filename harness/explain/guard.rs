//! [`Guard`]: what a snippet asks of the running kernel. One that is true where the program failed would let it fail again.

use super::symbol::AttachTarget;
use crate::object::btf::{Btf, Want};

/// The condition of a snippet, as far as types answer it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Guard {
    /// It has none, or it picks what the kernel has.
    #[default]
    None,
    /// Whether an enum has an enumerator.
    Enumerator { in_enum: String, name: String },
    /// Whether the kernel has the type.
    Type { name: String, want: Want },
    /// Whether it has the attach target.
    Target(AttachTarget),
    /// Whether the attach target has this many parameters.
    Parameters(AttachTarget, usize),
    /// Whether libbpf's probe for the feature says yes.
    Probe,
}

impl Guard {
    /// Whether it is true on a kernel with these types; `probed` is what the kernel answered of the feature in question.
    pub(super) fn holds(&self, btf: Option<&Btf>, probed: bool) -> bool {
        let types = |holds: &dyn Fn(&Btf) -> bool| btf.is_some_and(holds);
        match self {
            Guard::None => false,
            Guard::Enumerator { in_enum, name } => types(&|btf| {
                let mut lists = btf.candidates(in_enum, Want::Enum);
                lists.any(|id| btf.enumerator(id, name).is_some())
            }),
            Guard::Type { name, want } => types(&|btf| btf.find(name, *want).is_some()),
            Guard::Target(target) => types(&|btf| target.parameters(btf).is_some()),
            Guard::Parameters(target, count) => {
                types(&|btf| target.parameters(btf).is_some_and(|found| found.len() == *count))
            }
            Guard::Probe => probed,
        }
    }
}
