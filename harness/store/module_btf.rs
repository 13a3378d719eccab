//! [`pack`] and [`unpack`]: the BTF of a kernel's modules, as one file of its entry.
//!
//! A tar archive with `MODULE.btf` of each module, in zstd: some hundred modules have 2 to 10 MB of types, of which a fifth is left.

use std::io::{self, Read};
use std::path::Path;

use object::{Object, ObjectSection};

/// How the modules of an archive are called.
const ENDING: &str = ".btf";
/// Higher ones save a tenth and take several times longer.
const LEVEL: i32 = 3;
/// The largest archive that is read; that of a full distribution kernel has 40 MB.
const LIMIT: u64 = 1 << 30;

/// The BTF of the ELF file of a module.
pub(crate) fn of_module(elf: &object::File<'_>) -> Option<Vec<u8>> {
    // With a base of its own it is of another build than the kernel, and is useless by itself.
    let own_base = elf.section_by_name(".BTF.base").is_some();
    let btf = elf.section_by_name(".BTF").filter(|_| !own_base)?.data().ok()?.to_vec();
    Some(btf).filter(|btf| !btf.is_empty())
}

/// The archive of all these modules; `None` if there is none.
pub(crate) fn pack(modules: Vec<(String, Vec<u8>)>) -> io::Result<Option<Vec<u8>>> {
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
pub(crate) fn unpack(archive: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
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
