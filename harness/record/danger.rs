//! [`Danger`]: in which way an object that loads silently reads wrong data on a kernel, cannot attach there, or would fail on another
//! one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::SourcePlace;

/// What differs between what the object knows and what the kernel has, where the object does not ask the kernel about it.
/// libbpf adapts loads and stores of whole integers to another size by itself, but neither the sign nor a read by a helper
/// such as `bpf_probe_read_kernel`. Displays as one line that reads well after "it has".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "danger", rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum Danger {
    /// The field takes another number of bytes: a copy of the local size reads too much or too little.
    SizeChanged {
        /// Bytes as the object knows it.
        local: u32,
        /// Bytes on the kernel.
        target: u32,
    },
    /// The field is signed on one side only: negative or large values are misread.
    SignChanged {
        /// Whether it is signed as the object knows it.
        local_signed: bool,
    },
    /// The field is a bitfield on one side only: a plain read gives its neighbours' bits too.
    BitfieldChanged {
        /// Bits as the object knows it; 0 if it is no bitfield there.
        local: u32,
        /// Bits on the kernel; 0 if it is no bitfield there.
        target: u32,
    },
    /// The pointer points to another type: what is read behind it is of another layout.
    PointeeChanged {
        /// The type as the object knows it, as C names it.
        local: String,
        /// The type on the kernel, as C names it.
        target: String,
    },
    /// The enumerator has another value, and the object has its own compiled in.
    ValueChanged {
        /// The value compiled into the object.
        local: i64,
        /// The value on the kernel.
        target: i64,
    },
    /// The type is missing, so that libbpf takes 0 for its size; nothing fails for it.
    SizeOfMissing,
    /// The address of the symbol is 0, because the kernel shows no addresses.
    HiddenAddress,
    /// The attach target has another argument in this place.
    ArgumentChanged {
        /// Which, from 1 on.
        argument: u32,
        /// The parameter as the program declares it.
        local: String,
        /// What the kernel has there, in words.
        target: String,
    },
    /// The kernel loads the program and has no way to attach it as its section says.
    CannotAttach {
        /// What the kernel lacks, in words.
        lacks: String,
    },
    /// The field, type or enumerator is there or is not reached here, but other kernels of the run refuse the program for it.
    MissingElsewhere {
        /// Their names, in matrix order.
        kernels: Vec<String>,
    },
}

/// The effect of a danger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum DangerEffect {
    /// The program reads wrong data on the kernel.
    WrongData,
    /// The program can never be attached on the kernel.
    CannotAttach,
    /// The program works on the kernel and fails on another one.
    FailsElsewhere,
}

impl DangerEffect {
    /// The effect in words that read well after "it loads, and".
    pub fn label(self) -> &'static str {
        match self {
            DangerEffect::WrongData => "reads wrong data",
            DangerEffect::CannotAttach => "cannot attach",
            DangerEffect::FailsElsewhere => "fails elsewhere",
        }
    }
}

impl Danger {
    /// Its effect.
    pub fn effect(&self) -> DangerEffect {
        match self {
            Danger::SizeChanged { .. }
            | Danger::SignChanged { .. }
            | Danger::BitfieldChanged { .. }
            | Danger::PointeeChanged { .. }
            | Danger::ValueChanged { .. }
            | Danger::SizeOfMissing
            | Danger::HiddenAddress
            | Danger::ArgumentChanged { .. } => DangerEffect::WrongData,
            Danger::CannotAttach { .. } => DangerEffect::CannotAttach,
            Danger::MissingElsewhere { .. } => DangerEffect::FailsElsewhere,
        }
    }

    /// Whether something is wrong on the kernel itself, not only the program in danger elsewhere.
    pub fn is_wrong_here(&self) -> bool {
        self.effect() != DangerEffect::FailsElsewhere
    }
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = |bits: u32| if bits == 0 { "no bitfield".to_owned() } else { format!("a bitfield of {bits} bits") };
        match self {
            Danger::SizeChanged { local, target } => {
                let bytes = |count: u32| format!("{count} byte{}", if count == 1 { "" } else { "s" });
                write!(f, "{} in the kernel, {} in the object", bytes(*target), bytes(*local))
            }
            Danger::SignChanged { local_signed: true } => {
                f.write_str("an unsigned type in the kernel, a signed type in the object")
            }
            Danger::SignChanged { local_signed: false } => {
                f.write_str("a signed type in the kernel, an unsigned type in the object")
            }
            Danger::BitfieldChanged { local, target } => {
                write!(f, "{} in the kernel, {} in the object", bits(*target), bits(*local))
            }
            Danger::PointeeChanged { local, target } => write!(f, "`{target}` in the kernel, `{local}` in the object"),
            Danger::ValueChanged { local, target } => write!(f, "value {target} in the kernel, {local} in the object"),
            Danger::HiddenAddress => {
                f.write_str("address 0, because the kernel hides addresses (`kernel.kptr_restrict`)")
            }
            Danger::SizeOfMissing => f.write_str("size 0, because the type is missing"),
            Danger::ArgumentChanged { argument, local, target } => {
                write!(f, "{target} as argument {argument} in the kernel, `{local}` in the object")
            }
            Danger::CannotAttach { lacks } => write!(f, "no way to attach: {lacks}"),
            Danger::MissingElsewhere { kernels } => {
                write!(f, "no match on {}, where the program therefore fails", kernels.join(", "))
            }
        }
    }
}

/// Something through which an object that loads silently reads wrong data on a kernel or cannot attach there, or through which it
/// fails on another kernel. Displays as one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DangerRecord {
    /// The relocation, as an index into the object's list; `None` for an enumerator, which is compiled in without one.
    pub relocation: Option<usize>,
    /// The program or subprogram where it is.
    pub function: String,
    /// The programs that run the function: the program itself, or those that call the subprogram.
    pub programs: Vec<String>,
    /// Where in the source; `None` without line info.
    pub source: Option<SourcePlace>,
    /// The field, type or enumerator, such as `struct inode.i_ctime_nsec`.
    pub subject: String,
    /// What differs, in words: `4 bytes in the kernel, 8 bytes in the object`.
    pub words: String,
    /// What differs.
    pub difference: Danger,
}

impl fmt::Display for DangerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` has {}", self.subject, self.words)
    }
}
