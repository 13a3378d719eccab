//! [`ExerciseRecord`]: whether a program ran, according to the kernel's run count, and what made it run.

use serde::{Deserialize, Serialize};

use crate::RunTime;

/// What a guest observed when it tried to make a program run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExerciseRecord {
    /// How often it ran, by `bpf_prog_info.run_cnt`; `None` if the kernel does not count.
    pub runs: Option<u64>,
    /// Nanoseconds of all these runs, by `bpf_prog_info.run_time_ns`. Noise: it differs from run to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_time_ns: Option<u64>,
    /// What it ran during, with how often. It may have been made to run by something else at that time.
    pub triggers: Vec<TriggerRuns>,
    /// What a test run said, if nothing else made it run and its type allows one.
    pub test_run: Option<TestRun>,
    /// Why what its suite says could not be done; `None` if it was done.
    #[serde(default)]
    pub problem: Option<String>,
    /// Microseconds all this took in the guest.
    pub took_us: u64,
}

impl ExerciseRecord {
    /// Whether it was seen to run.
    pub fn ran(&self) -> bool {
        self.runs.is_some_and(|runs| runs > 0) || self.test_run.is_some_and(|test| test.returned.is_some())
    }

    /// Nanoseconds of a run, if it ran.
    pub fn ns_per_run(&self) -> Option<f64> {
        RunTime { runs: self.runs?, ns: self.run_time_ns? }.per_run()
    }

    /// What was seen, in a few words: `ran 12 times: fork (2), exec (10)`.
    pub fn words(&self) -> String {
        let times = |runs: u64| if runs == 1 { "ran once".to_owned() } else { format!("ran {runs} times") };
        if let Some(problem) = &self.problem {
            return format!("could not be triggered: {problem}");
        }
        match (self.runs, self.test_run) {
            (_, Some(TestRun { returned: Some(value), .. })) => format!("ran in a test run, and returned {value}"),
            (Some(runs), _) if runs > 0 => {
                let parts: Vec<String> =
                    self.triggers.iter().map(|one| format!("{} ({})", one.trigger, one.runs)).collect();
                match parts.is_empty() {
                    true => times(runs),
                    false => format!("{}: {}", times(runs), parts.join(", ")),
                }
            }
            (_, Some(TestRun { errno: Some(errno), .. })) => {
                format!("did not run; a test run was refused with errno {errno}")
            }
            (None, _) => "unknown whether it ran: this kernel does not count runs".to_owned(),
            _ => "did not run: no activity of the guest triggered it".to_owned(),
        }
    }
}

/// How often a program ran during something that the guest did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TriggerRuns {
    /// What the guest did: `fork`, `exec`, `tcp`.
    pub trigger: String,
    /// How often the program ran.
    pub runs: u64,
}

/// The answer of `BPF_PROG_TEST_RUN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestRun {
    /// What the program returned; `None` if the kernel would not run it.
    pub returned: Option<u32>,
    /// The errno of a kernel that would not, positive.
    pub errno: Option<i32>,
}
