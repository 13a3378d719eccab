//! [`scan`]: finds the BPF objects that lie within another file's bytes.
//!
//! Executables carry their objects as plain bytes: libbpf skeletons and `include_bytes!` in `.rodata`, Rust skeletons in
//! `.bpf.objs`, Go's `go:embed` among its strings. All of them keep the object's ELF header, so every place with such a
//! header is looked at, at any alignment. The object's own section table shows where it ends.

use std::collections::HashSet;
use std::io::{self, Read};
use std::ops::Range;

use memchr::memmem;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::inventory;

/// Magic, class, byte order, ELF version.
const LITTLE: &[u8] = b"\x7fELF\x02\x01\x01";
const BIG: &[u8] = b"\x7fELF\x02\x02\x01";

/// Size of an ELF64 header.
pub(super) const HEADER_SIZE: usize = 64;

/// The objects in a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Little-endian objects, each only once.
    pub objects: Vec<Range<usize>>,
    /// Offsets of big-endian objects.
    pub big_endian: Vec<usize>,
}

/// Looks through all of `bytes`.
pub(super) fn scan(bytes: &[u8]) -> Scan {
    let mut found = Scan::default();
    let mut seen = HashSet::new();
    let mut next = 0;
    for start in memmem::find_iter(bytes, LITTLE) {
        let tail = &bytes[start..];
        // A match within an object that was just found is that object's own data.
        if start < next || !is_bpf_header(tail, u16::from_le_bytes) {
            continue;
        }
        match inventory::extent(tail) {
            Ok(size) => {
                next = start + size;
                if seen.insert(&tail[..size]) {
                    found.objects.push(start..next);
                }
            }
            // Kept nevertheless, so that a damaged object shows up as such.
            Err(_) => found.objects.push(start..start + HEADER_SIZE),
        }
    }
    found.big_endian =
        memmem::find_iter(bytes, BIG).filter(|&start| is_bpf_header(&bytes[start..], u16::from_be_bytes)).collect();
    found
}

/// Whether [`scan`] would find anything in all that `content` has; holds only a part of it at a time.
pub(super) fn holds_any(content: &mut impl Read) -> io::Result<bool> {
    const PART: usize = 1 << 20;
    let mut window = Vec::with_capacity(PART + HEADER_SIZE);
    loop {
        if content.by_ref().take(PART as u64).read_to_end(&mut window)? == 0 {
            return Ok(false);
        }
        let little = |start: usize| is_bpf_header(&window[start..], u16::from_le_bytes);
        let big = |start: usize| is_bpf_header(&window[start..], u16::from_be_bytes);
        if memmem::find_iter(&window, LITTLE).any(little) || memmem::find_iter(&window, BIG).any(big) {
            return Ok(true);
        }
        // A header may begin at the end of this part.
        window.drain(..window.len().saturating_sub(HEADER_SIZE - 1));
    }
}

/// Whether a relocatable BPF object begins here: type, machine, and the sizes of the header and of a section header.
fn is_bpf_header(bytes: &[u8], number: fn([u8; 2]) -> u16) -> bool {
    let Some(header) = bytes.get(..HEADER_SIZE) else {
        return false;
    };
    let field = |offset: usize| number([header[offset], header[offset + 1]]);
    field(16) == object::elf::ET_REL.0 && field(18) == object::elf::EM_BPF.0 && field(52) == 64 && field(58) == 64
}

/// The name of the smallest symbol of `host` that covers each range; `None` for all if `host` is stripped.
pub(super) fn covering_symbols(host: &[u8], ranges: &[Range<usize>]) -> Vec<Option<String>> {
    let mut best: Vec<Option<(u64, String)>> = vec![None; ranges.len()];
    if let Ok(file) = object::File::parse(host) {
        for symbol in file.symbols().filter(|symbol| symbol.is_definition()) {
            let Some(place) = file_place(&file, &symbol) else {
                continue;
            };
            for (range, best) in ranges.iter().zip(&mut best) {
                let covers = place.start <= range.start as u64 && place.end >= range.end as u64;
                let size = place.end - place.start;
                if covers && best.as_ref().is_none_or(|(smallest, _)| size < *smallest) {
                    *best = symbol.name().ok().map(|name| (size, name.to_owned()));
                }
            }
        }
    }
    best.into_iter().map(|best| best.map(|(_, name)| name)).collect()
}

/// The bytes of the file that a symbol stands for.
fn file_place(file: &object::File<'_>, symbol: &object::Symbol<'_, '_>) -> Option<Range<u64>> {
    let section = file.section_by_index(symbol.section_index()?).ok()?;
    let (offset, _) = section.file_range()?;
    let start = offset.checked_add(symbol.address().checked_sub(section.address())?)?;
    Some(start..start.checked_add(symbol.size())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_seen_wherever_the_parts_end() {
        let object = std::fs::read("tests/fixtures/objects/plain.bpf.o").unwrap();
        let header = &object[..HEADER_SIZE];
        for start in [0, 1, 100, (1 << 20) - 64, (1 << 20) - 63, (1 << 20) - 1, 1 << 20, (2 << 20) - 64, (2 << 20) - 30]
        {
            let mut bytes = vec![0x7f; start];
            assert!(!holds_any(&mut &bytes[..]).unwrap());
            bytes.extend(header);
            assert!(holds_any(&mut &bytes[..]).unwrap(), "{start}");
            assert!(!holds_any(&mut &bytes[..bytes.len() - 1]).unwrap(), "{start}");
        }
    }
}
