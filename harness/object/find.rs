//! [`find_objects`]: from the files and directories that the user named to the objects in them.

use crate::checksum;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{BpfObject, Embedding, Inventory, ObjectError, Origin, Place, embedded, naming};

/// What [`find_objects`] found.
#[derive(Debug, Clone, Default)]
pub struct FoundObjects {
    /// The objects, in the order of the inputs; within a directory by path, within a file by offset.
    pub objects: Vec<BpfObject>,
    /// What was left out on purpose, for the run's notices.
    pub notices: Vec<String>,
}

/// Finds every object in the inputs: BPF objects, executables and shared libraries that embed them, and directories of these.
///
/// A directory is searched at all depths. What is not an ELF file is passed over in a directory, but not if it was named itself.
/// A file that is reached twice counts once. Big-endian objects are left out with a notice. A damaged BPF object is in the
/// result, with an `Err` inventory, so that the report can show it.
///
/// # Errors
///
/// One for each input that holds no object or cannot be read.
pub fn find_objects(inputs: &[PathBuf]) -> Result<FoundObjects, Vec<ObjectError>> {
    find_in(&inputs.iter().cloned().map(Place::from).collect::<Vec<_>>())
}

/// As [`find_objects`], also in what was unpacked from somewhere.
///
/// # Errors
/// As [`find_objects`].
pub fn find_in(places: &[Place]) -> Result<FoundObjects, Vec<ObjectError>> {
    let mut search = Search::default();
    for place in places {
        let before = search.progress();
        search.place = Some(place.clone());
        if let Err(error) = search.input(&place.path) {
            search.errors.push(error);
        } else if search.progress() == before {
            search.errors.push(match &place.packed_in {
                Some(origin) => ObjectError::EmptyArchive { path: origin.clone() },
                None => ObjectError::EmptyFolder { path: place.path.clone() },
            });
        }
    }
    if search.objects.is_empty() {
        search.errors.append(&mut search.big_endian);
    }
    if !search.errors.is_empty() {
        return Err(search.errors);
    }
    naming::unique(&mut search.objects);
    let notices = big_endian_notice(&search.big_endian).into_iter().collect();
    Ok(FoundObjects { objects: search.objects, notices })
}

/// One line for all of them: whoever ships both byte orders ships many.
fn big_endian_notice(skipped: &[ObjectError]) -> Option<String> {
    let first = skipped.first()?;
    Some(match skipped.len() - 1 {
        0 => format!("{first}; skipped"),
        more => format!("{first}; skipped, and {more} more of that kind"),
    })
}

/// How a file came to be looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// The user named it, so it has to hold an object.
    Named,
    /// By a directory walk.
    Walked,
}

#[derive(Default)]
struct Search {
    /// What is being searched.
    place: Option<Place>,
    objects: Vec<BpfObject>,
    big_endian: Vec<ObjectError>,
    errors: Vec<ObjectError>,
    /// Canonical paths of the files already reached, and whether they hold an object.
    seen: HashMap<PathBuf, bool>,
    /// How often a file with an object was reached again.
    repeats: usize,
}

impl Search {
    /// Grows with every object, error and repeated file: an input that adds nothing to it was without effect.
    fn progress(&self) -> usize {
        self.objects.len() + self.big_endian.len() + self.errors.len() + self.repeats
    }

    /// A path as the user knows it.
    fn shown(&self, path: &Path) -> PathBuf {
        self.place.as_ref().map_or_else(|| path.to_owned(), |place| place.shown(path))
    }

    fn input(&mut self, path: &Path) -> Result<(), ObjectError> {
        let metadata = fs::metadata(path).map_err(|error| unreadable(&self.shown(path), error))?;
        if metadata.is_dir() {
            let mut files = Vec::new();
            walk(path, &mut files)?;
            // Links last: a file is to be known by its own name, and a link only if its target lies elsewhere.
            files.sort_by_key(|file| file.is_symlink());
            let mut fresh: Vec<PathBuf> = files.into_iter().filter(|file| self.is_new(file)).collect();
            fresh.sort();
            for file in fresh {
                if let Err(error) = self.file(&file, Reached::Walked) {
                    self.errors.push(error);
                }
            }
            Ok(())
        } else if !metadata.is_file() {
            Err(ObjectError::NotAFile { path: path.to_owned() })
        } else if self.seen.get(&canonical(path)) == Some(&true) {
            self.repeats += 1;
            Ok(())
        } else {
            // Also if a directory walk passed it over: now the user names it.
            self.file(path, Reached::Named)
        }
    }

    /// Whether a file was not reached before, under any name.
    fn is_new(&mut self, path: &Path) -> bool {
        match self.seen.entry(canonical(path)) {
            Entry::Occupied(known) => {
                self.repeats += usize::from(*known.get());
                false
            }
            Entry::Vacant(place) => {
                place.insert(false);
                true
            }
        }
    }

