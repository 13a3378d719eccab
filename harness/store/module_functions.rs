//! [`pack`] and [`unpack`]: the functions of modules that have no BTF, by their symbols, as one file of a kernel's entry.
//!
//! One line a module, in zstd: its name, then those of its functions.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use object::{Object, ObjectSymbol, SymbolKind};

const LEVEL: i32 = 3;
/// The largest list that is read; that of a full distribution kernel has some 10 MB.
const LIMIT: u64 = 256 << 20;

/// The functions that the ELF file of a module defines.
pub(crate) fn of_module(elf: &object::File<'_>) -> Vec<String> {
    let name = |symbol: object::Symbol<'_, '_>| {
        let defined = symbol.kind() == SymbolKind::Text && !symbol.is_undefined();
        // What the compiler made of a function has a dot in its name, and every module its own start and end.
        let is_own = |name: &&str| !name.is_empty() && !name.contains(['.', ' ', '\n']) && !ENDS.contains(name);
        symbol.name().ok().filter(|_| defined).filter(is_own).map(str::to_owned)
    };
    let mut names: Vec<String> = elf.symbols().filter_map(name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Every module has these.
const ENDS: [&str; 2] = ["init_module", "cleanup_module"];

/// The list of all these modules; `None` if there is none.
pub(crate) fn pack(modules: &[(String, Vec<String>)]) -> io::Result<Option<Vec<u8>>> {
    if modules.is_empty() {
        return Ok(None);
    }
    let lines: Vec<String> =
        modules.iter().map(|(name, functions)| format!("{name} {}\n", functions.join(" "))).collect();
    zstd::encode_all(lines.concat().as_bytes(), LEVEL).map(Some)
}

/// The modules of a list with their functions, by name.
pub(crate) fn unpack(list: &Path) -> io::Result<Vec<(String, Vec<String>)>> {
    let mut text = String::new();
    let file = BufReader::new(File::open(list)?);
    zstd::Decoder::with_buffer(file)?.take(LIMIT).read_to_string(&mut text)?;
    let module = |line: &str| {
        let mut words = line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned);
        Some((words.next()?, words.collect()))
    };
    Ok(text.lines().filter_map(module).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_a_module_defines_are_packed_and_found_again() {
        // An object of BPF defines functions as a module does.
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/objects/plain.bpf.o");
        let bytes = std::fs::read(fixture).unwrap();
        let functions = of_module(&object::File::parse(&*bytes).unwrap());
        assert!(!functions.is_empty());
        let modules = [("one".to_owned(), functions), ("two".to_owned(), Vec::new())];
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list");
        std::fs::write(&list, pack(&modules).unwrap().unwrap()).unwrap();
        assert_eq!(unpack(&list).unwrap(), modules);
        assert_eq!(pack(&[]).unwrap(), None);
        std::fs::write(&list, b"damaged").unwrap();
        assert!(unpack(&list).is_err());
    }
}
