//! [`Objects`]: finds the objects, programs and maps that a suite file names.

use super::error::Mistake;
use crate::object::{BpfObject, Inventory};

/// The objects of a run.
#[derive(Clone, Copy)]
pub(super) struct Objects<'a>(pub &'a [BpfObject]);

/// What a name of the form `object/part` or `part` looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WantedPart {
    Program,
    Map,
}

impl WantedPart {
    fn noun(self) -> &'static str {
        match self {
            WantedPart::Program => "program",
            WantedPart::Map => "map",
        }
    }

    fn names(self, inventory: &Inventory) -> Vec<&str> {
        match self {
            WantedPart::Program => inventory.programs.iter().map(|program| program.name.as_str()).collect(),
            WantedPart::Map => inventory.maps.iter().map(|map| map.name.as_str()).collect(),
        }
    }
}

impl<'a> Objects<'a> {
    /// The object of this name. A name that had to be made unique in this run is also found without what was put in front of it.
    pub fn object(self, name: &str) -> Result<usize, Mistake> {
        if let Some(exact) = self.0.iter().position(|object| object.name == name) {
            return Ok(exact);
        }
        let last = |object: &BpfObject| object.name.rsplit('/').next() == Some(name);
        let found: Vec<usize> = (0..self.0.len()).filter(|&index| last(&self.0[index])).collect();
        match found[..] {
            [one] => Ok(one),
            [] => {
                let known = self.0.iter().map(|object| object.name.as_str());
                Err(Mistake::new(format!("unknown object `{name}`")).known(name, known))
            }
            _ => {
                let names: Vec<String> = found.iter().map(|&index| format!("`{}`", self.0[index].name)).collect();
                Err(Mistake::new(format!("`{name}` is ambiguous: {}", names.join(", "))))
            }
        }
    }

    /// The inventory of an object, if it can be read.
    pub fn inventory(self, object: usize) -> Option<&'a Inventory> {
        self.0[object].inventory.as_ref().ok()
    }

    /// The object and the name of its program or map that `written` stands for: `object/part`, or `part` if one object alone has it.
    pub fn part(self, want: WantedPart, written: &str) -> Result<(usize, String), Mistake> {
        let noun = want.noun();
        let names = |object: usize| self.inventory(object).map(|all| want.names(all)).unwrap_or_default();
        if let Some((object, part)) = written.rsplit_once('/') {
            let object = self.object(object)?;
            return match names(object).contains(&part) {
                true => Ok((object, part.to_owned())),
                false => {
                    let message = format!("object `{}` has no {noun} `{part}`", self.0[object].name);
                    Err(Mistake::new(message).known(part, names(object)))
                }
            };
        }
        let having: Vec<usize> = (0..self.0.len()).filter(|&object| names(object).contains(&written)).collect();
        match having[..] {
            [object] => Ok((object, written.to_owned())),
            [] => {
                let known: Vec<&str> = (0..self.0.len()).flat_map(names).collect();
                Err(Mistake::new(format!("no object has a {noun} `{written}`")).known(written, known))
            }
            [first, ..] => {
                let message = format!("{} objects have a {noun} `{written}`", having.len());
                Err(Mistake::new(message).hint(format!("write `{}/{written}`", self.0[first].name)))
            }
        }
    }
}
