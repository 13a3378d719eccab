//! [`Stretch`]: neighbouring kernels on which the same is predicted.

/// Kernels next to each other, by age, on which a program comes to the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch<T> {
    /// What is predicted.
    pub outcome: T,
    /// The first kernel, as an index.
    pub first: usize,
    /// The last one.
    pub last: usize,
}

/// Puts neighbours together that have the same outcome.
pub fn stretches<T: Clone + PartialEq>(outcomes: impl IntoIterator<Item = T>) -> Vec<Stretch<T>> {
    let mut found: Vec<Stretch<T>> = Vec::new();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        match found.last_mut() {
            Some(stretch) if stretch.outcome == outcome => stretch.last = number,
            _ => found.push(Stretch { outcome, first: number, last: number }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_are_alike_are_one_stretch() {
        let found = stretches(["a", "a", "b", "a"]);
        let places: Vec<_> = found.iter().map(|stretch| (stretch.outcome, stretch.first, stretch.last)).collect();
        assert_eq!(places, [("a", 0, 1), ("b", 2, 2), ("a", 3, 3)]);
        assert!(stretches(Vec::<u8>::new()).is_empty());
    }
}
