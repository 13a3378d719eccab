//! [`give`]: constants of inline assembly, `asm("%0 = NAME ll")`: 64-bit loads of a symbol that nothing defines.

use super::btf::{BtfEditor, DATASEC, VAR, WORDS};
use super::elf::ElfEditor;
use super::externs;
use crate::record::ConstantLoading;

/// A load of 64 bits, which takes two instructions.
const LOAD: u8 = 0x18;
const LENGTH: usize = 16;

/// Puts the number into each load of the constant, or leaves the one that stands there. Reports what was done.
pub(super) fn give(
    object: &mut ElfEditor,
    btf: Option<&mut BtfEditor>,
    constant: &ConstantLoading,
) -> Result<String, String> {
    let name = &constant.constant;
    let mut given = Vec::new();
    let loads = externs::replace(object, name, LENGTH, |insns| {
        // Another source register says that the instruction loads something else, such as a map.
        if (insns[0], insns[1] >> 4) != (LOAD, 0) {
            return Err(format!("extern `{name}` is not only loaded, so it cannot be replaced by a constant"));
        }
        let place = |at: usize| [insns[at], insns[at + 1], insns[at + 2], insns[at + 3]];
        let (low, high) = (u32::from_le_bytes(place(4)), u32::from_le_bytes(place(12)));
        let value = constant.value.unwrap_or((u64::from(high) << 32 | u64::from(low)).cast_signed());
        let bytes = value.to_le_bytes();
        insns[4..8].copy_from_slice(&bytes[..4]);
        insns[12..16].copy_from_slice(&bytes[4..]);
        given.push(value);
        Ok(())
    })?;
    if loads == 0 {
        return Err(format!("no code loads extern `{name}`"));
    }
    if let Some(btf) = btf {
        undeclare(btf, name)?;
    }
    given.sort_unstable();
    given.dedup();
    let given: Vec<String> = given.iter().map(i64::to_string).collect();
    let (noun, verb) = if loads == 1 { ("load", "gives") } else { ("loads", "give") };
    Ok(format!("{loads} {noun} of the constant `{name}` {verb} {}", given.join(", ")))
}

/// Takes the declaration away, if there is one. One of a section is of the kernel or of its configuration, which are no constants.
fn undeclare(btf: &mut BtfEditor, name: &str) -> Result<(), String> {
    let declared = btf.of_kind(VAR).into_iter().find(|id| btf.name(*id) == name.as_bytes());
    if let Some(variable) = declared {
        let lists = |id: u32| btf.get(id).is_some_and(|all| all[WORDS..].chunks_exact(3).any(|one| one[0] == variable));
        if btf.of_kind(DATASEC).into_iter().any(lists) {
            return Err(format!("extern `{name}` belongs to the kernel, so it cannot be replaced by a constant"));
        }
        btf.forget(variable);
    }
    externs::undeclare_function(btf, name, "constant")
}
