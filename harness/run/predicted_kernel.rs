//! [`PredictedKernel`]: a kernel of the run that is not booted: BTF predicts what it can for each object.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::subjects::Subjects;
use super::{RunContext, fetch_failure};
use crate::event::Event;
use crate::plan::PlannedObject;
use crate::predict::{PredictedTypes, Prediction};
use crate::record::{CellPrediction, KernelState, PredictedOutcome};
use crate::source::TypesOnly;
use crate::store::StoreError;

/// A kernel of the run of which only the types are known.
pub(super) struct PredictedKernel<'a> {
    pub run: &'a RunContext<'a>,
    /// The kernel's index in the plan.
    pub index: usize,
    pub subjects: &'a Subjects,
    pub events: &'a Sender<Event>,
}

impl PredictedKernel<'_> {
    /// Predicts every object by the types that the manifest names for a kernel that is unavailable for `why`; without any it is out of the
    /// run.
    pub(super) fn stand_in(&self, why: &StoreError) {
        let spec = &self.run.plan.kernels[self.index];
        let step = |step: String| self.send(Event::Fetching { kernel: self.index, step });
        // Where nothing else is declared nothing is missing.
        let is_asked_for = spec.sources().all(|source| source.label() == "btf");
        let state = match self.run.store.types_only(spec, self.run.lock, self.run.offline, &step) {
            Ok(Some(found)) => return self.predict_all(&found, why, is_asked_for),
            Ok(None) => fetch_failure(why),
            Err(error) if is_asked_for || !error.is_unavailable() => fetch_failure(&error),
            Err(error) => {
                let reason = format!("{}; btf: {}", why.reason(), error.reason());
                KernelState::Unavailable { reason, hint: why.hint().or(error.hint()) }
            }
        };
        self.send(Event::KernelFailed { kernel: self.index, state });
    }

    fn predict_all(&self, found: &TypesOnly, why: &StoreError, is_asked_for: bool) {
        let state = KernelState::Predicted {
            release: found.release.clone(),
            btf_sha256: found.sha256.clone(),
            reason: (!is_asked_for).then(|| why.reason()),
            hint: why.hint().filter(|_| !is_asked_for),
        };
        self.send(Event::KernelPredicted { kernel: self.index, source: found.source.clone(), state });
        for object in 0..self.run.plan.objects.len() {
            if self.run.stop.requested() {
                break;
            }
            self.object(object, found);
        }
    }

    fn object(&self, object: usize, found: &TypesOnly) {
        let planned = &self.run.plan.objects[object];
        let wanted = self.subjects.names_in_types(object, planned);
        let has = |name: &str| found.types.has_name(name.as_bytes());
        let names = self.run.store.look_up_in_modules(None, &wanted, &has).names;
        let target = PredictedTypes { names, ..PredictedTypes::of_kernel(Arc::clone(&found.types)) };
        let prediction =
            self.subjects.predict(object, planned, (&target, &found.release)).and_then(|found| checked(planned, found));
        let prediction = prediction.unwrap_or_else(|reason| CellPrediction {
            programs: planned.programs.iter().map(|_| PredictedOutcome::Unknown { reason: reason.clone() }).collect(),
            relocations: Vec::new(),
            guards: Vec::new(),
        });
        let notes = planned
            .loader
            .as_ref()
            .map(|loader| format!("predicted by the rules of libbpf, although `{}` loads the object", loader.name));
        let prediction = Box::new(prediction);
        let notes = notes.into_iter().collect();
        self.send(Event::CellPredicted { kernel: self.index, object, prediction, notes });
    }

    fn send(&self, event: Event) {
        // The collector outlives every kernel; if it is gone the run has failed and says so itself.
        let _ = self.events.send(event);
    }
}

/// As the record has it: what is never loaded is not predicted.
fn checked(planned: &PlannedObject, prediction: Prediction) -> Result<CellPrediction, String> {
    let mut prediction = prediction.into_record();
    if prediction.programs.len() != planned.programs.len() {
        return Err("the object has no programs".to_owned());
    }
    for (program, outcome) in planned.programs.iter().zip(&mut prediction.programs) {
        if planned.loading.leaves_out(&program.name) {
            *outcome = PredictedOutcome::Unknown { reason: "its loader never loads it".to_owned() };
        }
    }
    Ok(prediction)
}
