//! [`ObjectGrid`]: builds of one object side by side, and [`one_object`], which makes a run of one object, so that objects compare as
//! runs do.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::coverage::{ProofLevel, Unit};
use crate::record::Blame;
use crate::record::{CellRecord, ObjectRecord, RunRecord};

/// Builds of one object side by side: before and after a change, or by several compilers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ObjectGrid {
    /// The builds, in the order asked for.
    pub columns: Vec<ObjectFigures>,
    /// Programs of any of them, by name, in the order of the first that has them.
    pub programs: Vec<ProgramRow>,
}

/// What is known about one build as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ObjectFigures {
    /// How it is called.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// CO-RE relocations.
    pub relocations: usize,
    /// Sides of guards that kernels could prove.
    pub sides: usize,
    /// How many of them are verified.
    pub verified: usize,
}

/// One program in each of the builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProgramRow {
    /// Its name.
    pub program: String,
    /// What is known about it in each build; `None` where it is not there.
    pub figures: Vec<Option<ProgramFigures>>,
}

/// One program of one build, over all kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProgramFigures {
    /// Kernels that load it.
    pub loads: usize,
    /// Kernels that judged it.
    pub judged: usize,
    /// The most instructions that a verifier walked through where it loads, if any reported it.
    pub instructions: Option<u64>,
}

impl ObjectGrid {
    /// Puts the objects side by side, which are given by run and index.
    pub fn of(objects: &[(&RunRecord, usize)], names: &[String]) -> ObjectGrid {
        let mut programs: Vec<ProgramRow> = Vec::new();
        for (record, o) in objects {
            for program in &record.objects[*o].programs {
                if programs.iter().all(|row| row.program != program.name) {
                    let figures = objects.iter().map(|(record, o)| figures(record, *o, &program.name)).collect();
                    programs.push(ProgramRow { program: program.name.clone(), figures });
                }
            }
        }
        let columns = objects.iter().zip(names).map(|((record, o), name)| {
            let object = &record.objects[*o];
            let unit = Unit { object: *o, rows: vec![*o] };
            ObjectFigures {
                name: name.clone(),
                size: object.size,
                relocations: object.relocations.len(),
                sides: unit.sides(record).len(),
                verified: unit.count(record, ProofLevel::Verified),
            }
        });
        ObjectGrid { columns: columns.collect(), programs }
    }
}

fn figures(record: &RunRecord, object: usize, program: &str) -> Option<ProgramFigures> {
    let p = record.objects[object].programs.iter().position(|known| known.name == program)?;
    let mut figures = ProgramFigures { loads: 0, judged: 0, instructions: None };
    let on = (0..record.kernels.len()).filter_map(|kernel| record.cell(object, kernel).programs.get(p));
    for program in on.filter(|program| program.verdict.blame() != Blame::Harness) {
        figures.judged += 1;
        if program.verdict.is_pass() {
            figures.loads += 1;
            let walked = program.statistics.as_ref().and_then(|statistics| statistics.insns_processed);
            figures.instructions = figures.instructions.max(walked);
        }
    }
    Some(figures)
}

/// The run as if it had but object `object`, by index, which is called `name`. Two of these compare two objects.
pub fn one_object(record: &RunRecord, object: usize, name: &str) -> RunRecord {
    let of_object = ObjectRecord { name: name.to_owned(), shape: None, ..record.objects[object].clone() };
    let cell = |kernel: usize| CellRecord { object: name.to_owned(), ..record.cell(object, kernel).clone() };
    let cells = (0..record.kernels.len()).map(cell).collect();
    RunRecord { objects: vec![of_object], cells, ..record.clone() }
}

