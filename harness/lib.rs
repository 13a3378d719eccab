//! corematrix boots a matrix of Linux kernels, loads the same unchanged CO-RE object in each, and reports what happened and why.
//!
//! Data goes one way: `manifest` and `object` feed [`plan`], [`run`] turns the plan into [`event`]s, the events become a
//! [`record`], and [`report`] renders the record. Running never formats text and reporting never runs anything.
//! `ARCHITECTURE.md` has the picture.

// First, since the macros in it count from here on.
#[macro_use]
pub mod output;

pub mod alternatives;
pub mod answer;
pub mod beneath;
pub mod bisect;
pub mod btf;
pub mod bundle;
pub mod bytes;
pub mod checksum;
pub mod cli;
pub mod compare;
pub mod core_relo;
pub mod coverage;
pub mod event;
pub mod exec;
pub mod explain;
pub mod feature;
pub mod file_name;
pub mod gate;
pub mod guard_proof;
pub mod history;
pub mod judge;
pub mod kernel_config;
pub mod kernel_log;
pub mod libbpf_log;
pub mod lint;
pub mod loader;
pub mod manifest;
pub mod matrix;
pub mod nearest;
pub mod object;
pub mod parts;
pub mod plan;
pub mod predict;
pub mod privileges;
pub mod process;
pub mod report;
pub mod repro;
pub mod run;
pub mod run_folder;
pub mod source;
pub mod store;
pub mod suite;
pub mod test_output;
pub mod timestamp;
pub mod venv;
pub mod verifier;
pub mod vm;
pub mod whole_file;

pub use corematrix_protocol as protocol;
pub use corematrix_record as record;

#[cfg(test)]
#[path = "../tests/common/fuzz.rs"]
#[allow(clippy::unwrap_used)]
mod fuzz;
#[cfg(test)]
#[path = "../tests/common/need.rs"]
mod need;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod schema;
