//! [`MapInfo`]: the maps that an object declares in its `.maps` section, read from its BTF.

use super::btf::{Btf, Type, TypeKind, essential_name};
use super::section_type;
use crate::record::{MapDefinition, MapLoading, NOT_PINNED};

/// Sections of struct_ops maps, and whether libbpf creates their maps with `BPF_F_LINK`.
pub(super) const STRUCT_OPS: [(&str, bool); 4] =
    [(".struct_ops", false), ("?.struct_ops", false), (".struct_ops.link", true), ("?.struct_ops.link", true)];

/// One BTF-defined map. The maps that libbpf makes of `.rodata`, `.bss` and `.data` are not listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MapInfo {
    /// The variable's name.
    pub name: String,
    /// libbpf's name of the type, such as `hash`; `None` if the declaration has none or libbpf does not know it.
    pub map_type: Option<String>,
    /// Bytes of a key.
    pub key_size: Option<u32>,
    /// Bytes of a value.
    pub value_size: Option<u32>,
    /// How many entries; often set only at run time.
    pub max_entries: Option<u32>,
    /// `BPF_F_*`.
    pub flags: u32,
    /// The NUMA node, of which `BPF_F_NUMA_NODE` says whether it counts.
    pub numa_node: u32,
    /// `map_extra`, whose meaning depends on the type.
    pub extra: u64,
    /// `pinning`: libbpf knows 0 and 1, by name, and refuses an object for others.
    pub pinning: u32,
    /// Whether key and value are given by their types, so that the kernel gets BTF of both.
    pub is_typed: bool,
    /// Whether it is filled with programs when the object is loaded.
    pub holds_programs: bool,
    /// The functions that the object itself puts into it, in the order of names.
    pub programs: Vec<String>,
    /// What the maps in this one look like, for a map of maps.
    pub inner: Option<Box<MapInfo>>,
}

impl MapInfo {
    /// Makes it what its loader makes of it.
    pub fn set(&mut self, loading: &MapLoading) {
        self.define(&loading.definition);
        if let Some(pinning) = &loading.pinning {
            self.pinning = u32::from(pinning != NOT_PINNED);
        }
        // The loader takes over the definition of the map that it is given.
        if let Some(reuse) = &loading.reuse {
            self.define(&reuse.definition);
        }
        if let Some(inner) = &loading.inner {
            let mut map = MapInfo { name: format!("{}.inner", self.name), ..MapInfo::default() };
            map.define(inner);
            self.inner = Some(Box::new(map));
        }
    }

    /// What it says, as a definition.
    pub fn definition(&self) -> MapDefinition {
        MapDefinition {
            map_type: self.map_type.clone(),
            key_size: self.key_size,
            value_size: self.value_size,
            max_entries: self.max_entries,
            map_flags: Some(self.flags).filter(|flags| *flags != 0),
        }
    }

    fn define(&mut self, definition: &MapDefinition) {
        self.map_type = definition.map_type.clone().or(self.map_type.take());
        self.key_size = definition.key_size.or(self.key_size);
        self.value_size = definition.value_size.or(self.value_size);
        self.max_entries = definition.max_entries.or(self.max_entries);
        self.flags = definition.map_flags.unwrap_or(self.flags);
    }
}

/// A struct_ops map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructOpsInfo {
    /// The variable's name, which is the map's.
    pub name: String,
    /// The struct's name without flavour, such as `sched_ext_ops`.
    pub type_name: String,
    /// Whether it attaches by a link, so that it is created with `BPF_F_LINK`.
    pub linked: bool,
}

/// The maps of the `.maps` section, in the order of the BTF.
pub(super) fn declared(btf: &Btf) -> Vec<MapInfo> {
    btf.section_variables(".maps").into_iter().map(|(name, type_id)| map(btf, name, type_id, true)).collect()
}

/// The struct_ops maps.
pub(super) fn struct_ops(btf: &Btf) -> Vec<StructOpsInfo> {
    let of_section = |(section, linked)| {
        let variables = btf.section_variables(section).into_iter();
        variables.map(move |(name, type_id)| {
            let type_name = btf.resolve_id(type_id).map(|id| btf.name(id)).unwrap_or_default();
            StructOpsInfo { name, type_name: essential_name(&type_name).to_owned(), linked }
        })
    };
    STRUCT_OPS.into_iter().flat_map(of_section).collect()
}

/// Reads one declaration, a struct whose members encode numbers and types as the types of pointers:
/// `__uint(name, n)` is `int (*name)[n]`, `__type(name, t)` is `t *name` and `__array(name, t)` is `t *name[]`.
/// libbpf takes inner maps one level deep.
fn map(btf: &Btf, name: String, type_id: u32, is_outer: bool) -> MapInfo {
    let mut info = MapInfo { name, ..MapInfo::default() };
    let Some(Type { kind: TypeKind::Composite { members, .. }, .. }) = btf.resolve(type_id) else {
        return info;
    };
    let (mut typed_key, mut typed_value) = (false, false);
    for member in members {
        let pointed = |id: u32| match btf.resolve(id)?.kind {
            TypeKind::Pointer(target) => Some(target),
            _ => None,
        };
        let number = || match btf.resolve(pointed(member.type_id)?)?.kind {
            TypeKind::Array { count, .. } => Some(count),
            _ => None,
        };
        let size = || btf.size_of(pointed(member.type_id)?);
        match btf.string(member.name_offset).as_deref() {
            Some("type") => info.map_type = number().and_then(section_type::of_map),
            Some("key_size") => info.key_size = number(),
            Some("value_size") => info.value_size = number(),
            Some("max_entries") => info.max_entries = number(),
            Some("map_flags") => info.flags = number().unwrap_or_default(),
            Some("numa_node") => info.numa_node = number().unwrap_or_default(),
            Some("pinning") if is_outer => info.pinning = number().unwrap_or_default(),
            Some("map_extra") => info.extra = wide(btf, member.type_id).or(number().map(u64::from)).unwrap_or_default(),
            Some("key") => (info.key_size, typed_key) = (size(), true),
            Some("value") => (info.value_size, typed_value) = (size(), true),
            Some("values") if is_outer => {
                // File descriptors of maps or programs.
                info.value_size = Some(4);
                if let Some(Type { kind: TypeKind::Array { element, .. }, .. }) = btf.resolve(member.type_id)
                    && let Some(target) = pointed(*element)
                {
                    match btf.resolve(target).map(|found| &found.kind) {
                        Some(TypeKind::Composite { .. }) => {
                            info.inner = Some(Box::new(map(btf, format!("{}.inner", info.name), target, false)));
                        }
                        Some(TypeKind::Prototype { .. }) => info.holds_programs = true,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    info.is_typed = typed_key && typed_value;
    info
}

/// The number that `__ulong` encodes as the only value of an enum.
fn wide(btf: &Btf, type_id: u32) -> Option<u64> {
    match &btf.resolve(type_id)?.kind {
        TypeKind::Enum { values, .. } => values.first().map(|only| only.value.cast_unsigned()),
        _ => None,
    }
}
