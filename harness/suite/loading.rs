//! [`WrittenObject`], [`WrittenMap`] and [`program`]: what an object's own loader does to it before the kernel sees it.

use std::fmt::Write as _;

use serde::Deserialize;
use toml::Spanned;

use super::error::Mistake;
use super::part::{Objects, WantedPart};
use crate::feature::Feature;
use crate::object::ProgramInfo;
use crate::record::{LoadingRecord, MapDefinition, MapLoading, ProgramLoading};

/// Flags that a program is loaded with, as a suite and as the kernel name them.
const FLAGS: [(&str, &str); 2] = [("sleepable", "BPF_F_SLEEPABLE"), ("frags", "BPF_F_XDP_HAS_FRAGS")];
/// Program types that are loaded for one function, tracepoint or hook of the kernel.
const WITH_TARGET: [&str; 3] = ["tracing", "lsm", "ext"];

/// A mistake with its place in the file, if that is not the table's.
type Placed = (Option<usize>, Mistake);

/// An `[[object]]` table: what the object's own loader does to the object as a whole.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WrittenObject {
    object: Spanned<String>,
    static_programs: Option<Spanned<bool>>,
}

impl WrittenObject {
    /// Finds the object, and tells whether its static functions are programs. `Err` has the place in the file if it is not the table's.
    pub fn checked(&self, all: Objects<'_>) -> Result<(usize, bool), Placed> {
        let at = self.object.span().start;
        let object = all.object(self.object.get_ref()).map_err(|error| (Some(at), error))?;
        let Some(asked) = &self.static_programs else {
            let message = format!("`[[object]]` says nothing of `{}`", all.0[object].name);
            return Err((None, Mistake::new(message).hint("write `static-programs = true`")));
        };
        let has_static = all.inventory(object).is_none_or(|all| all.programs.iter().any(|program| program.is_static));
        if *asked.get_ref() && !has_static {
            let message = format!("object `{}` has no static program", all.0[object].name);
            return Err((Some(asked.span().start), Mistake::new(message)));
        }
        Ok((object, *asked.get_ref()))
    }
}

/// A `[[map]]` table: what the object's own loader sets of a map.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WrittenMap {
    map: Spanned<String>,
    #[serde(rename = "type")]
    map_type: Option<Spanned<String>>,
    key_size: Option<Spanned<i64>>,
    value_size: Option<Spanned<i64>>,
    max_entries: Option<Spanned<i64>>,
    map_flags: Option<Spanned<i64>>,
    inner: Option<WrittenInner>,
}

/// The definition of the maps in a map of maps.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenInner {
    /// Another map of the object, which it is like.
    like: Option<Spanned<String>>,
    #[serde(rename = "type")]
    map_type: Option<Spanned<String>>,
    key_size: Option<Spanned<i64>>,
    value_size: Option<Spanned<i64>>,
    max_entries: Option<Spanned<i64>>,
    map_flags: Option<Spanned<i64>>,
}

/// What `[[program]]` says of the loading of a program.
pub(super) struct WrittenProgramLoading<'a> {
    pub prog_type: Option<&'a Spanned<String>>,
    pub attach_type: Option<&'a Spanned<String>>,
    pub target: Option<&'a Spanned<String>>,
    pub flags: &'a [Spanned<String>],
}

impl WrittenMap {
    /// Finds the map and checks what is set. `Err` has the place in the file if it is not the table's.
    pub fn checked(&self, all: Objects<'_>) -> Result<(usize, MapLoading), Placed> {
        let at = self.map.span().start;
        let (object, name) = all.part(WantedPart::Map, self.map.get_ref()).map_err(|error| (Some(at), error))?;
        let numbers = [&self.key_size, &self.value_size, &self.max_entries, &self.map_flags];
        let definition = definition(self.map_type.as_ref(), numbers)?;
        let maps = all.inventory(object).map(|all| &all.maps[..]).unwrap_or_default();
        let known = maps.iter().find(|map| map.name == name);
        let map_type = definition.map_type.as_deref().or_else(|| known?.map_type.as_deref());
        let inner = match &self.inner {
            Some(_) if !map_type.is_some_and(|kind| kind.ends_with("_of_maps")) => {
                let message = format!("`{name}` is no map of maps, so it has no `inner`");
                return Err((Some(at), Mistake::new(message).hint("`array_of_maps` and `hash_of_maps` have one")));
            }
            Some(inner) => Some(inner.definition(maps, &all.0[object].name)?),
            None => None,
        };
        if definition == MapDefinition::default() && inner.is_none() {
            let message = format!("`[[map]]` says nothing of `{name}`");
            let keys = "write `max-entries`, `key-size`, `value-size`, `type`, `map-flags` or `inner`";
            return Err((None, Mistake::new(message).hint(keys)));
        }
        Ok((object, MapLoading { map: name, definition, inner }))
    }
}

impl WrittenInner {
    fn definition(&self, maps: &[crate::object::MapInfo], object: &str) -> Result<MapDefinition, Placed> {
        let numbers = [&self.key_size, &self.value_size, &self.max_entries, &self.map_flags];
        let own = definition(self.map_type.as_ref(), numbers)?;
        let Some(like) = &self.like else {
            return match own.map_type {
                Some(_) => Ok(own),
                None => Err((None, Mistake::new("`inner` needs a `type`, or `like` with the name of another map"))),
            };
        };
        let Some(other) = maps.iter().find(|map| map.name == *like.get_ref()) else {
            let names = maps.iter().map(|map| map.name.as_str());
            let message = format!("object `{object}` has no map `{}`", like.get_ref());
            return Err((Some(like.span().start), Mistake::new(message).known(like.get_ref(), names)));
        };
        Ok(MapDefinition {
            map_type: own.map_type.or_else(|| other.map_type.clone()),
            key_size: own.key_size.or(other.key_size),
            value_size: own.value_size.or(other.value_size),
            max_entries: own.max_entries.or(other.max_entries),
            map_flags: own.map_flags.or(Some(other.flags).filter(|flags| *flags != 0)),
        })
    }
}

