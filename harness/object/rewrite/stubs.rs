//! [`stub`]: calls of an extern function return 0.

use super::btf::{BtfEditor, VAR};
use super::elf::ElfEditor;
use super::externs;

/// A call of a function of the object, and `r0 = 0` instead.
const CALL: (u8, u8) = (0x85, 1);
const RETURN_ZERO: [u8; 8] = [0xb7, 0, 0, 0, 0, 0, 0, 0];

/// Has every call of an extern function return 0, as where the object's loader links such a function in. Reports what was done.
pub(super) fn stub(object: &mut ElfEditor, btf: Option<&mut BtfEditor>, name: &str) -> Result<String, String> {
    if let Some(btf) = btf {
        if btf.of_kind(VAR).iter().any(|id| btf.name(*id) == name.as_bytes()) {
            return Err(format!("extern `{name}` is a variable, so it cannot be replaced by a stub"));
        }
        externs::undeclare_function(btf, name, "stub")?;
    }
    let calls = externs::replace(object, name, RETURN_ZERO.len(), |insn| {
        if (insn[0], insn[1] >> 4) != CALL {
            return Err(format!("extern `{name}` is not only called, so it cannot be replaced by a stub"));
        }
        insn.copy_from_slice(&RETURN_ZERO);
        Ok(())
    })?;
    let noun = if calls == 1 { "call" } else { "calls" };
    Ok(format!("{calls} {noun} of `{name}` return 0"))
}
