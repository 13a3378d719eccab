//! [`AlternativesRecord`]: programs, maps or objects of which one is enough, and [`OptionalRecord`]: what may fail.

use serde::{Deserialize, Serialize};

/// Programs, maps or whole objects of which one is enough on each kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlternativesRecord {
    /// Its name.
    pub name: String,
    /// What the members are.
    pub kind: AlternativeKind,
    /// Whether a suite file says so; otherwise corematrix proposes it, from names and sections.
    pub declared: bool,
    /// At least two, the preferred one first.
    pub members: Vec<Alternative>,
}

/// What the members of a group are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum AlternativeKind {
    /// Programs: one serves if it was loaded.
    Programs,
    /// Maps: one serves if it was created.
    Maps,
    /// Objects: one serves if every program that it needs was loaded.
    Objects,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Alternative {
    /// The object.
    pub object: String,
    /// The program or map in it; `None` for the object itself.
    pub name: Option<String>,
}

/// A program or an object that may fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OptionalRecord {
    /// What may fail.
    pub what: Alternative,
    /// Why.
    pub reason: String,
}
