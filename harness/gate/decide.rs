//! [`decide`]: a record, what is expected of it, a baseline and limits make a [`GateReport`]. Pure.

mod alternatives;
mod cost;
mod coverage;
mod expected;
mod headroom;
mod regression;

use std::collections::BTreeMap;

use super::decision::{Decision, Excuse, GateOutcome, GateReport, Rule, Weight};
use super::expectation::Expectations;
use super::limits::GateLimits;
use crate::compare::{Pair, Place};
use crate::record::{Blame, Cause, KernelState, ProgramRecord, RunRecord, Verdict, WHOLE_OBJECT};
use expected::Use;

/// What to do about a failure.
const EXPLAIN: &str = "`corematrix explain RUN KERNEL OBJECT PROGRAM` explains why; an `[[expect]]` with a reason in the suite excuses \
    it";

/// Why a failure passes that was there before.
const KNOWN: &str = "as in the baseline";

/// Weighs a run.
///
/// Without a baseline every failure is red that no expectation excuses. With one, what failed in the same way there is known and
/// passes, and everything that is worse is red: verdicts, causes, proofs of guards, instructions, dangers, and cells that are
/// judged no more. What could not be judged through no fault of an object is kept apart.
pub fn decide(
    record: &RunRecord,
    baseline: Option<&RunRecord>,
    expectations: &Expectations,
    limits: &GateLimits,
) -> GateReport {
    let pair = baseline.map(|baseline| Pair::new(baseline, record));
    let uses = expectations.failures.iter().map(|_| Use::default()).collect();
    let allowed = vec![false; expectations.warnings.len()];
    let report = GateReport {
        outcome: GateOutcome::Green,
        decisions: Vec::new(),
        judged: 0,
        passed: 0,
        expected: 0,
        known: 0,
        excused: Vec::new(),
    };
    let predicted = BTreeMap::new();
    let mut gate = Gate { record, pair, expectations, limits, uses, allowed, predicted, report };
    gate.expired();
    gate.kernels();
    for object in 0..record.objects.len() {
        for kernel in 0..record.kernels.len() {
            gate.cell(object, kernel);
        }
    }
    gate.predictions();
    gate.instructions();
    gate.cost();
    gate.coverage();
    gate.alternatives();
    gate.regressions();
    gate.unused();
    gate.unused_allowances();
    gate.finish()
}

struct Gate<'a> {
    record: &'a RunRecord,
    pair: Option<Pair<'a>>,
    expectations: &'a Expectations,
    limits: &'a GateLimits,
    uses: Vec<Use>,
    /// Which allowances allowed a warning.
    allowed: Vec<bool>,
    /// How many programs are predicted to fail, by kernel, where that is not asked for.
    predicted: BTreeMap<usize, usize>,
    report: GateReport,
}

impl<'a> Gate<'a> {
    fn push(&mut self, weight: Weight, rule: Rule, place: Place, story: &str, hint: Option<String>) {
        let message = format!("{place}: {story}");
        self.report.decisions.push(Decision { weight, rule, place, message, hint, link: None });
    }

    fn excuse(&mut self, rule: Rule, place: Place, why: String, link: Option<String>) {
        self.report.excused.push(Excuse { rule, place, why, link });
    }

