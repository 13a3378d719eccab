//! [`judge`]: what a suite says makes a program run ([`ExercisePlan`]), held against what was seen.

use super::errno;
use crate::protocol::exercise::ExercisePlan;
use crate::record::{Cause, Evidence, ExerciseRecord, ProgramRecord, TestRun, Verdict};

/// Holds what was seen of a program that was loaded against what its suite says, and changes its verdict if it must.
pub fn judge(plan: &ExercisePlan, record: &mut ProgramRecord) {
    let Some(exercise) = &record.exercise else { return };
    let failure = match (exercise, exercise.test_run, plan.test_run.as_ref().and_then(|test_run| test_run.returns)) {
        (ExerciseRecord { problem: Some(problem), .. }, _, _) => {
            Some((Verdict::HarnessLimit, Cause::NeedsLoader, format!("it could not be triggered: {problem}"), None))
        }
        (_, Some(TestRun { returned: None, errno }), _) if plan.test_run.is_some() => {
            let words = errno::words(errno.unwrap_or(0));
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
    use crate::protocol::exercise::TestRunPlan;
    use crate::record::{ObjectProgram, TriggerRuns};

    #[test]
    fn running_takes_evidence() {
        let judged = |runs, test_run, trigger: Option<(&str, u64)>| {
            let triggers = trigger.map(|(trigger, runs)| TriggerRuns { trigger: trigger.to_owned(), runs });
            let triggers = triggers.into_iter().collect();
            let record = ExerciseRecord { runs, triggers, test_run, took_us: 1, ..ExerciseRecord::default() };
            (record.ran(), record.words())
        };
        let answered = Some(TestRun { returned: Some(2), errno: None });
        let refused = Some(TestRun { returned: None, errno: Some(22) });
        assert_eq!(judged(Some(3), None, Some(("fork", 3))), (true, "ran 3 times: fork (3)".to_owned()));
        assert_eq!(judged(Some(1), answered, None), (true, "ran in a test run, and returned 2".to_owned()));
        assert!(judged(None, answered, None).0);
        assert!(!judged(Some(0), refused, None).0 && !judged(Some(0), None, None).0 && !judged(None, None, None).0);
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
