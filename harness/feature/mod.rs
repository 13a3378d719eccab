//! [`Feature`]: the kinds of features, and the names that the linked libbpf knows of each.

mod helpers;
mod since;

use std::ffi::{CStr, c_char};

use libbpf_sys as sys;

use crate::protocol::feature_probe::FeatureNames;
use helpers::HELPERS;

/// What kind of feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// A BPF helper.
    Helper,
    /// A map type.
    MapType,
    /// A program type.
    ProgramType,
    /// A way for programs of a type to be attached.
    AttachType,
}

impl Feature {
    /// Name of the kernel's enum that lists the features, and what all its names begin with.
    pub fn listing(self) -> (&'static str, &'static str) {
        match self {
            Feature::Helper => ("bpf_func_id", "BPF_FUNC_"),
            Feature::MapType => ("bpf_map_type", "BPF_MAP_TYPE_"),
            Feature::ProgramType => ("bpf_prog_type", "BPF_PROG_TYPE_"),
            Feature::AttachType => ("bpf_attach_type", "BPF_"),
        }
    }

    /// The kind in words.
    pub fn label(self) -> &'static str {
        match self {
            Feature::Helper => "helper",
            Feature::MapType => "map type",
            Feature::ProgramType => "program type",
            Feature::AttachType => "attach type",
        }
    }

    /// The name as a [`FeatureProbe`](crate::protocol::feature_probe::FeatureProbe) has it, from any usual form: `bpf_loop`, `loop` and `BPF_FUNC_loop`
    /// are `loop`, `BPF_MAP_TYPE_RINGBUF` is `ringbuf`.
    pub fn bare(self, name: &str) -> String {
        let bare = name.strip_prefix(self.listing().1).unwrap_or(name);
        match self {
            Feature::Helper => bare.strip_prefix("bpf_").unwrap_or(bare).to_owned(),
            Feature::MapType | Feature::ProgramType | Feature::AttachType => bare.to_lowercase(),
        }
    }

    /// The name in the kernel's enum, from any usual form.
    pub fn enumerator(self, name: &str) -> String {
        let bare = self.bare(name);
        match self {
            Feature::Helper => format!("{}{bare}", self.listing().1),
            Feature::MapType | Feature::ProgramType | Feature::AttachType => {
                format!("{}{}", self.listing().1, bare.to_uppercase())
            }
        }
    }

    /// Number and bare name of all that the linked libbpf knows, by number.
    pub fn known(self) -> Vec<(u32, String)> {
        let named = |numbers: std::ops::Range<u32>, of: unsafe extern "C" fn(u32) -> *const c_char| {
            let name = |number| {
                // SAFETY: all three return a constant string, or null for a number that they do not know.
                unsafe { text(of(number)) }
            };
            numbers.filter_map(|number| Some((number, name(number)?))).collect()
        };
        match self {
            Feature::Helper => HELPERS.iter().map(|(number, name)| (*number, self.bare(name))).collect(),
            Feature::MapType => named(1..sys::__MAX_BPF_MAP_TYPE, sys::libbpf_bpf_map_type_str),
            Feature::ProgramType => named(1..sys::__MAX_BPF_PROG_TYPE, sys::libbpf_bpf_prog_type_str),
            Feature::AttachType => named(0..sys::__MAX_BPF_ATTACH_TYPE, sys::libbpf_bpf_attach_type_str),
        }
    }
}

/// All that the linked libbpf knows, for a guest that asks its kernel for it.
pub fn names() -> FeatureNames {
    FeatureNames {
        map_types: Feature::MapType.known(),
        program_types: Feature::ProgramType.known(),
        attach_types: Feature::AttachType.known(),
        helpers: Feature::Helper.known(),
    }
}

/// The version of the libbpf that is linked in, such as `1.7`.
pub fn libbpf_version() -> String {
    // SAFETY: both return a constant and take nothing.
    let (major, minor) = unsafe { (libbpf_sys::libbpf_major_version(), libbpf_sys::libbpf_minor_version()) };
    format!("{major}.{minor}")
}

/// A name that libbpf gave; `None` for null.
///
/// # Safety
/// `text` has to be null or a string that stays.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller vouches for it.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_name_is_the_same_feature() {
        for form in ["loop", "bpf_loop", "BPF_FUNC_loop"] {
            assert_eq!(Feature::Helper.bare(form), "loop");
            assert_eq!(Feature::Helper.enumerator(form), "BPF_FUNC_loop");
        }
        for form in ["ringbuf", "RINGBUF", "BPF_MAP_TYPE_RINGBUF"] {
            assert_eq!(Feature::MapType.enumerator(form), "BPF_MAP_TYPE_RINGBUF");
        }
        assert_eq!(Feature::AttachType.enumerator("trace_fentry"), "BPF_TRACE_FENTRY");
    }

    #[test]
    fn libbpf_names_what_it_knows() {
        let known = |feature: Feature, number, name: &str| feature.known().contains(&(number, name.to_owned()));
        assert!(known(Feature::Helper, 181, "loop"));
        assert!(known(Feature::MapType, 27, "ringbuf"));
        assert!(known(Feature::ProgramType, 26, "tracing"));
        assert!(known(Feature::AttachType, 24, "trace_fentry"));
        assert_eq!(Feature::ProgramType.known().len(), sys::__MAX_BPF_PROG_TYPE as usize - 1);
    }
}
