//! Lost guests: who is to blame, and whether another guest tries again.

use super::super::allowance::Excess;
use super::super::kernel::Ended;
use super::super::session::Session;
use super::{Cell, HARNESS_RETRIES};
use crate::judge;
use crate::protocol;
use crate::record::{GUEST_LOST, TRIED_AGAIN, Verdict};
use crate::vm::GuestLoss;

impl Cell<'_> {
    /// Decides who is to blame for a lost guest, and whether to try again.
    pub(super) fn after_loss(
        &mut self,
        session: &mut Session<'_>,
        in_flight: Option<usize>,
        loss: GuestLoss,
    ) -> Result<(), Ended> {
        let at = self.place(in_flight);
        match loss {
            GuestLoss::Stopped => {
                session.lose_machine("stopped by the user");
                return Err(Ended);
            }
            GuestLoss::Crashed(line) if protocol::is_out_of_memory(&line) => {
                session.lose_machine(&format!("{line} ({at})"));
                let reason = format!("the guest died {at} {}", judge::guest_memory(Some(self.memory_mib)));
                self.close_all_unjudged(session, &judge::out_of_memory(reason));
            }
            GuestLoss::Crashed(line) => {
                session.lose_machine(&format!("{line} ({at})"));
                if self.suspects.insert(in_flight) {
                    // Once may be chance; the same program on a fresh guest decides.
                    self.notes.push(format!("the kernel crashed {at}, {TRIED_AGAIN}: {line}"));
                } else {
                    self.blame(session, in_flight, Verdict::KernelCrashed, &format!("{line} (twice)"));
                }
            }
            GuestLoss::Silent => {
                session.lose_machine(&format!("silent {at}"));
                if let (Some(program), Some((outcome, log))) = (in_flight, self.refused.take()) {
                    self.notes.push(format!("no time for the full verifier log {at}: only its end was kept"));
                    self.close(session, program, &outcome, &log);
                    return Ok(());
                }
                let (program_limit, prepare_limit) = self.limits(session);
                let limit = if in_flight.is_some() { program_limit } else { prepare_limit };
                let reason = format!("no response within {}s {at}", limit.as_secs());
                self.blame(session, in_flight, Verdict::TimedOut, &reason);
            }
            GuestLoss::Harness(line) => {
                session.lose_machine(&format!("{line} ({at})"));
                self.notes.push(format!("{GUEST_LOST} {at}: {line}"));
                self.harness_losses += 1;
                if self.harness_losses > HARNESS_RETRIES {
                    self.close_all(
                        session,
                        Verdict::HarnessError,
                        &format!("{line} ({} guests lost)", self.harness_losses),
                    );
                }
            }
        }
        Ok(())
    }

    /// Decides what becomes of the program in flight when a guest talks without an end. Once may be the fault of anything; who makes a
    /// fresh guest do it again is to blame for the time, and no one but the guest for what it sends.
    pub(super) fn after_excess(&mut self, session: &mut Session<'_>, in_flight: Option<usize>, excess: Excess) {
        let at = self.place(in_flight);
        let (what, verdict) = match excess {
            Excess::Time(limit) => {
                (format!("responses did not end within {}s {at}", limit.as_secs()), Verdict::TimedOut)
            }
            Excess::Bytes(most) => (format!("the guest sent more than {} MiB {at}", most >> 20), Verdict::HarnessError),
        };
        session.lose_machine(&what);
        if self.endless.insert(in_flight) {
            self.notes.push(format!("{what}, {TRIED_AGAIN}"));
        } else {
            self.blame(session, in_flight, verdict, &format!("{what} (twice)"));
        }
    }

    /// Where a guest was lost.
    pub(super) fn place(&self, in_flight: Option<usize>) -> String {
        match in_flight {
            Some(index) => format!("while {} `{}`", self.step, self.planned.programs[index].name),
            None => "while preparing the object".to_owned(),
        }
    }

    pub(super) fn blame(&mut self, session: &Session<'_>, program: Option<usize>, verdict: Verdict, reason: &str) {
        match program {
            Some(program) => self.close_as(session, program, verdict, reason),
            None => self.close_all(session, verdict, reason),
        }
    }
}
