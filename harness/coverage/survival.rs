//! [`Survival`]: what the verifier left of a program, as far as the evidence shows.
//!
//! Two witnesses. The kernel's own line info of the translated program keeps one record for each of the object's records of which an
//! instruction is left (`bpf_adj_linfo_after_remove`), in order, so the two lists can be aligned; equal records make that ambiguous.
//! The instructions that the verifier visited, from its log, leave no doubt; they are requested where line info does not decide.

use super::code::LineRecord;
use super::program::Program;

/// libbpf's helper numbers for instructions that must not be reached: a failed relocation, then maps and kernel functions.
const POISON: i32 = 0x0bad_2310;
const POISONED_REFERENCES: std::ops::Range<i32> = 2_001_000_000..2_003_000_000;

/// What the guest reported of one program that was loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramEvidence {
    /// The kernel's line records of the translated program: instruction, file, text, line and column.
    pub lines: Vec<[u32; 4]>,
    /// Which instructions the verifier visited, one bit each; `None` if that was not asked for.
    pub visited: Option<Vec<u8>>,
    /// The instructions after relocation; empty if they are not known.
    pub insns: Vec<u8>,
    /// Whether it was seen to run, from its start to an end.
    pub ran: bool,
}

/// What is known about each instruction and each line record of one loaded program.
pub(super) struct Survival<'a> {
    pub program: &'a Program,
    pub records: Vec<LineRecord>,
    /// For each record, whether an instruction of it is left.
    pub record_left: Vec<Option<bool>>,
    visited: Option<&'a [u8]>,
    poisoned: Vec<bool>,
}

impl<'a> Survival<'a> {
    /// Reads the evidence; `None` if it is not about this program.
    pub fn of(program: &'a Program, records: Vec<LineRecord>, evidence: &'a ProgramEvidence) -> Option<Survival<'a>> {
        let insns = super::insn::Insn::decode(&evidence.insns);
        if insns.len() != program.insns.len() {
            return None;
        }
        let is_poison = |insn: &super::insn::Insn| {
            insn.code == 0x85 && (insn.imm == POISON || POISONED_REFERENCES.contains(&insn.imm))
        };
        let poisoned = insns.iter().map(is_poison).collect();
        let visited = evidence.visited.as_deref();
        let mut survival = Survival { program, records, record_left: Vec::new(), visited, poisoned };
        survival.record_left = match visited {
            Some(_) => (0..survival.records.len())
                .map(|record| Some(survival.range(record).any(|insn| survival.visited(insn) == Some(true))))
                .collect(),
            None => survival.aligned(&evidence.lines),
        };
        Some(survival)
    }

    /// Whether the verifier visited an instruction, if that was recorded.
    pub fn visited(&self, insn: usize) -> Option<bool> {
        let bits = self.visited?;
        Some(bits.get(insn / 8).is_some_and(|byte| byte >> (insn % 8) & 1 == 1))
    }

    /// Whether an instruction was made invalid; in a program that was loaded it has not been reached.
    pub fn poisoned(&self, insn: usize) -> bool {
        self.poisoned.get(insn).copied().unwrap_or(false)
    }

    /// The instructions of a record.
    pub fn range(&self, record: usize) -> std::ops::Range<usize> {
        range(self.program, &self.records, record)
    }

    /// The record that an instruction belongs to.
    pub fn record_of(&self, insn: usize) -> Option<usize> {
        let record = self.records.partition_point(|record| record.insn <= insn).checked_sub(1)?;
        (self.records[record].insn >= self.program.function_start(insn)).then_some(record)
    }

    fn aligned(&self, left: &[[u32; 4]]) -> Vec<Option<bool>> {
        if left.is_empty() {
            return vec![None; self.records.len()];
        }
        let asked: Vec<[u32; 3]> = self.records.iter().map(|record| record.words).collect();
        let left: Vec<[u32; 3]> = left.iter().map(|&[_, file, text, line]| [file, text, line]).collect();
        let mut survived = align(&asked, &left);
        for (record, survived) in survived.iter_mut().enumerate() {
            // Jumps that lead nowhere else are taken out although they were reached.
            if *survived == Some(false) && !works(self.program, self.range(record)) {
                *survived = None;
            }
        }
        survived
    }
}

