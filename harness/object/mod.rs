//! [`BpfObject`]: a BPF object as it was found, with an inventory of what is in it.
//!
//! [`find_objects`] turns what the user named (objects, directories, executables that embed objects) into a list of objects.
//! [`Inventory::read`] lists an object's programs, maps and CO-RE relocations as libbpf would see them. Nothing here
//! depends on the machine it runs on, and nothing is loaded: the same bytes always give the same answer.

pub mod btf;
pub mod btf_ext;
mod embedded;
mod error;
mod find;
pub mod globals;
mod instruction;
mod inventory;
pub mod listing;
mod map_memory;
mod map_rules;
mod maps;
mod naming;
mod place;
mod references;
mod relocations;
pub mod rewrite;
mod section_type;
mod tail_calls;
mod types;
mod unclaimed;
mod value_layout;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use ::object::{Object as _, ObjectSymbol as _};

pub use error::{FormatError, ObjectError};
pub(crate) use find::holds_object;
pub use find::{FoundObjects, find_in, find_objects};
pub use globals::{GlobalVariable, Globals};
pub use instruction::NewInstruction;
pub use inventory::{Inventory, ProgramInfo};
pub(crate) use inventory::{Placed, functions, sections};
pub use map_rules::{Flaw, MAP_FLAGS, MapFlag, Mend};
pub use maps::{MapInfo, StructOpsInfo};
pub use place::Place;
pub use tail_calls::MOST_TAIL_CALLS;
pub use types::ObjectTypes;
pub use unclaimed::Unclaimed;
pub use value_layout::misread_values;

use crate::record::LoadingRecord;
use rewrite::Rewritten;

/// One BPF object, from a file or out of an executable.
#[derive(Debug, Clone)]
pub struct BpfObject {
    /// Name in reports; unique among the objects of one [`find_objects`] call. May hold a `/`.
    pub name: String,
    /// Where it was found.
    pub origin: Origin,
    /// The whole object. Of an embedded object whose end is not known: its ELF header.
    pub bytes: Arc<[u8]>,
    /// SHA-256 of `bytes` in lowercase hex.
    pub sha256: String,
    /// What is in it, or why that cannot be read ([`ObjectError::Broken`]).
    pub inventory: Result<Inventory, ObjectError>,
}

/// Where an object was found. Displays as `path`, `path: symbol` or `path: offset 0x2040`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file, as the user or the directory walk named it; of an unpacked one `oci://REGISTRY/NAME@sha256:DIGEST/FILE`, or the same with the
    /// archive in front.
    pub path: PathBuf,
    /// The place in the file, if the object is only a part of it.
    pub embedded: Option<Embedding>,
}

/// The place of an embedded object in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedding {
    /// Bytes from the start of the file.
    pub offset: usize,
    /// The symbol that covers it, if the file is not stripped and has one.
    pub symbol: Option<String>,
}

impl BpfObject {
    /// The names of the symbols that it refers to and does not define.
    pub fn undefined(&self) -> Vec<String> {
        let Ok(file) = object::File::parse(&*self.bytes) else { return Vec::new() };
        let undefined = file.symbols().filter(|symbol| symbol.is_undefined() && symbol.is_global());
        undefined.filter_map(|symbol| symbol.name().ok().filter(|name| !name.is_empty()).map(str::to_owned)).collect()
    }

    /// Its bytes as its own loader makes them before libbpf could open it, what is in them, and what was done, as lowercase fragments; `None` if
    /// nothing has to be done, or nothing can be: then libbpf says what it says.
    pub fn completed(&self, loading: &LoadingRecord) -> Option<(Arc<[u8]>, Inventory, Vec<String>)> {
        let Rewritten { bytes, changes } = rewrite::rewrite(&self.bytes, loading).ok()??;
        let inventory = Inventory::read(&bytes).ok()?;
        Some((bytes.into(), inventory, changes))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.embedded {
            None => Ok(()),
            Some(Embedding { symbol: Some(symbol), .. }) => write!(f, ": {symbol}"),
            Some(Embedding { offset, symbol: None }) => write!(f, ": offset {offset:#x}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
