//! What a program is attached to, and the [`AttachFacts`] that a guest observes.

use serde::{Deserialize, Serialize};

/// How far programs are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// They are loaded.
    Load,
    /// They are attached as well, and detached again.
    Attach,
    /// They are made to run while they are attached.
    Exercise,
}

/// What a suite has a program attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachTo {
    /// A function of the kernel, by a probe.
    Function(String),
    /// A function of an executable or library of the guest, by a probe.
    UserFunction {
        /// An absolute path, or the name of a library.
        binary: String,
        /// A symbol of it.
        function: String,
    },
    /// A tracepoint, by its events.
    Tracepoint {
        /// Such as `sched`.
        category: String,
        /// Such as `sched_switch`.
        name: String,
    },
    /// A tracepoint, by its arguments.
    RawTracepoint(String),
    /// A network interface of the guest.
    Interface(String),
    /// A cgroup of the guest, below its root; it is made, and the guest goes into it.
    Cgroup(String),
}

impl std::fmt::Display for AttachTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AttachTo::Function(name) => write!(f, "`{name}`"),
            AttachTo::UserFunction { binary, function } => write!(f, "`{function}` of `{binary}`"),
            AttachTo::Tracepoint { category, name } => write!(f, "tracepoint `{category}/{name}`"),
            AttachTo::RawTracepoint(name) => write!(f, "tracepoint `{name}`"),
            AttachTo::Interface(name) => write!(f, "interface `{name}`"),
            AttachTo::Cgroup(path) => write!(f, "cgroup `{path}`"),
        }
    }
}

/// What a guest is about to do with a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Load it.
    Loading,
    /// Attach it.
    Attaching,
    /// Make it run.
    Exercising,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Step::Loading => "loading",
            Step::Attaching => "attaching",
            Step::Exercising => "exercising",
        })
    }
}

/// What a guest observed when it attached a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachFacts {
    /// To what, in words: `the target of its section`, `the loopback device`.
    pub to: String,
    /// Its outcome.
    pub tried: AttachTry,
    /// Microseconds it took.
    pub took_us: u64,
}

/// The outcome of attaching a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tried", rename_all = "snake_case")]
pub enum AttachTry {
    /// It was attached.
    Attached,
    /// A call failed.
    Failed {
        /// Positive.
        errno: i32,
        /// libbpf's warnings.
        warnings: Vec<String>,
        /// What the kernel itself lists of the target; `None` if it lists no targets of this sort.
        target: Option<TargetFacts>,
    },
    /// There is nothing to attach it to.
    NotPossible {
        /// Why, as a lowercase fragment.
        reason: String,
    },
    /// libbpf died.
    Died {
        /// The signal.
        signal: i32,
    },
}

/// What sort of thing a program attaches to by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A function, by a probe.
    Function,
    /// All functions that a pattern matches.
    Functions,
    /// A system call.
    SystemCall,
    /// A function of an executable or library, or all that a pattern matches.
    UserFunction,
    /// A USDT probe of an executable or library, such as `libc:setjmp`.
    UserProbe,
    /// A tracepoint, by its events.
    Tracepoint,
    /// A tracepoint, by its arguments.
    RawTracepoint,
}

/// What the kernel, or a file, lists of an attach target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFacts {
    /// What sort of thing it is.
    pub kind: TargetKind,
    /// The function or tracepoint.
    pub name: String,
    /// Whether it is listed.
    pub exists: bool,
    /// Copies that the compiler made of a function, such as `name.isra.0`.
    pub copies: Vec<String>,
    /// The executable or library it would be in, for a target in user space.
    pub file: Option<String>,
}
