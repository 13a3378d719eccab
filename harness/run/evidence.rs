//! [`CellEvidence`]: gathers what guests report about an object's relocations and externs, and joins it with what the object asks for.

mod observed;

use std::collections::{BTreeMap, HashMap};

use crate::bytes::u32_at;
use crate::judge::Poison;
use crate::libbpf_log::externs::externs;
use crate::libbpf_log::poison::{PoisonedCall, PoisonedTarget, poisoned_calls};
use crate::libbpf_log::relocations::{LoggedRelocation, LoggedRelocations};
use crate::protocol::libbpf_log::{self, Line};
use crate::record::{CoreRelocation, ExternRecord, RelocationOutcome, RelocationRecord, VerifierPlace};

pub(super) use observed::AskedRelocation;

/// The helper number that libbpf calls in place of an instruction whose relocation failed.
const POISON: i32 = 0x0bad_2310;
const INSN_BYTES: usize = 8;
/// Bytes of transcripts that are read of one object; the largest object says a tenth of it.
const MOST_TRANSCRIPT: usize = 512 << 20;
/// A program's instructions, at most: the kernel takes no more.
const MOST_INSNS: usize = 1_000_000;

/// What guests reported of one object on one kernel.
#[derive(Debug, Default)]
pub struct CellEvidence {
    /// Whether a transcript of the whole object, prepared to its end, is among it.
    complete: bool,
    relocations: BTreeMap<(String, u32), LoggedRelocation>,
    subprograms: Vec<LoggedRelocations>,
    externs: Vec<ExternRecord>,
    downgrades: Vec<String>,
    /// The calls that libbpf poisoned, since a map or kfunc is not there.
    poisoned: Vec<PoisonedCall>,
    /// The relocated instructions of each program.
    instructions: HashMap<String, Vec<u8>>,
    /// Bytes of transcripts that were read.
    read: usize,
    /// What each relocation asks for, where a loader logs nothing of it.
    asked: Vec<AskedRelocation>,
}

impl CellEvidence {
    /// Takes what libbpf said while it prepared the object; `complete` if that was all of it and succeeded. What is beyond all measure is
    /// left out, so that its relocations were not reached.
    pub fn transcript(&mut self, lines: &[Line], complete: bool) {
        self.read = lines.iter().fold(self.read, |read, line| read.saturating_add(line.text.len()));
        if self.read > MOST_TRANSCRIPT {
            return;
        }
        let mut log = LoggedRelocations::read(lines);
        for (place, record) in std::mem::take(&mut log.relocations) {
            let known = self.relocations.get(&place);
            // A story that broke off says less than any other.
            if known.is_none_or(|known| known.outcome == RelocationOutcome::NotReached) {
                self.relocations.insert(place, record);
            }
        }
        self.subprograms.push(log);
        for external in externs(lines) {
            match self.externs.iter_mut().find(|known| known.name == external.name) {
                Some(known) => *known = external,
                None => self.externs.push(external),
            }
        }
        for downgrade in libbpf_log::downgrades(lines) {
            if !self.downgrades.contains(&downgrade) {
                self.downgrades.push(downgrade);
            }
        }
        for call in poisoned_calls(lines) {
            if !self.poisoned.contains(&call) {
                self.poisoned.push(call);
            }
        }
        self.complete |= complete;
    }

    /// What libbpf poisoned at an instruction of a program, numbered as the verifier does.
    pub fn poison_at(&self, program: &str, insn: u32, asked: &[CoreRelocation]) -> Option<Poison> {
        let mut calls = self.poisoned.iter().filter(|call| call.program == program && call.insn == insn);
        if let Some(call) = calls.next() {
            return Some(match &call.target {
                PoisonedTarget::Map(name) => Poison::Map(name.clone()),
                PoisonedTarget::Kfunc(name) => Poison::Kfunc(name.clone()),
            });
        }
        let at = VerifierPlace { program: program.to_owned(), insn };
        if !self.asked.is_empty() {
            return self.observed_poison_at(&at, asked);
        }
        asked.iter().find_map(|relocation| {
            let record = self.relocations.get(&(relocation.section.clone(), relocation.index))?;
            let is_there = || self.places(relocation, relocation.function == program).contains(&at);
            let poisoned = record.outcome == RelocationOutcome::Poisoned && is_there();
            poisoned.then(|| Poison::Relocation { kind: relocation.kind.clone(), spec: record.local.clone() })
        })
    }

    /// What libbpf said of a relocation.
    pub fn logged(&self, relocation: &CoreRelocation) -> Option<&LoggedRelocation> {
        self.relocations.get(&(relocation.section.clone(), relocation.index))
    }

    /// Where a program has the instruction of a relocation, numbered as the verifier does.
    pub fn places_in(&self, program: &str, relocation: &CoreRelocation) -> impl Iterator<Item = u32> {
        let places = self.places(relocation, relocation.function == program);
        places.into_iter().filter(move |place| place.program == program).map(|place| place.insn)
    }

