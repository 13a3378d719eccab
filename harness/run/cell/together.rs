//! [`Together`]: whether all programs of an object are loaded at once before each is tried alone.

use std::time::Duration;

use super::super::kernel::Ended;
use super::super::session::Session;
use super::{Cell, Leg};
use crate::record::{GUEST_LOST, PredictedOutcome, TRIED_AGAIN};
use crate::vm::GuestLoss;

/// Objects that load whole do so in a small part of the time that one program may take, and one that does not shall not be waited for.
const PART: u32 = 8;
/// However long a program may take.
const LONGEST: Duration = Duration::from_secs(10);
/// Where a guest was lost.
const AT: &str = "while loading all programs at once";

/// Whether all programs are loaded at once. Nothing that is lost or logged then is a program's fault yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Together {
    /// At first.
    First,
    /// Just now.
    Now,
    /// No more, or not at all: a guest that says so lies.
    Never,
}

/// How long the guest may be silent while it loads all programs at once, if it may be so long with one.
pub(super) fn limit(of_program: Duration) -> Duration {
    (of_program / PART).min(LONGEST)
}

impl Cell<'_> {
    /// Decides whether the guest is asked to load all programs at once: if nothing is known that keeps one of them from loading, which would
    /// only take longer. A guest that cannot be replaced in a moment is not put at risk.
    pub(super) fn asks_for_all_at_once(&mut self, session: &Session<'_>) -> bool {
        let is_expected = || {
            let predicted = self.predicted(session).into_iter().flat_map(|prediction| &prediction.programs);
            !predicted.into_iter().any(PredictedOutcome::is_failure)
        };
        let is_known_to_fail = session.shared.common.failed.has(self.object);
        if !session.is_warm() || is_known_to_fail || !is_expected() {
            self.together = Together::Never;
        }
        self.together == Together::First
    }

    /// Lets each program be tried alone, in a fresh guest, after one that was lost or whose kernel has logged something while all were loaded
    /// at once: some of what a kernel logs it logs once.
    pub(super) fn after_together(&mut self, session: &mut Session<'_>, leg: Leg) -> Result<(), Ended> {
        self.together = Together::Never;
        // On other kernels it is likely to end so, too.
        session.shared.common.failed.note(self.object);
        let again = format!("{AT}, {TRIED_AGAIN} one by one");
        let (lost, note) = match leg {
            Leg::Lost { loss: GuestLoss::Stopped, .. } => {
                session.lose_machine("stopped by the user");
                return Err(Ended);
            }
            Leg::Lost { loss: GuestLoss::Harness(line), .. } => {
                self.harness_losses += 1;
                let note = format!("{GUEST_LOST} {AT}: {line}");
                (line, note)
            }
            Leg::Lost { loss: GuestLoss::Crashed(line), .. } => {
                let note = format!("the kernel crashed {again}: {line}");
                (line, note)
            }
            Leg::Lost { loss: GuestLoss::Silent, .. } => ("silent".to_owned(), format!("the guest was silent {again}")),
            Leg::Endless { .. } => {
                ("talks without an end".to_owned(), format!("the guest talked without an end {again}"))
            }
            Leg::Done | Leg::Abandoned | Leg::Unattributed => {
                session.end_machine();
                return Ok(());
            }
        };
        session.lose_machine(&format!("{lost} ({AT})"));
        self.notes.push(note);
        Ok(())
    }
}
