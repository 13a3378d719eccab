//! [`Presence`]: whether one kernel has what an object asks for, and as what.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::KernelTypes;
use super::boundary::span;
use super::spec::{LocalSpec, path_text};
use super::walk::{Local, Miss, ReachedField, walk};
use crate::object::btf::Btf;

/// What one kernel has of a field, type, enumerator or function. Displays as one line, such as
/// ``no member `state` in `struct task_struct` ``.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "presence", rename_all = "snake_case")]
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
    /// No function, tracepoint or variable of that name.
    MissingSymbol {
        /// The name.
        name: String,
    },
}

/// How it is known whether a kernel has a BPF feature. Displays as `by probe` or `by BTF`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
            | Presence::MissingSymbol { .. } => false,
        }
    }
}

/// What one kernel of the matrix has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnKernel {
    /// Name of the kernel.
    pub kernel: String,
    /// What it has.
    pub presence: Presence,
}

/// A field on one kernel: the presence to tell, and what was walked to.
pub(super) struct FieldOn {
    pub presence: Presence,
    /// Root type on this kernel; `None` if it has none.
    pub root: Option<u32>,
    /// `None` if the root type is missing.
    pub walked: Option<Result<ReachedField, Miss>>,
}

/// Looks a field up on one kernel: the first candidate type that has it, otherwise the one that has most of it.
pub(super) fn field_on(spec: &LocalSpec, local: Option<&Local<'_>>, kernel: KernelTypes<'_>) -> FieldOn {
    let btf = kernel.btf;
    let candidates = spec.want().into_iter().flat_map(|want| btf.candidates(&spec.type_name, want));
    let mut best: Option<(u32, Miss)> = None;
    for root in candidates {
        match walk(btf, root, &spec.path, local) {
            Ok(found) => {
                return FieldOn { presence: field(btf, found), root: Some(root), walked: Some(Ok(found)) };
            }
            Err(miss) if best.is_none_or(|(_, best)| best.step() < miss.step()) => best = Some((root, miss)),
            Err(_) => {}
        }
    }
    match best {
        Some((root, miss)) => FieldOn { presence: missing(btf, spec, miss), root: Some(root), walked: Some(Err(miss)) },
        None => FieldOn { presence: Presence::MissingType { type_name: spec.root() }, root: None, walked: None },
    }
}

fn field(btf: &Btf, found: ReachedField) -> Presence {
    Presence::Field {
        bit_offset: found.bit_offset,
        bitfield_size: (found.bitfield_size > 0).then_some(found.bitfield_size),
        size: btf.size_of(found.type_id),
        signed: btf.is_signed(found.type_id),
        type_name: btf.type_name(found.type_id),
    }
}

fn missing(btf: &Btf, spec: &LocalSpec, miss: Miss) -> Presence {
    let step = |step: usize| path_text(&spec.path[step..=step]);
    match miss {
        Miss::Member { step: at, parent } => {
            Presence::MissingMember { in_type: btf.type_name(parent), member: step(at) }
        }
        Miss::OtherKind { step: at, parent, place } => Presence::OtherKind {
            in_type: btf.type_name(parent),
            member: step(at),
            type_name: btf.type_name(place.type_id),
        },
        Miss::Element { step: at, array } => {
            Presence::MissingElement { path: path_text(&spec.path[..=at]), type_name: btf.type_name(array) }
        }
    }
}

/// Runs of kernels that follow one another and have the same, as `6.1 to 6.12` and the presence of the first. What a
/// field's offset is, differs from build to build and parts no run.
pub fn runs(kernels: &[OnKernel]) -> Vec<(String, &Presence)> {
    let mut runs: Vec<(&str, &str, &Presence)> = Vec::new();
    for OnKernel { kernel, presence } in kernels {
        match runs.last_mut() {
            Some((_, last, same)) if alike(same, presence) => *last = kernel,
            _ => runs.push((kernel, kernel, presence)),
        }
    }
    runs.into_iter().map(|(first, last, presence)| (span(first, last), presence)).collect()
}

fn alike(a: &Presence, b: &Presence) -> bool {
    match (a, b) {
        (
            Presence::Field { bitfield_size: a_bits, size: a_size, signed: a_sign, type_name: a_type, .. },
            Presence::Field { bitfield_size: b_bits, size: b_size, signed: b_sign, type_name: b_type, .. },
        ) => (a_bits, a_size, a_sign, a_type) == (b_bits, b_size, b_sign, b_type),
        (Presence::Type { .. }, Presence::Type { .. }) => true,
        _ => a == b,
    }
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
                write!(f, "another prototype, {} parameter{plural}: `{}`", parameters.len(), parameters.join(", "))
            }
            Presence::Variable { type_name } => write!(f, "variable of type `{type_name}`"),
            Presence::Feature { present, by, but } => {
                let but = but.as_ref().map_or_else(String::new, |but| format!("; {but}"));
                write!(f, "{}, {by}{but}", if *present { "yes" } else { "no" })
            }
            Presence::MissingSymbol { name } => write!(f, "no `{name}`"),
        }
    }
}

fn bytes(count: u32) -> String {
    format!("{count} byte{}", if count == 1 { "" } else { "s" })
}
