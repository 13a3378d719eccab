//! [`decide`]: a record, what is expected of it, a baseline and limits make a [`GateReport`]. Pure.

use std::collections::BTreeSet;

use super::decision::{Decision, GateReport, Outcome, Rule, Weight};
use super::expectation::Expectation;
use super::limits::Limits;
use crate::compare::{Change, Pair, Place, differences};
use crate::plan::WHOLE_OBJECT;
use crate::record::{KernelState, ProgramRecord, RunRecord};
use crate::verdict::{Blame, Verdict};

/// What to do about a failure.
const EXPLAIN: &str =
    "`corematrix explain RUN KERNEL OBJECT PROGRAM` tells why; an `[[expect]]` with a reason in the suite excuses it";

/// Weighs a run.
///
/// Without a baseline every failure is red that no expectation excuses. With one, what failed in the same way there is known and
/// passes, and everything that is worse is red: verdicts, causes, proofs of guards, instructions, dangers, and cells that are
/// judged no more. What could not be judged through no fault of an object is kept apart.
pub fn decide(
    record: &RunRecord,
    baseline: Option<&RunRecord>,
    expectations: &[Expectation],
    limits: &Limits,
) -> GateReport {
    let pair = baseline.map(|baseline| Pair::new(baseline, record));
    let uses = expectations.iter().map(|_| Use::default()).collect();
    let report = GateReport {
        outcome: Outcome::Green,
        decisions: Vec::new(),
        judged: 0,
        passed: 0,
        expected: 0,
        known: 0,
        not_checked: vec!["kernel warnings: the record does not keep the consoles of guests that lived".to_owned()],
    };
    let mut gate = Gate { record, pair, expectations, limits, uses, report };
    gate.expired();
    gate.kernels();
    for object in 0..record.objects.len() {
        for kernel in 0..record.kernels.len() {
            gate.cell(object, kernel);
        }
    }
    gate.regressions();
    gate.unused();
    gate.finish()
}

/// What an expectation was good for.
#[derive(Default)]
struct Use {
    /// It is about something in the run.
    met: bool,
    /// Kernels where something that it is about fails.
    fails: BTreeSet<usize>,
    /// Kernels where something that it is about loads.
    passes: BTreeSet<usize>,
}

struct Gate<'a> {
    record: &'a RunRecord,
    pair: Option<Pair<'a>>,
    expectations: &'a [Expectation],
    limits: &'a Limits,
    uses: Vec<Use>,
    report: GateReport,
}

impl<'a> Gate<'a> {
    fn push(&mut self, weight: Weight, rule: Rule, place: Place, story: &str, hint: Option<String>) {
        let message = format!("{place}: {story}");
        self.report.decisions.push(Decision { weight, rule, place, message, hint, link: None });
    }

