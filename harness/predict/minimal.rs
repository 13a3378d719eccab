//! [`MinimalMatrix`]: the smallest set of kernels that shows everything that BTF predicts for objects.

use std::collections::{BTreeMap, BTreeSet};

use super::matrix::{PredictedCell, PredictedMatrix};
use crate::record::PredictedOutcome;

/// Steps of the search for the smallest set, at most. Kernels that behave alike are one, so real matrices need a few hundred.
const MOST_STEPS: usize = 200_000;

/// Something that a kernel shows of an object, an index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Behaviour<'a> {
    /// A program, an index, comes to this.
    Program(usize, usize, &'a PredictedOutcome),
    /// A guard, an index, is answered so.
    Guard(usize, usize, bool),
    /// A relocation, an index, that asks for a size, a sign or an enumerator gets this value; `None` without a match.
    Value(usize, usize, Option<u64>),
}

/// The smallest set of kernels that shows everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinimalMatrix {
    /// The kernels, as indexes, in their order.
    pub kernels: Vec<usize>,
    /// How many behaviours there are.
    pub behaviours: usize,
    /// How many kinds of kernels there are, which differ in at least one behaviour.
    pub kinds: usize,
    /// Whether no smaller set does; otherwise the search was cut short.
    pub is_smallest: bool,
}

impl MinimalMatrix {
    /// Of kernels that show the same, that for which `rank` is least is taken, and of these the newest. Kernels without types are left out.
    pub fn of(matrix: &PredictedMatrix, rank: impl Fn(usize) -> usize) -> MinimalMatrix {
        let mut shown: BTreeMap<BTreeSet<Behaviour<'_>>, usize> = BTreeMap::new();
        for (kernel, cells) in matrix.cells.iter().enumerate() {
            let Ok(cells) = cells else { continue };
            let known = shown.entry(behaviours(cells)).or_insert(kernel);
            if rank(kernel) <= rank(*known) {
                *known = kernel;
            }
        }
        let kinds = shown.len();
        let numbers: BTreeMap<&Behaviour<'_>, usize> = {
            let all: BTreeSet<&Behaviour<'_>> = shown.keys().flatten().collect();
            all.into_iter().enumerate().map(|(number, behaviour)| (behaviour, number)).collect()
        };
        let behaviours = numbers.len();
        let mut sets: Vec<(usize, BTreeSet<usize>)> = shown
            .iter()
            .map(|(set, &kernel)| (kernel, set.iter().filter_map(|one| numbers.get(one).copied()).collect()))
            .collect();
        // Those for which `rank` is least go first where several do.
        sets.sort_by_key(|(kernel, set)| (std::cmp::Reverse(set.len()), rank(*kernel), std::cmp::Reverse(*kernel)));
        let mut search = Search { sets: &sets, best: greedy(&sets, behaviours), steps: 0 };
        search.go(&mut Vec::new(), &(0..behaviours).collect());
        let is_smallest = search.steps < MOST_STEPS;
        let mut kernels: Vec<usize> = search.best.iter().map(|&set| sets[set].0).collect();
        kernels.sort_unstable();
        MinimalMatrix { kernels, behaviours, kinds, is_smallest }
    }
}

/// What a kernel shows of all objects.
pub fn behaviours(cells: &[PredictedCell]) -> BTreeSet<Behaviour<'_>> {
    let mut found = BTreeSet::new();
    for (object, cell) in cells.iter().enumerate() {
        let programs = cell.programs.iter().enumerate();
        found.extend(programs.map(|(program, outcome)| Behaviour::Program(object, program, outcome)));
        let guards = cell.guards.iter().enumerate();
        found.extend(guards.filter_map(|(guard, side)| Some(Behaviour::Guard(object, guard, (*side)?))));
        found.extend(cell.values.iter().map(|&(relocation, value)| Behaviour::Value(object, relocation, value)));
    }
    found
}

