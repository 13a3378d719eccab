//! What commands answer with `--json`, each a type with a schema in `schema/`; [`Print`] prints it.

mod bisections;
mod btf_names;
mod kernels;
mod machine;
mod objects;
mod predictions;
mod privileges;
mod runs;

use super::failure::Failure;
use crate::answer::Answer;
pub(super) use bisections::{BisectedObject, BisectedRelocation, BisectionChange, BisectionStep};
pub(super) use btf_names::{FoundName, HistoryKernel, KernelHit, KernelWithName, NameHistory};
pub(super) use kernels::{
    BootedKernel, CatalogueList, CataloguedKernel, ChangedOption, ConfigDifference, DiffedKernel, KernelDiff,
    KernelList, ListedKernel, OutdatedKernel, OutdatedKernels, OutdatedState, ProbedKernel, ProbedKernels, ShownKernel,
    ShownKernels, TypesDifference, VerifiedFolder, VerifiedKernel, VerifiedKernels,
};
pub(super) use machine::{
    CheckState, DoctorCheck, DoctorReport, Estimate, Forecast, ListedFolder, ListedSnapshot, StoreContents,
};
pub(super) use objects::{ListedObject, ObjectList};
pub(super) use predictions::{
    KernelPrediction, MinimalKernel, MinimalKernels, PredictedObject, Predictions, UnreadKernel,
};
pub(super) use privileges::{LeastOnKernel, LeastPrivilegesOf, ObjectPrivileges, PrivilegesAnswer};
pub(super) use runs::{
    ComparedObjects, ComparedRuns, CoverageAnswer, CoveredKernel, CoveredObject, ExplainedCell, ExplainedProgram,
    GuardOnKernel, GuardProofs, LoadedGuard, ObjectDifferences, ReproAnswer, ReproDifference, ReproducedProgram,
};

/// What a command answers.
pub(super) trait Print: Answer {
    /// Prints it as indented JSON.
    ///
    /// # Errors
    /// None that comes from the answer.
    fn print(&self) -> Result<(), Failure>
    where
        Self: Sized,
    {
        let text = self.json();
        print!("{}", text.map_err(|error| Failure::infrastructure(format!("cannot write JSON: {error}"), None))?);
        Ok(())
    }
}

impl<A: Answer> Print for A {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
