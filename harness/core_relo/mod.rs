//! CO-RE relocations without a kernel: [`Resolver`] answers what libbpf would do with each relocation of an object on a kernel, from the
//! kernel's BTF alone.
//!
//! The rules are those of libbpf 1.7 (`bpf_core_calc_relo_insn`, `bpf_core_patch_insn`), its order of candidates and its words included.
//! `tests/core_relo.rs` holds every answer against libbpf's own code.

mod compatible;
mod error;
mod excerpt;
mod format;
mod index;
mod insn;
mod matching;
mod object_side;
mod raw_type;
mod resolver;
mod spec;
mod table;
mod type_source;
mod value;

pub use compatible::types_are_compatible;
pub use error::Code;
pub use index::TypeIndex;
pub use object_side::{ObjectRelocation, ObjectSide};
pub use raw_type::{Kind, RawType};
pub use resolver::{Resolution, Resolver, Target};
pub use table::TypeTable;
pub use type_source::TypeSource;

/// Deepest access that libbpf follows (`BPF_CORE_SPEC_MAX_LEN`).
const MAX_STEPS: usize = 64;

/// How deep libbpf compares types.
const MAX_DEPTH: u32 = 32;

/// Types that are looked at for one relocation and candidate, at most. Real ones need a few hundred; crafted types can refer to one
/// another in more ways than can be followed.
const MAX_VISITS: u32 = 1 << 20;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
