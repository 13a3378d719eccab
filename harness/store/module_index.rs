//! [`ModuleIndex`]: which modules of a kernel have a type or function of a name.
//!
//! Each object of a run asks on each kernel for some names that the kernel itself lacks, and reading the types of all modules takes half a
//! second. So names are kept as sorted hashes in a file of the kernel's entry.

use std::fs;
use std::io::{self, Write};
#[cfg(test)]
use std::path::Path;

use super::StoredKernel;
use crate::bytes::u32_at;
use crate::object::btf::Btf;
use crate::whole_file;

/// The file in an entry. Its number is raised when its content changes its meaning.
pub(crate) const FILE: &str = "modules.index.1";
/// A hash and the number of a module.
const ROW: usize = 12;
/// Larger indexes are not read.
const LIMIT: u64 = 256 << 20;

/// Which modules of a kernel have a type or function of a name.
#[derive(Debug, Clone, Default)]
pub struct ModuleIndex {
    modules: Vec<String>,
    /// Sorted rows: the hash of a name, and the module's number.
    rows: Vec<u8>,
}

impl StoredKernel {
    /// The index of what is known about the kernel's modules: read, or made and kept. What cannot be read is not known.
    pub fn module_index(&self) -> ModuleIndex {
        let file = self.boot_image.with_file_name(FILE);
        let known = fs::metadata(&file).is_ok_and(|found| found.len() < LIMIT).then(|| fs::read(&file).ok()).flatten();
        if let Some(index) = known.and_then(|bytes| ModuleIndex::parse(&bytes)) {
            return index;
        }
        if !self.has_modules() {
            return ModuleIndex::default();
        }
        let index = ModuleIndex::of(self);
        // A store that cannot be written to costs time.
        let _ = whole_file::replace(&file, |out| index.write(out));
        index
    }
}

impl ModuleIndex {
    fn of(kernel: &StoredKernel) -> ModuleIndex {
        let own = kernel.btf.as_ref().and_then(|file| Btf::parse(&fs::read(file).ok()?).ok());
        let (mut modules, mut rows) = (Vec::new(), Vec::new());
        let mut add = |module: String, names: &mut dyn Iterator<Item = &str>| {
            let Ok(number) = u32::try_from(modules.len()) else { return };
            rows.extend(names.map(|name| (hash(name), number)));
            modules.push(module);
        };
        if let Some(own) = &own {
            for (module, btf) in kernel.module_types().unwrap_or_default() {
                add(module, &mut own.names_of_module(&btf).into_iter());
            }
        }
        for (module, functions) in kernel.module_functions().unwrap_or_default() {
            add(module, &mut functions.iter().map(String::as_str));
        }
        ModuleIndex::sorted(modules, rows)
    }

    fn sorted(modules: Vec<String>, mut rows: Vec<(u64, u32)>) -> ModuleIndex {
        rows.sort_unstable();
        rows.dedup();
        let rows = rows.iter().flat_map(|(hash, number)| [&hash.to_be_bytes()[..], &number.to_le_bytes()].concat());
        ModuleIndex { modules, rows: rows.collect() }
    }

    /// The names of the modules, a line each; an empty line; the rows.
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for module in &self.modules {
            writeln!(out, "{module}")?;
        }
        writeln!(out)?;
        out.write_all(&self.rows)
    }

    fn parse(bytes: &[u8]) -> Option<ModuleIndex> {
        let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
        let names = std::str::from_utf8(bytes.get(..end)?).ok()?;
        let rows = bytes.get(end + 2..)?;
        let modules = names.lines().map(str::to_owned).collect();
        (rows.len() % ROW == 0).then(|| ModuleIndex { modules, rows: rows.to_vec() })
    }

    /// The modules with a type or function of this name.
    pub fn modules_with(&self, name: &str) -> Vec<&str> {
        let wanted = hash(name).to_be_bytes();
        let (rows, _) = self.rows.as_chunks::<ROW>();
        let first = rows.partition_point(|row| row[..8] < wanted[..]);
        let same = rows[first..].iter().take_while(|row| row[..8] == wanted);
        same.filter_map(|row| self.modules.get(u32_at(row, 8)? as usize).map(String::as_str)).collect()
    }

    /// Whether anything is known.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }
}

/// FNV-1a: the same in each version of corematrix.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// For tests of others.
#[cfg(test)]
pub(crate) fn write_sample(entry: &Path, modules: &[(&str, &[&str])]) {
    let mut rows = Vec::new();
    for (number, (_, names)) in (0..).zip(modules) {
        rows.extend(names.iter().map(|name| (hash(name), number)));
    }
    let index = ModuleIndex::sorted(modules.iter().map(|(module, _)| (*module).to_owned()).collect(), rows);
    let _ = whole_file::replace(&entry.join(FILE), |out| index.write(out));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_all_their_modules() {
        let folder = tempfile::tempdir().unwrap();
        write_sample(folder.path(), &[("xfs", &["xfs_inode", "both"]), ("nfs", &["both"]), ("empty", &[])]);
        let index = ModuleIndex::parse(&fs::read(folder.path().join(FILE)).unwrap()).unwrap();
        assert_eq!(index.modules_with("both"), ["xfs", "nfs"]);
        assert_eq!(index.modules_with("xfs_inode"), ["xfs"]);
        assert!(index.modules_with("inode").is_empty() && !index.is_empty());
        assert!(ModuleIndex::parse(b"xfs\n\nshort").is_none());
        assert!(ModuleIndex::parse(b"").is_none());
    }
}