    /// Kernels that could not be used.
    fn kernels(&mut self) {
        let record = self.record;
        for (k, kernel) in record.kernels.iter().enumerate() {
            let programs = (0..record.objects.len()).flat_map(|o| &record.cell(o, k).programs);
            if kernel.state == KernelState::Ready || !programs.into_iter().any(|p| p.verdict == Verdict::NotRun) {
                continue;
            }
            let place = Place::kernel(&kernel.name);
            let (what, reason, hint) = match &kernel.state {
                KernelState::Ready | KernelState::Pending => ("was never started", "", None),
                KernelState::Unavailable { reason, hint } => ("is unavailable", reason.as_str(), hint.clone()),
                KernelState::Predicted { reason, hint, .. } => {
                    ("is only predicted", reason.as_deref().unwrap_or_default(), hint.clone())
                }
                KernelState::BootFailed { reason, hint, .. } => ("did not boot", reason.as_str(), hint.clone()),
                KernelState::HarnessFailed { reason, hint, .. } => ("could not be run", reason.as_str(), hint.clone()),
            };
            let story = if reason.is_empty() { what.to_owned() } else { format!("{what}: {reason}") };
            if kernel.is_done_without() {
                if self.was_judged(k) {
                    let hint = "make it available again, or use a baseline without it".to_owned();
                    let story = format!("{story}, but was judged in the baseline: the matrix has shrunk");
                    self.push(Weight::Red, Rule::CellLost, place, &story, Some(hint));
                }
                continue;
            }
            self.push(Weight::Infrastructure, Rule::Infrastructure, place, &story, hint);
        }
    }

    /// Whether the baseline judged anything on the kernel.
    fn was_judged(&self, kernel: usize) -> bool {
        let Some(pair) = &self.pair else { return false };
        let Some(k) = pair.kernels[kernel] else { return false };
        let programs = (0..pair.before.objects.len()).flat_map(|o| &pair.before.cell(o, k).programs);
        programs.into_iter().any(|program| program.verdict.blame() != Blame::Harness)
    }

    fn cell(&mut self, o: usize, k: usize) {
        let record = self.record;
        let cell = record.cell(o, k);
        let place = Place::cell(&record.objects[o].name, &record.kernels[k].name);
        let mut explained = false;
        for (p, program) in cell.programs.iter().enumerate() {
            self.program(o, k, p, program);
            explained |= explains_not_whole(program.verdict);
        }
        if let Some(whole) = cell.failed_whole()
            && !explained
        {
            let before = self.pair.as_ref().and_then(|pair| {
                let (o, k) = pair.cell(o, k)?;
                pair.before.cell(o, k).whole.as_ref()
            });
            let was = before.map(|whole| whole.prepared);
            let scope = self.expected(o, k, WHOLE_OBJECT, None);
            if was == Some(false) {
                self.excuse(Rule::NotWhole, place.clone(), KNOWN.to_owned(), None);
            } else if let Some(scope) = scope {
                self.excuse(Rule::NotWhole, place.clone(), scope.reason.clone(), scope.link.clone());
            } else if let Some(why) = record.whole_excuse(o, k) {
                self.excuse(Rule::NotWhole, place.clone(), why, None);
            } else {
                let reason = whole.reason.as_deref().unwrap_or("libbpf gave no reason");
                let then = if was == Some(true) { "; in the baseline it did" } else { "" };
                let story = format!("does not load as a whole, as its own loader would load it: {reason}{then}");
                self.push(Weight::Red, Rule::NotWhole, place.clone(), &story, self.since(o, k));
            }
        }
        self.kernel_log(o, k);
        if cell.defective_records() > 0 {
            let story = format!("{} relocations have no reliable record", cell.defective_records());
            let hint = Some("this is a bug in corematrix; please report it".to_owned());
            self.push(Weight::Infrastructure, Rule::Infrastructure, place.clone(), &story, hint);
        }
        let retries: Vec<&str> = cell.retries().collect();
        if let Some(first) = retries.first() {
            let story = format!("judged only after a retry: {first}");
            self.push(Weight::Notice, Rule::Flaky, place, &story, None);
        }
    }

