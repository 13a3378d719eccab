//! [`Search`]: between which two kernels a program stops working, with as few guests as can be; and [`config`]: what their configs
//! have different.
//!
//! Pure: whoever bisects tries the kernels. Without a prediction it halves the distance; what the kernels' BTF predicts is looked at
//! first, on both sides of each place where it changes, so that a thing that comes and goes is noticed.

pub mod config;

/// What is known about the kernels between a good and a bad one, in their order. The good one may be the older or the newer.
#[derive(Debug, Clone)]
pub struct Search {
    /// What trying a kernel gave.
    tried: Vec<Option<Tried>>,
    /// Whether BTF predicts that the program works on the kernel.
    predicted: Vec<Option<bool>>,
}

/// What trying a kernel gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// The program works.
    Good,
    /// It fails.
    Bad,
    /// Nothing is known: the kernel is unavailable, does not boot, or the harness failed.
    Skipped,
}

/// A place where kernels change from one to the other; those between them could not be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelChange {
    /// The last of the one kind, by its place in the order.
    pub before: usize,
    /// The first of the other kind.
    pub after: usize,
}

impl Search {
    /// A search over `count` kernels, the first of which is said to be good and the last bad. At least two.
    pub fn new(count: usize) -> Search {
        Search { tried: vec![None; count], predicted: vec![None; count] }
    }

    /// Takes in what BTF predicts, one answer a kernel.
    pub fn predict(&mut self, predicted: Vec<Option<bool>>) {
        self.predicted = predicted;
        self.predicted.resize(self.tried.len(), None);
    }

    /// Takes in what trying a kernel gave.
    pub fn tell(&mut self, kernel: usize, tried: Tried) {
        self.tried[kernel] = Some(tried);
    }

    /// The next kernel to try; `None` when all is known, or one of the ends is not what it was said to be.
    pub fn next(&self) -> Option<usize> {
        let last = self.tried.len() - 1;
        for (end, said) in [(0, Tried::Good), (last, Tried::Bad)] {
            match self.tried[end] {
                None => return Some(end),
                Some(tried) if tried != said => return None,
                Some(_) => {}
            }
        }
        let flips = self.flips();
        let (good, bad) = self.innermost();
        let between: Vec<usize> = (good + 1..bad).filter(|&kernel| self.tried[kernel].is_none()).collect();
        if let Some(&middle) = between.get(between.len() / 2) {
            // Where the types see a change between the two, its nearer side.
            let candidates = flips.iter().flat_map(|&(before, after)| [before, after]);
            let candidates = candidates.filter(|kernel| between.contains(kernel));
            return candidates.min_by_key(|kernel| kernel.abs_diff(middle)).or(Some(middle));
        }
        let untried = flips.into_iter().flat_map(|(before, after)| [before, after]);
        untried.into_iter().find(|&kernel| self.tried[kernel].is_none())
    }

    /// Neighbours with different predictions; kernels without a prediction are skipped.
    fn flips(&self) -> Vec<(usize, usize)> {
        let known = self.predicted.iter().enumerate().filter_map(|(kernel, present)| Some((kernel, (*present)?)));
        let known: Vec<(usize, bool)> = known.collect();
        known.windows(2).filter(|pair| pair[0].1 != pair[1].1).map(|pair| (pair[0].0, pair[1].0)).collect()
    }

    /// The first change from good to bad that is known, as far as it is narrowed down.
    fn innermost(&self) -> (usize, usize) {
        let known = self.known();
        let pair = known.windows(2).find(|pair| pair[0].1 == Tried::Good && pair[1].1 == Tried::Bad);
        pair.map_or((0, self.tried.len() - 1), |pair| (pair[0].0, pair[1].0))
    }

    fn known(&self) -> Vec<(usize, Tried)> {
        let tried = self.tried.iter().enumerate().filter_map(|(kernel, tried)| Some((kernel, (*tried)?)));
        tried.filter(|(_, tried)| *tried != Tried::Skipped).collect()
    }

