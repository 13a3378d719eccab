//! [`GuardObject`]: the guard of an explanation as a small BPF object, so that what is advised is proven: by the types of every kernel at
//! hand, or by loading it.

mod compile;
mod evaluate;
mod source;

pub use compile::{Compiled, compile};
pub use evaluate::{GuardObject, Picked, difference};
pub use source::source;

use crate::core_relo::TypeSource;
use crate::record::{Arm, Explanation, History, Snippet, SnippetPlace};

/// A kernel of which the types are known.
#[derive(Debug, Clone)]
pub struct TypedKernel {
    /// Its name in the explanation.
    pub name: String,
    /// Its types.
    pub types: TypeSource,
    /// The raw BTF of its modules that have what guards read, by name.
    pub modules: Vec<(String, Vec<u8>)>,
}

/// The guard of an explanation, if it has one that asks for what differs in its history.
pub fn guard_of(explanation: &Explanation) -> Option<(&Snippet, &History)> {
    let snippet = explanation.snippets.iter().find(|snippet| snippet.place == SnippetPlace::Program)?;
    let history = explanation.history.as_ref()?;
    history.arms.iter().any(|arm| arm.condition.is_some()).then_some((snippet, history))
}

/// Which arm of a history each kernel is in; `kernels` by age, as the history has them.
pub fn meant<'a>(history: &'a History, kernels: &[&str]) -> Vec<Option<&'a Arm>> {
    let at = |name: &str| kernels.iter().position(|known| *known == name);
    let mut meant = vec![None; kernels.len()];
    for arm in &history.arms {
        arm.booted.iter().filter_map(|name| at(name)).for_each(|kernel| meant[kernel] = Some(arm));
        for span in &arm.by_types {
            if let (Some(first), Some(last)) = (at(&span.first), at(&span.last)) {
                meant.iter_mut().take(last + 1).skip(first).for_each(|kernel| *kernel = Some(arm));
            }
        }
    }
    meant
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
