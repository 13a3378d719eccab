//! [`Allowance`]: how long and how much a guest may talk while it judges one object, however it goes on.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::session::prepare_limit;
use crate::protocol::MAX_BLOB_FROM_GUEST;
use crate::vm::Deadlines;

/// A phase may take so many times what the guest may be silent in it. A program is loaded, loaded again for its log and for the
/// instructions visited, attached, made to run and let go: each with a deadline of its own, and room for a busy host.
const STEPS: u32 = 8;
/// Bytes that may come in one phase: the verifier's log twice, and everything else that is said of a program.
const MOST_BYTES: u64 = 4 * MAX_BLOB_FROM_GUEST as u64;

/// What a guest has too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// It talked for longer than this.
    Time(Duration),
    /// It sent more bytes than this.
    Bytes(u64),
}

/// What one guest may still use up. There are at most two phases for each program, so that there is a limit for the whole object: a
/// phase begins when a program is first tried, and when one has its verdict.
#[derive(Debug)]
pub(super) struct Allowance {
    deadlines: Deadlines,
    limit: Duration,
    begun: Instant,
    /// Bytes that had come when the phase began.
    received: u64,
    tried: BTreeSet<usize>,
}

impl Allowance {
    /// The object goes to the guest now; `received` are the bytes that the guest has ever sent.
    pub fn new(deadlines: Deadlines, received: u64, now: Instant) -> Allowance {
        let limit = prepare_limit(&deadlines) * STEPS;
        Allowance { deadlines, limit, begun: now, received, tried: BTreeSet::new() }
    }

    /// A program is tried; `false` if it was tried before.
    pub fn tries(&mut self, program: usize, received: u64, now: Instant) -> bool {
        let is_new = self.tried.insert(program);
        if is_new {
            self.enter(self.deadlines.program * STEPS, received, now);
        }
        is_new
    }

    /// A program got its verdict.
    pub fn judged(&mut self, received: u64, now: Instant) {
        self.enter(prepare_limit(&self.deadlines) * STEPS, received, now);
    }

    fn enter(&mut self, limit: Duration, received: u64, now: Instant) {
        (self.limit, self.begun, self.received) = (limit, now, received);
    }

    /// What the guest has used up too much of.
    pub fn excess(&self, received: u64, now: Instant) -> Option<Excess> {
        if now.saturating_duration_since(self.begun) > self.limit {
            return Some(Excess::Time(self.limit));
        }
        (received.saturating_sub(self.received) > MOST_BYTES).then_some(Excess::Bytes(MOST_BYTES))
    }
}
