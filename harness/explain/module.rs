//! [`Answered`]: the story of what may be in kernel modules: which kernels nothing is known about, and which module has it on the others.

use super::KernelTypes;
use crate::object::btf::{Want, essential_name};
use crate::record::{Explanation, OnKernel, Presence, Subject};

/// On kernels without types of modules.
const BY_TYPES: &str = "Kernels without BTF of modules (before 5.11, or without `CONFIG_DEBUG_INFO_BTF_MODULES`) attach no program to a \
                        function of a module by its type. A kprobe attaches there.";

/// The kernels of a matrix, parted by whether it is known that they have a name.
pub(super) struct Answered<'m, 'a> {
    matrix: &'m [KernelTypes<'a>],
    name: &'m str,
    open: Vec<Option<Presence>>,
    /// Those of which it is known.
    pub known: Vec<KernelTypes<'a>>,
}

impl<'m, 'a> Answered<'m, 'a> {
    /// Of the type or function `name`.
    pub fn of(matrix: &'m [KernelTypes<'a>], name: &'m str) -> Answered<'m, 'a> {
        let name = essential_name(name);
        let open: Vec<Option<Presence>> = matrix.iter().map(|kernel| unanswered(kernel, name)).collect();
        let known = matrix.iter().zip(&open).filter(|(_, open)| open.is_none()).map(|(kernel, _)| *kernel).collect();
        Answered { matrix, name, open, known }
    }

    /// Adds to the explanation of the known ones which module has it, and what the others are.
    pub fn told(self, mut explanation: Explanation, want: Option<Want>) -> Explanation {
        explanation.notes.extend(of_module(&self.known, self.name, want));
        if self.known.len() == self.matrix.len() {
            return explanation;
        }
        let mut answered = std::mem::take(&mut explanation.presence).into_iter().peekable();
        for (kernel, open) in self.matrix.iter().zip(self.open) {
            let own = match open {
                Some(presence) => Some(OnKernel { kernel: kernel.name.to_owned(), presence }),
                None => answered.next_if(|on| on.kernel == kernel.name),
            };
            explanation.presence.extend(own);
        }
        // It would speak for all kernels.
        explanation.boundary = None;
        let is_here = |on: &OnKernel| matches!(on.presence, Presence::WithoutTypes { .. });
        if explanation.subject == Subject::Target && explanation.presence.iter().any(is_here) {
            explanation.notes.push(BY_TYPES.to_owned());
        }
        explanation
    }
}

fn unanswered(kernel: &KernelTypes<'_>, name: &str) -> Option<Presence> {
    let names = kernel.modules?;
    let unknown = names.unknown.get(name).map(|reason| Presence::NotKnown { reason: reason.clone() });
    unknown.or_else(|| Some(Presence::WithoutTypes { reason: names.without_types.get(name)?.clone() }))
}

/// Which module has it where.
fn of_module(kernels: &[KernelTypes<'_>], name: &str, want: Option<Want>) -> Option<String> {
    let mut places: Vec<(&str, Vec<&str>)> = Vec::new();
    for kernel in kernels {
        let Some(module) = kernel.btf.find(name, want?).and_then(|id| kernel.btf.module_of(id)) else { continue };
        match places.iter_mut().find(|(known, _)| *known == module) {
            Some((_, kernels)) => kernels.push(kernel.name),
            None => places.push((module, vec![kernel.name])),
        }
    }
    let places: Vec<String> =
        places.iter().map(|(module, kernels)| format!("in kernel module {module} on {}", kernels.join(", "))).collect();
    (!places.is_empty()).then(|| format!("It is {}; libbpf finds it where that is loaded.", places.join(", ")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{AttachTarget, render, target};
    use super::*;
    use crate::object::btf::tests::section as raw;
    use crate::object::btf::{Btf, ModuleNames};

    #[test]
    fn kernels_whose_modules_tell_nothing_are_not_said_to_lack_it() {
        let empty = Btf::parse(&raw(&[], b"\0")).unwrap();
        // `void f(void)`.
        let module = raw(&[0, 13 << 24, 0, 1, 12 << 24, 1], b"f\0");
        let with = empty.clone().with_modules([("m", module.as_slice())]);
        let names = |unknown: &[(&str, &str)], without: &[(&str, &str)]| {
            let owned = |all: &[(&str, &str)]| all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            ModuleNames { are_known: false, unknown: owned(unknown), without_types: owned(without) }
        };
        let old = names(&[], &[("f", "is in kernel module m, of which the kernel has no BTF")]);
        let gone = names(&[("f", "is in kernel module m on 6.1; the modules of this kernel are unknown")], &[]);
        let known = ModuleNames { are_known: true, ..ModuleNames::default() };
        let matrix = [("5.10", &empty, &old), ("6.1", &with, &known), ("6.19", &empty, &gone), ("7.3", &empty, &known)];
        let matrix = matrix.map(|(name, btf, modules)| KernelTypes { name, btf, booted: true, modules: Some(modules) });
        let explained = |kernels: &[KernelTypes<'_>], failed| {
            render(&target(&AttachTarget::Function("f".to_owned()), kernels, failed, &|_| None), 400)
        };
        let said = explained(&matrix[..3], "5.10");
        assert!(said.starts_with("attach target `f` on 5.10: it is in kernel module m, of which"), "{said}");
        assert!(said.contains("6.19  unknown: it is in kernel module m on 6.1;"), "{said}");
        assert!(said.contains("note: It is in kernel module m on 6.1;"), "{said}");
        assert!(said.contains("A kprobe attaches there.") && !said.contains("missing"), "{said}");
        // What is known to have no such module lacks it.
        let said = explained(&matrix, "7.3");
        assert!(said.starts_with("attach target `f` is missing on 7.3"), "{said}");
        assert!(!said.contains("a module may have it"), "{said}");
    }
}
