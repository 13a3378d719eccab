//! [`Subjects`]: the objects of a run as predictions read them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::wanted_names::WantedNames;
use crate::core_relo::{Target, TypeTable};
use crate::plan::PlannedObject;
use crate::predict::{PredictedTypes, Prediction, Subject};
use crate::protocol::attach::Reach;

/// The objects of a run, each read when the first kernel asks for it.
pub(super) struct Subjects(Vec<KnownSubject>);

/// An object as predictions read it, and what it looks for by name.
#[derive(Default)]
struct KnownSubject {
    subject: OnceLock<Result<Subject, String>>,
    names: OnceLock<WantedNames>,
}

impl Subjects {
    pub(super) fn of(objects: &[PlannedObject]) -> Subjects {
        Subjects(objects.iter().map(|_| KnownSubject::default()).collect())
    }

    /// What an object, an index, looks for by name.
    pub(super) fn names(&self, object: usize, planned: &PlannedObject, reach: Reach) -> Option<&WantedNames> {
        Some(self.0.get(object)?.names.get_or_init(|| WantedNames::of(planned, reach)))
    }

    /// The names that an object, an index, looks for in a kernel's types, and whether each is that of a function.
    pub(super) fn names_in_types(&self, object: usize, planned: &PlannedObject) -> BTreeMap<String, bool> {
        self.subject(object, planned).map(Subject::wanted_names).unwrap_or_default()
    }

    fn subject(&self, object: usize, planned: &PlannedObject) -> Result<&Subject, String> {
        let read = || Subject::analysed(&planned.object, &planned.loaded, Arc::clone(&planned.analysis));
        let known = self.0.get(object).ok_or("it is not an object of the run")?;
        known.subject.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    /// What BTF predicts for an object, an index, on a kernel.
    ///
    /// # Errors
    /// The object, or the BTF of its own, cannot be read; in words.
    pub(super) fn predict(
        &self,
        object: usize,
        planned: &PlannedObject,
        (kernel, release): (&PredictedTypes, &str),
    ) -> Result<Prediction, String> {
        let subject = self.subject(object, planned)?;
        Ok(match planned.own_raw_types() {
            Some(raw) => {
                let own = TypeTable::new(raw.to_vec()).map_err(|error| format!("BTF of the suite: {error}"))?;
                subject.predict_with(&Target { kernel: Arc::new(own), modules: Vec::new() }, kernel, release)
            }
            None => subject.predict(kernel, release),
        })
    }
}
