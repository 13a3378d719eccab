//! [`Subject`]: what becomes of an object on a kernel of which only the types are known. Nothing is booted, and nothing here is ever taken
//! for what a kernel did.
//!
//! What BTF does not show is left open: what the verifier says, whether a map can be made, what the kernel's config has.

mod answers;
mod attachment;
mod kernel_feature;
mod kernel_function;
mod matrix;
mod minimal;
mod outcome;
mod predicted_types;
mod stretch;
mod subject;

pub use answers::Answers;
pub use matrix::{PredictedCell, PredictedKernel, PredictedMatrix};
pub use minimal::{Behaviour, MinimalMatrix, behaviours};
pub use outcome::Prediction;
pub use predicted_types::PredictedTypes;
pub use stretch::{Stretch, stretches};
pub use subject::Subject;
