//! [`MapInfo`]: the maps that an object declares in its `.maps` section, read from its BTF.

use super::btf::{Btf, Kind, Type};
use super::section_type;

/// One BTF-defined map. The maps that libbpf makes of `.rodata`, `.bss` and `.data` are not listed.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// The maps of the `.maps` section, in the order of the BTF.
pub(super) fn declared(btf: &Btf) -> Vec<MapInfo> {
    btf.section_variables(".maps").into_iter().map(|(name, type_id)| map(btf, name, type_id)).collect()
}

/// Reads one declaration, a struct whose members encode numbers and types as the types of pointers:
/// `__uint(name, n)` is `int (*name)[n]` and `__type(name, t)` is `t *name`.
fn map(btf: &Btf, name: String, type_id: u32) -> MapInfo {
    let mut info = MapInfo { name, map_type: None, key_size: None, value_size: None, max_entries: None };
    let Some(Type { kind: Kind::Composite { members, .. }, .. }) = btf.resolve(type_id) else {
        return info;
    };
    for member in members {
        let Some(Type { kind: Kind::Pointer(target), .. }) = btf.resolve(member.type_id) else {
            continue;
        };
        let number = || match btf.resolve(*target)?.kind {
            Kind::Array { count, .. } => Some(count),
            _ => None,
        };
        match btf.string(member.name_offset).as_deref() {
            Some("type") => info.map_type = number().and_then(section_type::of_map),
            Some("key_size") => info.key_size = number(),
            Some("value_size") => info.value_size = number(),
            Some("max_entries") => info.max_entries = number(),
            Some("key") => info.key_size = btf.size_of(*target),
            Some("value") => info.value_size = btf.size_of(*target),
            _ => {}
        }
    }
    info
}
