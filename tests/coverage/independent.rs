//! [`Count`]: what of an object asks a kernel for existence, counted out of its raw sections.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

/// Of `enum bpf_core_relo_kind`: a field, a type and an enumerator exist, and a type matches.
const EXISTENCE: [u32; 4] = [2, 8, 10, 12];

/// How many questions there are.
#[derive(Debug, Default)]
pub struct Count {
    /// CO-RE relocations that ask for existence.
    pub existence: usize,
    /// Names of the externs that the object does not need.
    pub weak: Vec<String>,
}

impl Count {
    /// Counts in a whole object.
    pub fn of(bytes: &[u8]) -> Count {
        let elf = object::File::parse(bytes).unwrap();
        let weak = elf.symbols().filter(|symbol| symbol.is_weak() && symbol.is_undefined());
        let weak = weak.map(|symbol| symbol.name().unwrap().to_owned()).collect();
        let existence = elf.section_by_name(".BTF.ext").map_or(0, |section| existence(section.data().unwrap()));
        Count { existence, weak }
    }
}

/// `struct btf_ext_header`, then the table of relocations: for each section its name, their number, and 16 bytes for each.
fn existence(data: &[u8]) -> usize {
    let word = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
    let header = word(4) as usize;
    if header < 32 {
        return 0;
    }
    let (mut at, end) = (header + word(24) as usize, header + (word(24) + word(28)) as usize);
    let mut count = 0;
    if at < end {
        assert_eq!(word(at), 16, "records of 16 bytes");
        at += 4;
    }
    while at < end {
        let number = word(at + 4) as usize;
        at += 8;
        count += (0..number).filter(|record| EXISTENCE.contains(&word(at + 16 * record + 12))).count();
        at += 16 * number;
    }
    count
}
