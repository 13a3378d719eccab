//! [`map_hint`]: what to do about a map that was not created, where no guard can help.

use super::CellFacts;
use crate::object::{Flaw, MapInfo, Mend};
use crate::record::Cause;
use crate::record::ProgramRecord;

/// What to do about the map that `program` failed for, as lines; none where the cause is another.
pub(super) fn map_hint(facts: &CellFacts<'_>, program: &ProgramRecord) -> Vec<String> {
    let Some(cause) = program.cause else { return Vec::new() };
    let evidence = program.evidence.as_ref();
    let name = evidence.and_then(|evidence| evidence.subject.as_deref());
    let map = || facts.inventory?.maps.iter().find(|map| Some(map.name.as_str()) == name);
    let inner = evidence.is_some_and(|evidence| evidence.line.contains("inner map"));
    match cause {
        Cause::IncompleteMapDefinition => match map() {
            Some(map) => incomplete(map, inner),
            None => vec![EXEC.to_owned()],
        },
        Cause::InvalidMapDefinition => {
            vec!["correct the map definition: every kernel rejects it, and a guard does not help".to_owned()]
        }
        Cause::UnsupportedMapOption => {
            let name = name.unwrap_or("MAP");
            vec![format!(
                "let the loader set the option only on kernels that have it (`bpf_map__set_map_flags`), or skip the \
    map with `bpf_map__set_autocreate(obj->maps.{name}, false)`"
            )]
        }
        Cause::MapTooLarge => {
            let name = name.unwrap_or("MAP");
            vec![
                format!(
                    "make it smaller on this kernel with `bpf_map__set_max_entries(obj->maps.{name}, N)` between open \
    and load"
                ),
                format!("try a size with `maps.{name}.max_entries = N` in a `[[shape]]` of a suite"),
            ]
        }
        Cause::GuestMemory => {
            vec![
                "raise `memory` of the kernel in kernels.toml, such as `memory = \"4GiB\"`, if this machine has enough"
                    .to_owned(),
            ]
        }
        _ => Vec::new(),
    }
}

/// Whether `program` failed for how a map is defined or how large it is.
pub(super) fn is_of_map(program: &ProgramRecord) -> bool {
    let causes = [
        Cause::IncompleteMapDefinition,
        Cause::InvalidMapDefinition,
        Cause::UnsupportedMapOption,
        Cause::MapTooLarge,
        Cause::MapWithoutBtf,
        Cause::IncompatibleMap,
        Cause::GuestMemory,
    ];
    program.cause.is_some_and(|cause| causes.contains(&cause))
}

/// Where no suite can say it.
const EXEC: &str = "its own loader sets that: run the loader with `corematrix exec`";

fn incomplete(map: &MapInfo, inner: bool) -> Vec<String> {
    let of_suite = |flaw: &Flaw| {
        let value = flaw.proposal(map.map_type.as_deref().unwrap_or_default())?;
        Some(format!("`{} = {value}`", flaw.field.replace('_', "-")))
    };
    let flaws = map.flaws();
    let inner = inner || flaws.iter().any(|flaw| flaw.field == "values");
    let settings: Vec<String> = flaws.iter().filter_map(of_suite).collect();
    match flaws.iter().any(|flaw| flaw.mend == Mend::Machine) {
        true => vec!["guests do not have that; set it to a value that they have".to_owned()],
        false if inner => vec![format!(
            "define its inner maps, as its loader does, with `inner = {{ like = \"MAP\" }}` in a `[[map]]` table of a \
    suite: the name of another map, or `type` and sizes"
        )],
        false if settings.len() < flaws.len() => vec![EXEC.to_owned()],
        false => vec![
            format!("set what its loader sets with {} in a `[[map]]` table of a suite", settings.join(" and ")),
            "`corematrix init` writes a suite with all of them".to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(kind: &str) -> MapInfo {
        MapInfo { name: "m".into(), map_type: Some(kind.into()), ..MapInfo::default() }
    }

    #[test]
    fn suites_can_set_sizes_and_no_inner_maps() {
        assert!(incomplete(&map("ringbuf"), false)[0].contains("`max-entries = 262144`"));
        let perf = incomplete(&map("perf_event_array"), false);
        assert!(perf[0].contains("`key-size = 4` and `value-size = 4`"), "{perf:?}");
        let typed = MapInfo { value_size: Some(8), max_entries: Some(4096), ..map("ringbuf") };
        assert!(incomplete(&typed, false)[0].contains("`value-size = 0`"));
        let of_maps = MapInfo { key_size: Some(4), value_size: Some(4), max_entries: Some(1), ..map("array_of_maps") };
        assert!(incomplete(&of_maps, false)[0].contains("`inner = { like = \"MAP\" }`"));
        assert!(incomplete(&map("ringbuf"), true)[0].contains("`inner = { like = \"MAP\" }`"));
    }
}
