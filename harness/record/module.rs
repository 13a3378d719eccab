//! [`ModuleRecord`]: what happened to a kernel module that a guest had to load.

use serde::{Deserialize, Serialize};

/// What happened to a kernel module that a guest had to load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModuleRecord {
    /// Its name.
    pub name: String,
    /// The positive errno that the kernel refused it with; `None` if it is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
    /// Why the kernel refused it, or the types of it; `None` if it took both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What the kernel logged of that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel_log: Vec<String>,
}
