//! [`stub`]: calls of an extern function return 0.

use object::elf;

use super::btf::{BtfEditor, DATASEC, FUNC, VAR, WORDS};
use super::elf::ElfEditor;

/// A call of a function of the object, and `r0 = 0` in its place.
const CALL: (u8, u8) = (0x85, 1);
const RETURN_ZERO: [u8; 8] = [0xb7, 0, 0, 0, 0, 0, 0, 0];
const EXTERN: u32 = 2;

/// Has every call of an extern function return 0, as where the object's loader links such a function in. Tells what was done.
pub(super) fn stub(object: &mut ElfEditor, btf: Option<&mut BtfEditor>, name: &str) -> Result<String, String> {
    let Some((table, mut symbols)) = object.symbols() else { return Err("it has no symbol table".to_owned()) };
    let is_extern = [elf::STB_GLOBAL.0, elf::STB_WEAK.0];
    let known = symbols.iter().position(|one| one.section == 0 && one.name == name && is_extern.contains(&one.bind));
    let Some(known) = known else { return Err(format!("it refers to no extern `{name}`")) };
    if let Some(btf) = btf {
        undeclare(btf, name)?;
    }
    let mut calls = 0;
    for (section, target) in object.code_relocations() {
        let (mine, others): (Vec<_>, Vec<_>) =
            object.relocations(section).into_iter().partition(|relocation| relocation.symbol == known);
        if mine.is_empty() {
            continue;
        }
        let mut code = object.data(target).to_vec();
        for relocation in mine {
            let place = usize::try_from(relocation.offset).unwrap_or(usize::MAX);
            let insn = place.checked_add(8).and_then(|end| code.get_mut(place..end));
            match insn {
                Some(insn) if (insn[0], insn[1] >> 4) == CALL => insn.copy_from_slice(&RETURN_ZERO),
                _ => return Err(format!("extern `{name}` is not only called, so no stub takes its place")),
            }
            calls += 1;
        }
        object.replace(target, code);
        object.set_relocations(section, &others);
    }
    // libbpf looks for every extern, whether something refers to it or not.
    symbols[known].bind = elf::STB_LOCAL.0;
    object.set_symbols(table, &symbols);
    let noun = if calls == 1 { "call" } else { "calls" };
    Ok(format!("{calls} {noun} of `{name}` return 0"))
}

/// Makes it a static function for the kernel, which takes no extern one, and no parameter without a name.
fn undeclare(btf: &mut BtfEditor, name: &str) -> Result<(), String> {
    let is_it = |btf: &BtfEditor, id: &u32| btf.name(*id) == name.as_bytes();
    if btf.of_kind(VAR).iter().any(|id| is_it(btf, id)) {
        return Err(format!("extern `{name}` is a variable, so no stub takes its place"));
    }
    let Some(function) = btf.of_kind(FUNC).into_iter().find(|id| is_it(btf, id)) else { return Ok(()) };
    let lists = |id: u32| btf.get(id).is_some_and(|words| words[WORDS..].chunks_exact(3).any(|one| one[0] == function));
    if btf.of_kind(DATASEC).into_iter().any(lists) {
        return Err(format!("`{name}` is a function of the kernel (`__ksym`), so no stub takes its place"));
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