/// A first set: always the kernel that shows most of what is missing.
fn greedy(sets: &[(usize, BTreeSet<usize>)], behaviours: usize) -> Vec<usize> {
    let (mut chosen, mut missing) = (Vec::new(), (0..behaviours).collect::<BTreeSet<usize>>());
    while !missing.is_empty() {
        let gain = |set: &usize| (sets[*set].1.intersection(&missing).count(), std::cmp::Reverse(*set));
        let Some(best) = (0..sets.len()).max_by_key(gain).filter(|set| gain(set).0 > 0) else { break };
        missing.retain(|behaviour| !sets[best].1.contains(behaviour));
        chosen.push(best);
    }
    chosen
}

/// Looks for a smaller set: each step settles the behaviour that the fewest kernels show.
struct Search<'a> {
    sets: &'a [(usize, BTreeSet<usize>)],
    best: Vec<usize>,
    steps: usize,
}

impl Search<'_> {
    /// As deep as the best set is large.
    fn go(&mut self, chosen: &mut Vec<usize>, missing: &BTreeSet<usize>) {
        self.steps += 1;
        if missing.is_empty() {
            if chosen.len() < self.best.len() {
                self.best.clone_from(chosen);
            }
            return;
        }
        let most = self.sets.iter().map(|(_, set)| set.intersection(missing).count()).max().unwrap_or(0);
        let least_more = missing.len().div_ceil(most.max(1));
        if chosen.len() + least_more >= self.best.len() || self.steps >= MOST_STEPS {
            return;
        }
        let showing = |behaviour: &usize| self.sets.iter().filter(|(_, set)| set.contains(behaviour)).count();
        let Some(rarest) = missing.iter().min_by_key(|behaviour| showing(behaviour)).copied() else { return };
        for at in 0..self.sets.len() {
            if !self.sets[at].1.contains(&rarest) {
                continue;
            }
            chosen.push(at);
            let rest = missing.difference(&self.sets[at].1).copied().collect();
            self.go(chosen, &rest);
            chosen.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::matrix::PredictedKernel;
    use super::*;

    /// A kernel for each list of values of relocations.
    fn matrix(kernels: &[&[(usize, u64)]]) -> PredictedMatrix {
        let kernel = |number: usize| PredictedKernel {
            group: String::new(),
            name: None,
            release: number.to_string(),
            types: PathBuf::new(),
        };
        let cell = |values: &&[(usize, u64)]| PredictedCell {
            modules: BTreeSet::new(),
            programs: Vec::new(),
            relocations: BTreeMap::new(),
            guards: Vec::new(),
            values: values.iter().map(|&(relocation, value)| (relocation, Some(value))).collect(),
        };
        PredictedMatrix {
            kernels: (0..kernels.len()).map(kernel).collect(),
            cells: kernels.iter().map(|values| Ok(vec![cell(values)])).collect(),
        }
    }

    #[test]
    fn the_smallest_set_shows_everything() {
        // The kernel that shows most is in no smallest set: two others show all.
        let all = [&[(0, 1), (1, 1), (2, 1), (3, 1)][..], &[(0, 1), (1, 1), (4, 1)], &[(2, 1), (3, 1), (5, 1)]];
        let found = MinimalMatrix::of(&matrix(&all), |_| 0);
        let expected = MinimalMatrix { kernels: vec![1, 2], behaviours: 6, kinds: 3, is_smallest: true };
        assert_eq!(found, expected);
    }

    #[test]
    fn of_kernels_that_behave_alike_the_newest_that_can_be_booted_is_taken() {
        let alike = [&[(0, 1)][..], &[(0, 1)], &[(0, 1)], &[(0, 2)]];
        assert_eq!(MinimalMatrix::of(&matrix(&alike), |_| 0).kernels, [2, 3]);
        let found = MinimalMatrix::of(&matrix(&alike), |kernel| usize::from(kernel != 1));
        assert_eq!((found.kernels, found.kinds), (vec![1, 3], 2));
    }

    #[test]
    fn kernels_without_types_and_no_kernels_are_no_trouble() {
        assert!(MinimalMatrix::of(&matrix(&[]), |_| 0).kernels.is_empty());
        let mut one = matrix(&[&[(0, 1)], &[(0, 2)]]);
        one.cells[0] = Err("damaged".to_owned());
        assert_eq!(MinimalMatrix::of(&one, |_| 0).kernels, [1]);
    }
}
