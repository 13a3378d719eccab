//! [`KernelFeature`]: what an object needs of a kernel besides types: helpers, and the types of programs and maps, which the kernel's BTF lists.

use crate::core_relo::TypeTable;
use crate::feature::Feature;
use crate::judge::checks_attach_type;
use crate::object::{MapInfo, ProgramInfo};

/// The kernel's enum of helpers.
const HELPERS: &str = "bpf_func_id";
/// Helpers that libbpf replaces where a kernel does not have them: `bpf_probe_read_{user,kernel}{,_str}` by `bpf_probe_read{,_str}`.
const OLDER_HELPERS: [(u32, u32); 4] = [(112, 4), (113, 4), (114, 45), (115, 45)];

/// Kernels with BTF list more of each kind than this; what lists fewer is a part of a kernel's types.
const LEAST_LISTED: u32 = 16;

/// What an object needs of a kernel besides types.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct KernelFeature {
    /// The kernel's enum that lists it.
    listing: &'static str,
    number: u32,
    /// Such as `helper`.
    kind: &'static str,
    /// Such as `bpf_loop`.
    pub name: String,
}

impl KernelFeature {
    /// A helper by its number.
    pub fn helper(number: u32) -> KernelFeature {
        let known = Feature::Helper.known().into_iter().find(|(known, _)| *known == number);
        let name = known.map_or_else(|| format!("#{number}"), |(_, name)| format!("bpf_{name}"));
        KernelFeature { listing: HELPERS, number, kind: Feature::Helper.label(), name }
    }

    /// The types of a program, and its attach type where kernels look at it.
    pub fn of_program(program: &ProgramInfo) -> Vec<KernelFeature> {
        let Some(kind) = &program.prog_type else { return Vec::new() };
        let attach = program.attach_type.as_ref().filter(|_| checks_attach_type(kind));
        let kind = KernelFeature::named(Feature::ProgramType, kind);
        let attach = attach.and_then(|attach| KernelFeature::named(Feature::AttachType, attach));
        kind.into_iter().chain(attach).collect()
    }

    /// The types of a map and of the maps in it.
    pub fn of_map(map: &MapInfo) -> Vec<KernelFeature> {
        let maps = std::iter::once(map).chain(map.inner.as_deref());
        maps.filter_map(|map| KernelFeature::named(Feature::MapType, map.map_type.as_deref()?)).collect()
    }

    fn named(feature: Feature, name: &str) -> Option<KernelFeature> {
        let bare = feature.bare(name);
        let (number, _) = feature.known().into_iter().find(|(_, known)| *known == bare)?;
        let (listing, _) = feature.listing();
        Some(KernelFeature { listing, number, kind: feature.label(), name: feature.enumerator(name) })
    }

    /// Whether the kernel surely does not have it.
    pub fn is_missing(&self, kernel: &TypeTable) -> bool {
        let number = match OLDER_HELPERS.iter().find(|(newer, _)| (self.listing, *newer) == (HELPERS, self.number)) {
            Some((_, older)) => *older,
            None => self.number,
        };
        kernel.lists(self.listing, number, LEAST_LISTED) == Some(false)
    }

    /// Such as ``helper `bpf_loop` ``.
    pub fn label(&self) -> String {
        format!("{} `{}`", self.kind, self.name)
    }
}