    fn expired(&mut self) {
        for expectation in self.expectations.iter().filter(|expectation| expectation.has_expired(self.limits.today)) {
            let Some(last) = expectation.expires else { continue };
            let (object, program) = (expectation.object.as_str(), expectation.program.as_str());
            let place = Place::object(object).of_program(program);
            let Expectation { origin, reason, .. } = expectation;
            let message = format!("{place}: the expectation of {origin} expired on {last}: {reason}");
            let hint = Some("mend what it excuses and remove it, or look at it again and set a new date".to_owned());
            let (weight, rule, link) = (Weight::Red, Rule::ExpectationExpired, expectation.link.clone());
            self.report.decisions.push(Decision { weight, rule, place, message, hint, link });
        }
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
                KernelState::BootFailed { reason, hint, .. } => ("did not boot", reason.as_str(), hint.clone()),
                KernelState::HarnessFailed { reason, hint, .. } => ("could not be run", reason.as_str(), hint.clone()),
            };
            let story = if reason.is_empty() { what.to_owned() } else { format!("{what}: {reason}") };
            if kernel.optional && matches!(kernel.state, KernelState::Unavailable { .. }) {
                if self.was_judged(k) {
                    let hint = "make it available again, or take a baseline without it".to_owned();
                    let story = format!("{story}; the baseline judged it, so the matrix has shrunk");
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
        if let Some(whole) = cell.whole.as_ref().filter(|whole| !whole.prepared)
            && !explained
            && !record.excuses_whole(o, k)
        {
            let before = self.pair.as_ref().and_then(|pair| {
                let (o, k) = pair.cell(o, k)?;
                pair.before.cell(o, k).whole.as_ref()
            });
            let was = before.map(|whole| whole.prepared);
            if was != Some(false) && !self.is_expected(o, k, WHOLE_OBJECT, None) {
                let reason = whole.reason.as_deref().unwrap_or("libbpf did not say why");
                let then = if was == Some(true) { "; it did in the baseline" } else { "" };
                let story = format!("does not load as a whole, as its own loader would load it: {reason}{then}");
                self.push(Weight::Red, Rule::NotWhole, place.clone(), &story, self.since(o, k));
            }
        }
        if cell.defective_records() > 0 {
            let story = format!("{} relocations have no trustworthy record", cell.defective_records());
            let hint = Some("this is a defect of corematrix; please report it".to_owned());
            self.push(Weight::Infrastructure, Rule::Infrastructure, place.clone(), &story, hint);
        }
        let retries: Vec<&str> = cell.retries().collect();
        if let Some(first) = retries.first() {
            let story = format!("judged only after a retry: {first}");
            self.push(Weight::Told, Rule::Flaky, place, &story, None);
        }
    }

    fn program(&mut self, o: usize, k: usize, p: usize, program: &ProgramRecord) {
        let record = self.record;
        let verdict = program.verdict;
        // An alternative that serves, or a program that is optional, excuses as an expectation does.
        let expected =
            self.is_expected(o, k, &program.name, Some((verdict, program.cause))) || record.excuse(o, k, p).is_some();
        let before = self.pair.as_ref().and_then(|pair| {
            let (before_o, before_k) = pair.cell(o, k)?;
            pair.before.cell(before_o, before_k).programs.get(pair.program(o, p)?)
        });
        let was_judged = before.is_some_and(|before| before.verdict.blame() != Blame::Harness);
        let judged = matches!(verdict.blame(), Blame::Nobody | Blame::Object | Blame::Kernel);
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
                    let story = format!("loads; in the baseline: {}", before.verdict);
                    self.push(Weight::Told, Rule::Improved, place, &story, None);
                }
            }
            Verdict::HarnessError => {
                let hint = Some("nothing is known against the object: run it again".to_owned());
                self.push(Weight::Infrastructure, Rule::Infrastructure, place, &story, hint);
            }
            // The kernel has said it for all of its programs.
            Verdict::NotRun if record.kernels[k].state != KernelState::Ready => {}
            Verdict::NotRun | Verdict::HarnessLimit if was_judged => {
                let was = before.map_or("", |before| before.verdict.label());
                let story = format!("{story}; in the baseline: {was}");
                self.push(Weight::Red, Rule::CellLost, place, &story, self.since(o, k));
            }
            Verdict::HarnessLimit if expected => self.report.expected += 1,
            Verdict::HarnessLimit if known => self.report.known += 1,
            Verdict::NotRun | Verdict::HarnessLimit => {
                let hint = Some("an `[[expect]]` with a reason excuses what can never be judged".to_owned());
                let hint = hint.filter(|_| verdict == Verdict::HarnessLimit);
                self.push(Weight::Infrastructure, Rule::Infrastructure, place, &story, hint);
            }
            _ if expected => self.report.expected += 1,
            _ if known => self.report.known += 1,
            _ => {
                let (rule, then) = match before {
                    Some(before) if before.verdict == verdict => {
                        let cause = before.cause.map_or("none", crate::cause::Cause::label);
                        (Rule::CauseChanged, format!("; its cause in the baseline: {cause}"))
                    }
                    Some(before) if was_judged => {
                        (Rule::VerdictWorse, format!("; in the baseline: {}", before.verdict))
                    }
                    Some(_) => (Rule::Failure, "; the baseline could not judge it".to_owned()),
                    None if self.pair.is_some() => (Rule::Failure, "; it is not in the baseline".to_owned()),
                    None => (Rule::Failure, String::new()),
                };
                let hint = self.since(o, k).or_else(|| Some(EXPLAIN.to_owned()));
                self.push(Weight::Red, rule, place, &format!("{story}{then}"), hint);
            }
        }
    }

    /// Whether an expectation that still counts excuses the outcome; takes notice of what expectations are good for.
    fn is_expected(
        &mut self,
        o: usize,
        k: usize,
        program: &str,
        ended: Option<(Verdict, Option<crate::cause::Cause>)>,
    ) -> bool {
        let mut excused = false;
        for (expectation, used) in self.expectations.iter().zip(&mut self.uses) {
            if !expectation.program.matches(program) || !expectation.is_about(self.record, o, k) {
                continue;
            }
            used.met = true;
            let foreseen = match ended {
                Some((Verdict::Loaded | Verdict::Succeeded, _)) => {
                    used.passes.insert(k);
                    false
                }
                Some((Verdict::NotRun | Verdict::HarnessError, _)) => false,
                Some((verdict, cause)) => {
                    used.fails.insert(k);
                    expectation.foresees(verdict, cause)
                }
                None => {
                    used.fails.insert(k);
                    expectation.verdict.is_none() && expectation.cause.is_none()
                }
            };
            excused |= foreseen && !expectation.has_expired(self.limits.today);
        }
        excused
    }

    /// What is worse than in the baseline and is no verdict.
    fn regressions(&mut self) {
        let Some(pair) = &self.pair else { return };
        let found = differences(pair.before, pair.after);
        let record = self.record;
        let object = |name: &String| record.objects.iter().position(|object| object.name == *name);
        let kernel = |name: &String| record.kernels.iter().position(|kernel| kernel.name == *name);
        for difference in found {
            let place = difference.place.clone();
            let (o, k) = (place.object.as_ref().and_then(object), place.kernel.as_ref().and_then(kernel));
            let since = o.zip(k).and_then(|(o, k)| self.since(o, k));
            let story = difference.change.to_string();
            match difference.change {
                Change::Gone => {
                    let story = format!("{story}: the baseline has it, so the matrix has shrunk");
                    let hint = "put it back, or take a baseline without it".to_owned();
                    self.push(Weight::Red, Rule::CellLost, place, &story, Some(hint));
                }
                Change::CoverageLost { .. } => {
                    let hint = "a kernel that took this side may have left the matrix, or the program that holds it loads no more";
                    self.push(Weight::Red, Rule::CoverageLost, place, &story, Some(hint.to_owned()));
                }
                Change::DangerAdded(_) => self.push(Weight::Red, Rule::NewDanger, place, &story, since),
                Change::Instructions { before, after } => {
                    let limit = self.limits.instructions_percent;
                    // A little more than the rounding of a percentage.
                    if crate::compare::growth(before, after) - limit > 1e-6 {
                        let story = format!("{story}, and {limit} % is the limit");
                        self.push(Weight::Red, Rule::InstructionsGrew, place, &story, since);
                    }
                }
                _ => {}
            }
        }
    }

    /// What changed around a cell since the baseline, as a hint at who is to blame.
    fn since(&self, o: usize, k: usize) -> Option<String> {
        let pair = self.pair.as_ref()?;
        let (before_o, before_k) = pair.cell(o, k)?;
        let (old, new) = (&pair.before.objects[before_o], &pair.after.objects[o]);
        let (old_kernel, new_kernel) = (&pair.before.kernels[before_k], &pair.after.kernels[k]);
        let release = |kernel: &'a crate::record::KernelRecord| {
            kernel.identity.as_ref().map_or("unknown", |identity| identity.release.as_str())
        };
        let kernel = match old_kernel.identity == new_kernel.identity {
            true => None,
            false if release(old_kernel) == release(new_kernel) => {
                Some(format!("was built anew as {}", release(new_kernel)))
            }
            false => Some(format!("went from {} to {}", release(old_kernel), release(new_kernel))),
        };
        let name = &new_kernel.name;
        Some(match (old.sha256 == new.sha256, kernel) {
            (true, Some(kernel)) => format!("since the baseline kernel {name} {kernel}, and the object is the same"),
            (false, None) => "since the baseline the object changed, and the kernel is the same".to_owned(),
            (false, Some(kernel)) => format!("since the baseline the object changed, and kernel {name} {kernel}"),
            (true, None) => {
                let (old, new) = (&pair.before.tool, &pair.after.tool);
                format!(
                    "neither object nor kernel changed since the baseline; corematrix {} and libbpf {} judged then, {} and {} now",
                    old.corematrix, old.libbpf, new.corematrix, new.libbpf
                )
            }
        })
    }

    /// Expectations that are about nothing, or about what loads.
    fn unused(&mut self) {
        for (index, expectation) in self.expectations.iter().enumerate() {
            let (used, origin) = (&self.uses[index], &expectation.origin);
            let mut place = Place::object(expectation.object.as_str()).of_program(expectation.program.as_str());
            let passes: Vec<&str> =
                used.passes.difference(&used.fails).map(|&k| self.record.kernels[k].name.as_str()).collect();
            let reason = &expectation.reason;
            if !used.met {
                let story = format!("the expectation of {origin} is about nothing in this run: {reason}");
                let hint = "is it misspelt, or is what it is about not in the matrix any more?".to_owned();
                self.push(Weight::Told, Rule::ExpectationUnused, place, &story, Some(hint));
            } else if !passes.is_empty() {
                let story = format!("{origin} expects it to fail, and it loads: {reason}");
                place.kernel = Some(passes.join(", "));
                let hint = "narrow the expectation, or remove it".to_owned();
                self.push(Weight::Told, Rule::UnexpectedPass, place, &story, Some(hint));
            }
        }
    }

    fn finish(mut self) -> GateReport {
        let has = |report: &GateReport, weight| report.of_weight(weight).next().is_some();
        if self.report.judged == 0 && !has(&self.report, Weight::Infrastructure) && !has(&self.report, Weight::Red) {
            let hint = Some("name objects and kernels to run".to_owned());
            let story = "nothing was judged, and silence is not success";
            self.push(Weight::Infrastructure, Rule::Infrastructure, Place::default(), story, hint);
        }
        let mut report = self.report;
        report.decisions.sort_by_key(|decision| decision.weight);
        report.outcome = if self.record.interrupted || self.record.finished.is_none() {
            Outcome::Interrupted
        } else if has(&report, Weight::Red) {
            Outcome::Red
        } else if has(&report, Weight::Infrastructure) {
            Outcome::Infrastructure
        } else {
            Outcome::Green
        };
        report
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
