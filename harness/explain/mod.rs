//! [`Explanation`]: what a failure that comes from a kernel's types means, and what to do about it.
//!
//! Everything here is read from BTF: the object's own and that of each kernel of the matrix. [`relocation`], [`target`],
//! [`ksym`] and [`feature`] each explain one kind of failure; [`render`] prints what they found. `danger`, `constant`
//! and `size` look at what passes and still means something else than the object thinks.

mod argument;
mod compatible;
mod constant;
mod danger;
mod feature;
mod field;
mod form;
mod guard;
mod helper;
mod history;
mod instruction;
mod known;
mod layout;
mod module;
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

pub use crate::feature::Feature;
pub use argument::{ChangedArgument, arguments};
pub use constant::{Constant, constants};
pub use danger::dangers;
pub use feature::{KernelFeatures, WantedFeature, feature, listed_features, takes_callback};
pub use form::load_flag;
pub use helper::is_sleepable;
pub use instruction::instruction;
pub use known::{KnownKernel, KnownTypes, Slot};
pub use render::render;
pub use rule::{
    attach_target, config_option, kconfig_extern, kfunc, kfunc_address, licence, module, module_elsewhere,
    without_debug_info,
};
pub use size::unguarded_sizes;
pub use spec::{Asked, LocalSpec, PathStep, asked, path_text};
pub use struct_ops::{member as struct_ops_member, offered as struct_ops};
pub use symbol::{AttachTarget, Ksym, ksym, target};

use self::module::Answered;
use crate::object::btf::{Btf, ModuleNames};
use crate::object::btf_ext::RelocationKind;
use crate::record::{Explanation, InItsPlace, Replacement};

/// The types of one kernel of the matrix. Lists of these are in matrix order, oldest first; kernels without BTF are left
/// out.
#[derive(Debug, Clone, Copy)]
pub struct KernelTypes<'a> {
    /// Name of the kernel.
    pub name: &'a str,
    /// The BTF of its vmlinux, with that of the modules in question.
    pub btf: &'a Btf,
    /// Whether it was booted; of others only the types are known.
    pub booted: bool,
    /// What is known about its other modules; `None` if nothing is.
    pub modules: Option<&'a ModuleNames>,
}

/// The types of the kernel where the program failed.
fn types_of<'a>(matrix: &[KernelTypes<'a>], failed: &str) -> Option<&'a Btf> {
    matrix.iter().find(|kernel| kernel.name == failed).map(|kernel| kernel.btf)
}

/// Explains a CO-RE relocation that failed on the kernel `failed`, or that one wants to know about. `local` is the
/// object's own BTF, `known` are kernels beyond the matrix. `None` if the spec is of a kind that no kernel can answer, such as
/// `local_type_id`.
pub fn relocation(
    spec: &LocalSpec,
    local: &Btf,
    matrix: &[KernelTypes<'_>],
    known: &KnownTypes,
    failed: &str,
) -> Option<Explanation> {
    let asked = asked(spec.kind)?;
    let kernels = Answered::of(matrix, &spec.type_name);
    let explanation = match asked {
        Asked::Field => Some(field::explain(spec, local, &kernels.known, known, failed)),
        Asked::Type => named::explain_type(spec, local, &kernels.known, known, failed),
        Asked::Enumerator => named::explain_enumerator(spec, &kernels.known, known, failed),
    };
    Some(kernels.told(explanation?, spec.want()))
}

/// Explains the enumerator `enumerator` of `enum type_name`, which an object has compiled in as `value`.
pub fn enumerator(
    (type_name, enumerator, value): (&str, &str, i64),
    matrix: &[KernelTypes<'_>],
    known: &KnownTypes,
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
    named::explain_enumerator(&spec, matrix, known, failed)
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
