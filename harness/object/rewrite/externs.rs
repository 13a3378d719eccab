//! [`replace`]: replaces the instructions that use an extern, and removes the extern.

use object::elf;

use super::btf::{BtfEditor, DATASEC, FUNC, WORDS};
use super::elf::ElfEditor;

const EXTERN: u32 = 2;

/// Edits the instructions, of `length` bytes, of each reference to an extern, and takes the reference away. Gives how many there were.
pub(super) fn replace(
    object: &mut ElfEditor,
    name: &str,
    length: usize,
    mut edit: impl FnMut(&mut [u8]) -> Result<(), String>,
) -> Result<usize, String> {
    let Some((table, mut symbols)) = object.symbols() else { return Err("it has no symbol table".to_owned()) };
    let is_extern = [elf::STB_GLOBAL.0, elf::STB_WEAK.0];
    let known = symbols.iter().position(|one| one.section == 0 && one.name == name && is_extern.contains(&one.bind));
    let Some(known) = known else { return Err(format!("it refers to no extern `{name}`")) };
    let mut count = 0;
    for (section, target) in object.code_relocations() {
        let (mine, others): (Vec<_>, Vec<_>) =
            object.relocations(section).into_iter().partition(|relocation| relocation.symbol == known);
        if mine.is_empty() {
            continue;
        }
        let mut code = object.data(target).to_vec();
        for relocation in mine {
            let place = usize::try_from(relocation.offset).unwrap_or(usize::MAX);
            let Some(insns) = place.checked_add(length).and_then(|end| code.get_mut(place..end)) else {
                return Err("a relocation is outside its section".to_owned());
            };
            edit(insns)?;
            count += 1;
        }
        object.replace(target, code);
        object.set_relocations(section, &others);
    }
    // libbpf looks for every extern, whether something refers to it or not.
    symbols[known].bind = elf::STB_LOCAL.0;
    object.set_symbols(table, &symbols);
    Ok(count)
}

/// Makes a function static for the kernel, which takes no extern one, and no parameter without a name. `what` takes its place.
pub(super) fn undeclare_function(btf: &mut BtfEditor, name: &str, what: &str) -> Result<(), String> {
    let declared = btf.of_kind(FUNC).into_iter().find(|id| btf.name(*id) == name.as_bytes());
    let Some(function) = declared else { return Ok(()) };
    let lists = |id: u32| btf.get(id).is_some_and(|words| words[WORDS..].chunks_exact(3).any(|one| one[0] == function));
    if btf.of_kind(DATASEC).into_iter().any(lists) {
        return Err(format!("`{name}` is a kernel function (`__ksym`), so it cannot be replaced by a {what}"));
    }
    let words = btf.get_mut(function).filter(|words| words[1] & 0xffff == EXTERN);
    let Some(words) = words else { return Ok(()) };
    words[1] &= !0xffff;
    let (name, prototype) = (words[0], words[2]);
    for parameter in btf.get_mut(prototype).into_iter().flat_map(|words| words[WORDS..].chunks_exact_mut(2)) {
        if parameter[0] == 0 && parameter[1] != 0 {
            parameter[0] = name;
        }
    }
    Ok(())
}
