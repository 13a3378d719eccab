//! [`LoggedRelocations`]: the CO-RE relocations of a load as libbpf logs them at debug level.
//!
//! libbpf logs a relocation in several lines: what the relocation asks for, each candidate, and what was done to the instruction. The number in
//! `relo #N` counts within the ELF section that a `sec 'S': found N CO-RE relocations` line opened, not within the program.

use std::collections::{BTreeMap, HashMap};

use crate::protocol::libbpf_log::{Line, bare};
use crate::record::{Candidate, RelocationOutcome, VerifierPlace};

/// What libbpf said about one relocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRelocation {
    /// The program or subprogram.
    pub function: String,
    /// What the relocation asks for, without kind and type id.
    pub local: String,
    /// What the kernel offered.
    pub candidates: Vec<Candidate>,
    /// Its outcome; [`RelocationOutcome::NotReached`] if the log ends early.
    pub outcome: RelocationOutcome,
}

/// Everything that libbpf said about relocations during one load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggedRelocations {
    /// By section and number.
    pub relocations: BTreeMap<(String, u32), LoggedRelocation>,
    /// How many libbpf announced, by section.
    pub announced: BTreeMap<String, u32>,
    /// Where each program has its subprograms: program, subprogram, first instruction.
    pub subprograms: Vec<(String, String, u32)>,
}

/// A line `prog 'P': relo #N: REST`, taken apart.
struct RelocationLine<'a> {
    function: &'a str,
    index: u32,
    rest: &'a str,
}

impl LoggedRelocations {
    /// Reads the lines of one load.
    pub fn read(lines: &[Line]) -> Self {
        let mut reader = Reader::default();
        for line in lines {
            // Verifier logs are long and hold nothing of this.
            if line.text.len() < 4096 {
                reader.line(bare(&line.text));
            }
        }
        reader.found
    }

    /// Where the verifier meets instruction `insn` of `function`.
    pub fn verifier_places(&self, function: &str, insn: u32, is_program: bool) -> Vec<VerifierPlace> {
        let own = is_program.then(|| VerifierPlace { program: function.to_owned(), insn });
        let appended = self.subprograms.iter().filter(|(_, subprogram, _)| subprogram == function);
        let appended = appended.filter_map(|(program, _, first)| {
            Some(VerifierPlace { program: program.clone(), insn: first.checked_add(insn)? })
        });
        own.into_iter().chain(appended).collect()
    }
}