/// The instructions of a record: up to the next record or the end of the function.
pub(super) fn range(program: &Program, records: &[LineRecord], record: usize) -> std::ops::Range<usize> {
    let first = records[record].insn;
    let start = program.function_start(first);
    let function_end = program.parts.iter().map(|part| part.first).filter(|&part| part > start).min();
    let end = function_end.unwrap_or(program.insns.len());
    first..records.get(record + 1).map_or(end, |next| next.insn.min(end))
}

/// Whether there is an instruction that does more than jump: such a one is left if it was reached.
pub(super) fn works(program: &Program, mut range: std::ops::Range<usize>) -> bool {
    range.any(|insn| program.insns.get(insn).is_some_and(|insn| insn.code != 0 && !insn.is_jump()))
}

/// For each record that was, whether it is among those that are left: `None` where both can be. `left` is what is left of `asked`, in
/// order; if it is not, nothing is known.
fn align(asked: &[[u32; 3]], left: &[[u32; 3]]) -> Vec<Option<bool>> {
    // How many of the first (last) ones that are left fit into the first (last) ones that were, at most.
    let mut before = vec![0];
    for record in asked {
        let fit = before[before.len() - 1];
        before.push(if left.get(fit) == Some(record) { fit + 1 } else { fit });
    }
    let mut after = vec![0];
    for record in asked.iter().rev() {
        let fit = after[after.len() - 1];
        let next = left.len().checked_sub(fit + 1).and_then(|at| left.get(at));
        after.push(if next == Some(record) { fit + 1 } else { fit });
    }
    after.reverse();
    if before[asked.len()] != left.len() {
        return vec![None; asked.len()];
    }
    let decide = |(at, record): (usize, &[u32; 3])| {
        let without = before[at] + after[at + 1] >= left.len();
        // Which of those that are left it could be: at most so many stand before it, and at most so many behind.
        let (first, last) = (left.len().saturating_sub(after[at + 1] + 1), before[at]);
        let with = left.get(first..left.len().min(last + 1)).is_some_and(|could| could.contains(record));
        match (with, without) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        }
    };
    asked.iter().enumerate().map(decide).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<[u32; 3]> {
        text.bytes().map(|byte| [0, 0, byte.into()]).collect()
    }

    fn signs(asked: &str, left: &str) -> String {
        let sign = |survived: Option<bool>| survived.map_or('?', |left| if left { '+' } else { '-' });
        align(&words(asked), &words(left)).into_iter().map(sign).collect()
    }

    #[test]
    fn records_that_are_left_are_told_from_those_that_are_not() {
        assert_eq!(signs("abcde", "ace"), "+-+-+");
        assert_eq!(signs("abcde", "abcde"), "+++++");
        assert_eq!(signs("abab", "ab"), "????");
        assert_eq!(signs("abcab", "cab"), "--+++");
        assert_eq!(signs("aba", "aa"), "+-+");
        assert_eq!(signs("aabb", "ab"), "????");
        assert_eq!(signs("abc", "ad"), "???");
        assert_eq!(signs("", ""), "");
    }

    /// Against every way to leave records out.
    #[test]
    fn no_way_to_align_contradicts() {
        let asked = "abaabcba";
        for kept in 0u32..1 << asked.len() {
            let keep = |kept: u32| -> String {
                asked.chars().enumerate().filter(|(at, _)| kept >> at & 1 == 1).map(|(_, char)| char).collect()
            };
            let left = keep(kept);
            let ways: Vec<u32> = (0..1 << asked.len()).filter(|&other| keep(other) == left).collect();
            for (at, survived) in align(&words(asked), &words(&left)).into_iter().enumerate() {
                let any = ways.iter().any(|way| way >> at & 1 == 1);
                let all = ways.iter().all(|way| way >> at & 1 == 1);
                let exact = if all {
                    Some(true)
                } else if any {
                    None
                } else {
                    Some(false)
                };
                assert_eq!(survived, exact, "{left} {at}");
            }
        }
    }
}
