//! [`Layout`]: one way in which kernels have a field; [`chain`]: in which order a guard has to ask for them.

use std::collections::HashMap;

use super::KernelTypes;
use super::known::AskedKernel;
use super::spec::PathStep;
use super::walk::{Local, walk};
use crate::object::btf::{Btf, TypeKind, Want, essential_name};

/// What stands where the path leads, as far as libbpf tells one from the other.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Class {
    Number,
    Enumeration,
    Pointer,
    /// A struct, union or array, with its name. Arrays of any length are one: libbpf does not compare lengths.
    Place(String),
    Other,
}

/// How a number is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    size: Option<u32>,
    signed: bool,
    bits: u32,
}

/// One way a field is in kernels.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub btf: &'a Btf,
    /// The root type.
    pub root: u32,
    pub path: Vec<PathStep>,
    /// Type of the field, as C names it.
    pub type_name: String,
    /// Whether it is what the object asks for.
    pub own: bool,
    /// The kernels with it, by their numbers.
    pub kernels: Vec<usize>,
    /// Whether size, sign and bits are the same on all of them.
    pub is_uniform: bool,
    class: Class,
    form: Form,
}

/// Adds the layout of one kernel, or counts the kernel to a layout that no guard could tell from it.
pub(super) fn add<'a>(
    layouts: &mut Vec<Layout<'a>>,
    (number, kernel): (usize, KernelTypes<'a>),
    root: u32,
    path: &[PathStep],
    own: bool,
) {
    let Some(mut layout) = Layout::read(kernel.btf, root, path) else { return };
    match layouts.iter_mut().find(|known| known.is_like(&layout)) {
        Some(known) => {
            known.count(number, &layout);
            known.own |= own;
        }
        None => {
            (layout.own, layout.kernels) = (own, vec![number]);
            layouts.push(layout);
        }
    }
}