    /// How many kernels were tried.
    pub fn count(&self) -> usize {
        self.tried.iter().flatten().count()
    }

    /// Every change among the kernels that were tried. One is the boundary; more mean that the thing comes and goes.
    pub fn changes(&self) -> Vec<KernelChange> {
        let known = self.known();
        let pairs = known.windows(2).filter(|pair| pair[0].1 != pair[1].1);
        pairs.map(|pair| KernelChange { before: pair[0].0, after: pair[1].0 }).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Searches where `good` says what works; returns what was found and how many kernels were tried.
    fn search(count: usize, predicted: &[Option<bool>], tried: impl Fn(usize) -> Tried) -> (Vec<KernelChange>, usize) {
        let mut search = Search::new(count);
        search.predict(predicted.to_vec());
        while let Some(kernel) = search.next() {
            assert_eq!(search.tried[kernel], None, "kernel {kernel} is tried twice");
            search.tell(kernel, tried(kernel));
        }
        (search.changes(), search.count())
    }

    fn up_to(last: usize) -> impl Fn(usize) -> Tried {
        move |kernel| if kernel <= last { Tried::Good } else { Tried::Bad }
    }

    #[test]
    fn any_boundary_is_found_with_the_fewest_kernels() {
        for count in 2..40_usize {
            // The ends, and then each try halves the gaps between them.
            let most = 2 + (count - 1).next_power_of_two().ilog2() as usize;
            for last in 0..count - 1 {
                let (changes, tries) = search(count, &[], up_to(last));
                assert_eq!(changes, [KernelChange { before: last, after: last + 1 }]);
                assert!(tries <= most, "{count} kernels, boundary {last}: {tries} tries");
            }
        }
    }

    #[test]
    fn what_types_predict_is_looked_at_first() {
        for count in 4..40_usize {
            for last in 0..count - 1 {
                let predicted: Vec<_> = (0..count).map(|kernel| Some(kernel <= last)).collect();
                let (changes, tries) = search(count, &predicted, up_to(last));
                assert_eq!(changes.len(), 1);
                assert!(tries <= 4, "{tries} tries");
            }
        }
        // A prediction that is wrong costs no more than its two tries.
        let predicted: Vec<_> = (0..33).map(|kernel| Some(kernel <= 3)).collect();
        let (changes, tries) = search(33, &predicted, up_to(20));
        assert_eq!(changes, [KernelChange { before: 20, after: 21 }]);
        assert!(tries <= 2 + 5 + 2, "{tries} tries");
    }

    #[test]
    fn what_comes_and_goes_is_noticed() {
        let works = |kernel: usize| !(4..6).contains(&kernel) && kernel < 9;
        let predicted: Vec<_> = (0..12).map(|kernel| Some(works(kernel))).collect();
        let (changes, tries) = search(12, &predicted, |kernel| if works(kernel) { Tried::Good } else { Tried::Bad });
        let found: Vec<(usize, usize)> = changes.iter().map(|change| (change.before, change.after)).collect();
        assert_eq!(found, [(3, 4), (5, 6), (8, 9)]);
        assert!(tries <= 8, "{tries} tries");
    }

    #[test]
    fn kernels_that_cannot_be_tried_are_passed_over() {
        let tried = |kernel| match kernel {
            4..=6 => Tried::Skipped,
            _ => up_to(4)(kernel),
        };
        let (changes, _) = search(10, &[], tried);
        assert_eq!(changes, [KernelChange { before: 3, after: 7 }]);
    }

    #[test]
    fn an_end_that_is_not_what_it_was_said_to_be_ends_the_search() {
        assert_eq!(search(9, &[], |_| Tried::Bad).1, 1);
        assert_eq!(search(9, &[], |_| Tried::Good).1, 2);
        assert_eq!(search(9, &[], |_| Tried::Skipped).1, 1);
    }
}
