//! [`profile`]: what a library is known to do to an object before it asks the kernel, for where its loader is not built.
//!
//! libbpf does it in the library's place then, and what the library refuses is refused in its words. The facts are those of the releases
//! in [`cilium_ebpf`] and [`aya`]; `make loader-judge` holds them against the real loaders.

mod aya;
mod cilium_ebpf;
mod data_types;
mod observed;
mod replacement;

use std::collections::BTreeMap;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use serde::Serialize;

pub use observed::{Observed, depends_on_reach};

use super::{AYA, CILIUM_EBPF};
use crate::object::rewrite::rewrite;
use crate::object::{BpfObject, Inventory, MapInfo, ObjectTypes};
use crate::record::{ConstantLoading, LoadingRecord, MapDefinition, MapLoading, NOT_PINNED, ProgramLoading};

/// CPUs of a guest: libraries make arrays of perf events as wide.
const CPUS: u32 = 1;

/// What a library is known to do to an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// What libbpf is to do instead.
    pub loading: LoadingRecord,
    /// What the library refuses to do with programs, in its words.
    pub refused: BTreeMap<String, String>,
    /// Why it refuses the object as a whole, if it does.
    pub refused_whole: Option<String>,
    /// What it refuses on kernels that lack something: the program, what they lack, and its words.
    pub refused_without: Vec<(String, Lacks, String)>,
    /// Whether it creates every map before it loads a program, and gives up if one fails.
    pub needs_all_maps: bool,
}

/// What a kernel lacks for which a library refuses a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Lacks {
    /// It is older than this release.
    Release((u32, u32)),
    /// It does not have this type of map.
    MapType {
        /// libbpf's name of it.
        name: String,
        /// The first release that has it.
        first: (u32, u32),
    },
}

/// The profile of a library for an object; `None` if the library is not known or the object cannot be read.
pub fn profile(loader: &str, object: &BpfObject) -> Option<Profile> {
    let inventory = object.inventory.as_ref().ok()?;
    match loader {
        CILIUM_EBPF => Some(cilium_ebpf::profile(object, inventory)),
        AYA => Some(aya::profile(object, inventory)),
        _ => None,
    }
}

/// What both libraries do: they take static programs, calls of programs, and maps that are defined without BTF. What inline assembly loads by the name of
/// something that is not defined stays the number that stands in the instruction, unless the program that uses the library sets it.
fn shared(object: &BpfObject, inventory: &Inventory) -> Profile {
    let can = |loading: LoadingRecord| matches!(rewrite(&object.bytes, &loading), Ok(Some(_)));
    let loading = LoadingRecord {
        static_programs: inventory.programs.iter().any(|program| program.is_static),
        called_programs: can(LoadingRecord { called_programs: true, ..LoadingRecord::default() }),
        legacy_maps: can(LoadingRecord { legacy_maps: true, ..LoadingRecord::default() }),
        constants: object.undefined().into_iter().filter_map(|name| constant(object, name)).collect(),
        ..LoadingRecord::default()
    };
    Profile { loading, ..Profile::default() }
}

/// The constant of inline assembly of this name, if code loads one.
fn constant(object: &BpfObject, name: String) -> Option<ConstantLoading> {
    let constant = ConstantLoading { constant: name, value: None };
    let loading = LoadingRecord { constants: vec![constant.clone()], ..LoadingRecord::default() };
    matches!(rewrite(&object.bytes, &loading), Ok(Some(_))).then_some(constant)
}

/// Whether a function of this name is called and defined nowhere, and is none of the kernel's.
fn is_plain_function(object: &BpfObject, name: &str) -> bool {
    let stub = LoadingRecord { stubs: vec![name.to_owned()], ..LoadingRecord::default() };
    matches!(rewrite(&object.bytes, &stub), Ok(Some(_)))
}

/// A section of variables whose name is none that a kernel takes for a map.
fn unnameable_section(object: &BpfObject) -> Option<String> {
    let file = object::File::parse(&*object.bytes).ok()?;
    let names: Vec<String> = file.sections().filter_map(|section| section.name().ok().map(str::to_owned)).collect();
    let is_data = |name: &String| [".data", ".rodata", ".bss"].iter().any(|begin| name.starts_with(begin));
    let is_taken = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
    // Longer names are cut.
    names.into_iter().filter(is_data).find(|name| !name.chars().take(15).all(is_taken))
}

