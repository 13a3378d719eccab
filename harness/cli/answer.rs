//! [`Answer`]: what a command answers with `--json`. Each is a type here, with a schema in `schema/`, which it names.

mod kernels;
mod machine;
mod objects;
mod runs;

use serde::Serialize;

use super::failure::Failure;
pub(super) use kernels::{
    BootedKernel, ChangedOption, ConfigDifference, DiffedKernel, FoundName, HistoryKernel, KernelDiff, KernelHit,
    KernelList, KernelWithName, ListedKernel, NameHistory, OutdatedKernel, OutdatedKernels, OutdatedState, ShownKernel,
    ShownKernels, TypesDifference, VerifiedFolder, VerifiedKernel, VerifiedKernels,
};
pub(super) use machine::{
    CheckState, DoctorCheck, DoctorReport, Estimate, Forecast, ListedFolder, ListedSnapshot, StoreContents,
};
pub(super) use objects::{ListedObject, ObjectList};
pub(super) use runs::{
    ComparedObjects, ComparedRuns, CoverageAnswer, CoveredKernel, CoveredObject, ExplainedCell, ExplainedProgram,
    ObjectDifferences, ReproAnswer, ReproDifference, ReproducedProgram,
};

/// What a command answers.
pub(super) trait Answer: Serialize {
    /// Its name, and the version of its format: `doctor-1` has the schema `schema/doctor-1.schema.json`.
    const SCHEMA: &'static str;

    /// The answer with the name of its schema.
    fn named(&self) -> Named<'_, Self>
    where
        Self: Sized,
    {
        Named { schema: format!("corematrix/{}", Self::SCHEMA), answer: self }
    }

    /// Prints it as indented JSON.
    ///
    /// # Errors
    /// None that comes from the answer.
    fn print(&self) -> Result<(), Failure>
    where
        Self: Sized,
    {
        let text = serde_json::to_string_pretty(&self.named());
        println!("{}", text.map_err(|error| Failure::infrastructure(format!("cannot write JSON: {error}"), None))?);
        Ok(())
    }
}

/// An answer with the name of its schema before it.
#[derive(Serialize)]
pub(super) struct Named<'a, T> {
    schema: String,
    #[serde(flatten)]
    answer: &'a T,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