#[derive(Default)]
struct Reader {
    found: LoggedRelocations,
    section: String,
    /// The module of each candidate type id; logged once for each local type.
    modules: HashMap<String, String>,
    /// Whether the relocation asks for a type id of the object itself, which needs no candidate.
    own_id: bool,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("sec '") {
            self.section_line(rest);
        } else if let Some(rest) = line.strip_prefix("CO-RE relocating ") {
            self.candidate_line(rest);
        } else if let Some(relocation) = relocation(line) {
            self.relocation_line(&relocation);
        } else if let Some((program, subprogram, first)) = subprogram(line) {
            let known = self.found.subprograms.iter().any(|(p, s, _)| p == program && s == subprogram);
            if !known {
                self.found.subprograms.push((program.to_owned(), subprogram.to_owned(), first));
            }
        }
    }

    fn section_line(&mut self, rest: &str) {
        let Some((section, rest)) = rest.rsplit_once("': ") else { return };
        if let Some(count) = rest.strip_prefix("found ").and_then(|rest| rest.strip_suffix(" CO-RE relocations")) {
            self.section = section.to_owned();
            self.found.announced.insert(section.to_owned(), count.parse().unwrap_or(0));
        } else if let Some(rest) = rest.strip_prefix("skipping CO-RE relocation #") {
            let index = rest.split(' ').next().and_then(|index| index.parse().ok());
            if let Some(index) = index {
                self.entry(index, "").outcome = RelocationOutcome::Skipped;
            }
        }
    }

    /// `[6] struct task_struct: found target candidate [123] struct task_struct in [vmlinux]`
    fn candidate_line(&mut self, line: &str) {
        let Some((_, found)) = line.split_once(": found target candidate [") else { return };
        let (Some((id, _)), Some((_, module))) = (found.split_once(']'), found.rsplit_once(" in [")) else { return };
        self.modules.insert(id.to_owned(), module.trim_end_matches(']').to_owned());
    }

    fn relocation_line(&mut self, relocation: &RelocationLine<'_>) {
        let rest = relocation.rest;
        if rest.starts_with('<') {
            let (_, local) = spec(rest);
            self.own_id = rest.starts_with("<local_type_id>");
            let entry = self.entry(relocation.index, relocation.function);
            // Listed again when an object is prepared again.
            entry.candidates.clear();
            entry.outcome = RelocationOutcome::NotReached;
            entry.local = local;
            return;
        }
        if let Some((matching, text)) = candidate(rest) {
            let (id, spec) = spec(text);
            let module = self.modules.get(&id).cloned().unwrap_or_default();
            self.entry(relocation.index, relocation.function).candidates.push(Candidate { spec, module, matching });
            return;
        }
        // Of a map or a kfunc, in the numbers of the ELF's own relocations.
        if rest.starts_with("poisoning insn #") {
            return;
        }
        let own_id = self.own_id;
        let entry = self.entry(relocation.index, relocation.function);
        let unmatched = !own_id && !entry.candidates.iter().any(|candidate| candidate.matching);
        let outcome = if rest.starts_with("substituting insn #") {
            RelocationOutcome::Poisoned
        } else if let Some((old, new)) = patched(rest) {
            match unmatched {
                true => RelocationOutcome::NoMatch { old, new },
                false => RelocationOutcome::Resolved { old, new },
            }
        } else if rest.contains("ambiguity: ") {
            RelocationOutcome::Ambiguous { reason: rest.to_owned() }
        } else if is_failure(rest) {
            RelocationOutcome::Failed { reason: rest.to_owned() }
        } else {
            return;
        };
        // A wrapper line repeats a failure in fewer words.
        let told_already =
            matches!(entry.outcome, RelocationOutcome::Ambiguous { .. } | RelocationOutcome::Failed { .. });
        if !(told_already && matches!(outcome, RelocationOutcome::Failed { .. })) {
            entry.outcome = outcome;
        }
    }

    fn entry(&mut self, index: u32, function: &str) -> &mut LoggedRelocation {
        self.found.relocations.entry((self.section.clone(), index)).or_insert_with(|| LoggedRelocation {
            function: function.to_owned(),
            local: String::new(),
            candidates: Vec::new(),
            outcome: RelocationOutcome::NotReached,
        })
    }
}

fn relocation(line: &str) -> Option<RelocationLine<'_>> {
    let (function, rest) = line.strip_prefix("prog '")?.split_once("': relo #")?;
    let (index, rest) = rest.split_once(": ")?;
    Some(RelocationLine { function, index: index.parse().ok()?, rest })
}

/// `<byte_off> [6] struct task_struct.pid (0:1 @ offset 4)` without kind, and the type id by itself.
fn spec(text: &str) -> (String, String) {
    let after_kind = text.split_once("> ").map_or(text, |(_, rest)| rest);
    match after_kind.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((id, spec)) => (id.to_owned(), spec.to_owned()),
        None => (String::new(), after_kind.to_owned()),
    }
}

/// `matching candidate #0 SPEC` or `non-matching candidate #0 SPEC`
fn candidate(rest: &str) -> Option<(bool, &str)> {
    let (matching, rest) = match rest.strip_prefix("non-matching candidate #") {
        Some(rest) => (false, rest),
        None => (true, rest.strip_prefix("matching candidate #")?),
    };
    Some((matching, rest.split_once(' ')?.1))
}

