//! Which relocations belong to a program of a [`CellRecord`], and which one it failed on.

use super::{CellRecord, ObjectRecord, ProgramRecord};
use crate::{Cause, RelocationOutcome, RelocationRecord};

impl CellRecord {
    /// The relocations that belong to a program, those of subprograms it calls included. `object` is the cell's.
    pub fn relocations_of<'a>(
        &'a self,
        object: &'a ObjectRecord,
        program: &'a str,
    ) -> impl Iterator<Item = &'a RelocationRecord> {
        self.relocations.iter().filter(move |record| {
            let own = object.relocations.get(record.relocation).is_some_and(|asked| asked.function == program);
            own || record.verifier_insns.iter().any(|place| place.program == program)
        })
    }

    /// The relocation that a program failed on, as an index into the object's list; `None` if no relocation is to blame.
    pub fn relocation_in_question(&self, object: &ObjectRecord, program: &ProgramRecord) -> Option<usize> {
        let causes =
            [Cause::MissingField, Cause::MissingType, Cause::MissingEnumValue, Cause::UnresolvedRelocation].map(Some);
        if !causes.contains(&program.cause) {
            return None;
        }
        let evidence = program.evidence.as_ref();
        let records: Vec<&RelocationRecord> = self.relocations_of(object, &program.name).collect();
        let insn = evidence.and_then(|evidence| evidence.source.as_ref()).map(|source| source.insn);
        let at_insn = |record: &&&RelocationRecord| {
            let mut places = record.verifier_insns.iter();
            places.any(|place| place.program == program.name && Some(place.insn) == insn)
        };
        let subject = evidence.and_then(|evidence| evidence.subject.as_deref());
        let about = |record: &&&RelocationRecord| {
            let rest = subject.and_then(|subject| record.local.split_once(subject)).map(|(_, rest)| rest);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" (") || rest.starts_with(" = "))
        };
        let failed = || records.iter().filter(|record| has_failed(record));
        let found = failed().find(at_insn).or_else(|| failed().find(about)).or_else(|| failed().next());
        found.or_else(|| records.iter().find(about)).map(|record| record.relocation)
    }
}

fn has_failed(record: &RelocationRecord) -> bool {
    use RelocationOutcome::{Ambiguous, Failed, Poisoned};
    matches!(record.outcome, Poisoned | Ambiguous { .. } | Failed { .. })
}
