//! [`Settings`]: what the object's own loader sets before it loads, as far as aya can.

use aya::{Ebpf, EbpfLoader};
use serde::Deserialize;

use crate::program::takes_target;

#[derive(Debug, Default, Deserialize)]
pub struct Settings {
    #[serde(default)]
    programs: Vec<ProgramSettings>,
    #[serde(default)]
    maps: Vec<MapSettings>,
}

#[derive(Debug, Deserialize)]
struct ProgramSettings {
    program: String,
    prog_type: Option<String>,
    attach_type: Option<String>,
    target: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct MapSettings {
    map: String,
    definition: Definition,
    inner: Option<serde_json::Value>,
    pinning: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Definition {
    map_type: Option<String>,
    key_size: Option<u32>,
    value_size: Option<u32>,
    max_entries: Option<u32>,
    map_flags: Option<u32>,
}

impl Settings {
    /// Sets what the library takes before it reads an object. The error is what it cannot set.
    pub fn apply<'a>(&'a self, loader: &mut EbpfLoader<'a>) -> Result<(), String> {
        for one in &self.programs {
            let cannot = |what: &str| Err(format!("aya cannot set {what} of a program: `{}`", one.program));
            match one.prog_type.as_deref() {
                None => {}
                Some("ext") => {
                    loader.extension(&one.program);
                }
                Some(_) => return cannot("the type"),
            }
            if one.attach_type.is_some() {
                return cannot("the attach type");
            }
            if !one.flags.is_empty() {
                return cannot("flags");
            }
        }
        for one in &self.maps {
            let cannot = |what: &str| Err(format!("aya cannot set {what} of a map: `{}`", one.map));
            let Definition { map_type, key_size, value_size, max_entries, map_flags } = &one.definition;
            let refused = [
                (map_type.is_some(), "the type"),
                (key_size.is_some(), "the size of keys"),
                (value_size.is_some(), "the size of values"),
                (map_flags.is_some(), "flags"),
                (one.inner.is_some(), "the definition of maps in it"),
                // What is not pinned by its name it does not pin.
                (one.pinning.as_deref().is_some_and(|pinning| pinning != "none"), "the pinning"),
            ];
            if let Some((_, what)) = refused.iter().find(|(set, _)| *set) {
                return cannot(what);
            }
            if let Some(entries) = max_entries {
                loader.map_max_entries(&one.map, *entries);
            }
        }
        Ok(())
    }

    /// Whether the object has what is set; the library passes over names that it does not find.
    pub fn check(&self, opened: &Ebpf) -> Result<(), String> {
        for one in &self.programs {
            let Some(program) = opened.program(&one.program) else {
                return Err(format!("aya finds no program `{}` to set", one.program));
            };
            if one.target.is_some() && !takes_target(program) {
                return Err(format!("aya loads programs of this type for no target: `{}`", one.program));
            }
        }
        match self.maps.iter().find(|one| opened.map(&one.map).is_none()) {
            Some(one) => Err(format!("aya finds no map `{}` to set", one.map)),
            None => Ok(()),
        }
    }

    /// What the program is loaded for, if it is set.
    pub fn target(&self, program: &str) -> Option<&str> {
        self.programs.iter().find(|one| one.program == program)?.target.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(settings: &str) -> Result<(), String> {
        let settings: Settings = serde_json::from_str(settings).expect("the settings are JSON");
        settings.apply(&mut EbpfLoader::new())
    }

    #[test]
    fn what_aya_has_calls_for_is_set() {
        assert_eq!(applied(r#"{"maps":[{"map":"m","definition":{"max_entries":4096}}]}"#), Ok(()));
        assert_eq!(applied(r#"{"programs":[{"program":"p","prog_type":"ext"}],"static_programs":true}"#), Ok(()));
        assert_eq!(applied(r#"{"programs":[{"program":"p","target":"vfs_read"}]}"#), Ok(()));
    }

    #[test]
    fn the_rest_is_refused() {
        let refused = [
            (r#"{"programs":[{"program":"p","prog_type":"xdp"}]}"#, "aya cannot set the type of a program: `p`"),
            (r#"{"programs":[{"program":"p","flags":["BPF_F_SLEEPABLE"]}]}"#, "aya cannot set flags of a program: `p`"),
            (r#"{"maps":[{"map":"m","definition":{"map_type":"hash"}}]}"#, "aya cannot set the type of a map: `m`"),
            (
                r#"{"maps":[{"map":"m","definition":{},"inner":{"map_type":"hash"}}]}"#,
                "aya cannot set the definition of maps in it of a map: `m`",
            ),
        ];
        for (settings, expected) in refused {
            assert_eq!(applied(settings), Err(expected.to_owned()));
        }
    }
}