    fn program(&mut self, o: usize, k: usize, p: usize, program: &ProgramRecord) {
        let record = self.record;
        let verdict = program.verdict;
        // An alternative that serves, or a program that is optional, excuses as an expectation does.
        let expected = self.expected(o, k, &program.name, Some((verdict, program.cause)));
        let expected = expected.map(|scope| (scope.reason.clone(), scope.link.clone()));
        let expected = expected.or_else(|| Some((format!("expected: {}", program.expected.as_ref()?), None)));
        let expected = expected.or_else(|| Some((record.excuse(o, k, p)?, None)));
        let before = self.pair.as_ref().and_then(|pair| {
            let (before_o, before_k) = pair.cell(o, k)?;
            pair.before.cell(before_o, before_k).programs.get(pair.program(o, p)?)
        });
        let was_judged = before.is_some_and(|before| before.verdict.blame() != Blame::Harness);
        let judged = verdict.blame() != Blame::Harness && verdict != Verdict::Skipped;
        self.report.judged += usize::from(judged);
        self.report.passed += usize::from(verdict.is_pass());
        let place = Place::cell(&record.objects[o].name, &record.kernels[k].name).of_program(&program.name);
        let reason = program.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        // Some causes say the verdict again.
        let cause = program.cause.map(|cause| cause.label()).filter(|label| *label != verdict.label());
        let cause = cause.map_or(String::new(), |label| format!(" ({label})"));
        let story = format!("{verdict}{cause}{reason}");
        let known = before.is_some_and(|before| (before.verdict, before.cause) == (verdict, program.cause));
        match verdict {
            Verdict::Loaded | Verdict::Succeeded => {
                if let Some(before) = before.filter(|before| was_judged && !before.verdict.is_pass()) {
                    let now = if verdict == Verdict::Loaded { "loads" } else { "passes" };
                    let story = format!("{now}; in the baseline: {}", before.verdict);
                    self.push(Weight::Notice, Rule::Improved, place, &story, None);
                }
            }
            Verdict::HarnessError => {
                let hint = Some("the object is not to blame: run it again".to_owned());
                self.push(Weight::Infrastructure, Rule::Infrastructure, place, &story, hint);
            }
            // The kernel has said it for all of its programs.
            Verdict::NotRun if record.kernels[k].state != KernelState::Ready => self.predicted(o, k, p),
            Verdict::NotRun if record.objects[o].loading.leaves_out(&program.name) => {
                self.excuse(Rule::Failure, place, program.reason.clone().unwrap_or_default(), None);
            }
            Verdict::NotRun | Verdict::HarnessLimit if was_judged => {
                let was = before.map_or("", |before| before.verdict.label());
                let story = format!("{story}; in the baseline: {was}");
                self.push(Weight::Red, Rule::CellLost, place, &story, self.since(o, k));
            }
            Verdict::Skipped if before.is_some_and(|before| before.verdict.is_pass()) => {
                let story = format!("{story}; in the baseline it passed");
                self.push(Weight::Red, Rule::CellLost, place, &story, None);
            }
            Verdict::Skipped => {}
            Verdict::NotRun => {
                self.push(Weight::Infrastructure, Rule::Infrastructure, place, &story, None);
            }
            _ if expected.is_some() => {
                let (why, link) = expected.unwrap_or_default();
                self.report.expected += 1;
                self.excuse(Rule::Failure, place, why, link);
            }
            _ if known => {
                self.report.known += 1;
                self.excuse(Rule::Failure, place, KNOWN.to_owned(), None);
            }
            Verdict::HarnessLimit => {
                let hint = Some(limit_hint(program.cause).to_owned());
                self.push(Weight::Infrastructure, Rule::Infrastructure, place, &story, hint);
            }
            _ => {
                let (rule, then) = match before {
                    Some(before) if before.verdict == verdict => {
                        let cause = before.cause.map_or("none", crate::record::Cause::label);
                        (Rule::CauseChanged, format!("; its cause in the baseline: {cause}"))
                    }
                    Some(before) if was_judged => {
                        (Rule::VerdictWorse, format!("; in the baseline: {}", before.verdict))
                    }
                    Some(_) => (Rule::Failure, "; the baseline could not judge it".to_owned()),
                    None if self.pair.is_some() => (Rule::Failure, "; not in the baseline".to_owned()),
                    None => (Rule::Failure, String::new()),
                };
                let hint = self.since(o, k).or_else(|| Some(EXPLAIN.to_owned()));
                self.push(Weight::Red, rule, place, &format!("{story}{then}"), hint);
            }
        }
    }

