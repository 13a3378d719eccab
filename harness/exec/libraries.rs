//! [`Libraries`]: whether the dynamic linker of glibc will find all libraries of an executable, from files alone.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use object::elf::{self, FileHeader64};
use object::read::StringTable;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef};

use super::files::View;

/// The dynamic linker of glibc, which is always loaded.
pub(super) const GLIBC: &str = "ld-linux-x86-64.so.2";
/// Where it keeps what `ldconfig` found.
const CACHE: &str = "/etc/ld.so.cache";
/// More of that is not read.
const LARGEST_CACHE: u64 = 64 << 20;
/// Where it looks in any case.
const FOLDERS: [&str; 6] =
    ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];
/// More libraries of one executable are not looked at.
const MOST_LIBRARIES: usize = 1000;

/// Where libraries are found.
pub(super) struct Libraries<'a> {
    view: &'a View,
    /// The directories of `LD_LIBRARY_PATH`.
    folders: Vec<PathBuf>,
    cache: OnceCell<BTreeMap<String, PathBuf>>,
}

/// What an ELF file needs, and where it says to look for it.
#[derive(Debug, Default)]
struct Needed {
    names: Vec<String>,
    folders: Vec<String>,
}

impl<'a> Libraries<'a> {
    pub fn new(view: &'a View, library_path: Option<&OsString>) -> Libraries<'a> {
        let folders = library_path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
        Libraries { view, folders, cache: OnceCell::new() }
    }

    /// The first library that an executable or one of its libraries needs and that is nowhere, with who needs it. What cannot be read is
    /// taken to be right.
    pub fn missing(&self, executable: &Path) -> Option<(String, PathBuf)> {
        let mut seen: HashSet<String> = HashSet::from([GLIBC.to_owned()]);
        let mut open = vec![executable.to_owned()];
        // What the executable says holds for its libraries, too.
        let mut inherited: Vec<PathBuf> = Vec::new();
        while let Some(file) = open.pop() {
            let Some(needed) = needed(&file) else { continue };
            let origin = file.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
            inherited.extend(needed.folders.iter().map(|folder| PathBuf::from(with_origin(folder, &origin))));
            for name in needed.names {
                if seen.len() >= MOST_LIBRARIES {
                    return None;
                }
                if !seen.insert(name.clone()) {
                    continue;
                }
                match self.find(&name, &inherited) {
                    Some(found) => open.push(found),
                    None => return Some((name, file)),
                }
            }
        }
        None
    }

    fn find(&self, name: &str, inherited: &[PathBuf]) -> Option<PathBuf> {
        let is_here = |path: &PathBuf| path.is_file() && self.view.has(path);
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(is_here);
        }
        let folders = inherited.iter().chain(&self.folders).map(PathBuf::as_path);
        let mut all = folders.chain(FOLDERS.iter().map(Path::new)).map(|folder| folder.join(name));
        all.find(is_here).or_else(|| self.cache.get_or_init(read_cache).get(name).cloned().filter(is_here))
    }
}

/// The libraries in the cache of the dynamic linker: all paths among its strings.
fn read_cache() -> BTreeMap<String, PathBuf> {
    let is_sound = fs::metadata(CACHE).is_ok_and(|found| found.len() <= LARGEST_CACHE);
    let bytes = if is_sound { fs::read(CACHE).unwrap_or_default() } else { Vec::new() };
    let strings = bytes.split(|byte| *byte == 0).filter_map(|string| std::str::from_utf8(string).ok());
    let paths = strings.filter(|string| string.starts_with('/')).map(PathBuf::from);
    paths.filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path))).collect()
}

fn with_origin(folder: &str, origin: &str) -> String {
    folder.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
}

fn needed(file: &Path) -> Option<Needed> {
    let data = ReadCache::new(fs::File::open(file).ok()?);
    needed_by(&data)
}

fn needed_by<'a, R: ReadRef<'a>>(data: R) -> Option<Needed> {
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, data).ok()?;
    let entries = segments.iter().find_map(|segment| segment.dynamic(endian, data).ok().flatten())?;
    let value = |tag: elf::DynamicTag| {
        entries.iter().filter(move |entry| entry.tag(endian) == tag).map(|entry| entry.val(endian))
    };
    let (address, size) = (value(elf::DT_STRTAB).next()?, value(elf::DT_STRSZ).next()?);
    // Its place in the file, from that in memory.
    let offset = segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD).find_map(|segment| {
        let inside = address.checked_sub(segment.p_vaddr(endian))?;
        (inside < segment.p_filesz(endian)).then(|| segment.p_offset(endian).checked_add(inside))?
    })?;
    let strings = StringTable::new(data, offset, offset.checked_add(size)?);
    let text = |at: u64| {
        let bytes = strings.get(u32::try_from(at).ok()?).ok()?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    let paths = value(elf::DT_RPATH).chain(value(elf::DT_RUNPATH)).filter_map(text);
    let folders = paths.flat_map(|path| path.split(':').map(str::to_owned).collect::<Vec<_>>()).collect();
    Some(Needed { names: value(elf::DT_NEEDED).filter_map(text).collect(), folders })
}
