//! [`weaken`] makes one extern of an object weak, so that libbpf prepares the object without it.

use object::LittleEndian;
use object::elf::{self, FileHeader64, Sym64};
use object::read::elf::{FileHeader, Sym};

/// The object with its undefined symbol `name` made weak; `None` if it has no strong one of that name.
///
/// libbpf refuses an object as a whole for one strong extern that the kernel does not have, though only some programs refer to it.
pub fn weaken(object: &[u8], name: &str) -> Option<Vec<u8>> {
    let header = FileHeader64::<LittleEndian>::parse(object).ok()?;
    let sections = header.sections(LittleEndian, object).ok()?;
    let symbols = sections.symbols(LittleEndian, object, elf::SHT_SYMTAB).ok()?;
    let is_wanted = |symbol: &&Sym64<LittleEndian>| {
        symbol.is_undefined(LittleEndian)
            && symbol.st_bind() == elf::STB_GLOBAL
            && symbols.symbol_name(LittleEndian, *symbol).is_ok_and(|found| found == name.as_bytes())
    };
    let symbol = symbols.iter().find(is_wanted)?;
    let mut weak = object.to_vec();
    bind(&mut weak, object, symbol, elf::STB_WEAK)?;
    Some(weak)
}

/// Gives a symbol of `object` another binding in its copy.
fn bind(copy: &mut [u8], object: &[u8], symbol: &Sym64<LittleEndian>, binding: elf::SymbolBind) -> Option<()> {
    // The symbols were read in place.
    let offset = std::ptr::from_ref(symbol).addr().checked_sub(object.as_ptr().addr())?;
    // `st_info` stands behind the four bytes of the name.
    *copy.get_mut(offset + 4)? = binding.0 << 4 | symbol.st_type().0;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_strong_extern_of_the_name_is_made_weak() {
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/objects/externs.bpf.o");
        let bytes = std::fs::read(fixture).expect("the fixture");
        let weak = weaken(&bytes, "bpf_corematrix_gone").expect("a strong extern");
        assert_eq!(bytes.iter().zip(&weak).filter(|(a, b)| a != b).count(), 1);
        assert!(weaken(&weak, "bpf_corematrix_gone").is_none(), "it is weak already");
        assert!(weaken(&bytes, "no_such_name").is_none() && weaken(&bytes, "uses").is_none());
        assert!(weaken(&bytes[..100], "bpf_corematrix_gone").is_none());
    }
}