/// Checks a definition; the numbers are key size, value size, entries and flags.
fn definition(
    map_type: Option<&Spanned<String>>,
    numbers: [&Option<Spanned<i64>>; 4],
) -> Result<MapDefinition, Placed> {
    let number = |written: &Option<Spanned<i64>>| match written {
        Some(written) => match u32::try_from(*written.get_ref()) {
            Ok(number) => Ok(Some(number)),
            Err(_) => {
                let message = format!("{} does not fit into 32 bits", written.get_ref());
                Err((Some(written.span().start), Mistake::new(message)))
            }
        },
        None => Ok(None),
    };
    let [key_size, value_size, max_entries, map_flags] = numbers;
    Ok(MapDefinition {
        map_type: map_type.map(|written| known(Feature::MapType, written)).transpose()?,
        key_size: number(key_size)?,
        value_size: number(value_size)?,
        max_entries: number(max_entries)?,
        map_flags: number(map_flags)?,
    })
}

/// libbpf's name of a type, from any usual form.
fn known(feature: Feature, written: &Spanned<String>) -> Result<String, Placed> {
    let bare = feature.bare(written.get_ref());
    let all = feature.known();
    if all.iter().any(|(_, name)| *name == bare) {
        return Ok(bare);
    }
    let message = format!("libbpf knows no {} `{}`", feature.label(), written.get_ref());
    let names = all.iter().map(|(_, name)| name.as_str());
    Err((Some(written.span().start), Mistake::new(message).known(&bare, names)))
}

/// Checks what is said of the loading of `program`; `None` if nothing is.
pub(super) fn program(
    written: &WrittenProgramLoading<'_>,
    program: &ProgramInfo,
) -> Result<Option<ProgramLoading>, Placed> {
    let prog_type = written.prog_type.map(|kind| known(Feature::ProgramType, kind)).transpose()?;
    let attach_type = written.attach_type.map(|kind| known(Feature::AttachType, kind)).transpose()?;
    let in_effect = prog_type.as_deref().or(program.prog_type.as_deref());
    if let Some(target) = written.target
        && !in_effect.is_some_and(|kind| WITH_TARGET.contains(&kind))
    {
        let of_type = in_effect.unwrap_or("unknown");
        let message = format!("`{}` of type `{of_type}` is loaded for no target", program.name);
        let hint = "programs of the types `tracing` and `lsm` are; what others attach to is said by `attach`";
        return Err((Some(target.span().start), Mistake::new(message).hint(hint)));
    }
    let flag = |written: &Spanned<String>| {
        let found = FLAGS.iter().find(|(short, full)| [short, full].contains(&&written.get_ref().as_str()));
        found.map(|(_, full)| (*full).to_owned()).ok_or_else(|| {
            let message = format!("there is no flag `{}` to load a program with", written.get_ref());
            let names = FLAGS.iter().map(|(short, _)| *short);
            (Some(written.span().start), Mistake::new(message).known(written.get_ref(), names))
        })
    };
    let loading = ProgramLoading {
        program: program.name.clone(),
        prog_type,
        attach_type,
        target: written.target.map(|target| target.get_ref().clone()),
        flags: written.flags.iter().map(flag).collect::<Result<_, _>>()?,
    };
    let is_said = ProgramLoading { program: loading.program.clone(), ..ProgramLoading::default() } != loading;
    Ok(is_said.then_some(loading))
}

/// What was done to an object of this name as `[[program]]` and `[[map]]` tables of a suite.
pub fn tables(loading: &LoadingRecord, object: &str) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = String::new();
    if loading.static_programs {
        let _ = writeln!(text, "\n[[object]]\nobject = {}\nstatic-programs = true", quoted(object));
    }
    for one in &loading.programs {
        let _ = writeln!(text, "\n[[program]]\nprogram = {}", quoted(&format!("{object}/{}", one.program)));
        for (key, value) in [("type", &one.prog_type), ("attach-type", &one.attach_type), ("target", &one.target)] {
            text.extend(value.iter().map(|value| format!("{key} = {}\n", quoted(value))));
        }
        if !one.flags.is_empty() {
            let flags: Vec<String> = one.flags.iter().map(|flag| quoted(flag)).collect();
            let _ = writeln!(text, "flags = [{}]", flags.join(", "));
        }
    }
    let keys = |definition: &MapDefinition| {
        let numbers = [
            ("key-size", definition.key_size),
            ("value-size", definition.value_size),
            ("max-entries", definition.max_entries),
            ("map-flags", definition.map_flags),
        ];
        let kind = definition.map_type.iter().map(|kind| format!("type = {}", quoted(kind)));
        let numbers = numbers.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}", value?)));
        kind.chain(numbers).collect::<Vec<_>>()
    };
    for one in &loading.maps {
        let _ = writeln!(text, "\n[[map]]\nmap = {}", quoted(&format!("{object}/{}", one.map)));
        text.extend(keys(&one.definition).iter().map(|line| format!("{line}\n")));
        text.extend(one.inner.iter().map(|inner| format!("inner = {{ {} }}\n", keys(inner).join(", "))));
    }
    text
}
