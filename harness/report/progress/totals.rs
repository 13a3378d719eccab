//! [`Totals`]: how many programs ended in which way.

use std::fmt;
use std::ops::AddAssign;

use crate::record::Verdict;

/// How many programs ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) loaded: usize,
    /// Without those that are excused.
    pub(super) failed: usize,
    pub(super) excused: usize,
    pub(super) not_run: usize,
}

impl Totals {
    /// Counts verdicts, all failures as not excused.
    pub(super) fn of(verdicts: impl Iterator<Item = Verdict>) -> Totals {
        let mut totals = Totals::default();
        for verdict in verdicts {
            match verdict {
                Verdict::NotRun => totals.not_run += 1,
                verdict if verdict.is_pass() => totals.loaded += 1,
                _ => totals.failed += 1,
            }
        }
        totals
    }

    /// The same where so many of the failures are excused.
    pub(super) fn excusing(self, excused: usize) -> Totals {
        let failures = self.failed + self.excused;
        Totals { failed: failures.saturating_sub(excused), excused, ..self }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.loaded += other.loaded;
        self.failed += other.failed;
        self.excused += other.excused;
        self.not_run += other.not_run;
    }
}

impl fmt::Display for Totals {
    /// `3 loaded, 1 failed, 1 excused, 2 not run`, without what is none; never empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts =
            [(self.loaded, "loaded"), (self.failed, "failed"), (self.excused, "excused"), (self.not_run, "not run")];
        let counts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let counts: Vec<String> = counts.collect();
        f.write_str(&if counts.is_empty() { "nothing loaded".to_owned() } else { counts.join(", ") })
    }
}
