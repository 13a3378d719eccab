//! What is predicted, as JSON: every kernel with every program.

use serde_json::{Value, json};

use crate::predict::{PredictedMatrix, Subject};

/// All kernels and objects.
pub(super) fn whole(subjects: &[Subject], matrix: &PredictedMatrix) -> Value {
    let objects = subjects.iter().map(|subject| {
        let programs: Vec<&str> = subject.programs.iter().map(|program| program.name.as_str()).collect();
        json!({ "name": subject.name, "programs": programs, "relocations": subject.relocations() })
    });
    let kernels = matrix.kernels.iter().zip(&matrix.cells).map(|(kernel, cells)| {
        let mut value = json!(kernel);
        match cells {
            Ok(cells) => value["objects"] = json!(cells),
            Err(reason) => value["error"] = json!(reason),
        }
        value
    });
    // Nobody shall take this for a report of a run.
    json!({ "predicted": true, "objects": objects.collect::<Vec<_>>(), "kernels": kernels.collect::<Vec<_>>() })
}
