//! What expectations and allowances are good for: what they excuse, and which of them are out of date.

use std::collections::BTreeSet;

use super::{Gate, KNOWN};
use crate::compare::Place;
use crate::gate::decision::{Decision, Rule, Weight};
use crate::gate::scope::Scope;
use crate::record::Cause;
use crate::record::Verdict;

const ALLOW: &str = "`corematrix explain RUN KERNEL OBJECT` shows all of it; an `[[allow-warning]]` with a reason in the suite allows it";

/// What an expectation was good for.
#[derive(Default)]
pub(super) struct Use {
    /// It is about something in the run.
    met: bool,
    /// Kernels where something that it is about fails.
    fails: BTreeSet<usize>,
    /// Kernels where something that it is about loads.
    passes: BTreeSet<usize>,
}

impl<'a> Gate<'a> {
    pub(super) fn expired(&mut self) {
        let failures = self.expectations.failures.iter().map(|known| ("expectation", &known.scope));
        let warnings = self.expectations.warnings.iter().map(|known| ("allowance", &known.scope));
        for (what, scope) in failures.chain(warnings).filter(|(_, scope)| scope.has_expired(self.limits.today)) {
            let Scope { origin, reason, expires: Some(last), .. } = scope else { continue };
            let place = place_of(scope);
            let message = format!("{place}: the {what} of {origin} expired on {last}: {reason}");
            let hint = Some("fix the failure and remove the entry, or review it and set a new date".to_owned());
            let (weight, rule, link) = (Weight::Red, Rule::ExpectationExpired, scope.link.clone());
            self.report.decisions.push(Decision { weight, rule, place, message, hint, link });
        }
    }

    /// The expectation that excuses the outcome, if one does that still counts; takes notice of what expectations are good for.
    pub(super) fn expected(
        &mut self,
        o: usize,
        k: usize,
        program: &str,
        ended: Option<(Verdict, Option<Cause>)>,
    ) -> Option<&'a Scope> {
        let mut excuse = None;
        for (expectation, used) in self.expectations.failures.iter().zip(&mut self.uses) {
            if !expectation.program.matches(program) || !expectation.is_about(self.record, o, k) {
                continue;
            }
            used.met = true;
            let foreseen = match ended {
                Some((Verdict::Loaded | Verdict::Succeeded, _)) => {
                    used.passes.insert(k);
                    false
                }
                Some((Verdict::NotRun | Verdict::HarnessError | Verdict::Skipped, _)) => false,
                Some((verdict, cause)) => {
                    used.fails.insert(k);
                    expectation.foresees(verdict, cause)
                }
                // It cannot attach, or the object does not load as a whole: neither is a verdict.
                None => {
                    used.fails.insert(k);
                    expectation.verdict.is_none() && expectation.cause.is_none()
                }
            };
            if foreseen && !expectation.has_expired(self.limits.today) {
                excuse = excuse.or(Some(&expectation.scope));
            }
        }
        excuse
    }

    /// Expectations that are about nothing, or about what loads.
    pub(super) fn unused(&mut self) {
        for (index, expectation) in self.expectations.failures.iter().enumerate() {
            let (used, origin) = (&self.uses[index], &expectation.origin);
            let mut place = place_of(&expectation.scope);
            let passes: Vec<&str> =
                used.passes.difference(&used.fails).map(|&k| self.record.kernels[k].name.as_str()).collect();
            let reason = &expectation.reason;
            if !used.met {
                let story = format!("the expectation of {origin} matches nothing in this run: {reason}");
                let hint = "check its spelling, and whether its objects and kernels are still in the matrix".to_owned();
                self.push(Weight::Notice, Rule::ExpectationUnused, place, &story, Some(hint));
            } else if !passes.is_empty() {
                let story = format!("{origin} expects it to fail, but it loads: {reason}");
                place.kernel = Some(passes.join(", "));
                let hint = "narrow the expectation, or remove it".to_owned();
                self.push(Weight::Notice, Rule::UnexpectedPass, place, &story, Some(hint));
            }
        }
    }

    /// Allowances for warnings that no kernel logs now.
    pub(super) fn unused_allowances(&mut self) {
        let stale = self.expectations.warnings.iter().zip(&self.allowed).filter(|(_, used)| !**used);
        let stale: Vec<&Scope> = stale.map(|(allowance, _)| &allowance.scope).collect();
        for scope in stale {
            let Scope { origin, reason, .. } = scope;
            let story = format!("no kernel warning of this run matches the `[[allow-warning]]` of {origin}: {reason}");
            let hint = "remove it if the warning no longer occurs".to_owned();
            self.push(Weight::Notice, Rule::ExpectationUnused, place_of(scope), &story, Some(hint));
        }
    }

    /// What the kernel complained about while it judged an object.
    pub(super) fn kernel_log(&mut self, o: usize, k: usize) {
        let record = self.record;
        let cell = record.cell(o, k);
        for warning in &cell.kernel_log {
            let mut place = Place::cell(&cell.object, &cell.kernel);
            place.program.clone_from(&warning.program);
            let times = if warning.count > 1 { format!(" ({} times)", warning.count) } else { String::new() };
            let story = format!("{}{times}", warning.headline);
            if warning.is_noise(&record.tool.accel) {
                let story = format!("{story}; a busy machine can cause this");
                self.push(Weight::Notice, Rule::KernelWarning, place, &story, None);
                continue;
            }
            let mut allowed = None;
            for (allowance, used) in self.expectations.warnings.iter().zip(&mut self.allowed) {
                if allowance.is_about(record, o, k) && allowance.allows(warning) {
                    *used = true;
                    if !allowance.has_expired(self.limits.today) {
                        allowed = allowed.or(Some(&allowance.scope));
                    }
                }
            }
            let before = self.pair.as_ref().and_then(|pair| {
                let (o, k) = pair.cell(o, k)?;
                Some(pair.before.cell(o, k))
            });
            if let Some(scope) = allowed {
                self.excuse(Rule::KernelWarning, place, scope.reason.clone(), scope.link.clone());
                continue;
            }
            if before.is_some_and(|before| before.kernel_log.iter().any(|known| known.is_like(warning))) {
                self.excuse(Rule::KernelWarning, place, KNOWN.to_owned(), None);
                continue;
            }
            let then = if before.is_some() { "; not in the baseline" } else { "" };
            let hint = self.since(o, k).unwrap_or_else(|| ALLOW.to_owned());
            self.push(Weight::Red, Rule::KernelWarning, place, &format!("{story}{then}"), Some(hint));
        }
    }
}

/// What a table is about, as it is written.
fn place_of(scope: &Scope) -> Place {
    Place::object(scope.object.as_str()).of_program(scope.program.as_str())
}
