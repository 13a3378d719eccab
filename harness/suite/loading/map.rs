//! [`WrittenMap`]: what an object's own loader sets of a map.

use serde::Deserialize;
use toml::Spanned;

use super::super::error::Mistake;
use super::super::part::{Objects, WantedPart};
use super::reuse::WrittenReuse;
use super::{Placed, known};
use crate::feature::Feature;
use crate::object::MapInfo;
use crate::record::{MapDefinition, MapLoading, NOT_PINNED, PINNED_BY_NAME};

/// Where maps are pinned.
const BPF_FILE_SYSTEM: &str = "/sys/fs/bpf/";

/// A `[[map]]` table: what the object's own loader sets of a map.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in super::super) struct WrittenMap {
    map: Spanned<String>,
    #[serde(rename = "type")]
    map_type: Option<Spanned<String>>,
    key_size: Option<Spanned<i64>>,
    value_size: Option<Spanned<i64>>,
    max_entries: Option<Spanned<i64>>,
    map_flags: Option<Spanned<i64>>,
    pinning: Option<Spanned<String>>,
    inner: Option<WrittenInner>,
    reuse: Option<Spanned<WrittenReuse>>,
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
                let message = format!("`{name}` is not a map of maps and has no `inner`");
                return Err((Some(at), Mistake::new(message).hint("`array_of_maps` and `hash_of_maps` have one")));
            }
            Some(inner) => Some(inner.definition(maps, &all.0[object].name)?),
            None => None,
        };
        let pinning = self.pinning.as_ref().map(pinning).transpose()?;
        let reuse = match &self.reuse {
            Some(written) => Some(written.get_ref().checked(all, (object, &name), written.span().start)?),
            None => None,
        };
        if definition == MapDefinition::default() && inner.is_none() && pinning.is_none() && reuse.is_none() {
            let message = format!("`[[map]]` of `{name}` sets nothing");
            let keys =
                "write `max-entries`, `key-size`, `value-size`, `type`, `map-flags`, `pinning`, `inner` or `reuse`";
            return Err((None, Mistake::new(message).hint(keys)));
        }
        Ok((object, MapLoading { map: name, definition, pinning, inner, reuse }))
    }
}

impl WrittenInner {
    fn definition(&self, maps: &[MapInfo], object: &str) -> Result<MapDefinition, Placed> {
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
pub(super) fn definition(
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

/// Checks where a map is pinned.
fn pinning(written: &Spanned<String>) -> Result<String, Placed> {
    let text = written.get_ref();
    let is_known = text == NOT_PINNED || text == PINNED_BY_NAME;
    let below = text.strip_prefix(BPF_FILE_SYSTEM);
    let is_path = below.is_some_and(|below| below.split('/').all(|part| !["", ".", ".."].contains(&part)));
    // The file system takes no name with a dot.
    if is_known || is_path && !text.contains('.') {
        return Ok(text.clone());
    }
    let message = format!("`{text}` is not a valid pin path");
    let hint = "write `none`, `by-name` or a path below `/sys/fs/bpf`, without dots";
    Err((Some(written.span().start), Mistake::new(message).hint(hint)))
}