/// What an object's relocations ask for, as `byte_off struct inode.i_ctime`; `None` if no kernel reported it of each.
pub(super) fn asked(record: &RunRecord, object: usize) -> Option<BTreeSet<String>> {
    let relocations = &record.objects[object].relocations;
    let cells: Vec<&CellRecord> = (0..record.kernels.len()).map(|kernel| record.cell(object, kernel)).collect();
    let words = |index: usize| {
        let relocations_of_cells = cells.iter().flat_map(|cell| &cell.relocations);
        let local = relocations_of_cells
            .filter(|relocation| relocation.relocation == index)
            .map(|relocation| relocation.local.as_str());
        let local = local.into_iter().find(|local| !local.is_empty())?;
        // Behind it stands where the compiler saw it, which is another place in each build.
        let subject = local.split(" (").next().unwrap_or(local);
        Some(format!("{} {subject}", relocations[index].kind))
    };
    (0..relocations.len()).map(words).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::compare::differences;
    use crate::record::Statistics;
    use crate::record::Verdict;
    use crate::record::sample;
    use crate::record::{RelocationOutcome, RelocationRecord};

    /// `a` and `b` on two kernels: `b` has no `two`, and a `one` that is refused by 6.12.
    fn record() -> RunRecord {
        let kernels = ["6.1", "6.12"].map(sample::kernel).to_vec();
        let objects = vec![
            sample::object("a", &[("one", "kprobe/x"), ("two", "kprobe/y")]),
            sample::object("b", &[("one", "kprobe/x"), ("three", "kprobe/y")]),
        ];
        let mut record = sample::assemble(kernels, objects, |o, p, k| match (o, p, k) {
            (1, 0, 1) => (Verdict::VerifierRejected, Some("R1 is bad".to_owned())),
            _ => (Verdict::Loaded, None),
        });
        for (index, cell) in record.cells.iter_mut().enumerate() {
            let insns_processed = Some(100 + index as u64);
            cell.programs[0].statistics = Some(Statistics { insns_processed, ..Statistics::default() });
        }
        for (o, locals) in
            [["struct inode.i_ctime (0:1 @ offset 8)", "struct x (0)"], ["struct inode.i_ctime (0:2 @ offset 16)", ""]]
                .into_iter()
                .enumerate()
        {
            for (index, local) in locals.into_iter().filter(|local| !local.is_empty()).enumerate() {
                record.objects[o].relocations.push(sample::relocation("one"));
                record.cells[o * 2 + 1].relocations.push(RelocationRecord {
                    relocation: index,
                    local: local.to_owned(),
                    candidates: Vec::new(),
                    outcome: RelocationOutcome::Poisoned,
                    verifier_insns: Vec::new(),
                    predicted: None,
                });
            }
        }
        record
    }

    #[test]
    fn builds_compare_as_runs() {
        let record = record();
        let (old, new) = (one_object(&record, 0, "a -> b"), one_object(&record, 1, "a -> b"));
        let lines: Vec<String> = differences(&old, &new).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        `a -> b/two` was removed
        `a -> b/three` was added
        `a -> b/one` on 6.1 instructions processed: 100 -> 102 (+2.0 %)
        `a -> b/one` on 6.12 loaded -> verifier rejected: R1 is bad
        `a -> b` no longer uses byte_off struct x
        ");
    }

    #[test]
    fn a_grid_has_every_program_and_says_where_one_is_missing() {
        let record = record();
        let grid = ObjectGrid::of(&[(&record, 0), (&record, 1)], &["a".to_owned(), "b".to_owned()]);
        let names: Vec<&str> = grid.programs.iter().map(|row| row.program.as_str()).collect();
        assert_eq!(names, ["one", "two", "three"]);
        let one = |loads, instructions| Some(ProgramFigures { loads, judged: 2, instructions: Some(instructions) });
        assert_eq!(grid.programs[0].figures, [one(2, 101), one(1, 102)]);
        assert_eq!((grid.programs[1].figures[1], grid.programs[2].figures[0]), (None, None));
        assert_eq!((grid.columns[0].relocations, grid.columns[1].relocations), (2, 1));
    }
}