    fn file(&mut self, path: &Path, reached: Reached) -> Result<(), ObjectError> {
        let shown = self.shown(path);
        if reached == Reached::Walked && !begins_like_elf(path).map_err(|error| unreadable(&shown, error))? {
            return Ok(());
        }
        let bytes = fs::read(path).map_err(|error| unreadable(&shown, error))?;
        let whole = Origin { path: shown.clone(), embedded: None };
        match Machine::of(&bytes) {
            Some(Machine::Bpf) => self.objects.push(object(naming::of_file(&shown), whole, &bytes)),
            Some(Machine::BigEndianBpf) => self.big_endian.push(ObjectError::BigEndian { place: whole }),
            machine if !self.embedded(&shown, &bytes) => {
                return match reached {
                    Reached::Named => Err(no_object(&shown, &bytes, machine)),
                    Reached::Walked => Ok(()),
                };
            }
            _ => {}
        }
        self.seen.insert(canonical(path), true);
        Ok(())
    }

    /// Adds the objects embedded in a file and returns whether there are any.
    fn embedded(&mut self, path: &Path, bytes: &[u8]) -> bool {
        let scan = embedded::scan(bytes);
        let place = |offset, symbol| Origin { path: path.to_owned(), embedded: Some(Embedding { offset, symbol }) };
        self.big_endian
            .extend(scan.big_endian.iter().map(|&offset| ObjectError::BigEndian { place: place(offset, None) }));
        let symbols = match scan.objects.is_empty() {
            true => Vec::new(),
            false => embedded::covering_symbols(bytes, &scan.objects),
        };
        for (index, (range, symbol)) in scan.objects.iter().zip(symbols).enumerate() {
            let mut object = object(String::new(), place(range.start, symbol), &bytes[range.clone()]);
            let source = object.inventory.as_ref().ok().and_then(|inventory| inventory.source_file.as_deref());
            object.name = naming::of_embedded(path, source, (scan.objects.len() > 1).then_some(index + 1));
            self.objects.push(object);
        }
        !scan.objects.is_empty() || !scan.big_endian.is_empty()
    }
}

/// What an ELF header says about the machine.
enum Machine {
    /// Little-endian BPF.
    Bpf,
    BigEndianBpf,
    /// Another machine, by its number.
    Other(u16),
}

impl Machine {
    /// Reads no more than the first 20 bytes, so that it also knows damaged files. `None` if there is no such header.
    fn of(bytes: &[u8]) -> Option<Machine> {
        let header = bytes.get(..20).filter(|header| header.starts_with(b"\x7fELF"))?;
        let number = [header[18], header[19]];
        let big = header[5] == object::elf::ELFDATA2MSB.0;
        let number = if big { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) };
        Some(match (number == object::elf::EM_BPF.0, big) {
            (true, false) => Machine::Bpf,
            (true, true) => Machine::BigEndianBpf,
            (false, _) => Machine::Other(number),
        })
    }
}

/// Whether a file is an object or embeds some, of any byte order; without reading all of it into memory.
///
/// # Errors
/// It cannot be read.
pub fn holds_object(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut begin = Vec::new();
    file.by_ref().take(20).read_to_end(&mut begin)?;
    if let Some(Machine::Bpf | Machine::BigEndianBpf) = Machine::of(&begin) {
        return Ok(true);
    }
    file.rewind()?;
    embedded::holds_any(file)
}

/// The name of a machine for messages.
fn machine_name(number: u16) -> String {
    let name = match number {
        3 => "x86",
        21 => "64-bit PowerPC",
        22 => "S/390",
        40 => "32-bit ARM",
        62 => "x86-64",
        183 => "AArch64",
        243 => "RISC-V",
        258 => "LoongArch",
        _ => return format!("machine {number}"),
    };
    name.to_owned()
}

fn no_object(path: &Path, bytes: &[u8], machine: Option<Machine>) -> ObjectError {
    let path = path.to_owned();
    match machine {
        Some(Machine::Other(number)) => ObjectError::NoObject { path, machine: machine_name(number) },
        _ if bytes.is_empty() => ObjectError::Empty { path },
        _ if bytes.starts_with(b"\x7fELF") => ObjectError::TruncatedElf { path },
        _ => ObjectError::NotElf { path },
    }
}

fn object(name: String, origin: Origin, bytes: &[u8]) -> BpfObject {
    let inventory = Inventory::read(bytes).map_err(|error| ObjectError::Broken { place: origin.clone(), error });
    let sha256 = checksum::of_bytes(bytes);
    BpfObject { name, origin, bytes: Arc::from(bytes), sha256, inventory }
}

/// Collects the files below a directory. Links to directories are not followed: they may lead round in a circle.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), ObjectError> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(folder, error))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(|error| unreadable(&path, error))?;
        if kind.is_dir() {
            walk(&path, files)?;
        // `is_file` follows a link, and is false for one that leads nowhere.
        } else if kind.is_file() || (kind.is_symlink() && path.is_file()) {
            files.push(path);
        }
    }
    Ok(())
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn begins_like_elf(path: &Path) -> io::Result<bool> {
    let mut magic = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut magic)?;
    Ok(magic == b"\x7fELF")
}

fn unreadable(path: &Path, error: io::Error) -> ObjectError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => ObjectError::NotFound { path },
        _ => ObjectError::Unreadable { path, error: Arc::new(error) },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
