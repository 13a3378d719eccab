//! What is predicted, as JSON: every kernel with every program.

use crate::cli::answer::{KernelPrediction, PredictedObject, Predictions};
use crate::predict::{PredictedMatrix, Subject};

/// All kernels and objects.
pub(super) fn whole<'a>(subjects: &'a [Subject], matrix: &'a PredictedMatrix) -> Predictions<'a> {
    let objects = subjects.iter().map(|subject| PredictedObject {
        name: &subject.name,
        programs: subject.programs.iter().map(|program| program.name.as_str()).collect(),
        relocations: subject.relocations(),
    });
    let kernels = matrix.kernels.iter().zip(&matrix.cells).map(|(kernel, cells)| KernelPrediction {
        kernel,
        objects: cells.as_ref().ok().map(Vec::as_slice),
        error: cells.as_ref().err().map(String::as_str),
    });
    Predictions { predicted: true, objects: objects.collect(), kernels: kernels.collect() }
}
