//! [`compare`]: sides of guards that were proven in one run and are not in the other.

use std::collections::BTreeMap;

use super::difference::{Change, Difference, Place};
use crate::coverage::{ProofLevel, proven, sides};
use crate::record::RunRecord;

/// Names a side over runs, while lines move: the guard, how many alike come before it, and which side.
type Key = (String, String, usize, usize);

/// A side: how it reads, and who proves it at each level.
struct Side {
    guard: String,
    side: String,
    proven: [Vec<String>; 2],
}

const LEVELS: [ProofLevel; 2] = [ProofLevel::Resolved, ProofLevel::Verified];

/// Sides of the object that lost or gained their only proof. A guard that is not in both objects proves nothing about a change.
pub(super) fn compare(before: (&RunRecord, usize), after: (&RunRecord, usize), found: &mut Vec<Difference>) {
    let (old, new) = (read(before.0, before.1), read(after.0, after.1));
    let name = &after.0.objects[after.1].name;
    for (key, new) in &new {
        let Some(old) = old.get(key) else { continue };
        for (index, level) in LEVELS.into_iter().enumerate() {
            let (guard, side) = (new.guard.clone(), new.side.clone());
            let change = match (old.proven[index].as_slice(), new.proven[index].as_slice()) {
                ([], []) => continue,
                (kernels, []) => Change::CoverageLost { guard, side, level, kernels: kernels.to_vec() },
                ([], kernels) => Change::CoverageGained { guard, side, level, kernels: kernels.to_vec() },
                _ => continue,
            };
            found.push(Difference { place: Place::object(name), change });
        }
    }
}

fn read(record: &RunRecord, object: usize) -> BTreeMap<Key, Side> {
    let guards = &record.objects[object].coverage.guards;
    let mut alike: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut number = Vec::new();
    for guard in guards {
        let count = alike.entry((format!("{} {}", guard.kind, guard.asked), guard.function.clone())).or_default();
        number.push(*count);
        *count += 1;
    }
    let side = |(guard, side): (usize, usize)| {
        let described = &guards[guard];
        let words = format!("{} {}", described.kind, described.asked);
        let names = |level: ProofLevel| {
            let kernels = proven(record, object, guard, side, level);
            kernels.into_iter().map(|kernel| record.kernels[kernel].name.clone()).collect()
        };
        let key = (words.clone(), described.function.clone(), number[guard], side);
        let place = described.source.as_ref().map_or(String::new(), |source| format!(" at line {}", source.line));
        let guard = format!("`{words}` in `{}`{place}", described.function);
        (key, Side { guard, side: described.sides[side].when.clone(), proven: LEVELS.map(names) })
    };
    sides(&record.objects[object]).map(side).collect()
}
