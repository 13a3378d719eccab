//! [`WrittenAlternatives`]: an `[[alternatives]]` table.

use serde::Deserialize;
use toml::Spanned;

use super::error::Mistake;
use super::part::{Objects, WantedPart};
use crate::record::{Alternative, AlternativeKind, AlternativesRecord};

/// Programs, maps or objects of which one is enough.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenAlternatives {
    name: String,
    programs: Option<Vec<Spanned<String>>>,
    maps: Option<Vec<Spanned<String>>>,
    objects: Option<Vec<Spanned<String>>>,
}

impl WrittenAlternatives {
    /// Finds the members. `Err` has the place in the file if it is not the table's.
    pub fn group(&self, all: Objects<'_>) -> Result<AlternativesRecord, (Option<usize>, Mistake)> {
        let (kind, written) = match (&self.programs, &self.maps, &self.objects) {
            (Some(programs), None, None) => (AlternativeKind::Programs, programs),
            (None, Some(maps), None) => (AlternativeKind::Maps, maps),
            (None, None, Some(objects)) => (AlternativeKind::Objects, objects),
            _ => {
                let message = format!("alternatives `{}` need one of `programs`, `maps` and `objects`", self.name);
                return Err((None, Mistake::new(message)));
            }
        };
        let mut members: Vec<Alternative> = Vec::new();
        for name in written {
            let at = |mistake| (Some(name.span().start), mistake);
            let part = |want| all.part(want, name.get_ref()).map(|(object, part)| (object, Some(part)));
            let (object, part) = match kind {
                AlternativeKind::Programs => part(WantedPart::Program),
                AlternativeKind::Maps => part(WantedPart::Map),
                AlternativeKind::Objects => all.object(name.get_ref()).map(|object| (object, None)),
            }
            .map_err(at)?;
            let member = Alternative { object: all.0[object].name.clone(), name: part };
            if members.contains(&member) {
                return Err(at(Mistake::new(format!("`{}` is named twice", name.get_ref()))));
            }
            members.push(member);
        }
        match members.len() {
            0 | 1 => Err((None, Mistake::new(format!("alternatives `{}` need at least two members", self.name)))),
            _ => Ok(AlternativesRecord { name: self.name.clone(), kind, declared: true, members }),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}
