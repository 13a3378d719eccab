//! [`LoadingRecord`]: what an object's own loader does to it before the kernel sees it, as a suite says.

use serde::{Deserialize, Serialize};

use crate::LoadingPrivileges;

/// What an object's own loader does to it between opening and loading. Names of types are libbpf's, such as `sched_cls` and `array_of_maps`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoadingRecord {
    /// Whether it takes static functions for programs, for which libbpf refuses an object.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub static_programs: bool,
    /// Whether code may call functions that stand in sections of programs; libbpf looks for those in `.text` alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub called_programs: bool,
    /// Whether it takes the map definitions of sections `maps` and `maps/NAME`, which have no BTF.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub legacy_maps: bool,
    /// The extern functions that it replaces; here their calls return 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stubs: Vec<String>,
    /// The constants of inline assembly (`asm("%0 = NAME ll")`) that it sets or leaves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constants: Vec<ConstantLoading>,
    /// The file with the BTF that it relocates the object with on every kernel, instead of the kernel's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub btf: Option<String>,
    /// The privileges that it has; `None` for those of root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileges: Option<LoadingPrivileges>,
    /// The licence that it takes for that of an object without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The functions of the kernel that it looks for under their whole names, with the `___flavour`, and so does not find.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub whole_names: Vec<String>,
    /// The variables of `.rodata`, `.data` and `.bss` that it sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<VariableLoading>,
    /// What it sets of programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<ProgramLoading>,
    /// What it sets of maps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<MapLoading>,
    /// What was done to the object for that before libbpf opened it, as lowercase fragments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// What a loader sets of a variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VariableLoading {
    /// The variable.
    pub variable: String,
    /// Its value, as TOML writes it.
    pub value: String,
}

/// What a loader does with a constant of inline assembly: a symbol that code loads and nothing defines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConstantLoading {
    /// The constant.
    pub constant: String,
    /// Its value; `None` if the instructions keep what stands in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
}

/// What a loader sets of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProgramLoading {
    /// The program.
    pub program: String,
    /// Its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prog_type: Option<String>,
    /// Its attach type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach_type: Option<String>,
    /// The kernel's function, tracepoint or hook that it is loaded for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The program of an object, `OBJECT/PROGRAM`, that it is loaded for; `target` is the function of it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_program: Option<String>,
    /// Whether it loads the program at all; `None` if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoload: Option<bool>,
    /// `BPF_F_*`, in the kernel's names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

/// The `pinning` of a map that is not pinned.
pub const NOT_PINNED: &str = "none";
/// The `pinning` of a map that is pinned by its name below `/sys/fs/bpf`.
pub const PINNED_BY_NAME: &str = "by-name";

/// What a loader sets of a map.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MapLoading {
    /// The map.
    pub map: String,
    /// What is set of its definition.
    pub definition: MapDefinition,
    /// Where it is pinned, overriding the object: `none`, `by-name`, or a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinning: Option<String>,
    /// The definition of the maps in it, for a map of maps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner: Option<MapDefinition>,
    /// The map that it is given instead of one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<MapReuse>,
}

/// A map that another process created, which the object uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MapReuse {
    /// The map of another object, `OBJECT/MAP`; `None` if it is created from what this object declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Its definition: that of the other object's map, or what a suite sets of it.
    #[serde(default)]
    pub definition: MapDefinition,
}

/// A map's definition, as far as it is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MapDefinition {
    /// Its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_type: Option<String>,
    /// Bytes of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_size: Option<u32>,
    /// Bytes of a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_size: Option<u32>,
    /// Entries; bytes of a ring buffer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_entries: Option<u32>,
    /// `BPF_F_*`, as a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_flags: Option<u32>,
}

impl LoadingRecord {
    /// The names of the objects that its programs are loaded for, itself among them where it is one.
    pub fn target_objects(&self) -> impl Iterator<Item = &str> {
        let named = self.programs.iter().filter_map(|program| program.target_program.as_deref());
        named.filter_map(|target| target.rsplit_once('/').map(|(object, _)| object))
    }

    /// Adds what another says, which comes later and counts.
    pub fn add(&mut self, other: &LoadingRecord) {
        self.static_programs |= other.static_programs;
        self.called_programs |= other.called_programs;
        self.legacy_maps |= other.legacy_maps;
        self.stubs.extend(other.stubs.iter().filter(|stub| !self.stubs.contains(stub)).cloned().collect::<Vec<_>>());
        for constant in &other.constants {
            match self.constants.iter_mut().find(|known| known.constant == constant.constant) {
                Some(known) => known.value = constant.value.or(known.value),
                None => self.constants.push(constant.clone()),
            }
        }
        self.btf = other.btf.clone().or(self.btf.take());
        self.privileges = other.privileges.clone().or(self.privileges.take());
        self.license = other.license.clone().or(self.license.take());
        self.whole_names.extend(other.whole_names.iter().cloned());
        self.variables.extend(other.variables.iter().cloned());
        self.programs.extend(other.programs.iter().cloned());
        self.maps.extend(other.maps.iter().cloned());
        self.changes.extend(other.changes.iter().cloned());
    }

    /// The map that a map is given instead of its own. What was said last counts.
    pub fn reuse_of(&self, map: &str) -> Option<&MapReuse> {
        self.maps.iter().rev().filter(|one| one.map == map).find_map(|one| one.reuse.as_ref())
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == LoadingRecord::default()
    }

    /// Whether a program is never loaded, so that it gets no verdict.
    pub fn leaves_out(&self, program: &str) -> bool {
        self.programs.iter().any(|one| one.program == program && one.autoload == Some(false))
    }

