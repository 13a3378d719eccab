//! Answers about kernels.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::answer::Answer;
use crate::manifest::catalogue::Known;
use crate::protocol::feature_probe::FeatureProbe;

/// `corematrix kernels list`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct KernelList {
    /// The kernels of the manifest, in its order.
    pub kernels: Vec<ListedKernel>,
}

/// A kernel of the manifest.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ListedKernel {
    /// What the manifest calls it.
    pub name: String,
    /// Whether it is in the default matrix.
    pub default: bool,
    /// Whether a run may omit it.
    pub optional: bool,
    /// Where it comes from, in words.
    pub source: String,
    /// The sources that stand in for it.
    pub fallbacks: Vec<String>,
    /// The release that the lock file pins.
    pub pinned_release: Option<String>,
    /// How many versions of it the store has.
    pub stored_versions: usize,
    /// Bytes that they take.
    pub stored_bytes: u64,
    /// The state of its BTF, if the store has the kernel or the catalogue knows that it has none: `its own`, `given`, or `none`.
    pub btf: Option<&'static str>,
}

/// `corematrix kernels catalogue`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct CatalogueList {
    /// Those of the user first, then by name.
    pub kernels: Vec<CataloguedKernel>,
}

/// A kernel of the catalogue.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct CataloguedKernel {
    /// Its name; with a `*` it stands for many.
    pub name: String,
    /// What it is, in words.
    pub about: String,
    /// The upstream series that it had last.
    pub series: Option<String>,
    /// What kind of archive it comes from.
    pub source: String,
    /// How far it is known to be right: `booted` from its archive by the project's own tests, `documents` where address, keys and layout are
    /// from public documents, `unverified` where its image has to be fetched by hand, `unsaid` in files of users.
    pub known: Known,
    /// What to know or to do.
    pub note: Option<String>,
    /// Whether it comes without BTF.
    pub no_btf: bool,
    /// Whether it is in the user's own file.
    pub own: bool,
    /// Whether the manifest declares it.
    pub declared: bool,
}

/// `corematrix kernels show`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ShownKernels {
    /// The kernels that were chosen.
    pub kernels: Vec<ShownKernel>,
}

/// All that is known about a kernel.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ShownKernel {
    /// What the manifest calls it.
    pub name: String,
    /// What is known, by name.
    pub facts: BTreeMap<String, String>,
    /// What it lacks and what that costs.
    pub notes: Vec<String>,
}

/// `corematrix kernels outdated`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct OutdatedKernels {
    /// The kernels that were chosen.
    pub kernels: Vec<OutdatedKernel>,
}

/// Whether a pinned kernel has moved on.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct OutdatedKernel {
    /// What the manifest calls it.
    pub name: String,
    /// Whether there is a newer version.
    pub state: OutdatedState,
    /// The pinned version.
    pub pinned: Option<String>,
    /// The newest version.
    pub newest: Option<String>,
    /// Why the state is what it is, if that is not plain.
    pub reason: Option<String>,
}

/// Whether a pinned kernel has moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum OutdatedState {
    /// The newest version is pinned.
    Current,
    /// There is a newer version.
    Outdated,
    /// Its source never has another version.
    Fixed,
    /// No version is pinned.
    NotPinned,
    /// The source could not be asked.
    Unknown,
}

/// `corematrix kernels verify`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct VerifiedKernels {
    /// The kernels that were chosen.
    pub kernels: Vec<VerifiedKernel>,
    /// What became of their boots; empty without `--boot`.
    pub boots: Vec<BootedKernel>,
}

/// Whether the files of a kernel are what they were when they were stored.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct VerifiedKernel {
    /// What the manifest calls it.
    pub name: String,
    /// Whether a run may omit it.
    pub optional: bool,
    /// Its versions in the store; none if the store does not have it.
    pub versions: Vec<VerifiedFolder>,
}

/// One version of a kernel in the store.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct VerifiedFolder {
    /// Its directory in the store.
    pub name: String,
    /// Files that are not what they were; none if it is sound.
    pub damaged_files: Vec<String>,
}