/// The name of a weak variable or kconfig value that code refers to, if there is one.
fn weak_data(object: &BpfObject) -> Option<String> {
    let file = object::File::parse(&*object.bytes).ok()?;
    let types = ObjectTypes::read(&object.bytes);
    let kconfig = types.map(|types| types.btf.section_variables(".kconfig")).unwrap_or_default();
    let is_weak = |symbol: &object::Symbol<'_, '_>| {
        let is_kconfig = symbol.name().is_ok_and(|name| kconfig.iter().any(|(known, _)| known == name));
        let is_variable = symbol.is_definition() && symbol.kind() != object::SymbolKind::Text;
        symbol.is_weak() && (is_variable || is_kconfig)
    };
    let used = file.sections().filter(|section| section.kind() == object::SectionKind::Text);
    let mut targets = used.flat_map(|section| section.relocations()).filter_map(|(_, one)| match one.target() {
        object::RelocationTarget::Symbol(index) => file.symbol_by_index(index).ok(),
        _ => None,
    });
    targets.find(is_weak).and_then(|symbol| symbol.name().ok().map(str::to_owned))
}

/// Whether the object's BTF has a section of this name, of functions or variables.
fn has_data_section(object: &BpfObject, name: &str) -> bool {
    ObjectTypes::read(&object.bytes).is_some_and(|types| types.btf.has_section(name))
}

/// The sizes that both libraries set, regardless of the object.
fn completion(map: &MapInfo) -> MapDefinition {
    let clamped = || Some(map.max_entries.filter(|wanted| (1..=CPUS).contains(wanted)).unwrap_or(CPUS));
    let none = MapDefinition::default();
    match map.map_type.as_deref().unwrap_or_default() {
        "perf_event_array" => MapDefinition { key_size: Some(4), value_size: Some(4), max_entries: clamped(), ..none },
        "ringbuf" => MapDefinition { key_size: Some(0), value_size: Some(0), ..none },
        "array_of_maps" | "hash_of_maps" => MapDefinition { value_size: Some(4), ..none },
        _ => none,
    }
}

/// What of a definition is not declared so already; what is not declared is 0.
fn changes(wanted: &MapDefinition, declared: &MapDefinition) -> MapDefinition {
    let change =
        |wanted: Option<u32>, declared: Option<u32>| wanted.filter(|wanted| *wanted != declared.unwrap_or_default());
    MapDefinition {
        map_type: None,
        key_size: change(wanted.key_size, declared.key_size),
        value_size: change(wanted.value_size, declared.value_size),
        max_entries: change(wanted.max_entries, declared.max_entries),
        map_flags: change(wanted.map_flags, declared.map_flags),
    }
}

impl Profile {
    /// Why the library refuses a program on a kernel that lacks what `lacks` says, in its words.
    pub fn refuses(&self, program: &str, lacks: &dyn Fn(&Lacks) -> bool) -> Option<&str> {
        // What the kernel refuses comes before what the library does not know.
        let without = self.refused_without.iter().find(|(of, what, _)| of == program && lacks(what));
        let without = without.map(|(_, _, words)| words.as_str());
        without.or(self.refused_whole.as_deref()).or_else(|| self.refused.get(program).map(String::as_str))
    }

    /// Refuses what the library refuses of maps that it is given in place of the object's own. `loading` is all that is done to the object
    /// that `inventory` was read from.
    pub fn with_replacements(mut self, loader: &str, inventory: &Inventory, loading: &LoadingRecord) -> Profile {
        if loader == CILIUM_EBPF {
            for (map, words) in replacement::incompatible(inventory, loading) {
                self.refuse_users(&map, inventory, &words);
            }
        }
        self
    }

    /// Sets the sizes that both libraries set, regardless of the object.
    fn complete_map(&mut self, map: &MapInfo) {
        let definition = changes(&completion(map), &map.definition());
        // libbpf would not open the object.
        let pinning = (map.pinning > 1).then(|| NOT_PINNED.to_owned());
        if definition != MapDefinition::default() || pinning.is_some() {
            self.loading.maps.push(MapLoading { map: map.name.clone(), definition, pinning, ..MapLoading::default() });
        }
    }

    /// Refuses every program that refers to a map.
    fn refuse_users(&mut self, map: &str, inventory: &Inventory, words: &str) {
        for program in inventory.programs.iter().filter(|program| program.maps.iter().any(|used| used == map)) {
            self.refused.entry(program.name.clone()).or_insert_with(|| words.to_owned());
        }
    }

    fn set_type(&mut self, program: &str, (prog_type, attach_type): (&str, Option<&str>)) {
        self.loading.programs.push(ProgramLoading {
            program: program.to_owned(),
            prog_type: Some(prog_type.to_owned()),
            attach_type: attach_type.map(str::to_owned),
            ..ProgramLoading::default()
        });
    }
}
