//! [`proven`]: on which kernels of a run a side of a guard was proven, level by level, and [`Unit`]: an object with its shapes.

use crate::record::Liveness;
use crate::record::RunRecord;
use crate::record::{GuardRecord, ObjectRecord};

/// A level of proof. Levels are counted each on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProofLevel {
    /// The answer of the kernel selects this side.
    Resolved,
    /// In a loaded program, the verifier kept instructions of this side.
    Verified,
    /// A program ran that must have executed this side or line.
    Executed,
}

impl ProofLevel {
    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            ProofLevel::Resolved => "resolved",
            ProofLevel::Verified => "verified",
            ProofLevel::Executed => "executed",
        }
    }
}

/// What one kernel says of a side at a level: yes, no, or nothing.
pub fn on_kernel(
    record: &RunRecord,
    object: usize,
    kernel: usize,
    guard: usize,
    side: usize,
    level: ProofLevel,
) -> Option<bool> {
    let proof = record.cell(object, kernel).coverage.guards.get(guard)?;
    match level {
        ProofLevel::Resolved => proof.resolved.map(|answer| answer == (side == 0)),
        ProofLevel::Verified => match proof.verified.get(side)? {
            Liveness::Live => Some(true),
            Liveness::Dead => Some(false),
            Liveness::Unknown => None,
        },
        ProofLevel::Executed => match (proof.executed.get(side)?, proof.verified.get(side)?) {
            (true, _) => Some(true),
            (false, Liveness::Dead) => Some(false),
            (false, _) => None,
        },
    }
}

/// The kernels that prove a side at a level, by index.
pub fn proven(record: &RunRecord, object: usize, guard: usize, side: usize, level: ProofLevel) -> Vec<usize> {
    let kernels = 0..record.kernels.len();
    kernels.filter(|&kernel| on_kernel(record, object, kernel, guard, side, level) == Some(true)).collect()
}

/// The sides of an object that a matrix of kernels could prove, as guard and side: those of guards that ask the kernel and decide.
pub fn sides(object: &ObjectRecord) -> impl Iterator<Item = (usize, usize)> {
    let decided = |(_, guard): &(usize, &GuardRecord)| {
        guard.undecided.is_none() && guard.asks_kernel() && is_loaded(object, guard)
    };
    object.coverage.guards.iter().enumerate().filter(decided).flat_map(|(guard, _)| [(guard, 0), (guard, 1)])
}

/// Whether a guard is part of a program that the object's own loader loads. Otherwise no kernel can prove it.
fn is_loaded(object: &ObjectRecord, guard: &GuardRecord) -> bool {
    let mut programs = guard.programs.iter().filter_map(|&program| object.programs.get(program)).peekable();
    programs.peek().is_none() || programs.any(|program| !object.loading.leaves_out(&program.name))
}

/// What is counted as one: an object with all its shapes. A side that one of them proves is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The object, by index.
    pub object: usize,
    /// The object and its shapes, by index.
    pub rows: Vec<usize>,
}

impl Unit {
    /// The units of some objects of a run. A shape counts with its object, and alone if its object is not among them.
    pub fn of(record: &RunRecord, objects: &[usize]) -> Vec<Unit> {
        let whole = objects.iter().filter(|&&object| {
            let base = record.base(object);
            base == object || !objects.contains(&base)
        });
        let rows = |object| if record.base(object) == object { record.family(object) } else { vec![object] };
        whole.map(|&object| Unit { object, rows: rows(object) }).collect()
    }

    /// The units of a run.
    pub fn all(record: &RunRecord) -> Vec<Unit> {
        Unit::of(record, &(0..record.objects.len()).collect::<Vec<_>>())
    }

    /// The sides that kernels and shapes could prove, as guard and side. Switches in `.rodata` count where there is more than one
    /// setting of them.
    pub fn sides(&self, record: &RunRecord) -> Vec<(usize, usize)> {
        let guards = &record.objects[self.object].coverage.guards;
        let shaped = record.family(self.object).len() > 1;
        let loaded = |guard: &GuardRecord| self.rows.iter().any(|&row| is_loaded(&record.objects[row], guard));
        let counts = |(_, guard): &(usize, &GuardRecord)| {
            guard.undecided.is_none() && (shaped || guard.asks_kernel()) && loaded(guard)
        };
        guards.iter().enumerate().filter(counts).flat_map(|(guard, _)| [(guard, 0), (guard, 1)]).collect()
    }

    /// The kernels on which a row proves a side at a level, by index.
    pub fn proven(&self, record: &RunRecord, guard: usize, side: usize, level: ProofLevel) -> Vec<usize> {
        let proves = |kernel: usize| {
            self.rows.iter().any(|&row| on_kernel(record, row, kernel, guard, side, level) == Some(true))
        };
        (0..record.kernels.len()).filter(|&kernel| proves(kernel)).collect()
    }

    /// How many of its sides are proven at a level.
    pub fn count(&self, record: &RunRecord, level: ProofLevel) -> usize {
        let sides = self.sides(record);
        sides.iter().filter(|(guard, side)| !self.proven(record, *guard, *side, level).is_empty()).count()
    }
}
