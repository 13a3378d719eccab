//! [`CellCoverage`]: how far each side of each guard, and each line, was proven on one kernel.

use std::collections::{BTreeMap, BTreeSet};

use super::analysis::{Analysis, Occurrence};
use super::executed::{Ways, passes};
use super::flow::Flow;
use super::survival::{ProgramEvidence, Survival, works};
use crate::record::{CellCoverage, ExternRecord, GuardKind, GuardProof, Liveness, ProgramLines, RelocationRecord};

/// Takes that a line was come by, if it was.
fn pass(lines: &mut ProgramLines, line: usize, live: bool, executed: bool) {
    if live {
        lines.live.0.insert(line);
        lines.dead.0.remove(&line);
        lines.poisoned.0.remove(&line);
    }
    if executed {
        lines.executed.0.insert(line);
    }
}

/// What was found out of an object on a kernel.
pub struct ObjectFacts<'a> {
    /// By index of the program; only those that were loaded.
    pub loaded: &'a BTreeMap<usize, ProgramEvidence>,
    /// What became of the object's relocations.
    pub relocations: &'a [RelocationRecord],
    /// What its externs were resolved to.
    pub externs: &'a [ExternRecord],
    /// The first two numbers of the kernel's version, where no one asked the kernel for more. Distributions put their own into the third.
    pub release: Option<[u8; 2]>,
}

impl Analysis {
    /// What a kernel proves.
    pub fn proof(&self, facts: &ObjectFacts<'_>) -> CellCoverage {
        let survivals: BTreeMap<usize, Survival<'_>> = facts
            .loaded
            .iter()
            .filter_map(|(&index, evidence)| {
                let program = self.programs.get(index)?;
                Some((index, Survival::of(program, self.records(program), evidence)?))
            })
            .collect();
        let ran = survivals.keys().filter(|index| facts.loaded[index].ran);
        let ran: BTreeMap<usize, Flow> = ran.filter_map(|&index| Some((index, self.answered(index, facts)?))).collect();
        let mut programs: Vec<ProgramLines> =
            survivals.iter().map(|(&index, survival)| self.lines(index, survival, ran.get(&index))).collect();
        let mut guards = Vec::new();
        for (guard, occurrences) in self.guards.iter().zip(&self.occurrences) {
            let line = guard.source.as_ref().and_then(|source| self.lines.at(&source.file, source.line));
            let resolved = self.resolved(guard, occurrences, facts);
            let mut seen: [BTreeSet<Liveness>; 2] = Default::default();
            let mut executed = [false; 2];
            for occurrence in occurrences {
                let sides = match survivals.get(&occurrence.program) {
                    Some(survival) if guard.undecided.is_none() => sides(guard.kind, resolved, occurrence, survival),
                    _ => [Liveness::Unknown; 2],
                };
                let mut run = [false; 2];
                if let Some(survival) = survivals.get(&occurrence.program)
                    && let Some(flow) = ran.get(&occurrence.program)
                {
                    run = [0, 1].map(|side| has_run(side, sides, resolved, occurrence, survival, flow));
                    executed = [executed[0] | run[0], executed[1] | run[1]];
                }
                // Who came to a side came by the guard, also where the verifier left nothing of it but the way that it picked.
                if let Some(line) = line
                    && let Some(lines) = programs.iter_mut().find(|lines| lines.program == occurrence.program)
                {
                    pass(lines, line, sides.contains(&Liveness::Live), run.contains(&true));
                }
                seen[0].insert(sides[0]);
                seen[1].insert(sides[1]);
            }
            let most = |seen: BTreeSet<Liveness>| seen.last().copied().unwrap_or(Liveness::Unknown);
            guards.push(GuardProof { resolved, verified: seen.map(most), executed });
        }
        CellCoverage { guards, programs, in_modules: Vec::new() }
    }

