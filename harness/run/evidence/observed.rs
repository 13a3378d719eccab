//! What happened to relocations where a loader logs nothing of them: read from the instructions that it gave to the kernel.

use object::LittleEndian;
use object::read::elf::SectionHeader;

use super::{CellEvidence, Held, INSN_BYTES, LoggedRelocations, value_at};
use crate::explain::LocalSpec;
use crate::judge::Poison;
use crate::object::ObjectTypes;
use crate::object::btf::Btf;
use crate::object::btf_ext::RelocationKind;
use crate::record::{CoreRelocation, RelocationOutcome, RelocationRecord, VerifierPlace};

/// What a relocation asks for, by the object alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::run) struct AskedRelocation {
    /// In libbpf's words: `struct task_struct.__state (0:1 @ offset 24)`.
    local: String,
    kind: RelocationKind,
    /// The value that the compiler put there.
    old: Option<u64>,
}

impl AskedRelocation {
    /// The relocations of an object, in the order of its records; none if they cannot be read.
    pub(in crate::run) fn all(object: &[u8]) -> Vec<AskedRelocation> {
        let (Some(types), Ok(sections)) = (ObjectTypes::read(object), crate::object::sections(object)) else {
            return Vec::new();
        };
        let old = |section: &str, offset: u32| {
            let (_, section) = sections.section_by_name(LittleEndian, section.as_bytes())?;
            value_at(section.data(LittleEndian, object).ok()?, offset as usize / INSN_BYTES)?.value()
        };
        let asked = types.relocations.iter().map(|relocation| AskedRelocation {
            local: LocalSpec::of(relocation, &types.btf).map(|spec| local(&spec)).unwrap_or_default(),
            kind: relocation.kind,
            old: old(&relocation.section, relocation.insn_offset),
        });
        asked.collect()
    }

    /// What a value in the relocated instruction means.
    fn outcome(&self, held: Held) -> RelocationOutcome {
        let Some(new) = held.value() else { return RelocationOutcome::Poisoned };
        let old = self.old.unwrap_or_default();
        let zero_is_none = matches!(
            self.kind,
            RelocationKind::FieldExists
                | RelocationKind::TypeExists
                | RelocationKind::TypeMatches
                | RelocationKind::EnumValueExists
                | RelocationKind::TypeSize
                | RelocationKind::TargetTypeId
        );
        match zero_is_none && new == 0 {
            true => RelocationOutcome::NoMatch { old, new },
            false => RelocationOutcome::Resolved { old, new },
        }
    }
}

/// A spec as libbpf logs it.
fn local(spec: &LocalSpec) -> String {
    match spec.bit_offset {
        Some(bits) if bits % 8 == 0 => format!("{spec} ({} @ offset {})", spec.access, bits / 8),
        Some(bits) => format!("{spec} ({} @ offset {}.{})", spec.access, bits / 8, bits % 8),
        None => spec.to_string(),
    }
}

impl CellEvidence {
    /// Evidence of an object whose loader logs nothing of relocations.
    pub(in crate::run) fn of_loader(asked: Vec<AskedRelocation>) -> CellEvidence {
        // Without subprograms a program is all that it has.
        CellEvidence { asked, subprograms: vec![LoggedRelocations::default()], ..CellEvidence::default() }
    }

    /// Takes where a program has its functions: the first instruction of each, and the id of its type among `types`.
    pub(in crate::run) fn functions(&mut self, program: &str, functions: &[(u32, u32)], types: &Btf) {
        let name = |id: u32| types.get(id).and_then(|function| types.string(function.name_offset));
        let subprograms = functions.iter().filter(|(first, _)| *first > 0);
        let subprograms =
            subprograms.filter_map(|(first, id)| Some((program.to_owned(), name(*id)?, *first))).collect();
        // Of a program that was loaded twice the places are the same.
        let log = LoggedRelocations { subprograms, ..LoggedRelocations::default() };
        if !self.subprograms.contains(&log) {
            self.subprograms.push(log);
        }
    }

    pub(super) fn observed_records(&self, asked: &[CoreRelocation], programs: &[&str]) -> Vec<RelocationRecord> {
        let record = |(number, relocation): (usize, &CoreRelocation)| {
            let is_program = programs.contains(&relocation.function.as_str());
            let places = self.places(relocation, is_program);
            let (local, outcome) = match self.asked.get(number) {
                Some(asked) => (asked.local.clone(), self.observed(asked, &places)),
                None => (String::new(), RelocationOutcome::Lost),
            };
            let verifier_insns: Vec<VerifierPlace> =
                places.into_iter().filter(|place| self.instructions.contains_key(&place.program)).collect();
            RelocationRecord {
                relocation: number,
                local,
                candidates: Vec::new(),
                outcome,
                verifier_insns,
                predicted: None,
            }
        };
        asked.iter().enumerate().map(record).collect()
    }

