//! [`KnownKernels`]: some of the known kernels in words, such as `5.10 to 6.1 (3 of 8 known kernels)`.

use std::collections::BTreeSet;

use crate::predict::{PredictedKernel, stretches};

/// Stretches of one group that are named.
const MOST_STRETCHES: usize = 4;
/// Groups that are named.
const MOST_GROUPS: usize = 3;

/// The kernels of which the types could be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownKernels<'a> {
    pub all: &'a [PredictedKernel],
    /// As indexes, in order.
    pub read: &'a [usize],
}

impl KnownKernels<'_> {
    /// The kernels `having`, as indexes, in words that read well after "on".
    pub fn span(&self, having: &BTreeSet<usize>) -> String {
        if having.len() == self.read.len() {
            return match self.read {
                [only] => format!("{}, the only known kernel", self.all[*only].release),
                _ => format!("all {} known kernels", self.read.len()),
            };
        }
        let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
        for &kernel in self.read {
            let group = self.all[kernel].group.as_str();
            match groups.last_mut() {
                Some((known, kernels)) if *known == group => kernels.push(kernel),
                _ => groups.push((group, vec![kernel])),
            }
        }
        let several = groups.len() > 1;
        groups.retain(|(_, kernels)| kernels.iter().any(|kernel| having.contains(kernel)));
        let more = groups.len().saturating_sub(MOST_GROUPS);
        let words = groups.iter().take(MOST_GROUPS).map(|(group, kernels)| {
            let words = self.stretches(kernels, having);
            if several && !group.is_empty() { format!("{group}: {words}") } else { words }
        });
        let words: Vec<String> = words.collect();
        let more = if more > 0 { format!("; and {more} more groups") } else { String::new() };
        format!("{}{more} ({} of {} known kernels)", words.join("; "), having.len(), self.read.len())
    }

    /// Whether some of `having` stand between others of their group that are not: what comes with an option of the kernel's build does so, what
    /// comes with a release does not.
    pub fn is_scattered(&self, having: &BTreeSet<usize>) -> bool {
        let groups = stretches(self.read.iter().map(|&kernel| &self.all[kernel].group));
        groups.iter().any(|group| {
            let own = self.read[group.first..=group.last].iter().map(|kernel| having.contains(kernel));
            let found = stretches(own);
            let inner = found.get(1..found.len().saturating_sub(1)).unwrap_or_default();
            inner.iter().any(|stretch| stretch.outcome)
        })
    }

    fn stretches(&self, kernels: &[usize], having: &BTreeSet<usize>) -> String {
        let mut found = stretches(kernels.iter().map(|kernel| having.contains(kernel)));
        found.retain(|stretch| stretch.outcome);
        let more = found.len().saturating_sub(MOST_STRETCHES);
        let words = found.iter().take(MOST_STRETCHES).map(|stretch| {
            let [first, last] = [stretch.first, stretch.last].map(|at| self.all[kernels[at]].release.as_str());
            if stretch.first == stretch.last { first.to_owned() } else { format!("{first} to {last}") }
        });
        let mut words: Vec<String> = words.collect();
        words.extend((more > 0).then(|| format!("and {more} more ranges")));
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernels(groups: &[(&str, &[&str])]) -> Vec<PredictedKernel> {
        let of = |(group, releases): &(&str, &[&str])| {
            let kernel = |release: &&str| PredictedKernel {
                name: None,
                group: (*group).to_owned(),
                release: (*release).to_owned(),
                types: Default::default(),
            };
            releases.iter().map(kernel).collect::<Vec<_>>()
        };
        groups.iter().flat_map(of).collect()
    }

    #[test]
    fn neighbours_are_put_together_by_group() {
        let one = kernels(&[("store", &["5.4", "5.10", "6.1", "6.12"])]);
        let known = KnownKernels { all: &one, read: &[0, 1, 2, 3] };
        assert_eq!(known.span(&[0, 1, 3].into()), "5.4 to 5.10, 6.12 (3 of 4 known kernels)");
        assert_eq!(known.span(&[0, 1, 2, 3].into()), "all 4 known kernels");
        let known = KnownKernels { all: &one, read: &[2] };
        assert_eq!(known.span(&[2].into()), "6.1, the only known kernel");
        // One that cannot be read parts nothing.
        let known = KnownKernels { all: &one, read: &[0, 2, 3] };
        assert_eq!(known.span(&[0, 2].into()), "5.4 to 6.1 (2 of 3 known kernels)");
        let known = KnownKernels { all: &one, read: &[0, 1, 2, 3] };
        assert!(known.is_scattered(&[1].into()) && known.is_scattered(&[0, 2].into()));
        assert!(!known.is_scattered(&[0, 3].into()) && !known.is_scattered(&[0, 1, 2, 3].into()));
        let two = kernels(&[("a/1", &["5.4", "5.10"]), ("b/2", &["6.1", "6.12"])]);
        let known = KnownKernels { all: &two, read: &[0, 1, 2, 3] };
        assert_eq!(known.span(&[1, 2, 3].into()), "a/1: 5.10; b/2: 6.1 to 6.12 (3 of 4 known kernels)");
    }
}
