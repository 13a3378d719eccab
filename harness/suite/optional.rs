//! [`WrittenOptional`]: an `[[optional]]` table.

use serde::Deserialize;
use toml::Spanned;

use super::error::Mistake;
use super::part::{Objects, WantedPart};
use crate::record::{Alternative, OptionalRecord};

/// A program or object that may fail.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenOptional {
    object: Option<Spanned<String>>,
    program: Option<Spanned<String>>,
    reason: String,
}

impl WrittenOptional {
    /// Finds what it is about. `Err` has the place in the file if it is not the table's.
    pub fn found(&self, all: Objects<'_>) -> Result<OptionalRecord, (Option<usize>, Mistake)> {
        let (object, name) = match (&self.object, &self.program) {
            (Some(object), None) => {
                (all.object(object.get_ref()).map_err(|mistake| (Some(object.span().start), mistake))?, None)
            }
            (None, Some(program)) => {
                let found = all.part(WantedPart::Program, program.get_ref());
                let (object, name) = found.map_err(|mistake| (Some(program.span().start), mistake))?;
                (object, Some(name))
            }
            _ => return Err((None, Mistake::new("`[[optional]]` needs either `object` or `program`"))),
        };
        if self.reason.trim().is_empty() {
            return Err((None, Mistake::new("`reason` is empty").hint("state why it may fail")));
        }
        let what = Alternative { object: all.0[object].name.clone(), name };
        Ok(OptionalRecord { what, reason: self.reason.clone() })
    }
}
