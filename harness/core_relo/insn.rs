//! Putting a value into an instruction (`bpf_core_patch_insn`).

use super::Code;
use super::value::Patch;

/// Opcode of a 64-bit constant, which takes two instructions.
const WIDE: u8 = 0x18;

/// What is done to an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    /// The value before and after.
    Value(u64, u64),
    /// It is made invalid.
    Poisoned,
}

/// Looks what would become of an instruction; `insn` has it and the one behind it, as far as there is one. `at` is its number in its
/// function.
///
/// # Errors
/// libbpf's words.
pub(super) fn apply(insn: &[u8], at: u32, patch: &Patch) -> Result<Applied, String> {
    let head: [u8; 8] = insn.get(..8).and_then(|head| head.try_into().ok()).ok_or_else(|| refused(at))?;
    let code = head[0];
    let imm = i32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    let off = i16::from_le_bytes([head[2], head[3]]);
    if patch.poison {
        return Ok(Applied::Poisoned);
    }
    let is_register = code & 8 != 0;
    let unexpected = |class: &str, got: String| {
        let words = format!("unexpected insn #{at} ({class}) value: got {got}, exp {} -> {}", patch.old, patch.new);
        Err(words)
    };
    match code & 7 {
        4 | 7 if is_register => Err(refused(at)),
        4 | 7 => {
            let old = i64::from(imm).cast_unsigned();
            if patch.validate && old != patch.old {
                return unexpected("ALU/ALU64", imm.cast_unsigned().to_string());
            }
            Ok(Applied::Value(old, patch.new))
        }
        1..=3 => {
            let old = i64::from(off).cast_unsigned();
            if patch.validate && old != patch.old {
                return unexpected("LDX/ST/STX", i32::from(off).cast_unsigned().to_string());
            }
            let new = patch.new;
            if i16::try_from(new).is_err() {
                let words = format!("insn #{at} (LDX/ST/STX) value too big: {new}");
                return Err(words);
            }
            if patch.unsafe_size {
                return Ok(Applied::Poisoned);
            }
            resize(code, at, patch)?;
            Ok(Applied::Value(old, new))
        }
        0 => {
            let second: Option<[u8; 8]> = insn.get(8..16).and_then(|second| second.try_into().ok());
            let plain = code == WIDE && head[1] >> 4 == 0 && off == 0;
            let Some(second) = second.filter(|second| plain && second[..4] == [0; 4]) else {
                let words = format!("insn #{at} (LDIMM64) has unexpected form");
                return Err(words);
            };
            let high = u32::from_le_bytes([second[4], second[5], second[6], second[7]]);
            let old = u64::from(imm.cast_unsigned()) | u64::from(high) << 32;
            if patch.validate && old != patch.old {
                return unexpected("LDIMM64", old.to_string());
            }
            Ok(Applied::Value(old, patch.new))
        }
        _ => {
            let (source, destination) = (head[1] >> 4, head[1] & 15);
            let words = format!(
                "trying to relocate unrecognized insn #{at}, code:0x{code:x}, src:0x{source:x}, dst:0x{destination:x}, off:0x{:x}, imm:0x{imm:x}",
                i32::from(off)
            );
            Err(words)
        }
    }
}

/// What libbpf says where it has no words for the reason.
fn refused(at: u32) -> String {
    format!("failed to patch insn #{at}: {}", Code::Invalid)
}

/// Whether an access may get the kernel's size.
fn resize(code: u8, at: u32, patch: &Patch) -> Result<(), String> {
    if patch.new_size == patch.old_size {
        return Ok(());
    }
    let bytes = match code & 0x18 {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => 8,
    };
    if bytes != patch.old_size {
        let words = format!("insn #{at} (LDX/ST/STX) unexpected mem size: got {bytes}, exp {}", patch.old_size);
        return Err(words);
    }
    if !matches!(patch.new_size, 1 | 2 | 4 | 8) {
        let words = format!("insn #{at} (LDX/ST/STX) invalid new mem size: {}", patch.new_size);
        return Err(words);
    }
    Ok(())
}