    /// `ran` is how the program can go, if it was seen to run.
    fn lines(&self, program: usize, survival: &Survival<'_>, ran: Option<&Flow>) -> ProgramLines {
        let mut lines: BTreeMap<usize, (BTreeSet<Option<bool>>, bool)> = BTreeMap::new();
        let mut insns: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (number, record) in survival.records.iter().enumerate() {
            if let Some(line) = self.lines.place(record) {
                let entry = lines.entry(line).or_default();
                entry.0.insert(survival.record_left[number]);
                entry.1 |= survival.range(number).any(|insn| survival.poisoned(insn));
                insns.entry(line).or_default().extend(survival.range(number));
            }
        }
        let mut marked = ProgramLines { program, ..ProgramLines::default() };
        for (line, (states, poisoned)) in lines {
            let set = match (states.contains(&Some(true)), states.contains(&None), poisoned) {
                (true, _, _) => &mut marked.live,
                (false, true, _) => continue,
                (false, false, true) => &mut marked.poisoned,
                (false, false, false) => &mut marked.dead,
            };
            set.0.insert(line);
        }
        if let Some(flow) = ran {
            let dead = |insn: usize| is_dead(insn, survival, flow);
            let ways = Ways { program: survival.program, dead: &dead, ways: &flow.ways };
            let certain = |line: &usize| passes(&ways, &insns[line]);
            marked.executed = marked.live.0.iter().copied().filter(certain).collect();
        }
        marked
    }

    /// The programs whose line info does not distinguish the sides of a guard, so that their visited instructions are wanted. Switches
    /// in `.rodata` alone are worth a second load only where `shaped` says that they are set on purpose.
    pub fn wants_visited(&self, shaped: bool) -> BTreeSet<usize> {
        let mut wanted = BTreeSet::new();
        for (guard, occurrences) in self.guards.iter().zip(&self.occurrences) {
            if guard.undecided.is_some() || guard.kind == GuardKind::Rodata && !shaped {
                continue;
            }
            for occurrence in occurrences {
                let Some(program) = self.programs.get(occurrence.program) else { continue };
                let nothing = ProgramEvidence::default();
                let insns = vec![0; program.insns.len() * super::insn::BYTES];
                let evidence = ProgramEvidence { insns, ..nothing };
                let Some(survival) = Survival::of(program, self.records(program), &evidence) else { continue };
                let tells = |side: &BTreeSet<usize>| match side.is_empty() {
                    true => straight_record(&survival, occurrence.insn).is_some(),
                    false => witnesses(&survival, side).next().is_some(),
                };
                // Where a switch leads around code and to none of its own, its load alone shows that it was asked; line info seldom
                // distinguishes that from what surrounds it.
                let around = guard.kind == GuardKind::Rodata && occurrence.sides.iter().any(BTreeSet::is_empty);
                if around || !occurrence.sides.iter().all(tells) {
                    wanted.insert(occurrence.program);
                }
            }
        }
        wanted
    }
}

/// The records whose instructions all lie on one side and do more than jump.
fn witnesses<'a>(survival: &'a Survival<'_>, side: &'a BTreeSet<usize>) -> impl Iterator<Item = usize> + 'a {
    let records: BTreeSet<usize> = side.iter().filter_map(|&insn| survival.record_of(insn)).collect();
    records.into_iter().filter(move |&record| {
        let range = survival.range(record);
        // The second half of a wide load has code 0 and belongs to the first.
        let within = |insn: usize| side.contains(&insn) || survival.program.insns[insn].code == 0;
        range.clone().all(within) && works(survival.program, range)
    })
}

/// The record of an instruction, if all of it is reached or nothing is.
fn straight_record(survival: &Survival<'_>, insn: usize) -> Option<usize> {
    let record = survival.record_of(insn)?;
    let range = survival.range(record);
    let enters = survival.program.joins.range(range.start + 1..range.end).next().is_some();
    let leaves = range.start < insn && (range.start..insn).any(|insn| survival.program.insns[insn].is_jump());
    (!enters && !leaves).then_some(record)
}

/// Whether the guard itself was reached.
fn asked(survival: &Survival<'_>, insn: usize) -> Option<bool> {
    survival.visited(insn).or_else(|| survival.record_left[straight_record(survival, insn)?])
}

