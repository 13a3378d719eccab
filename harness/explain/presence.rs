//! [`Presence`]: whether one kernel has what an object asks for, and as what.

use super::KernelTypes;
use super::spec::{LocalSpec, path_text};
use super::walk::{Local, Miss, ReachedField, walk};
use crate::object::btf::Btf;
use crate::record::{OnKernel, Presence, span};

/// A field on one kernel: the presence to show, and what was walked to.
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
