//! [`Explanation`]: what a failure that comes from a kernel's types means, and what to do about it.
//!
//! Everything here is read from BTF: the object's own and that of each kernel of the matrix. [`relocation`], [`target`],
//! [`ksym`] and [`feature`] each explain one kind of failure; [`render`] prints what they found. `danger`, `constant`
//! and `size` look at what passes and still means something else than the object thinks.

mod argument;
mod boundary;
mod compatible;
mod constant;
mod danger;
mod feature;
mod field;
mod form;
mod guard;
mod helper;
mod named;
mod presence;
mod prototype;
mod render;
mod replacement;
mod rule;
mod similarity;
mod size;
mod snippet;
mod spec;
mod struct_ops;
mod symbol;
mod walk;

use serde::{Deserialize, Serialize};

pub use crate::feature::Feature;
pub use argument::{ChangedArgument, arguments};
pub use boundary::{Boundary, Run};
pub use constant::{Constant, constants};
pub use danger::dangers;
pub use feature::{KernelFeatures, WantedFeature, feature, listed_features, takes_callback};
pub use form::load_flag;
pub use helper::is_sleepable;
pub use presence::{OnKernel, Presence, Witness};
pub use render::render;
pub use replacement::Replacement;
pub use rule::{
    attach_target, config_option, kconfig_extern, kfunc, licence, module, module_elsewhere, without_debug_info,
};
pub use size::unguarded_sizes;
pub use snippet::Snippet;
pub use spec::{Asked, LocalSpec, PathStep, asked, path_text};
pub use struct_ops::{member as struct_ops_member, offered as struct_ops};
pub use symbol::{AttachTarget, Ksym, ksym, target};

use crate::object::btf::Btf;
use crate::object::btf_ext::RelocationKind;

/// The types of one kernel of the matrix. Lists of these are in matrix order, oldest first; kernels without BTF are left
/// out.
#[derive(Debug, Clone, Copy)]
pub struct KernelTypes<'a> {
    /// Name of the kernel.
    pub name: &'a str,
    /// The BTF of its vmlinux.
    pub btf: &'a Btf,
}

/// What an [`Explanation`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A member of a struct or union.
    Field,
    /// A type.
    Type,
    /// A name of an enum.
    Enumerator,
    /// A function or tracepoint that a program attaches to.
    Target,
    /// A kernel function or variable that a program calls or reads.
    Ksym,
    /// A BPF helper.
    Helper,
    /// A map type.
    MapType,
    /// A program type.
    ProgramType,
    /// An attach type.
    AttachType,
    /// A flag that a program is loaded with.
    LoadFlag,
    /// A member of a struct_ops type.
    StructOpsMember,
    /// Something that no list of kernels answers: the headline says it all.
    Rule,
}

/// The story of one thing that an object asks of kernels: plain data, [`render`]ed for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// What kind of thing it is.
    pub subject: Subject,
    /// Its name, such as `struct task_struct.state` or `BPF_FUNC_loop`.
    pub name: String,
    /// The kernel where the failure was.
    pub kernel: String,
    /// What it comes to in one sentence, where the subject's own headline would not say it.
    pub headline: Option<String>,
    /// What each kernel has, in matrix order.
    pub presence: Vec<OnKernel>,
    /// Since when, or until when; `None` if no kernel was asked.
    pub boundary: Option<Boundary>,
    /// Of a BPF feature, the first kernel that has it.
    pub first: Option<First>,
    /// What stands in its place on the kernels without it.
    pub in_its_place: Vec<InItsPlace>,
    /// What else is to know, as whole sentences.
    pub notes: Vec<String>,
    /// The guards to write.
    pub snippets: Vec<Snippet>,
}

impl Explanation {
    /// One that rests on no list of kernels.
    fn rule(subject: Subject, name: &str, kernel: &str, headline: String) -> Explanation {
        Explanation {
            subject,
            name: name.to_owned(),
            kernel: kernel.to_owned(),
            headline: Some(headline),
            presence: Vec::new(),
            boundary: None,
            first: None,
            in_its_place: Vec::new(),
            notes: Vec::new(),
            snippets: Vec::new(),
        }
    }

    /// Drops guards that are true on the kernel where the program failed.
    fn without_idle_guards(mut self, matrix: &[KernelTypes<'_>]) -> Explanation {
        let btf = matrix.iter().find(|kernel| kernel.name == self.kernel).map(|kernel| kernel.btf);
        self.snippets.retain(|snippet| !snippet.guard.holds(btf, false));
        self
    }
}

/// The first kernel of the matrix that has something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct First {
    /// The kernel.
    pub kernel: String,
    /// How that is known.
    pub by: Witness,
}

/// What stands in the place of something missing, on kernels that agree about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InItsPlace {
    /// The kernels, in matrix order.
    pub kernels: Vec<String>,
    /// Best first; offsets, scores and reasons are those of the first kernel.
    pub replacements: Vec<Replacement>,
}

/// Explains a CO-RE relocation that failed on the kernel `failed`, or that one wants to know about. `local` is the
/// object's own BTF. `None` if the spec is of a kind that no kernel can answer, such as `local_type_id`.
pub fn relocation(spec: &LocalSpec, local: &Btf, matrix: &[KernelTypes<'_>], failed: &str) -> Option<Explanation> {
    match asked(spec.kind)? {
        Asked::Field => Some(field::explain(spec, local, matrix, failed)),
        Asked::Type => Some(named::explain_type(spec, local, matrix, failed)?.without_idle_guards(matrix)),
        Asked::Enumerator => named::explain_enumerator(spec, matrix, failed),
    }
}

/// Explains the enumerator `enumerator` of `enum type_name`, which an object has compiled in as `value`.
pub fn enumerator(
    (type_name, enumerator, value): (&str, &str, i64),
    matrix: &[KernelTypes<'_>],
    failed: &str,
) -> Option<Explanation> {
    let spec = LocalSpec {
        kind: RelocationKind::EnumValue,
        type_id: 0,
        type_kind: "enum".to_owned(),
        type_name: type_name.to_owned(),
        path: Vec::new(),
        enumerator: Some((enumerator.to_owned(), value.into())),
        access: String::new(),
        bit_offset: None,
        cut: false,
    };
    named::explain_enumerator(&spec, matrix, failed)
}

/// The nearest kernel to `index` that has it, by distance in the matrix, the older of two equals.
fn nearest_with(present: &[bool], index: usize) -> Option<usize> {
    let having = (0..present.len()).filter(|&kernel| present[kernel]);
    having.min_by_key(|&kernel| kernel.abs_diff(index))
}

/// Puts kernels with the same replacements together, in matrix order. `key` is what has to be the same.
fn group<T: PartialEq>(found: impl IntoIterator<Item = (String, T, Vec<Replacement>)>) -> Vec<InItsPlace> {
    let mut groups: Vec<(T, InItsPlace)> = Vec::new();
    for (kernel, key, replacements) in found {
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, place)) => place.kernels.push(kernel),
            None => groups.push((key, InItsPlace { kernels: vec![kernel], replacements })),
        }
    }
    groups.into_iter().map(|(_, place)| place).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
