//! [`Constant`]: an enumerator that is compiled in with another value than the kernel's.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::KernelTypes;
use super::spec::LocalSpec;
use crate::object::ObjectTypes;
use crate::object::btf::{Btf, Want, essential_name};
use crate::object::btf_ext::RelocationKind;
use crate::record::Danger;
use crate::record::{CoreRelocation as Listed, SourcePlace};

/// An enumerator that is compiled in with another value than the kernel's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant {
    /// Such as `enum iter_type::ITER_IOVEC`.
    pub name: String,
    /// The program or subprogram that uses it.
    pub function: String,
    /// The line that names it.
    pub source: SourcePlace,
    /// What differs.
    pub danger: Danger,
}

/// The enumerators that a function's source lines name, whose value on the kernel is another one than in the object, and which
/// no `enumval_value` or `enumval_exists` relocation of the same function asks the kernel about. `asked` is as for
/// [`dangers`](super::dangers).
///
/// A constant leaves no trace but the text of its line, so this sees only what is certain enough: named enums that the
/// object's BTF holds and the kernel has under the same name. It misses enums that are used for nothing but constants (clang
/// keeps them out of BTF), nameless enums, names that a macro hides or that stand on a line without instructions of its own,
/// and flavours, whose values are a choice. A program that means the value for itself only, not for the kernel, is reported, too.
pub fn constants(types: &ObjectTypes, asked: &[Listed], kernel: KernelTypes<'_>) -> Vec<Constant> {
    let changed = changed(&types.btf, kernel.btf);
    if changed.is_empty() {
        return Vec::new();
    }
    let lines = types.source_lines(|text| words(text).iter().any(|word| changed.contains_key(*word)));
    let adapted: HashSet<(&str, String)> = types
        .relocations
        .iter()
        .zip(asked)
        .filter(|(one, _)| matches!(one.kind, RelocationKind::EnumValue | RelocationKind::EnumValueExists))
        .filter_map(|(one, listed)| {
            let (enumerator, _) = LocalSpec::of(one, &types.btf)?.enumerator?;
            Some((listed.function.as_str(), essential_name(&enumerator).to_owned()))
        })
        .collect();
    let mut found = Vec::new();
    for (function, source) in lines {
        let named: BTreeSet<&str> = words(&source.text).into_iter().collect();
        for word in named {
            let Some((in_enum, danger)) = changed.get(word) else { continue };
            if !adapted.contains(&(function, word.to_owned())) {
                found.push(Constant {
                    name: format!("enum {in_enum}::{word}"),
                    function: function.to_owned(),
                    source: source.clone(),
                    danger: danger.clone(),
                });
            }
        }
    }
    found
}

/// The enumerators that have another value on the kernel, by name, with the name of their enum.
fn changed(local: &Btf, kernel: &Btf) -> HashMap<String, (String, Danger)> {
    let mut changed = HashMap::new();
    for (id, name) in local.named(Want::Enum).filter(|(_, name)| essential_name(name) == name) {
        // Of several enums of that name any may be meant.
        let mut theirs: HashMap<String, Vec<i64>> = HashMap::new();
        for id in kernel.candidates(&name, Want::Enum).filter(|&id| kernel.name(id) == name) {
            for one in kernel.enumerators(id) {
                theirs.entry(kernel.string(one.name_offset).unwrap_or_default()).or_default().push(one.value);
            }
        }
        for own in local.enumerators(id) {
            let Some(enumerator) = local.string(own.name_offset) else { continue };
            let Some(values) = theirs.get(&enumerator) else { continue };
            // A sign that only one side knows of makes no difference in 32 bits.
            let is_own = |value: &i64| *value == own.value || *value as u32 == own.value as u32;
            if !values.iter().any(is_own) {
                let danger = Danger::ValueChanged { local: own.value, target: values[0] };
                changed.insert(enumerator, (name.to_string(), danger));
            }
        }
    }
    changed
}

/// The words of a line of C outside of comments and strings.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => break,
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            // A line in the middle of a comment begins with its star; so may a line that follows a pointer, with a name behind it.
            '*' if words.is_empty() && rest.starts_with("* ") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' | '\'' => quoted(rest, first),
            first if first.is_alphanumeric() || first == '_' => {
                let end = rest.find(|other: char| !other.is_alphanumeric() && other != '_').unwrap_or(rest.len());
                words.push(&rest[..end]);
                end
            }
            other => other.len_utf8(),
        };
        rest = &rest[length..];
    }
    words
}

/// Bytes of the literal that `text` begins with.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, other) in text.char_indices().skip(1) {
        match other {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            other if other == quote => return at + other.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_the_compiler_sees() {
        assert_eq!(words("if (x->type == ITER_IOVEC) // not ITER_KVEC"), ["if", "x", "type", "ITER_IOVEC"]);
        assert_eq!(words("a /* ITER_IOVEC */ = f(\"ITER_KVEC\\\" ITER_KVEC\", 'x', B);"), ["a", "f", "B"]);
        assert_eq!(words(" * ITER_IOVEC is old */ x = 1; /* ITER_KVEC"), ["x", "1"]);
        assert_eq!(words("*pointer = \"ü not closed"), ["pointer"]);
        assert!(words("").is_empty());
    }
}
