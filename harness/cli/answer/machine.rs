//! Answers about this machine and its store.

use serde::Serialize;

use crate::answer::Answer;

/// `corematrix doctor`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct DoctorReport {
    /// What was checked, in order.
    pub checks: Vec<DoctorCheck>,
    /// What the chosen matrix will take; `null` where no kernel can be run.
    pub forecast: Option<Forecast>,
}

/// One check.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct DoctorCheck {
    /// What was checked.
    pub name: String,
    /// What was found.
    pub state: CheckState,
    /// The finding in words.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum CheckState {
    /// It works.
    Ok,
    /// It works, and could be better.
    Note,
    /// It does not work.
    Bad,
}

/// What the chosen matrix will take.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct Forecast {
    /// How many kernels.
    pub kernels: usize,
    /// How many of them are still to be fetched.
    pub to_fetch: usize,
    /// How many are still to be booted for a snapshot.
    pub to_boot: usize,
    /// How many guests run at once.
    pub guests: usize,
    /// Bytes that the store has to grow by.
    pub disk_bytes: Estimate,
    /// Bytes of memory that the guests take at most.
    pub memory_bytes: Estimate,
    /// Milliseconds until each kernel has judged an object of one program.
    pub time_ms: Estimate,
}

/// A number of the forecast.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct Estimate {
    /// The number.
    pub value: u64,
    /// Whether it rests on what was measured on this machine alone; otherwise part of it is a guess.
    pub measured: bool,
    /// What it rests on, in words.
    pub basis: String,
}

/// `corematrix store list`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct StoreContents {
    /// The directory of the store.
    pub store: String,
    /// Kernels, packages, unpacked objects and types.
    pub folders: Vec<ListedFolder>,
    /// Snapshots of booted guests.
    pub snapshots: Vec<ListedSnapshot>,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// A directory of the store.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ListedFolder {
    /// `kernel`, `package`, `objects` or `types`.
    pub kind: String,
    /// Its name in the store.
    pub name: String,
    /// Of a kernel: what the manifest calls it.
    pub kernel: Option<String>,
    /// Bytes on disk.
    pub bytes: u64,
    /// Where it came from, in words.
    pub source: String,
}

/// A snapshot of a booted guest.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ListedSnapshot {
    /// The kernel.
    pub kernel: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// Whether a run uses it now.
    pub in_use: bool,
    /// Seconds since it was last used.
    pub idle_seconds: u64,
}

impl Answer for DoctorReport {
    const SCHEMA: &'static str = "doctor-1";
}

impl Answer for StoreContents {
    const SCHEMA: &'static str = "store-list-1";
}