    /// The prediction for a program on a kernel that was not booted. It is not a verdict, so it counts only where that is requested.
    fn predicted(&mut self, o: usize, k: usize, p: usize) {
        let record = self.record;
        let Some(outcome) = record.predicted_failure(o, k, p) else { return };
        let name = &record.objects[o].programs[p].name;
        let place = Place::cell(&record.objects[o].name, &record.kernels[k].name).of_program(name);
        let known = self.expectations.failures.iter().find(|known| {
            known.program.matches(name) && known.is_about(record, o, k) && !known.has_expired(self.limits.today)
        });
        if let Some(known) = known {
            return self.excuse(Rule::PredictedFailure, place, known.reason.clone(), known.link.clone());
        }
        if self.limits.predicted_failures {
            let story = format!("predicted from BTF: {}", outcome.words());
            let hint = Some("no kernel was booted: check it on a kernel that can be booted".to_owned());
            return self.push(Weight::Red, Rule::PredictedFailure, place, &story, hint);
        }
        *self.predicted.entry(k).or_default() += 1;
    }

    /// One line for each kernel: what is predicted weighs nothing here.
    fn predictions(&mut self) {
        for (k, count) in std::mem::take(&mut self.predicted) {
            let programs = if count == 1 { "1 program is" } else { &format!("{count} programs are") };
            let story = format!("{programs} predicted to fail, from BTF alone");
            let hint = Some("`--fail-on-predicted` lists them and makes the gate red".to_owned());
            let place = Place::kernel(&self.record.kernels[k].name);
            self.push(Weight::Notice, Rule::PredictedFailure, place, &story, hint);
        }
    }

    fn finish(mut self) -> GateReport {
        let has = |report: &GateReport, weight| report.of_weight(weight).next().is_some();
        if self.report.judged == 0 && !has(&self.report, Weight::Infrastructure) && !has(&self.report, Weight::Red) {
            let hint = Some("name objects and kernels to run".to_owned());
            let story = "nothing was judged, which does not count as success";
            self.push(Weight::Infrastructure, Rule::Infrastructure, Place::default(), story, hint);
        }
        let mut report = self.report;
        report.decisions.sort_by_key(|decision| decision.weight);
        report.outcome = if self.record.interrupted || self.record.finished.is_none() {
            GateOutcome::Interrupted
        } else if has(&report, Weight::Red) {
            GateOutcome::Red
        } else if has(&report, Weight::Infrastructure) {
            GateOutcome::Infrastructure
        } else {
            GateOutcome::Green
        };
        report
    }
}

/// What to do about what could not be judged.
fn limit_hint(cause: Option<Cause>) -> &'static str {
    match cause {
        Some(Cause::IncompleteMapDefinition) => {
            "set what the loader sets of maps in a `[[shape]]` of the suite; an `[[expect]]` excuses the object \
    without it"
        }
        Some(Cause::MachineUnavailable) => {
            "do not use the setting on this kernel; an `[[expect]]` with a reason excuses its row"
        }
        Some(Cause::GuestMemory) => "give the kernel's guests more `memory` in kernels.toml",
        _ => "an `[[expect]]` with a reason excuses results that can never be judged",
    }
}

/// Whether a program that ended so is why its object does not load as a whole: what is decided for the one holds for the other.
fn explains_not_whole(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::FailedToOpen
            | Verdict::MissingBtf
            | Verdict::RelocationFailed
            | Verdict::MapCreationFailed
            | Verdict::AttachTargetMissing
            | Verdict::HarnessLimit
            | Verdict::HarnessError
    )
}
