//! [`arguments`]: arguments that a program reads by their number, and that its attach target has in another place or not at all.

use std::collections::BTreeSet;

use super::KernelTypes;
use super::prototype::{Argument, ArgumentSource, Declared, Prototype};
use crate::object::ObjectTypes;
use crate::object::btf::Btf;
use crate::record::Danger;
use crate::record::SourcePlace;

/// Names that people give to what a traced function returned.
const RETURNED: [&str; 10] = ["ret", "retval", "ret_val", "rc", "err", "error", "res", "result", "rv", "retcode"];
/// Structs within structs that are looked at, to see whether one begins with another.
const MOST_NESTED: usize = 8;

/// An argument that is another one on the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedArgument {
    /// The kernel's function or tracepoint, such as `bpf_lsm_path_rename`.
    pub target: String,
    /// Where the program declares it.
    pub source: SourcePlace,
    /// Whether the program takes it for what the function returned.
    pub is_returned: bool,
    /// What differs.
    pub danger: Danger,
}

/// The arguments that a program takes for something else than they are on the kernel. `reads` are the offsets at which it loads
/// from its context.
///
/// What a program takes them for is only in its source: the line of `BPF_PROG(name, ...)` or `BPF_KPROBE(name, ...)` in the line
/// info. Parameters on further lines are not known. Names are a matter of taste, so a name alone shows nothing: the types must
/// contradict each other, the kernel must have the name in another place, or what is named as a result must be no result.
pub fn arguments(
    types: &ObjectTypes,
    program: (&str, &str),
    reads: &BTreeSet<i16>,
    kernel: KernelTypes<'_>,
) -> Vec<ChangedArgument> {
    let (name, section) = program;
    let Some(prototype) = Prototype::of(section, kernel.btf) else { return Vec::new() };
    let macros: &[&str] =
        if prototype.shape == ArgumentSource::Registers { &["BPF_KPROBE("] } else { &["BPF_PROG(", "BPF_PROG2("] };
    let mut lines = types.source_lines(|text| macros.iter().any(|one| text.contains(one)));
    lines.retain(|(function, _)| *function == name);
    let declared =
        lines.into_iter().find_map(|(_, source)| Some((Declared::read(&source.text, macros, name)?, source)));
    let Some((declared, source)) = declared else { return Vec::new() };
    let mut found = Vec::new();
    for (number, own) in declared.parameters.iter().enumerate() {
        let is_read = prototype.shape.offset(number).is_some_and(|offset| reads.contains(&offset));
        let Some(target) = is_read.then(|| differs(&declared, number, &prototype, kernel.btf)).flatten() else {
            continue;
        };
        let danger = Danger::ArgumentChanged { argument: number as u32 + 1, local: own.text(), target };
        let is_returned = is_returned(own, number, &prototype);
        found.push(ChangedArgument { target: prototype.name.clone(), source: source.clone(), is_returned, danger });
    }
    found
}

/// What the kernel has instead of a parameter, if that is something else.
fn differs(declared: &Declared, number: usize, prototype: &Prototype, kernel: &Btf) -> Option<String> {
    let own = &declared.parameters[number];
    let count = prototype.parameters.len();
    let elsewhere = prototype.parameters.iter().any(|theirs| theirs.name == own.name);
    let Some(theirs) = prototype.parameters.get(number) else {
        let returned = prototype.returns.as_ref().filter(|_| number == count);
        return match returned {
            // More parameters than there are, so what stands here was meant for one of them.
            Some(returned) if elsewhere || declared.is_longer_than(count + 1) || contradict(own, returned, kernel) => {
                Some(format!("the return value, `{}`,", returned.text()))
            }
            Some(_) => None,
            // The verifier refuses this for all but registers.
            None if prototype.shape == ArgumentSource::Registers => Some("nothing".to_owned()),
            None => None,
        };
    };
    let moved = !own.name.is_empty() && !theirs.name.is_empty() && theirs.name != own.name && elsewhere;
    let no_result = is_returned(own, number, prototype) && !own.is_pointer();
    (moved || no_result || contradict(own, theirs, kernel)).then(|| format!("`{}`", theirs.text()))
}

/// Whether a parameter is named as what the function returned, and stands where the kernel has an argument of another name.
fn is_returned(own: &Argument, number: usize, prototype: &Prototype) -> bool {
    let Some(theirs) = prototype.parameters.get(number).filter(|_| prototype.returns.is_some()) else { return false };
    let alike = |name: &str| RETURNED.contains(&name) || name.starts_with(&own.name) || own.name.starts_with(name);
    RETURNED.contains(&own.name.as_str()) && !theirs.name.is_empty() && !alike(&theirs.name)
}

/// Whether two types cannot be meant for the same value. Pointers may be kept in numbers of their size.
fn contradict(own: &Argument, theirs: &Argument, kernel: &Btf) -> bool {
    const POINTER: u32 = 8;
    match (own, theirs) {
        (Argument { points_to: Some(own), .. }, Argument { points_to: Some(theirs), .. }) => {
            let named = !own.is_empty() && !theirs.is_empty() && own != theirs;
            let known = super::prototype::composite(theirs, kernel).is_some();
            named && known && !begins_with(own, theirs, kernel) && !begins_with(theirs, own, kernel)
        }
        (Argument { points_to: Some(_), .. }, Argument { size: Some(size), .. })
        | (Argument { size: Some(size), .. }, Argument { points_to: Some(_), .. }) => *size < POINTER,
        _ => false,
    }
}

/// Whether the kernel's `struct outer` begins with a `struct inner`, as `struct tcp_sock` does with a `struct sock`.
fn begins_with(outer: &str, inner: &str, kernel: &Btf) -> bool {
    let Some(mut id) = super::prototype::composite(outer, kernel) else { return false };
    for _ in 0..MOST_NESTED {
        let Some(first) = kernel.first_member(id) else { return false };
        let Some(next) = kernel.resolve_id(first) else { return false };
        if kernel.name(next) == inner {
            return true;
        }
        id = next;
    }
    false
}

#[cfg(test)]
mod tests;
