//! [`pack`] and [`unpack`]: the BTF of a kernel's modules, as one file of its entry.
//!
//! A tar archive with `MODULE.btf` of each module, in zstd: some hundred modules have 2 to 10 MB of types, of which a fifth is left.

use std::io::{self, Read};
use std::path::Path;

use object::{Object, ObjectSection};
use rayon::prelude::*;

use super::kmod::ModuleTree;

/// How the modules of an archive are called.
const ENDING: &str = ".btf";
/// Higher ones save a tenth and take several times longer.
const LEVEL: i32 = 3;
/// The largest archive that is read; that of a full distribution kernel has 40 MB.
const LIMIT: u64 = 1 << 30;

/// The archive of all modules that have BTF; `None` if there is none.
pub(super) fn pack(tree: &ModuleTree) -> io::Result<Option<Vec<u8>>> {
    let files: Vec<(&str, &Path)> = tree.files().collect();
    let read = files.into_par_iter().filter_map(|(name, path)| {
        // A module that cannot be read is no reason to do without the kernel: nothing loads it.
        let bytes = super::kmod::unpacked(path).ok()?;
        let elf = object::File::parse(&*bytes).ok()?;
        // With a base of its own it is of another build than the kernel, and says nothing by itself.
        let own_base = elf.section_by_name(".BTF.base").is_some();
        let btf = elf.section_by_name(".BTF").filter(|_| !own_base)?.data().ok()?.to_vec();
        (!btf.is_empty()).then(|| (name.to_owned(), btf))
    });
    let modules: Vec<(String, Vec<u8>)> = read.collect();
    if modules.is_empty() {
        return Ok(None);
    }
    let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL)?);
    for (name, btf) in modules {
        let mut header = tar::Header::new_gnu();
        header.set_size(btf.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("{name}{ENDING}"), &*btf)?;
    }
    archive.into_inner()?.finish().map(Some)
}

/// The modules of an archive with their raw BTF, by name.
pub(super) fn unpack(archive: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let file = io::BufReader::new(std::fs::File::open(archive)?);
    let mut modules = Vec::new();
    for entry in tar::Archive::new(zstd::Decoder::with_buffer(file)?.take(LIMIT)).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut btf = Vec::new();
        entry.read_to_end(&mut btf)?;
        modules.push((name.strip_suffix(ENDING).unwrap_or(&name).to_owned(), btf));
    }
    Ok(modules)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::kmod::tests::module;
    use super::*;

    #[test]
    fn modules_with_btf_are_packed_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        // An ELF file with `.BTF` is a module as far as this goes.
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain/kernel_a.o");
        std::fs::copy(&fixture, folder.path().join("nf-tables.ko")).unwrap();
        std::fs::write(folder.path().join("without.ko"), module("")).unwrap();
        std::fs::write(folder.path().join("damaged.ko"), b"\x7fELF").unwrap();
        let tree = ModuleTree::read(Some(folder.path()), None).unwrap();
        let archive = folder.path().join("archive");
        std::fs::write(&archive, pack(&tree).unwrap().unwrap()).unwrap();
        let modules = unpack(&archive).unwrap();
        assert_eq!(modules.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["nf_tables"]);
        assert!(crate::object::btf::Btf::parse(&modules[0].1).is_ok());
        std::fs::write(&archive, &std::fs::read(&archive).unwrap()[..40]).unwrap();
        assert!(unpack(&archive).is_err());
    }

    #[test]
    fn modules_without_btf_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("without.ko"), module("")).unwrap();
        assert_eq!(pack(&ModuleTree::read(Some(folder.path()), None).unwrap()).unwrap(), None);
    }
}
