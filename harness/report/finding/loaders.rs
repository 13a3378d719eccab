//! [`of_loaders`]: the findings of several loaders that judged the same objects.

use super::super::text::one_line;
use super::{Finding, FindingKind, FindingLevel};
use crate::compare::{LoaderDifference, LoaderSubject, loader_differences};
use crate::record::RunRecord;

/// What differs between the loaders of the run. Which one is right is not known here, so no one is blamed.
pub(super) fn of_loaders(record: &RunRecord) -> Vec<Finding> {
    let finding = |difference: LoaderDifference| {
        let (programs, subject) = match &difference.of {
            LoaderSubject::Programs(names) => (names.clone(), None),
            LoaderSubject::Relocation(what) | LoaderSubject::Map(what) => (Vec::new(), Some(what.clone())),
        };
        Finding {
            level: FindingLevel::Warning,
            kind: FindingKind::Loaders,
            object: Some(difference.object),
            programs,
            subject,
            story: one_line(&difference.line()),
            kernels: difference.kernels,
            place: None,
        }
    };
    loader_differences(record).into_iter().map(finding).collect()
}
