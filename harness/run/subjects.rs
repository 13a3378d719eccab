//! [`Subjects`]: the objects of a run as predictions read them.

use std::sync::{Arc, OnceLock};

use super::wanted_names::WantedNames;
use crate::core_relo::{Target, TypeTable};
use crate::plan::PlannedObject;
use crate::predict::{Prediction, Subject};
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

    /// What types say of an object, an index, on a kernel.
    ///
    /// # Errors
    /// The object, or the BTF of its own, cannot be read; in words.
    pub(super) fn predict(
        &self,
        object: usize,
        planned: &PlannedObject,
        (kernel, release): (&Target, &str),
    ) -> Result<Prediction, String> {
        let read = || Subject::analysed(&planned.object, &planned.loaded, Arc::clone(&planned.analysis));
        let known = self.0.get(object).ok_or("it is not an object of the run")?;
        let subject = known.subject.get_or_init(read).as_ref().map_err(Clone::clone)?;
        Ok(match planned.own_raw_types() {
            Some(raw) => {
                let own = TypeTable::new(raw.to_vec()).map_err(|error| format!("BTF of the suite: {error}"))?;
                subject.predict_with(&Target { kernel: Arc::new(own), modules: Vec::new() }, kernel, release)
            }
            None => subject.predict(kernel, release),
        })
    }
}
