//! [`unfind`]: functions of the kernel that are looked for under their whole names.

use super::btf::{BtfEditor, FUNC};
use super::elf::ElfEditor;

/// Has libbpf look for a function under its whole name: it would leave the `___flavour` out. Reports what was done.
pub(super) fn unfind(object: &mut ElfEditor, btf: &mut BtfEditor, name: &str) -> String {
    let other = unflavoured(name);
    object.rename_symbol(name, &other);
    let functions: Vec<u32> = btf.of_kind(FUNC).into_iter().filter(|id| btf.name(*id) == name.as_bytes()).collect();
    let text = btf.string(&other);
    for function in functions {
        if let Some(words) = btf.get_mut(function) {
            words[0] = text;
        }
    }
    format!("renamed `{name}` to `{other}`, so that it is searched by its full name")
}

/// A name as long as this one and without a flavour, which no kernel has either.
fn unflavoured(name: &str) -> String {
    name.replace("___", "_0_").replace("___", "_0_")
}
