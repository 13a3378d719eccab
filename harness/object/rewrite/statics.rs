//! [`make_global`]: static functions become programs.

use object::elf;

use super::elf::ElfEditor;

/// Makes every static function global that stands in a separate section, which is a program then.
///
/// libbpf refuses an object as a whole for one static program; other loaders take it for what it is.
pub(super) fn make_global(object: &mut ElfEditor) -> Result<(), String> {
    let Some((table, mut symbols)) = object.symbols() else { return Err("it has no symbol table".to_owned()) };
    let executable = elf::SHF_EXECINSTR.0;
    for symbol in &mut symbols {
        let section = object.sections.get(usize::from(symbol.section));
        let is_of_programs = section.is_some_and(|one| one.flags & executable != 0 && one.name != ".text");
        if is_of_programs && symbol.kind == elf::STT_FUNC.0 && symbol.bind == elf::STB_LOCAL.0 {
            symbol.bind = elf::STB_GLOBAL.0;
        }
    }
    object.set_symbols(table, &symbols);
    Ok(())
}