/// What one program proves of either side.
fn sides(kind: GuardKind, resolved: Option<bool>, occurrence: &Occurrence, survival: &Survival<'_>) -> [Liveness; 2] {
    let own = occurrence.sides.each_ref().map(|side| (!side.is_empty()).then(|| side_left(side, survival)));
    // The verifier knows the value of a relocation as it knows any constant; of the rest it may not know enough to decide.
    let constant = !matches!(kind, GuardKind::Ksym | GuardKind::Kconfig | GuardKind::Rodata);
    let reached = match own {
        [Some(Liveness::Live), _] | [_, Some(Liveness::Live)] => Some(true),
        _ => asked(survival, occurrence.insn),
    };
    let empty = |first: bool, other: Option<Liveness>| match (reached, other) {
        (Some(false), _) => Liveness::Dead,
        (None, _) => Liveness::Unknown,
        (Some(true), Some(Liveness::Dead)) => Liveness::Live,
        (Some(true), Some(Liveness::Live)) if constant => Liveness::Dead,
        (Some(true), None) if constant => match resolved {
            Some(answer) if answer == first => Liveness::Live,
            Some(_) => Liveness::Dead,
            None => Liveness::Unknown,
        },
        (Some(true), _) => Liveness::Unknown,
    };
    let sides = [own[0].unwrap_or_else(|| empty(true, own[1])), own[1].unwrap_or_else(|| empty(false, own[0]))];
    match sides {
        // A constant takes one side only, so what line info does not show of the other one is settled.
        [Liveness::Live, Liveness::Unknown] if constant => [Liveness::Live, Liveness::Dead],
        [Liveness::Unknown, Liveness::Live] if constant => [Liveness::Dead, Liveness::Live],
        sides => sides,
    }
}

/// Whether a program that ran must have come by a side. Nothing else counts: there was more than one way through most programs.
fn has_run(
    side: usize,
    verified: [Liveness; 2],
    resolved: Option<bool>,
    occurrence: &Occurrence,
    survival: &Survival<'_>,
    flow: &Flow,
) -> bool {
    if verified[side] != Liveness::Live {
        return false;
    }
    let other = &occurrence.sides[1 - side];
    let dead =
        |insn: usize| is_dead(insn, survival, flow) || (verified[1 - side] == Liveness::Dead && other.contains(&insn));
    let ways = Ways { program: survival.program, dead: &dead, ways: &flow.ways };
    match (occurrence.sides[side].is_empty(), occurrence.branch) {
        (false, _) => passes(&ways, &occurrence.sides[side]),
        // Where control just goes on, coming to the branch is all there is to it.
        (true, Some(branch)) => resolved == Some(side == 0) && passes(&ways, &[branch].into()),
        (true, None) => false,
    }
}

/// Whether no run can have come to an instruction: the verifier took it out, or what the kernel answers leads around it.
fn is_dead(insn: usize, survival: &Survival<'_>, flow: &Flow) -> bool {
    survival.visited(insn) == Some(false)
        || survival.poisoned(insn)
        || survival.record_of(insn).is_some_and(|record| survival.record_left[record] == Some(false))
        || !flow.reached[insn]
}

/// Whether something of a side that has instructions is left.
fn side_left(side: &BTreeSet<usize>, survival: &Survival<'_>) -> Liveness {
    if side.iter().any(|&insn| survival.visited(insn) == Some(true)) {
        return Liveness::Live;
    }
    if side.iter().all(|&insn| survival.visited(insn) == Some(false)) {
        return Liveness::Dead;
    }
    if witnesses(survival, side).any(|record| survival.record_left[record] == Some(true)) {
        return Liveness::Live;
    }
    let working = side.iter().copied().filter(|&insn| works(survival.program, insn..insn + 1));
    let mut states = working.map(|insn| {
        survival.poisoned(insn)
            || survival.record_of(insn).is_some_and(|record| survival.record_left[record] == Some(false))
    });
    match states.next() {
        Some(true) if states.all(|gone| gone) => Liveness::Dead,
        _ => Liveness::Unknown,
    }
}
