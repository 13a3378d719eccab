//! [`Btf::similar_names`]: the names of a kernel that are like one which it lacks. Finding them takes a look at all names, and many programs
//! ask for the same one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Btf;

/// What is searched, such as `tracepoint`, and the name.
type Question = (&'static str, String);
/// Names, each with how alike it is, from 0 to 1.
type Answer = Arc<[(f64, String)]>;

/// Answers that are known.
#[derive(Debug, Default)]
pub(super) struct SimilarNames(Mutex<HashMap<Question, Answer>>);

impl Btf {
    /// The names of sort `sort` that are like `name`, as `search` finds them, with how alike each is. Of one BTF, the same question has to have
    /// the same answer.
    pub(crate) fn similar_names(
        &self,
        (sort, name): (&'static str, &str),
        search: impl FnOnce() -> Vec<(f64, String)>,
    ) -> Answer {
        let mut known = self.similar.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry((sort, name.to_owned())).or_insert_with(|| search().into()))
    }
}

/// A copy may get further names.
impl Clone for SimilarNames {
    fn clone(&self) -> SimilarNames {
        SimilarNames::default()
    }
}

/// What was asked of a BTF makes no difference.
impl PartialEq for SimilarNames {
    fn eq(&self, _: &SimilarNames) -> bool {
        true
    }
}

impl Eq for SimilarNames {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::section;
    use super::*;

    #[test]
    fn questions_are_answered_once_until_there_are_further_names() {
        let btf = Btf::parse(&section(&[], b"\0")).unwrap();
        let answer = |btf: &Btf, found: &str| {
            btf.similar_names(("function", "f"), || vec![(0.9, found.to_owned())])[0].1.clone()
        };
        assert_eq!(answer(&btf, "f1"), "f1");
        assert_eq!(answer(&btf, "f2"), "f1");
        assert_eq!(btf.similar_names(("tracepoint", "f"), Vec::new).len(), 0);
        let of_module = section(&[0, 13 << 24, 0, 1, 12 << 24, 1], b"f\0");
        let copy = btf.clone();
        assert_eq!(copy, btf);
        assert_eq!(answer(&copy, "f3"), "f3");
        assert_eq!(answer(&btf.with_modules([("m", of_module.as_slice())]), "f4"), "f4");
    }
}
