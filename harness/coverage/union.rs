//! [`proven`]: on which kernels of a run a side of a guard was proven, level by level.

use super::guard::GuardRecord;
use super::proof::Liveness;
use crate::record::RunRecord;

/// A level of proof. Levels are counted each on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Level {
    /// The kernel's answer picks the side.
    Resolved,
    /// Instructions of the side survived the verifier in a program that was loaded.
    Verified,
    /// A program was seen to run that cannot have come around the side. Known of sides only, not of lines.
    #[value(skip)]
    Executed,
}

impl Level {
    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Level::Resolved => "resolved",
            Level::Verified => "verified",
            Level::Executed => "executed",
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
    level: Level,
) -> Option<bool> {
    let proof = record.cell(object, kernel).coverage.guards.get(guard)?;
    match level {
        Level::Resolved => proof.resolved.map(|answer| answer == (side == 0)),
        Level::Verified => match proof.verified.get(side)? {
            Liveness::Live => Some(true),
            Liveness::Dead => Some(false),
            Liveness::Unknown => None,
        },
        Level::Executed => match (proof.executed.get(side)?, proof.verified.get(side)?) {
            (true, _) => Some(true),
            (false, Liveness::Dead) => Some(false),
            (false, _) => None,
        },
    }
}

/// The kernels that prove a side at a level, by index.
pub fn proven(record: &RunRecord, object: usize, guard: usize, side: usize, level: Level) -> Vec<usize> {
    let kernels = 0..record.kernels.len();
    kernels.filter(|&kernel| on_kernel(record, object, kernel, guard, side, level) == Some(true)).collect()
}

/// The sides of an object that a matrix of kernels could prove, as guard and side: those of guards that ask the kernel and decide.
pub fn sides(guards: &[GuardRecord]) -> impl Iterator<Item = (usize, usize)> {
    let decided = |(_, guard): &(usize, &GuardRecord)| guard.undecided.is_none() && guard.asks_kernel();
    guards.iter().enumerate().filter(decided).flat_map(|(guard, _)| [(guard, 0), (guard, 1)])
}