    /// What the instructions at these places hold. Every program has a copy of its own, and all have to say the same.
    fn observed(&self, asked: &AskedRelocation, places: &[VerifierPlace]) -> RelocationOutcome {
        let mut known: Option<(RelocationOutcome, &str)> = None;
        for place in places {
            let Some(insns) = self.instructions.get(&place.program) else { continue };
            let Some(held) = value_at(insns, place.insn as usize) else {
                return RelocationOutcome::Contradicted { reason: "the instruction is missing".to_owned() };
            };
            let outcome = asked.outcome(held);
            match &known {
                Some((first, program)) if *first != outcome => {
                    let reason = format!("{first:?} in `{program}`, but {outcome:?} in `{}`", place.program);
                    return RelocationOutcome::Contradicted { reason };
                }
                Some(_) => {}
                None => known = Some((outcome, &place.program)),
            }
        }
        known.map_or(RelocationOutcome::NotReached, |(outcome, _)| outcome)
    }

    pub(super) fn observed_poison_at(&self, at: &VerifierPlace, asked: &[CoreRelocation]) -> Option<Poison> {
        let insns = self.instructions.get(&at.program)?;
        if value_at(insns, at.insn as usize)? != Held::Poison {
            return None;
        }
        asked.iter().zip(&self.asked).find_map(|(relocation, asked)| {
            let is_there = self.places(relocation, relocation.function == at.program).contains(at);
            is_there.then(|| Poison::Relocation { kind: relocation.kind.clone(), spec: asked.local.clone() })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `r1 = *(u32 *)(r1 + 24)`, `r2 = 0`, then the poisoned call.
    const INSNS: [u8; 24] =
        [0x61, 0x11, 24, 0, 0, 0, 0, 0, 0xb7, 2, 0, 0, 0, 0, 0, 0, 0x85, 0, 0, 0, 0x10, 0x23, 0xad, 0x0b];

    fn asked(kind: RelocationKind, local: &str) -> AskedRelocation {
        AskedRelocation { local: local.to_owned(), kind, old: Some(4) }
    }

    fn relocation(index: u32) -> CoreRelocation {
        let (section, function) = ("kprobe/a".to_owned(), "a".to_owned());
        CoreRelocation { section, index, function, insn: index, kind: "byte_off".into(), source: None }
    }

    fn evidence() -> CellEvidence {
        CellEvidence::of_loader(vec![
            asked(RelocationKind::ByteOffset, "struct x.y (0:1 @ offset 4)"),
            asked(RelocationKind::FieldExists, "struct x.z (0:2 @ offset 8)"),
            asked(RelocationKind::ByteOffset, "struct x.w (0:3 @ offset 12)"),
        ])
    }

    #[test]
    fn instructions_say_what_became_of_relocations() {
        let mut evidence = evidence();
        let all = [relocation(0), relocation(1), relocation(2)];
        let outcomes = |evidence: &CellEvidence| -> Vec<RelocationOutcome> {
            evidence.records(&all, &["a"], &|_| false).into_iter().map(|record| record.outcome).collect()
        };
        assert_eq!(outcomes(&evidence), vec![RelocationOutcome::NotReached; 3]);
        evidence.instructions("a".into(), INSNS.to_vec());
        let resolved = RelocationOutcome::Resolved { old: 4, new: 24 };
        let none = RelocationOutcome::NoMatch { old: 4, new: 0 };
        assert_eq!(outcomes(&evidence), [resolved, none, RelocationOutcome::Poisoned]);
        assert_eq!(evidence.poison_at("a", 1, &all), None);
        assert!(matches!(evidence.poison_at("a", 2, &all), Some(Poison::Relocation { spec, .. })
            if spec == "struct x.w (0:3 @ offset 12)"));
    }

    #[test]
    fn copies_that_differ_are_a_defect() {
        let mut evidence = evidence();
        evidence.instructions("a".into(), INSNS.to_vec());
        let mut other = INSNS;
        other[2] = 32;
        evidence.instructions("b".into(), other.to_vec());
        let log = LoggedRelocations {
            subprograms: vec![("b".to_owned(), "a".to_owned(), 0)],
            ..LoggedRelocations::default()
        };
        evidence.subprograms = vec![log];
        let records = evidence.records(&[relocation(0)], &["a", "b"], &|_| false);
        assert!(matches!(records[0].outcome, RelocationOutcome::Contradicted { .. }), "{records:?}");
    }
}
