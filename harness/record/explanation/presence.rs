//! [`Presence`]: what one kernel has of a thing that an object asks for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What one kernel has of a field, type, enumerator or function. Displays as one line, such as
/// ``no member `state` in `struct task_struct` ``.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "presence", rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum Presence {
    /// The field is there.
    Field {
        /// Bits from the start of the root type.
        bit_offset: u64,
        /// Bits that it takes, if it is a bitfield.
        bitfield_size: Option<u32>,
        /// Bytes of its type, if that has a size.
        size: Option<u32>,
        /// Whether negative values are negative.
        signed: bool,
        /// Its type as C names it.
        type_name: String,
    },
    /// The struct has no member of that name.
    MissingMember {
        /// The struct, as C names it.
        in_type: String,
        /// The member.
        member: String,
    },
    /// The member is there, but as another kind of type, which libbpf does not take.
    OtherKind {
        /// The struct, as C names it.
        in_type: String,
        /// The member.
        member: String,
        /// Its type on this kernel.
        type_name: String,
    },
    /// The array is too short, or it is no array.
    MissingElement {
        /// The path to it.
        path: String,
        /// Its type on this kernel.
        type_name: String,
    },
    /// The type is there.
    Type {
        /// Its bytes, if it has a size.
        size: Option<u32>,
    },
    /// No type of that kind and name.
    MissingType {
        /// As C names it.
        type_name: String,
    },
    /// The enumerator is there.
    Value {
        /// Its value.
        value: i64,
    },
    /// The enum is there but has no such name in it.
    MissingEnumerator {
        /// The enum, as C names it.
        in_type: String,
        /// The name.
        enumerator: String,
    },
    /// The function or tracepoint is there.
    Function {
        /// Types of its parameters, as C names them.
        parameters: Vec<String>,
    },
    /// The function is there, with another prototype than the object's, so that libbpf does not take it.
    OtherPrototype {
        /// Types of its parameters, as C names them.
        parameters: Vec<String>,
    },
    /// The variable is there.
    Variable {
        /// Its type, as C names it.
        type_name: String,
    },
    /// A BPF feature, there or not.
    Feature {
        /// Whether the kernel has it.
        present: bool,
        /// How that is known.
        by: Witness,
        /// What is to know beside it.
        but: Option<String>,
    },
    /// Whether the kernel has it in a module is unknown.
    NotKnown {
        /// Why, in words that go behind "it".
        reason: String,
    },
    /// It is in a module of which the kernel has no types.
    WithoutTypes {
        /// In which, in words that go behind "it".
        reason: String,
    },
    /// No function, tracepoint or variable of that name.
    MissingSymbol {
        /// The name.
        name: String,
    },
}

/// How it is known whether a kernel has a BPF feature. Displays as `by probe` or `by BTF`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum Witness {
    /// The kernel was asked.
    Probe,
    /// Its types list the feature, or do not.
    Btf,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Witness::Probe => "by probe",
            Witness::Btf => "by BTF",
        })
    }
}

impl Presence {
    /// Whether the kernel has it.
    pub fn is_present(&self) -> bool {
        match self {
            Presence::Feature { present, .. } => *present,
            Presence::Field { .. }
            | Presence::Type { .. }
            | Presence::Value { .. }
            | Presence::Function { .. }
            | Presence::Variable { .. } => true,
            Presence::MissingMember { .. }
            | Presence::OtherKind { .. }
            | Presence::OtherPrototype { .. }
            | Presence::MissingElement { .. }
            | Presence::MissingType { .. }
            | Presence::MissingEnumerator { .. }
            | Presence::NotKnown { .. }
            | Presence::WithoutTypes { .. }
            | Presence::MissingSymbol { .. } => false,
        }
    }
}

/// What one kernel of the matrix has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OnKernel {
    /// Name of the kernel.
    pub kernel: String,
    /// What it has.
    pub presence: Presence,
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Presence::Field { bitfield_size: Some(bits), type_name, .. } => {
                write!(f, "`{type_name}`, a bitfield of {bits} bit{}", if *bits == 1 { "" } else { "s" })
            }
            Presence::Field { size: Some(size), type_name, .. } => write!(f, "`{type_name}`, {}", bytes(*size)),
            Presence::Field { type_name, .. } => write!(f, "`{type_name}`"),
            Presence::MissingMember { in_type, member } => write!(f, "no member `{member}` in `{in_type}`"),
            Presence::OtherKind { member, type_name, .. } => {
                write!(f, "`{member}` is a `{type_name}`, another kind of type")
            }
            Presence::MissingElement { path, type_name } => write!(f, "no `{path}` in `{type_name}`"),
            Presence::Type { .. } => f.write_str("present"),
            Presence::MissingType { type_name } => write!(f, "no type `{type_name}`"),
            Presence::Value { value } => write!(f, "value {value}"),
            Presence::MissingEnumerator { in_type, enumerator } => write!(f, "no `{enumerator}` in `{in_type}`"),
            Presence::Function { parameters } if parameters.is_empty() => f.write_str("no parameters"),
            Presence::Function { parameters } => {
                let plural = if parameters.len() == 1 { "" } else { "s" };
                write!(f, "{} parameter{plural}: `{}`", parameters.len(), parameters.join(", "))
            }
            Presence::OtherPrototype { parameters } => {
                let plural = if parameters.len() == 1 { "" } else { "s" };
                write!(f, "other prototype, {} parameter{plural}: `{}`", parameters.len(), parameters.join(", "))
            }
            Presence::Variable { type_name } => write!(f, "variable of type `{type_name}`"),
            Presence::Feature { present, by, but } => {
                let but = but.as_ref().map_or_else(String::new, |but| format!("; {but}"));
                write!(f, "{}, {by}{but}", if *present { "yes" } else { "no" })
            }
            Presence::NotKnown { reason } => write!(f, "unknown: it {reason}"),
            Presence::WithoutTypes { reason } => write!(f, "it {reason}"),
            Presence::MissingSymbol { name } => write!(f, "no `{name}`"),
        }
    }
}

fn bytes(count: u32) -> String {
    format!("{count} byte{}", if count == 1 { "" } else { "s" })
}
