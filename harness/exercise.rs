//! [`ExerciseRecord`]: whether a program ran, as the kernel's own run count tells, and what made it run. Where a suite says what makes
//! it run ([`ExercisePlan`]), [`judge`] holds the one against the other.

use serde::{Deserialize, Serialize};

use crate::cause::{Cause, Evidence};
use crate::record::ProgramRecord;
use crate::verdict::Verdict;

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

/// A test run (`BPF_PROG_TEST_RUN`) as a suite describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRunPlan {
    /// A packet; `None` for programs that get none, or for one that corematrix makes.
    pub input: Option<Vec<u8>>,
    /// The context: arguments, or `struct __sk_buff` and its like.
    pub context: Option<Vec<u8>>,
    /// How often it is run; 0 for once.
    pub repeat: u32,
    /// What it has to return.
    pub returns: Option<u32>,
}

impl ExercisePlan {
    /// Whether something is to happen while the program is attached.
    pub fn is_triggered(&self) -> bool {
        !self.triggers.is_empty() || self.command.is_some()
    }
}

/// What a guest observed when it tried to make a program run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExerciseRecord {
    /// How often it ran, by `bpf_prog_info.run_cnt`; `None` if the kernel does not count.
    pub runs: Option<u64>,
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

/// How often a program ran during something that the guest did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TriggerRuns {
    /// What the guest did: `fork`, `exec`, `tcp`.
    pub trigger: String,
    /// How often the program ran.
    pub runs: u64,
}

/// The answer of `BPF_PROG_TEST_RUN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TestRun {
    /// What the program returned; `None` if the kernel would not run it.
    pub returned: Option<u32>,
    /// The errno of a kernel that would not, positive.
    pub errno: Option<i32>,
}

impl ExerciseRecord {
    /// Whether it was seen to run.
    pub fn ran(&self) -> bool {
        self.runs.is_some_and(|runs| runs > 0) || self.test_run.is_some_and(|test| test.returned.is_some())
    }

    /// What was seen, in a few words: `ran 12 times: fork (2), exec (10)`.
    pub fn words(&self) -> String {
        let times = |runs: u64| if runs == 1 { "ran once".to_owned() } else { format!("ran {runs} times") };
        if let Some(problem) = &self.problem {
            return format!("was not made to run: {problem}");
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
                format!("was not seen to run; a test run was refused with errno {errno}")
            }
            (None, _) => "nobody knows whether it ran: this kernel does not count".to_owned(),
            _ => "was not seen to run: nothing that the guest did reaches it".to_owned(),
        }
    }
}

/// Holds what was seen of a program that was loaded against what its suite says, and changes its verdict if it must.
pub fn judge(plan: &ExercisePlan, record: &mut ProgramRecord) {
    let Some(exercise) = &record.exercise else { return };
    let failure = match (exercise, exercise.test_run, plan.test_run.as_ref().and_then(|told| told.returns)) {
        (ExerciseRecord { problem: Some(problem), .. }, _, _) => {
            Some((Verdict::HarnessLimit, Cause::NeedsLoader, format!("it was not made to run: {problem}"), None))
        }
        (_, Some(TestRun { returned: None, errno }), _) if plan.test_run.is_some() => {
            let words = crate::attach::words(errno.unwrap_or(0));
            Some((Verdict::RunFailed, Cause::NeverRan, format!("the kernel refused the test run: {words}"), errno))
        }
        (_, Some(TestRun { returned: Some(value), .. }), Some(expected)) if value != expected => {
            let reason = format!("it returned {} in the test run, not {}", signed(value), signed(expected));
            Some((Verdict::RunFailed, Cause::WrongResult, reason, None))
        }
        (ExerciseRecord { runs: Some(_), triggers, .. }, _, _) if plan.is_triggered() && triggers.is_empty() => {
            let by = plan.triggers.iter().cloned().chain(plan.command.as_ref().map(|command| command.join(" ")));
            let by: Vec<String> = by.map(|trigger| format!("`{trigger}`")).collect();
            Some((Verdict::RunFailed, Cause::NeverRan, format!("it did not run during {}", by.join(", ")), None))
        }
        _ => None,
    };
    let Some((verdict, cause, reason, errno)) = failure else { return };
    record.verdict = verdict;
    record.cause = Some(cause);
    record.errno = errno;
    record.evidence = Some(Evidence { line: exercise.words(), subject: None, source: None });
    record.reason = Some(reason);
}

