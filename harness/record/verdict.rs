//! [`Verdict`]: the outcome of one program on one kernel, and who is to blame for it.

use serde::{Deserialize, Serialize};

/// What happened to one program on one kernel.
///
/// The set is closed on purpose: a report that cannot name an outcome must not be able to write one down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum Verdict {
    /// The kernel's verifier accepted the program.
    Loaded,
    /// The command ended with exit code 0, or the test passed.
    Succeeded,
    /// libbpf could not open the object (broken ELF, broken BTF, unknown section ...).
    FailedToOpen,
    /// The object needs kernel BTF, but this kernel has none.
    MissingBtf,
    /// A CO-RE relocation or an extern could not be resolved, or a poisoned instruction was reached.
    RelocationFailed,
    /// A map the program needs could not be created.
    MapCreationFailed,
    /// The function, tracepoint, LSM hook or struct_ops type the program attaches to does not exist.
    AttachTargetMissing,
    /// The verifier refused the program.
    VerifierRejected,
    /// The kernel does not know the program type.
    UnsupportedType,
    /// Root can load the program, but the privileges that it was loaded with do not suffice.
    NotPermitted,
    /// The verifier accepted the program, but it could not be attached.
    AttachFailed,
    /// The verifier accepted the program, but it did not run or return as its suite expects.
    RunFailed,
    /// The command could not be started, ended with another exit code than 0, or was killed by a signal.
    CommandFailed,
    /// The test failed.
    TestFailed,
    /// The test ended without a result, or its process ended before the test began.
    NoResult,
    /// The test is ignored, or skipped itself. Proves nothing, but is not a failure.
    Skipped,
    /// The kernel died while the program was being loaded.
    KernelCrashed,
    /// The program did not finish loading within its deadline.
    TimedOut,
    /// Not tried, for example because the kernel was unavailable or the run was interrupted.
    NotRun,
    /// corematrix cannot judge this program (for example an `freplace` program without its target).
    HarnessLimit,
    /// corematrix, QEMU or the machine failed; the object is not to blame.
    HarnessError,
}

/// Who has to act on a [`Verdict`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum Blame {
    /// No one: it worked, or was meant to be skipped.
    Nobody,
    /// The object (as far as this kernel goes).
    Object,
    /// The kernel.
    Kernel,
    /// corematrix or the machine it runs on.
    Harness,
}

impl Verdict {
    /// Every verdict, in the order of the legend.
    pub const ALL: [Verdict; 21] = [
        Verdict::Loaded,
        Verdict::Succeeded,
        Verdict::FailedToOpen,
        Verdict::MissingBtf,
        Verdict::RelocationFailed,
        Verdict::MapCreationFailed,
        Verdict::AttachTargetMissing,
        Verdict::VerifierRejected,
        Verdict::UnsupportedType,
        Verdict::NotPermitted,
        Verdict::AttachFailed,
        Verdict::RunFailed,
        Verdict::CommandFailed,
        Verdict::TestFailed,
        Verdict::NoResult,
        Verdict::Skipped,
        Verdict::KernelCrashed,
        Verdict::TimedOut,
        Verdict::NotRun,
        Verdict::HarnessLimit,
        Verdict::HarnessError,
    ];

    /// The verdict in words, as reports print it.
    pub fn label(self) -> &'static str {
        match self {
            Verdict::Loaded => "loaded",
            Verdict::Succeeded => "succeeded",
            Verdict::FailedToOpen => "failed to open",
            Verdict::MissingBtf => "missing BTF",
            Verdict::RelocationFailed => "relocation failed",
            Verdict::MapCreationFailed => "map creation failed",
            Verdict::AttachTargetMissing => "attach target missing",
            Verdict::VerifierRejected => "verifier rejected",
            Verdict::UnsupportedType => "unsupported type",
            Verdict::NotPermitted => "not permitted",
            Verdict::AttachFailed => "attach failed",
            Verdict::RunFailed => "run failed",
            Verdict::CommandFailed => "command failed",
            Verdict::TestFailed => "test failed",
            Verdict::NoResult => "no result",
            Verdict::Skipped => "skipped",
            Verdict::KernelCrashed => "kernel crashed",
            Verdict::TimedOut => "timed out",
            Verdict::NotRun => "not run",
            Verdict::HarnessLimit => "cannot be judged",
            Verdict::HarnessError => "infrastructure failure",
        }
    }

    /// Whether it counts against the object or the kernel.
    pub fn is_failure(self) -> bool {
        matches!(self.blame(), Blame::Object | Blame::Kernel)
    }

    /// The verdict in at most six columns, for tables with many kernels.
    pub fn short(self) -> &'static str {
        match self {
            Verdict::Loaded | Verdict::Succeeded => "ok",
            Verdict::FailedToOpen => "open",
            Verdict::MissingBtf => "nobtf",
            Verdict::RelocationFailed => "reloc",
            Verdict::MapCreationFailed => "map",
            Verdict::AttachTargetMissing => "target",
            Verdict::VerifierRejected => "reject",
            Verdict::UnsupportedType => "type",
            Verdict::NotPermitted => "perm",
            Verdict::AttachFailed => "attach",
            Verdict::RunFailed => "run",
            Verdict::CommandFailed => "exit",
            Verdict::TestFailed => "FAIL",
            Verdict::NoResult => "NONE",
            Verdict::Skipped => "skip",
            Verdict::KernelCrashed => "CRASH",
            Verdict::TimedOut => "TIME",
            Verdict::NotRun => "-",
            Verdict::HarnessLimit => "limit",
            Verdict::HarnessError => "ERROR",
        }
    }

    /// Who has to act.
    pub fn blame(self) -> Blame {
        match self {
            Verdict::Loaded | Verdict::Succeeded | Verdict::Skipped => Blame::Nobody,
            Verdict::FailedToOpen
            | Verdict::MissingBtf
            | Verdict::RelocationFailed
            | Verdict::MapCreationFailed
            | Verdict::AttachTargetMissing
            | Verdict::VerifierRejected
            | Verdict::UnsupportedType
            | Verdict::NotPermitted
            | Verdict::AttachFailed
            | Verdict::RunFailed
            | Verdict::CommandFailed
            | Verdict::TestFailed
            | Verdict::NoResult
            | Verdict::TimedOut => Blame::Object,
            Verdict::KernelCrashed => Blame::Kernel,
            Verdict::NotRun | Verdict::HarnessLimit | Verdict::HarnessError => Blame::Harness,
        }
    }

    /// Whether it is worth a line where failures and gaps are shown: neither a pass, nor something that was left out.
    pub fn is_finding(self) -> bool {
        !self.is_pass() && !matches!(self, Verdict::NotRun | Verdict::Skipped)
    }

    /// Whether the verifier accepted the program, regardless of what followed.
    pub fn was_loaded(self) -> bool {
        matches!(self, Verdict::Loaded | Verdict::AttachFailed | Verdict::RunFailed)
    }

    /// Whether the program was proven to load, to attach where that was asked for and possible, and to run as its suite says; or the
    /// command to succeed. Nothing else is a pass.
    pub fn is_pass(self) -> bool {
        matches!(self, Verdict::Loaded | Verdict::Succeeded)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.label())
    }
}