    /// Takes a program's instructions after relocation.
    pub fn instructions(&mut self, program: String, bytes: Vec<u8>) {
        if bytes.len() <= MOST_INSNS * INSN_BYTES {
            self.instructions.insert(program, bytes);
        }
    }

    /// A program's instructions after relocation; empty if no guest sent them.
    pub fn instructions_of(&self, program: &str) -> &[u8] {
        self.instructions.get(program).map_or(&[], Vec::as_slice)
    }

    /// The object's externs on this kernel.
    pub fn externs(&self) -> &[ExternRecord] {
        &self.externs
    }

    /// What libbpf did without on this kernel.
    pub fn downgrades(&self) -> &[String] {
        &self.downgrades
    }

    /// One record for each relocation that the object asks for. `programs` are the functions that are no subprograms; libbpf logs nothing
    /// of the relocations of those that are left out.
    pub fn records(
        &self,
        asked: &[CoreRelocation],
        programs: &[&str],
        is_left_out: &dyn Fn(&str) -> bool,
    ) -> Vec<RelocationRecord> {
        if !self.asked.is_empty() {
            return self.observed_records(asked, programs);
        }
        let join = |(number, relocation): (usize, &CoreRelocation)| {
            let record = self.relocations.get(&(relocation.section.clone(), relocation.index));
            let is_program = programs.contains(&relocation.function.as_str());
            let verifier_insns = self.places(relocation, is_program);
            let (local, candidates, outcome) = match record {
                Some(record) => (record.local.clone(), record.candidates.clone(), record.outcome.clone()),
                None if self.complete && !is_left_out(&relocation.function) => {
                    (String::new(), Vec::new(), RelocationOutcome::Lost)
                }
                None => (String::new(), Vec::new(), RelocationOutcome::NotReached),
            };
            let outcome = self.checked(outcome, &verifier_insns);
            RelocationRecord { relocation: number, local, candidates, outcome, verifier_insns, predicted: None }
        };
        asked.iter().enumerate().map(join).collect()
    }

    /// The programs that run a function: itself, if it is one, and those that call it as a subprogram. Without a name twice.
    pub fn programs_of(&self, function: &str, is_program: bool) -> Vec<String> {
        let mut programs: Vec<String> = is_program.then(|| function.to_owned()).into_iter().collect();
        for place in self.subprograms.iter().flat_map(|log| log.verifier_places(function, 0, false)) {
            if !programs.contains(&place.program) {
                programs.push(place.program);
            }
        }
        programs
    }

    fn places(&self, relocation: &CoreRelocation, is_program: bool) -> Vec<VerifierPlace> {
        let mut places: Vec<VerifierPlace> = Vec::new();
        for log in &self.subprograms {
            for place in log.verifier_places(&relocation.function, relocation.insn, is_program) {
                if !places.contains(&place) {
                    places.push(place);
                }
            }
        }
        places
    }

    /// Holds what libbpf said against the instructions themselves: two witnesses are better than one.
    fn checked(&self, outcome: RelocationOutcome, places: &[VerifierPlace]) -> RelocationOutcome {
        for place in places {
            let Some(insns) = self.instructions.get(&place.program) else { continue };
            let found = value_at(insns, place.insn as usize);
            let contradiction = match (&outcome, found) {
                (RelocationOutcome::Poisoned, Some(Held::Poison)) => None,
                (RelocationOutcome::Poisoned, found) => Some(format!("poisoned, but the instruction holds {found:?}")),
                (_, Some(held)) => outcome
                    .value()
                    .filter(|value| !held.is(*value))
                    .map(|value| format!("libbpf reports {value}, but the instruction holds {held:?}")),
                (_, None) => outcome.value().map(|_| "the instruction is missing".to_owned()),
            };
            if let Some(reason) = contradiction {
                return RelocationOutcome::Contradicted { reason };
            }
        }
        outcome
    }
}

/// The value that an instruction carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Offset(i16),
    Immediate(i32),
    Wide(u64),
    Poison,
}

impl Held {
    fn is(self, value: u64) -> bool {
        match self {
            Held::Offset(offset) => i64::from(offset).cast_unsigned() == value,
            // libbpf writes the low half; the sign does not matter to it.
            Held::Immediate(immediate) => u64::from(immediate.cast_unsigned()) == value & u64::from(u32::MAX),
            Held::Wide(wide) => wide == value,
            Held::Poison => false,
        }
    }
}

impl Held {
    /// The value as libbpf logs it; `None` for a poisoned instruction.
    fn value(self) -> Option<u64> {
        match self {
            Held::Offset(offset) => Some(i64::from(offset).cast_unsigned()),
            Held::Immediate(immediate) => Some(u64::from(immediate.cast_unsigned())),
            Held::Wide(wide) => Some(wide),
            Held::Poison => None,
        }
    }
}

