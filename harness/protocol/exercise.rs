//! [`ExercisePlan`]: how a suite has a program made to run.

use serde::{Deserialize, Serialize};

/// What the guest can do to make programs run, in this order.
pub const TRIGGERS: [&str; 11] =
    ["sleep", "fork", "exec", "file", "directory", "memory", "signal", "tcp", "udp", "its socket", "its iterator"];

/// How a suite has a program made to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExercisePlan {
    /// What the guest does while the program is attached, of [`TRIGGERS`].
    pub triggers: Vec<String>,
    /// What the guest executes while the program is attached: an absolute path and arguments.
    pub command: Option<Vec<String>>,
    /// A test run.
    pub test_run: Option<TestRunPlan>,
}

impl ExercisePlan {
    /// Whether something is to happen while the program is attached.
    pub fn is_triggered(&self) -> bool {
        !self.triggers.is_empty() || self.command.is_some()
    }
}

/// A test run (`BPF_PROG_TEST_RUN`) as a suite describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRunPlan {
    /// A packet; `None` for programs that get none, or for one that corematrix makes.
    pub input: Option<Vec<u8>>,
    /// The context: arguments, or `struct __sk_buff` or a similar one.
    pub context: Option<Vec<u8>>,
    /// How often it is run; 0 for once.
    pub repeat: u32,
    /// What it has to return.
    pub returns: Option<u32>,
}