/// Counts a kernel to a layout that others have.
pub(super) fn join(
    layouts: &mut [Layout<'_>],
    (number, kernel): (usize, KernelTypes<'_>),
    root: u32,
    path: &[PathStep],
) {
    let Some(layout) = Layout::read(kernel.btf, root, path) else { return };
    if let Some(known) = layouts.iter_mut().find(|known| known.is_like(&layout)) {
        known.count(number, &layout);
    }
}

impl<'a> Layout<'a> {
    /// What one kernel has there.
    fn read(btf: &'a Btf, root: u32, path: &[PathStep]) -> Option<Layout<'a>> {
        let found = walk(btf, root, path, None).ok()?;
        let type_name = btf.type_name(found.type_id);
        let class = match &btf.resolve(found.type_id)?.kind {
            TypeKind::Int { .. } => Class::Number,
            TypeKind::Enum { .. } => Class::Enumeration,
            TypeKind::Pointer(_) => Class::Pointer,
            TypeKind::Composite { .. } | TypeKind::Array { .. } => {
                let without_length = type_name.replace(|c: char| c.is_ascii_digit(), "");
                let is_array = type_name.ends_with(']');
                Class::Place(if is_array { without_length } else { essential_name(&type_name).to_owned() })
            }
            _ => Class::Other,
        };
        let form = match class {
            Class::Number | Class::Enumeration => Form {
                size: btf.size_of(found.type_id),
                signed: btf.is_signed(found.type_id),
                bits: found.bitfield_size,
            },
            _ => Form { size: None, signed: false, bits: 0 },
        };
        let (path, kernels) = (path.to_vec(), Vec::new());
        Some(Layout { btf, root, path, type_name, own: false, kernels, is_uniform: true, class, form })
    }

    /// Whether no condition can tell one from the other.
    fn is_like(&self, other: &Layout<'_>) -> bool {
        self.path == other.path && self.class == other.class
    }

    fn count(&mut self, kernel: usize, other: &Layout<'_>) {
        // Kernels stay in order, which the first one of a layout is taken by.
        let at = self.kernels.partition_point(|&known| known < kernel);
        self.kernels.insert(at, kernel);
        self.is_uniform &= self.form == other.form;
    }

    /// Whether one function can give either.
    pub fn gives_like(&self, other: &Layout<'_>) -> bool {
        let is_number = |class: &Class| matches!(class, Class::Number | Class::Enumeration);
        match (&self.class, &other.class) {
            (a, b) if is_number(a) && is_number(b) => true,
            (Class::Place(a), Class::Place(b)) => a == b,
            (a, b) => a == b && self.type_name == other.type_name,
        }
    }

    /// Whether the condition that asks for it is true on a kernel.
    fn holds(&self, kernel: &Btf) -> bool {
        self.holds_on(kernel).unwrap_or(false)
    }

    fn holds_on(&self, kernel: &Btf) -> Option<bool> {
        let btf = self.btf;
        // Behind a pointer the condition asks for the last struct alone.
        let (root, path) = match self.path.iter().rposition(|step| *step == PathStep::Follow) {
            None => (self.root, self.path.as_slice()),
            Some(at) => {
                let pointee = walk(btf, self.root, &self.path[..=at], None).ok()?.type_id;
                (btf.resolve_id(pointee)?, &self.path[at + 1..])
            }
        };
        let want = match &btf.get(root)?.kind {
            TypeKind::Composite { union: false, .. } => Want::Struct,
            TypeKind::Composite { union: true, .. } => Want::Union,
            TypeKind::Typedef(_) => Want::Typedef,
            _ => return None,
        };
        let types = (1..=path.len()).map_while(|end| Some(walk(btf, root, &path[..end], None).ok()?.type_id));
        let local = Local { btf, root, types: types.collect() };
        let name = btf.name(root);
        let mut candidates = kernel.candidates(&name, want);
        Some(candidates.any(|id| walk(kernel, id, path, Some(&local)).is_ok()))
    }
}

/// The order in which a guard asks for layouts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// Numbers of layouts; each kernel gets its own from the first whose condition is true there.
    pub order: Vec<usize>,
    /// Layout and kernel, where no order gives the kernel that layout.
    pub unproven: Vec<(usize, usize)>,
    /// Layout and kernel, where a condition is true and nothing says that the layout serves there.
    pub strays: Vec<(usize, usize)>,
    /// Kernels on which no condition is true.
    pub rest: Vec<usize>,
}

/// Evaluates the conditions of the layouts that are `wanted` on every kernel. Newer layouts come first, unless they are also where an
/// older one is meant.
pub(super) fn chain(
    layouts: &[Layout<'_>],
    kernels: &[AskedKernel<'_>],
    wanted: &dyn Fn(&Layout<'_>) -> bool,
) -> Chain {
    let truth = truth(layouts, kernels);
    let first = |layout: &usize| layouts[*layout].kernels.first().copied();
    let mut left: Vec<usize> = (0..layouts.len()).filter(|&layout| wanted(&layouts[layout])).collect();
    left.sort_by_key(|layout| std::cmp::Reverse(first(layout)));
    let mut chain = Chain::default();
    // A layout whose condition is false where it should be true can be given to nobody.
    left.retain(|&layout| layouts[layout].kernels.iter().all(|&kernel| truth[kernel][layout]));
    while !left.is_empty() {
        let takes_from =
            |one: usize, other: usize| one != other && layouts[other].kernels.iter().any(|&kernel| truth[kernel][one]);
        let next = left.iter().position(|&one| left.iter().all(|&other| !takes_from(one, other)));
        match next {
            Some(next) => chain.order.push(left.remove(next)),
            // They take kernels from one another: the one that fewest kernels have goes, but not what the object asks for.
            None => {
                let fewest = (0..left.len()).min_by_key(|&at| (layouts[left[at]].own, layouts[left[at]].kernels.len()));
                fewest.map(|at| left.remove(at));
            }
        }
    }
    let mut meant = vec![None; kernels.len()];
    for (number, layout) in layouts.iter().enumerate() {
        layout.kernels.iter().for_each(|&kernel| meant[kernel] = Some(number));
    }
    for (kernel, meant) in meant.into_iter().enumerate() {
        let picked = chain.order.iter().copied().find(|&layout| truth[kernel][layout]);
        match (meant, picked) {
            (Some(meant), picked) if picked != Some(meant) => chain.unproven.push((meant, kernel)),
            (None, Some(picked)) => chain.strays.push((picked, kernel)),
            _ => {}
        }
        chain.rest.extend(picked.is_none().then_some(kernel));
    }
    chain
}

/// By kernel and layout. Kernels that share their types share the answer.
fn truth(layouts: &[Layout<'_>], kernels: &[AskedKernel<'_>]) -> Vec<Vec<bool>> {
    let mut known: HashMap<*const Btf, Vec<bool>> = HashMap::new();
    let answers = kernels.iter().map(|kernel| {
        let btf = kernel.types.btf;
        known.entry(btf).or_insert_with(|| layouts.iter().map(|layout| layout.holds(btf)).collect()).clone()
    });
    answers.collect()
}
