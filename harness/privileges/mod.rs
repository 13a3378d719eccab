//! With which privileges objects are loaded: [`capability`] reads names, [`least`] finds the fewest that are enough, [`by_kernel`] puts what
//! was found on several kernels into words.

mod capability;
mod search;
mod words;

pub use capability::{UnknownCapability, capability};
pub use search::{CANDIDATES, Found, Oracle, Trial, least};
pub use words::{OnKernel, by_kernel};
