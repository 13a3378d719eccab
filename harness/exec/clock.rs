//! [`Clock`]: how long each part of a command's life in a guest may take, however much the guest says meanwhile.

use std::time::{Duration, Instant};

use super::output_files::MOST_BYTES;

/// How long a guest may be silent, and how long it may take to kill a command.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a guest may take to give the command its root.
const TO_START: Duration = Duration::from_secs(180);
/// Bytes a second at which the slowest guest sends what a command left.
const SLOWEST: u64 = 256 << 10;

/// The time limits of a guest, for tests to be changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeLimits {
    pub patience: Duration,
    pub to_start: Duration,
    pub slowest: u64,
}

impl Default for TimeLimits {
    fn default() -> TimeLimits {
        TimeLimits { patience: PATIENCE, to_start: TO_START, slowest: SLOWEST }
    }
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Go on.
    Nothing,
    /// Kill the command, whose time is up.
    Kill,
    /// Give up the guest, which is silent.
    Silent,
    /// Give up the guest, which has not started the command.
    NotStarted,
    /// Give up the guest, which has not killed the command.
    NotKilled,
    /// Give up the guest, which does not come to an end with what the command left.
    NotThrough,
}

/// The times of one command. A guest that talks is given no more of them than one that is silent.
#[derive(Debug)]
pub(super) struct Clock {
    limits: TimeLimits,
    /// How long the command may run.
    limit: Option<Duration>,
    ordered: Instant,
    heard: Instant,
    begun: Option<Instant>,
    killed: Option<Instant>,
    ended: Option<Instant>,
    /// Bytes that have come since the end.
    left: u64,
}

impl Clock {
    /// The command is ordered now.
    pub fn new(limits: TimeLimits, limit: Option<Duration>, now: Instant) -> Clock {
        Clock { limits, limit, ordered: now, heard: now, begun: None, killed: None, ended: None, left: 0 }
    }

    /// The guest said something.
    pub fn heard(&mut self, bytes: usize, now: Instant) {
        self.heard = now;
        if self.ended.is_some() {
            // More than is taken out gets no more time.
            self.left = self.left.saturating_add(bytes as u64).min(MOST_BYTES);
        }
    }

    /// The command has its root; `false` if it had it before.
    pub fn begin(&mut self, now: Instant) -> bool {
        let is_first = self.begun.is_none();
        self.begun.get_or_insert(now);
        is_first
    }

    /// The command ended, or cannot begin.
    pub fn end(&mut self, now: Instant) {
        self.ended.get_or_insert(now);
    }

    /// Whether the command's time was up before it ended.
    pub fn was_killed(&self) -> bool {
        self.killed.is_some()
    }

    /// How long the command has run.
    pub fn took(&self, now: Instant) -> Duration {
        let over = self.killed.or(self.ended).unwrap_or(now);
        over.saturating_duration_since(self.begun.unwrap_or(self.ordered))
    }

    /// What is to be done; a command that has to be killed is taken to be.
    pub fn due(&mut self, now: Instant) -> Due {
        let since = |then: Instant| now.saturating_duration_since(then);
        let TimeLimits { patience, to_start, slowest } = self.limits;
        let is_silent = since(self.heard) > patience;
        match (self.begun, self.killed, self.ended) {
            (_, _, Some(ended)) if since(ended) > patience + Duration::from_secs(self.left / slowest.max(1)) => {
                if is_silent {
                    Due::Silent
                } else {
                    Due::NotThrough
                }
            }
            (_, _, Some(_)) if is_silent => Due::Silent,
            (_, _, Some(_)) => Due::Nothing,
            (_, Some(killed), None) if since(killed) > patience => {
                if is_silent {
                    Due::Silent
                } else {
                    Due::NotKilled
                }
            }
            (_, Some(_), None) => Due::Nothing,
            (Some(begun), None, None) if self.limit.is_some_and(|limit| since(begun) > limit) => {
                self.killed = Some(now);
                Due::Kill
            }
            (Some(_), None, None) => Due::Nothing,
            (None, None, None) if is_silent => Due::Silent,
            (None, None, None) if since(self.ordered) > to_start => Due::NotStarted,
            (None, None, None) => Due::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What is due first if the guest says so many bytes in each second, and after how many seconds.
    fn first_due(clock: &mut Clock, from: Instant, bytes: Option<usize>) -> (Due, u32) {
        for second in 1..100_000 {
            let now = from + SECOND * second;
            if let Some(bytes) = bytes {
                clock.heard(bytes, now);
            }
            match clock.due(now) {
                Due::Nothing => {}
                due => return (due, second),
            }
        }
        (Due::Nothing, 0)
    }

    #[test]
    fn guest_that_talks_gets_no_more_time_than_one_that_is_silent() {
        let start = Instant::now();
        let new = || Clock::new(TimeLimits::default(), Some(SECOND * 10), start);
        assert_eq!(first_due(&mut new(), start, None), (Due::Silent, 61));
        assert_eq!(first_due(&mut new(), start, Some(1)), (Due::NotStarted, 181));
        let mut clock = new();
        assert!(clock.begin(start));
        assert_eq!(first_due(&mut clock, start, Some(1)), (Due::Kill, 11));
        // Beginning again changes nothing.
        assert!(!clock.begin(start + SECOND * 11));
        assert_eq!(first_due(&mut clock, start + SECOND * 11, Some(1)), (Due::NotKilled, 61));
        assert_eq!(clock.took(start + SECOND * 100), SECOND * 11);
        let mut clock = new();
        clock.begin(start);
        clock.end(start);
        assert_eq!(first_due(&mut clock, start, Some(1)), (Due::NotThrough, 61));
    }

    #[test]
    fn what_a_command_left_may_take_the_time_that_its_bytes_take() {
        let start = Instant::now();
        let mut clock = Clock::new(TimeLimits::default(), None, start);
        clock.begin(start);
        clock.end(start);
        // A GiB at this rate, and then what is left of its time.
        assert_eq!(first_due(&mut clock, start, Some(1 << 20)), (Due::NotThrough, 60 + 4096 + 1));
        let mut clock = Clock::new(TimeLimits::default(), None, start);
        clock.begin(start);
        assert_eq!(first_due(&mut clock, start, None), (Due::Nothing, 0), "a shell has all the time of the world");
    }
}