fn value_at(insns: &[u8], index: usize) -> Option<Held> {
    let insn = insns.get(index * INSN_BYTES..(index + 1) * INSN_BYTES)?;
    let immediate = |insn: &[u8]| u32_at(insn, 4).map(u32::cast_signed);
    let (code, offset) = (insn[0], i16::from_le_bytes([insn[2], insn[3]]));
    match (code, code & 7) {
        (0x85, _) if immediate(insn)? == POISON => Some(Held::Poison),
        // cilium/ebpf poisons a wide load with a load into the frame pointer, which no compiler makes.
        (0x18, _) if insn[1] & 15 == 10 && immediate(insn)? == POISON => Some(Held::Poison),
        (0x18, _) => {
            let high = immediate(insns.get((index + 1) * INSN_BYTES..(index + 2) * INSN_BYTES)?)?;
            let (low, high) = (immediate(insn)?.cast_unsigned(), high.cast_unsigned());
            Some(Held::Wide(u64::from(low) | u64::from(high) << 32))
        }
        (_, 1..=3) => Some(Held::Offset(offset)),
        _ => Some(Held::Immediate(immediate(insn)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::libbpf_log::Level;

    fn lines(text: &str) -> Vec<Line> {
        text.lines().map(|line| Line { level: Level::Debug, text: format!("libbpf: {line}\n") }).collect()
    }

    fn asked(index: u32, insn: u32) -> CoreRelocation {
        let (section, function) = ("kprobe/a".to_owned(), "a".to_owned());
        CoreRelocation { section, index, function, insn, kind: "byte_off".into(), source: None }
    }

    const LOG: &str = "\
sec 'kprobe/a': found 2 CO-RE relocations
prog 'a': relo #0: <byte_off> [6] struct x.y (0:1 @ offset 4)
prog 'a': relo #0: matching candidate #0 <byte_off> [12] struct x.y (0:1 @ offset 24)
prog 'a': relo #0: patched insn #0 (LDX/ST/STX) off 4 -> 24
prog 'a': relo #1: <byte_off> [6] struct x.z (0:2 @ offset 8)
prog 'a': relo #1: no matching targets found
prog 'a': relo #1: substituting insn #1 w/ invalid insn";

    /// `r1 = *(u32 *)(r1 + 24)`, then the poisoned call.
    const INSNS: [u8; 16] = [0x61, 0x11, 24, 0, 0, 0, 0, 0, 0x85, 0, 0, 0, 0x10, 0x23, 0xad, 0x0b];

    #[test]
    fn records_agree_with_the_instructions() {
        let mut evidence = CellEvidence::default();
        evidence.transcript(&lines(LOG), true);
        evidence.instructions("a".into(), INSNS.to_vec());
        let records = evidence.records(&[asked(0, 0), asked(1, 1)], &["a"], &|_| false);
        assert_eq!(records[0].outcome, RelocationOutcome::Resolved { old: 4, new: 24 });
        assert_eq!(records[0].verifier_insns, [VerifierPlace { program: "a".into(), insn: 0 }]);
        assert_eq!(records[1].outcome, RelocationOutcome::Poisoned);
    }

    #[test]
    fn contradiction_is_never_a_result() {
        let mut evidence = CellEvidence::default();
        evidence.transcript(&lines(LOG), true);
        let mut insns = INSNS;
        insns[2] = 32;
        insns[8] = 0x95;
        evidence.instructions("a".into(), insns.to_vec());
        for record in evidence.records(&[asked(0, 0), asked(1, 1)], &["a"], &|_| false) {
            assert!(matches!(record.outcome, RelocationOutcome::Contradicted { .. }), "{record:?}");
        }
    }

    #[test]
    fn record_that_is_missing_is_lost_only_if_the_story_is_whole() {
        let mut evidence = CellEvidence::default();
        evidence.transcript(&lines(LOG), false);
        assert_eq!(evidence.records(&[asked(7, 9)], &["a"], &|_| false)[0].outcome, RelocationOutcome::NotReached);
        evidence.transcript(&lines(LOG), true);
        assert_eq!(evidence.records(&[asked(7, 9)], &["a"], &|_| false)[0].outcome, RelocationOutcome::Lost);
        let left_out = evidence.records(&[asked(7, 9)], &["a"], &|function| function == "a");
        assert_eq!(left_out[0].outcome, RelocationOutcome::NotReached);
    }

    #[test]
    fn a_poisoned_wide_load_is_no_value() {
        let poisoned = [0x18, 10, 0, 0, 0x10, 0x23, 0xad, 0x0b, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(value_at(&poisoned, 0), Some(Held::Poison));
    }

    #[test]
    fn wide_values_and_negative_immediates_are_compared_as_libbpf_writes_them() {
        let wide = [0x18, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
        assert!(value_at(&wide, 0).is_some_and(|held| held.is(0x2_0000_0001)));
        let minus_one = [0xb7, 1, 0, 0, 0xff, 0xff, 0xff, 0xff];
        assert!(value_at(&minus_one, 0).is_some_and(|held| held.is(u64::MAX) && held.is(u64::from(u32::MAX))));
        assert_eq!(value_at(&wide, 2), None);
    }
}