/// Programs return an `int`: `4294967295` is -1 to whoever wrote it.
fn signed(value: u32) -> String {
    match value.cast_signed() {
        small @ -4095..0 => small.to_string(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ObjectProgram;

    #[test]
    fn running_takes_evidence() {
        let told = |runs, test_run, trigger: Option<(&str, u64)>| {
            let triggers = trigger.map(|(trigger, runs)| TriggerRuns { trigger: trigger.to_owned(), runs });
            let triggers = triggers.into_iter().collect();
            let record = ExerciseRecord { runs, triggers, test_run, problem: None, took_us: 1 };
            (record.ran(), record.words())
        };
        let answered = Some(TestRun { returned: Some(2), errno: None });
        let refused = Some(TestRun { returned: None, errno: Some(22) });
        assert_eq!(told(Some(3), None, Some(("fork", 3))), (true, "ran 3 times: fork (3)".to_owned()));
        assert_eq!(told(Some(1), answered, None), (true, "ran in a test run, and returned 2".to_owned()));
        assert!(told(None, answered, None).0);
        assert!(!told(Some(0), refused, None).0 && !told(Some(0), None, None).0 && !told(None, None, None).0);
    }

    #[test]
    fn what_a_suite_says_has_to_happen() {
        let judged = |plan: &ExercisePlan, exercise: ExerciseRecord| {
            let program = ObjectProgram { name: "p".into(), section: "xdp".into() };
            let mut record = ProgramRecord::not_run(&program, "");
            (record.verdict, record.reason, record.exercise) = (Verdict::Loaded, None, Some(exercise));
            judge(plan, &mut record);
            (record.verdict, record.cause, record.reason.unwrap_or_default())
        };
        let returns = |value: u32| ExercisePlan {
            test_run: Some(TestRunPlan { returns: Some(value), ..TestRunPlan::default() }),
            ..ExercisePlan::default()
        };
        let returned = |returned, errno| ExerciseRecord {
            test_run: Some(TestRun { returned, errno }),
            ..ExerciseRecord::default()
        };
        assert_eq!(judged(&returns(2), returned(Some(2), None)).0, Verdict::Loaded);
        let reason = "it returned -1 in the test run, not 2".to_owned();
        let wrong = judged(&returns(2), returned(Some(u32::MAX), None));
        assert_eq!(wrong, (Verdict::RunFailed, Some(Cause::WrongResult), reason));
        let refused = judged(&returns(2), returned(None, Some(524)));
        assert_eq!((refused.0, refused.1), (Verdict::RunFailed, Some(Cause::NeverRan)));
        assert!(refused.2.ends_with("operation not supported (errno 524)"), "{}", refused.2);

        let plan = ExercisePlan { triggers: vec!["tcp".into()], ..ExercisePlan::default() };
        let idle = ExerciseRecord { runs: Some(0), ..ExerciseRecord::default() };
        assert_eq!(judged(&plan, idle.clone()).2, "it did not run during `tcp`");
        // A kernel that does not count proves neither.
        assert_eq!(judged(&plan, ExerciseRecord { runs: None, ..idle.clone() }).0, Verdict::Loaded);
        let problem = Some("the guest has no `/bin/sh`".to_owned());
        assert_eq!(judged(&plan, ExerciseRecord { problem, ..idle }).0, Verdict::HarnessLimit);
        let triggers = vec![TriggerRuns { trigger: "tcp".into(), runs: 1 }];
        let ran = ExerciseRecord { runs: Some(1), triggers, ..ExerciseRecord::default() };
        assert_eq!(judged(&plan, ran).0, Verdict::Loaded);
    }
}
