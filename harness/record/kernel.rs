//! [`KernelRecord`]: one kernel of a run, and [`KernelIdentity`]: what exactly it is.

use serde::{Deserialize, Serialize};

/// One kernel of the matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KernelRecord {
    /// Name in `kernels.toml`.
    pub name: String,
    /// Where it comes from, in words: `apt: bullseye linux-image-5.10.0-32-cloud-amd64 5.10.223-1`.
    pub source: String,
    /// Whether the manifest says that a run may go on without it.
    pub optional: bool,
    /// The kernel modules that the user named, for all its guests: names, absolute paths of `.ko` files, or `none` alone, which forbids all.
    /// Empty if the user named none: guests load those that an object needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// How far it got.
    pub state: KernelState,
    /// What exactly was booted; `None` until the store has it.
    pub identity: Option<KernelIdentity>,
    /// Milliseconds from starting QEMU to the guest's hello, one for each successful boot.
    pub hello_ms: Vec<u64>,
    /// Milliseconds from starting QEMU until the guest answered, one for each guest that was restored from a snapshot.
    #[serde(default)]
    pub restore_ms: Vec<u64>,
    /// What is missing in this kernel's package and what that costs, oddities of its boot, retries.
    pub notes: Vec<String>,
}

/// How far a kernel got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum KernelState {
    /// Not looked at yet.
    Pending,
    /// It booted and said hello, in this run or in the earlier one whose results this run takes.
    Ready,
    /// Its image was unavailable.
    Unavailable {
        /// Why, as a lowercase fragment.
        reason: String,
        /// What the user can do.
        hint: Option<String>,
    },
    /// No kernel was booted: of each object there is what the types of such a kernel say.
    Predicted {
        /// Of the kernel that the types are of.
        release: String,
        /// SHA-256 of its BTF, in hex.
        btf_sha256: String,
        /// Why the kernel itself was unavailable, as a lowercase fragment; `None` where only its BTF is requested.
        reason: Option<String>,
        /// What the user can do about that.
        hint: Option<String>,
    },
    /// The image is there but it never said hello; the kernel or its image is to blame.
    BootFailed {
        /// Why, as a lowercase fragment.
        reason: String,
        /// What the user can do.
        hint: Option<String>,
        /// The last lines of the console; `<empty boot output>` if there were none.
        console_tail: Vec<String>,
    },
    /// QEMU, virtme-ng or the machine failed; the kernel is not to blame.
    HarnessFailed {
        /// Why, as a lowercase fragment.
        reason: String,
        /// What the user can do.
        hint: Option<String>,
        /// The last lines of the console and of QEMU's error output.
        console_tail: Vec<String>,
    },
}

/// What exactly a kernel is: two kernels with equal identity behave alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KernelIdentity {
    /// `uname -r`.
    pub release: String,
    /// SHA-256 of the image as delivered, in hex.
    pub image_sha256: String,
    /// SHA-256 of the kernel's config, in hex; `None` if the source ships none.
    pub config_sha256: Option<String>,
    /// SHA-256 of the BTF of vmlinux, in hex; `None` if the kernel has none.
    pub btf_sha256: Option<String>,
    /// SHA-256 of the BTF that was given for relocations to take instead of the kernel's own, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_btf_sha256: Option<String>,
}

impl KernelRecord {
    /// Whether a guest of it was started in this run.
    pub fn was_started(&self) -> bool {
        !self.hello_ms.is_empty() || !self.restore_ms.is_empty()
    }
}

impl KernelIdentity {
    /// SHA-256 of the BTF that objects are relocated with.
    pub fn types_sha256(&self) -> Option<&str> {
        self.given_btf_sha256.as_deref().or(self.btf_sha256.as_deref())
    }

    /// The kernel alone, without what was given to it.
    #[must_use]
    pub fn of_kernel(&self) -> KernelIdentity {
        KernelIdentity { given_btf_sha256: None, ..self.clone() }
    }
}
