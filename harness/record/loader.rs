//! [`LoaderRecord`]: the loader that an object is judged with, if not libbpf; and [`LoaderEvidence`], what it did on one kernel.

use serde::{Deserialize, Serialize};

use crate::MapDefinition;

/// The loader that an object is judged with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoaderRecord {
    /// `cilium-ebpf`, `aya`, or the file name of another.
    pub name: String,
    /// SHA-256 of its executable, in hex.
    pub sha256: String,
    /// Why this one.
    pub chosen: LoaderChoice,
}

/// Why an object is judged with a loader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "by", rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum LoaderChoice {
    /// The command line says so.
    Option,
    /// A suite says so.
    Suite,
    /// The object shows whose it is.
    Recognised {
        /// By what, as a lowercase fragment.
        how: String,
    },
}

/// What a loader other than libbpf did on one kernel, as its calls of `bpf(2)` show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoaderEvidence {
    /// The library, in its own words: `cilium/ebpf`.
    pub library: String,
    /// Its version; empty if it does not say.
    pub version: String,
    /// The object's maps as the loader had them created, in that order; each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<CreatedMap>,
}

/// A map that a loader had created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreatedMap {
    /// Its name.
    pub map: String,
    /// What the kernel was asked for.
    pub definition: MapDefinition,
    /// Likewise, the map that those in it are like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner: Option<MapDefinition>,
    /// Why the kernel refused, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
}