    /// The settings as the keys of a suite: `maps.events.max_entries = 4096`, `programs.on_packet.type = "sched_cls"`.
    pub fn settings(&self) -> Vec<String> {
        let mut settings = Vec::new();
        settings.extend(self.static_programs.then(|| "static-programs = true".to_owned()));
        settings.extend(self.called_programs.then(|| "called-programs = true".to_owned()));
        settings.extend(self.legacy_maps.then(|| "legacy-maps = true".to_owned()));
        settings.extend((!self.stubs.is_empty()).then(|| format!("stubs = {:?}", self.stubs)));
        settings.extend(self.btf.iter().map(|path| format!("btf = \"{path}\"")));
        settings.extend(self.privileges.iter().map(LoadingPrivileges::setting));
        let constants = self.constants.iter().filter_map(|one| Some(format!("{} = {}", one.constant, one.value?)));
        settings.extend(constants);
        settings.extend(self.variables.iter().map(|one| format!("{} = {}", one.variable, one.value)));
        for program in &self.programs {
            let target_program = program.target_program.as_ref().map(|name| match name.rsplit_once('/') {
                Some((object, name)) => format!("{object}:{name}"),
                None => name.clone(),
            });
            // With a target program the target is a function of it.
            let target = if program.target_program.is_some() { "target-function" } else { "target" };
            let named = [
                ("type", &program.prog_type),
                ("attach-type", &program.attach_type),
                ("target", &target_program),
                (target, &program.target),
            ];
            let name = &program.program;
            let said = named.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
            settings.extend(said.map(|(key, value)| format!("programs.{name}.{key} = \"{value}\"")));
            settings.extend(program.autoload.map(|autoload| format!("programs.{name}.autoload = {autoload}")));
            if !program.flags.is_empty() {
                settings.push(format!("programs.{name}.flags = {:?}", program.flags));
            }
        }
        for map in &self.maps {
            settings.extend(map.definition.settings().map(|setting| format!("maps.{}.{setting}", map.map)));
            settings.extend(map.pinning.iter().map(|pinning| format!("maps.{}.pinning = \"{pinning}\"", map.map)));
            let inner = map.inner.iter().flat_map(MapDefinition::settings);
            settings.extend(inner.map(|setting| format!("maps.{}.inner.{setting}", map.map)));
            let Some(reuse) = &map.reuse else { continue };
            match &reuse.of {
                Some(of) => settings.push(format!("maps.{}.reuse = \"{of}\"", map.map)),
                None => {
                    let all = reuse.definition.settings();
                    settings.extend(all.map(|setting| format!("maps.{}.reuse.{setting}", map.map)));
                }
            }
        }
        settings
    }
}

impl MapDefinition {
    /// What is set: `max_entries = 4096`.
    pub(crate) fn settings(&self) -> impl Iterator<Item = String> {
        let kind = self.map_type.as_ref().map(|kind| format!("type = \"{kind}\""));
        let numbers = [
            ("key_size", self.key_size),
            ("value_size", self.value_size),
            ("max_entries", self.max_entries),
            ("map_flags", self.map_flags),
        ];
        kind.into_iter().chain(numbers.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}", value?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reuses(map: &str, of: Option<&str>, definition: MapDefinition) -> MapLoading {
        let reuse = Some(MapReuse { of: of.map(str::to_owned), definition });
        MapLoading { map: map.to_owned(), reuse, ..MapLoading::default() }
    }

    #[test]
    fn settings_are_keys_of_a_suite() {
        let definition = MapDefinition { max_entries: Some(64), ..MapDefinition::default() };
        let inner = MapDefinition { map_type: Some("array".into()), key_size: Some(4), ..MapDefinition::default() };
        let loading = LoadingRecord {
            static_programs: true,
            called_programs: true,
            legacy_maps: true,
            stubs: vec!["f".into()],
            btf: Some("min/5.4.btf".into()),
            privileges: Some(LoadingPrivileges::Token),
            constants: vec![
                ConstantLoading { constant: "LIMIT".into(), value: Some(-1) },
                ConstantLoading { constant: "KEPT".into(), value: None },
            ],
            variables: vec![VariableLoading { variable: "limit".into(), value: "7".into() }],
            programs: vec![ProgramLoading {
                program: "p".into(),
                prog_type: Some("sched_cls".into()),
                autoload: Some(false),
                flags: vec!["BPF_F_SLEEPABLE".into()],
                ..ProgramLoading::default()
            }],
            maps: vec![
                MapLoading {
                    map: "m".into(),
                    definition: definition.clone(),
                    pinning: Some("none".into()),
                    inner: Some(inner),
                    reuse: None,
                },
                reuses("n", Some("base/events"), definition.clone()),
                reuses("o", None, definition),
            ],
            ..LoadingRecord::default()
        };
        let expected = [
            "static-programs = true",
            "called-programs = true",
            "legacy-maps = true",
            "stubs = [\"f\"]",
            "btf = \"min/5.4.btf\"",
            "token = true",
            "LIMIT = -1",
            "limit = 7",
            "programs.p.type = \"sched_cls\"",
            "programs.p.autoload = false",
            "programs.p.flags = [\"BPF_F_SLEEPABLE\"]",
            "maps.m.max_entries = 64",
            "maps.m.pinning = \"none\"",
            "maps.m.inner.type = \"array\"",
            "maps.m.inner.key_size = 4",
            "maps.n.reuse = \"base/events\"",
            "maps.o.reuse.max_entries = 64",
        ];
        assert_eq!(loading.settings(), expected);
        assert!(LoadingRecord::default().is_empty());
        assert!(loading.leaves_out("p") && !loading.leaves_out("m"));
        assert!(loading.reuse_of("n").is_some() && loading.reuse_of("m").is_none());
    }
}
