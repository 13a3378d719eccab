//! [`Unclaimed`]: what an object holds and libbpf takes no notice of. Other loaders take such an object.

use object::LittleEndian;
use object::elf;
use object::read::elf::SectionHeader;

use super::FormatError;
use super::inventory::{Placed, Sections};

/// What libbpf makes neither a program nor a map of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unclaimed {
    /// Map definitions without BTF, in a section `maps` or `maps/NAME`.
    LegacyMaps {
        /// The section.
        section: String,
    },
    /// Code in which no symbol is a function, as clang 7 writes it.
    Code {
        /// The section.
        section: String,
    },
    /// Functions in `.text` of an object that has no program to call them.
    Subprograms,
}

impl Unclaimed {
    /// The rule of libbpf that it breaks, as a lowercase fragment.
    pub fn rule(&self) -> String {
        match self {
            Unclaimed::LegacyMaps { section } => {
                format!("section `{section}` holds legacy map definitions, which libbpf 1.0 and later do not support")
            }
            Unclaimed::Code { section } => {
                format!(
                    "section `{section}` holds code without a symbol of type STT_FUNC, so libbpf finds no program in it"
                )
            }
            Unclaimed::Subprograms => {
                "all functions are in `.text`, where libbpf looks only for subprograms, so it finds no program"
                    .to_owned()
            }
        }
    }

    /// What the author can do about it.
    pub fn way_out(&self) -> &'static str {
        match self {
            Unclaimed::LegacyMaps { .. } => {
                "define the maps in `.maps`, set `legacy-maps = true` in an `[[object]]` table of a suite"
            }
            Unclaimed::Code { .. } => "build the object with a later clang",
            Unclaimed::Subprograms => "give each program its section with `SEC()`",
        }
    }
}

/// Whether a section of this name holds map definitions without BTF.
pub(super) fn is_legacy_maps(section: &str) -> bool {
    section == "maps" || section.starts_with("maps/")
}

/// What libbpf takes no notice of, in the order of sections but for `.text`. `functions` are those of the object, `text_index` is the section of
/// subprograms.
pub(super) fn of(
    bytes: &[u8],
    sections: &Sections<'_>,
    (functions, text_index): (&[Placed], Option<usize>),
) -> Result<Vec<Unclaimed>, FormatError> {
    let has_program = functions.iter().any(|function| Some(function.section_index) != text_index);
    let mut found = Vec::new();
    for (index, header) in sections.iter().enumerate().skip(1) {
        let section = String::from_utf8_lossy(sections.section_name(LittleEndian, header)?).into_owned();
        let is_empty = header.data(LittleEndian, bytes).is_ok_and(<[u8]>::is_empty);
        if header.sh_type(LittleEndian) != elf::SHT_PROGBITS || is_empty || section.starts_with(".debug_") {
            continue;
        }
        if is_legacy_maps(&section) {
            found.push(Unclaimed::LegacyMaps { section });
        } else if header.sh_flags(LittleEndian).contains(elf::SHF_EXECINSTR) {
            match functions.iter().any(|function| function.section_index == index) {
                false => found.push(Unclaimed::Code { section }),
                true if Some(index) == text_index && !has_program => found.push(Unclaimed::Subprograms),
                true => {}
            }
        }
    }
    // What a program would be is more useful than its subprograms.
    found.sort_by_key(|unclaimed| matches!(unclaimed, Unclaimed::Code { section } if section == ".text"));
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Inventory;
    use super::*;

    fn unclaimed(fixture: &str) -> (Vec<Unclaimed>, Inventory) {
        let path = format!("{}/tests/fixtures/{fixture}.bpf.o", env!("CARGO_MANIFEST_DIR"));
        let inventory = Inventory::read(&std::fs::read(path).unwrap()).unwrap();
        (inventory.unclaimed.clone(), inventory)
    }

    #[test]
    fn what_libbpf_takes_no_notice_of_is_listed_with_its_rule() {
        let (found, inventory) = unclaimed("unclaimed/legacy-maps");
        assert_eq!(found, [Unclaimed::LegacyMaps { section: "maps".into() }]);
        assert_eq!(inventory.notes.len(), 1);
        assert_eq!(unclaimed("unclaimed/untyped").0, [Unclaimed::Code { section: "xdp".into() }]);
        let (found, inventory) = unclaimed("unclaimed/text");
        assert_eq!((found, inventory.maps.len()), (vec![Unclaimed::Subprograms], 1));
        assert_eq!(unclaimed("unclaimed/data").0, []);
    }

    #[test]
    fn subprograms_that_a_program_can_call_are_claimed() {
        let (found, inventory) = unclaimed("objects/guards");
        assert!(found.is_empty() && !inventory.programs.is_empty());
        assert!(unclaimed("objects/externs").0.is_empty());
    }
}