/// `patched insn #3 (LDX/ST/STX) off 16 -> 24`. The line about the size of the access repeats nothing of the value.
fn patched(rest: &str) -> Option<(u64, u64)> {
    let rest = rest.strip_prefix("patched insn #")?;
    if rest.contains(" mem_sz ") {
        return None;
    }
    let (before, new) = rest.rsplit_once(" -> ")?;
    Some((before.rsplit(' ').next()?.parse().ok()?, new.parse().ok()?))
}

fn is_failure(rest: &str) -> bool {
    let words = [
        "failed",
        "error matching",
        "unexpected",
        "can't be",
        "doesn't support",
        "too big",
        "unrecognized",
        "invalid new mem size",
    ];
    words.iter().any(|word| rest.contains(word))
}

/// `prog 'P': insn #5 relocated, imm 7 points to subprog 'S' (now at 12 offset)`
fn subprogram(line: &str) -> Option<(&str, &str, u32)> {
    let (program, rest) = line.strip_prefix("prog '")?.split_once("': insn #")?;
    let (_, rest) = rest.split_once(" points to subprog '")?;
    let (subprogram, rest) = rest.split_once("' (now at ")?;
    Some((program, subprogram, rest.strip_suffix(" offset)")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::libbpf_log::Level;

    fn read(text: &str) -> LoggedRelocations {
        let lines: Vec<Line> =
            text.lines().map(|line| Line { level: Level::Debug, text: format!("libbpf: {line}\n") }).collect();
        LoggedRelocations::read(&lines)
    }

    const LOG: &str = "\
sec 'kprobe/a': found 4 CO-RE relocations
CO-RE relocating [6] struct task_struct: found target candidate [123] struct task_struct in [vmlinux]
prog 'a': relo #0: <field_exists> [6] struct task_struct.__state (0:1 @ offset 4)
prog 'a': relo #0: matching candidate #0 <field_exists> [123] struct task_struct.__state (0:2 @ offset 24)
prog 'a': relo #0: patched insn #1 (ALU/ALU64) imm 1 -> 1
prog 'a': relo #1: <byte_off> [6] struct task_struct.__state (0:1 @ offset 4)
prog 'a': relo #1: matching candidate #0 <byte_off> [123] struct task_struct.__state (0:2 @ offset 24)
prog 'a': relo #1: patched insn #3 (LDX/ST/STX) off 4 -> 24
prog 'a': relo #1: patched insn #3 (LDX/ST/STX) mem_sz 8 -> 4
prog 'a': relo #2: <byte_off> [7] struct task_struct___old.state (0:0 @ offset 0)
prog 'a': relo #2: non-matching candidate #0 <byte_off> [123] struct task_struct (0:0 @ offset 0)
prog 'a': relo #2: no matching targets found
prog 'a': relo #2: substituting insn #5 w/ invalid insn
prog 'a': relo #3: <type_exists> [8] struct gone
prog 'a': relo #3: no matching targets found
prog 'a': relo #3: patched insn #7 (ALU/ALU64) imm 1 -> 0
sec '.text': found 1 CO-RE relocations
prog 'sub': relo #0: <byte_off> [6] struct task_struct.pid (0:5 @ offset 40)
prog 'sub': relo #0: field offset ambiguity: 40 != 48
prog 'sub': relo #0: failed to relocate: -EINVAL
prog 'a': insn #9 relocated, imm 0 points to subprog 'sub' (now at 20 offset)";

    #[test]
    fn an_id_of_the_object_itself_needs_no_candidate() {
        let log = read(
            "sec 'k': found 1 CO-RE relocations\n\
             prog 'a': relo #0: <local_type_id> [2] int int\n\
             prog 'a': relo #0: patched insn #1 (ALU/ALU64) imm 2 -> 2",
        );
        let outcome = &log.relocations[&("k".to_owned(), 0)].outcome;
        assert_eq!(*outcome, RelocationOutcome::Resolved { old: 2, new: 2 });
    }

    #[test]
    fn every_outcome_is_read() {
        let log = read(LOG);
        let outcome = |section: &str, index: u32| log.relocations[&(section.to_owned(), index)].outcome.clone();
        assert_eq!(outcome("kprobe/a", 0), RelocationOutcome::Resolved { old: 1, new: 1 });
        assert_eq!(outcome("kprobe/a", 1), RelocationOutcome::Resolved { old: 4, new: 24 });
        assert_eq!(outcome("kprobe/a", 2), RelocationOutcome::Poisoned);
        assert_eq!(outcome("kprobe/a", 3), RelocationOutcome::NoMatch { old: 1, new: 0 });
        let reason = "field offset ambiguity: 40 != 48".to_owned();
        assert_eq!(outcome(".text", 0), RelocationOutcome::Ambiguous { reason });
        assert_eq!(log.announced, BTreeMap::from([("kprobe/a".into(), 4), (".text".into(), 1)]));
    }

    #[test]
    fn candidates_carry_their_module() {
        let log = read(LOG);
        let relocation = &log.relocations[&("kprobe/a".to_owned(), 1)];
        assert_eq!(relocation.local, "struct task_struct.__state (0:1 @ offset 4)");
        let spec = "struct task_struct.__state (0:2 @ offset 24)".to_owned();
        assert_eq!(relocation.candidates, [Candidate { spec, module: "vmlinux".into(), matching: true }]);
    }

    #[test]
    fn subprograms_are_found_where_the_verifier_meets_them() {
        let log = read(LOG);
        assert_eq!(log.verifier_places("sub", 2, false), [VerifierPlace { program: "a".into(), insn: 22 }]);
        assert_eq!(log.verifier_places("a", 3, true), [VerifierPlace { program: "a".into(), insn: 3 }]);
    }

    #[test]
    fn place_beyond_all_numbers_is_none() {
        let log = read("prog 'a': insn #9 relocated, imm 0 points to subprog 'sub' (now at 4294967295 offset)");
        assert_eq!(log.verifier_places("sub", 2, false), []);
    }

    #[test]
    fn story_that_breaks_off_is_not_a_result() {
        let log =
            read("sec 's': found 2 CO-RE relocations\nprog 'a': relo #0: <byte_off> [6] struct x.y (0:1 @ offset 4");
        assert_eq!(log.relocations[&("s".to_owned(), 0)].outcome, RelocationOutcome::NotReached);
        assert_eq!(log.relocations.len(), 1);
    }

    #[test]
    fn a_hundred_thousand_relocations_are_all_kept() {
        let count = 100_000;
        let mut log = format!("sec 'kprobe/a': found {count} CO-RE relocations\n");
        for index in 0..count {
            log += &format!("prog 'a': relo #{index}: <byte_off> [6] struct x.y (0:1 @ offset 4)\n");
            log += &format!(
                "prog 'a': relo #{index}: matching candidate #0 <byte_off> [12] struct x.y (0:1 @ offset 8)\n"
            );
            log += &format!("prog 'a': relo #{index}: patched insn #{index} (LDX/ST/STX) off 4 -> 8\n");
        }
        let found = read(&log);
        let resolved = RelocationOutcome::Resolved { old: 4, new: 8 };
        assert_eq!(found.relocations.len(), count);
        assert!(found.relocations.values().all(|relocation| relocation.outcome == resolved));
    }

    /// A bounded fuzz: reading these lines ends, even if libbpf changes them or an object has odd names.
    #[test]
    fn damaged_lines_are_read_without_a_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        for _ in 0..3000 {
            let mut bytes = LOG.as_bytes().to_vec();
            for _ in 0..=random(6) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes[at] = random(256) as u8,
                    2 => drop(bytes.splice(at..at, *b"relo #': ")),
                    _ => drop(bytes.drain(at..(at + random(40)).min(bytes.len()))),
                }
                if bytes.is_empty() {
                    bytes.push(b'x');
                }
            }
            let found = read(&String::from_utf8_lossy(&bytes));
            assert!(found.relocations.len() <= 40);
        }
    }
}
