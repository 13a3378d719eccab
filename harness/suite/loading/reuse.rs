//! [`WrittenReuse`]: the map that another process created and the loader gives to an object.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use toml::Spanned;

use super::super::error::Mistake;
use super::super::part::{Objects, WantedPart};
use super::Placed;
use super::map::definition;
use crate::record::{MapDefinition, MapReuse};

/// `reuse` of a `[[map]]`.
#[derive(Debug, Clone)]
pub(super) enum WrittenReuse {
    /// The map of another object, by its name.
    Of(String),
    /// A map as this object declares it, but for these keys.
    Like(WrittenDefinition),
}

/// What differs from what the object declares.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WrittenDefinition {
    #[serde(rename = "type")]
    map_type: Option<Spanned<String>>,
    key_size: Option<Spanned<i64>>,
    value_size: Option<Spanned<i64>>,
    max_entries: Option<Spanned<i64>>,
    map_flags: Option<Spanned<i64>>,
}

impl WrittenReuse {
    /// Finds the other map, or checks the definition. `own` is the map that it is given in place of, `at` where the key's value is.
    pub fn checked(&self, all: Objects<'_>, own: (usize, &str), at: usize) -> Result<MapReuse, Placed> {
        let wrong = |mistake: Mistake| (Some(at), mistake);
        match self {
            WrittenReuse::Of(written) => {
                let (object, map) = all.part(WantedPart::Map, written).map_err(wrong)?;
                let name = &all.0[object].name;
                if (object, map.as_str()) == own {
                    let hint =
                        "name a map of another object as `OBJECT/MAP`, or write a definition: `{ max-entries = 64 }`";
                    return Err(wrong(Mistake::new(format!("`{name}/{map}` cannot reuse itself")).hint(hint)));
                }
                Ok(MapReuse { of: Some(format!("{name}/{map}")), definition: MapDefinition::default() })
            }
            WrittenReuse::Like(written) => {
                let numbers = [&written.key_size, &written.value_size, &written.max_entries, &written.map_flags];
                let definition = definition(written.map_type.as_ref(), numbers)?;
                if definition == MapDefinition::default() {
                    let hint = "write `OBJECT/MAP`, or at least one of `type`, `key-size`, `value-size`, `max-entries`, `map-flags`";
                    return Err(wrong(Mistake::new("`reuse` names no map and no definition").hint(hint)));
                }
                Ok(MapReuse { of: None, definition })
            }
        }
    }
}

impl<'de> Deserialize<'de> for WrittenReuse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReuseVisitor)
    }
}

struct ReuseVisitor;

impl<'de> Visitor<'de> for ReuseVisitor {
    type Value = WrittenReuse;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a map, `OBJECT/MAP`, or a table with its definition")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<WrittenReuse, E> {
        Ok(WrittenReuse::Of(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WrittenReuse, A::Error> {
        WrittenDefinition::deserialize(MapAccessDeserializer::new(map)).map(WrittenReuse::Like)
    }
}