/// Whether a kernel boots.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct BootedKernel {
    /// What the manifest calls it.
    pub name: String,
    /// Its release, if the store has it.
    pub release: Option<String>,
    /// Whether it boots; unknown where it could not be tried.
    pub boots: Option<bool>,
    /// Why it does not boot or could not be tried.
    pub reason: Option<String>,
    /// What was found at boot, by name.
    pub facts: BTreeMap<String, String>,
}

/// `corematrix kernels diff`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct KernelDiff {
    /// The one kernel.
    pub first: DiffedKernel,
    /// The other.
    pub second: DiffedKernel,
    /// What differs in their configs; unknown if one of them has none.
    pub config: Option<ConfigDifference>,
    /// What differs in their types.
    pub types: TypesDifference,
}

/// One of two kernels.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct DiffedKernel {
    /// What the manifest calls it.
    pub name: String,
    /// Its release.
    pub release: String,
}

/// Config options that differ.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ConfigDifference {
    /// How many only the second has.
    pub added: usize,
    /// How many only the first has.
    pub removed: usize,
    /// How many have another value.
    pub changed: usize,
    /// Each of them, by name.
    pub options: Vec<ChangedOption>,
}

/// A config option that differs.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ChangedOption {
    /// Such as `CONFIG_BPF_LSM`.
    pub name: String,
    /// Its value in the first.
    pub before: Option<String>,
    /// Its value in the second.
    pub after: Option<String>,
}

/// Types that differ.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct TypesDifference {
    /// Types that only the second has.
    pub added: Vec<String>,
    /// Types that only the first has.
    pub removed: Vec<String>,
    /// Types with other content.
    pub changed: Vec<String>,
    /// How many are the same.
    pub same: usize,
    /// How many functions only the second has.
    pub functions_added: usize,
    /// How many functions only the first has.
    pub functions_removed: usize,
    /// What differs in the types that `--type` and `--object` name, as lines.
    pub details: Vec<String>,
}

impl BootedKernel {
    /// A kernel that no one has tried to boot.
    pub(in crate::cli) fn untried(name: &str) -> BootedKernel {
        BootedKernel { name: name.to_owned(), release: None, boots: None, reason: None, facts: BTreeMap::new() }
    }
}

impl Answer for KernelList {
    const SCHEMA: &'static str = "kernels-list-1";
}

impl Answer for CatalogueList {
    const SCHEMA: &'static str = "kernels-catalogue-1";
}

impl Answer for ShownKernels {
    const SCHEMA: &'static str = "kernels-show-1";
}

impl Answer for OutdatedKernels {
    const SCHEMA: &'static str = "kernels-outdated-1";
}

impl Answer for VerifiedKernels {
    const SCHEMA: &'static str = "kernels-verify-1";
}

impl Answer for KernelDiff {
    const SCHEMA: &'static str = "kernels-diff-1";
}

/// `corematrix kernels probe`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ProbedKernels {
    /// The version of libbpf, whose names are used.
    pub libbpf: String,
    /// The kernels.
    pub kernels: Vec<ProbedKernel>,
}

/// What one kernel can do. Names are libbpf's: `ringbuf`, `kprobe`, `trace_fentry`, `loop`; a value is `yes`, `no` or `unknown`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ProbedKernel {
    /// The kernel.
    pub kernel: String,
    /// Its release, if it is known.
    pub release: Option<String>,
    /// What it answered; absent if it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<ProbeFormat>"))]
    pub probe: Option<FeatureProbe>,
    /// Why it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// The form of [`FeatureProbe`], which the guest shares and which has no schema of its own.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[allow(dead_code)]
struct ProbeFormat {
    /// Whether helpers were asked for of every program type.
    whole: bool,
    /// Map types.
    map_types: BTreeMap<String, String>,
    /// Program types.
    program_types: BTreeMap<String, String>,
    /// Attach types that a kernel checks when it loads a program.
    attach_types: BTreeMap<String, String>,
    /// Whether the kernel has a helper at all.
    existing_helpers: BTreeMap<String, String>,
    /// Helpers by program type.
    helpers: BTreeMap<String, BTreeMap<String, String>>,
}

impl Answer for ProbedKernels {
    const SCHEMA: &'static str = "kernels-probe-1";
}
