use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use super::super::View;
use super::*;
use crate::protocol::ModuleLoad;
use crate::vm::GuestShape;

/// A guest that says the first things once, and the last one for ever.
struct Talker {
    once: VecDeque<LiveReport>,
    always: Option<LiveReport>,
    orders: Vec<LiveOrder>,
}

impl GuestLink for Talker {
    fn send(
        &mut self,
        message: &HostMessage,
        _: &[u8],
        _: Duration,
        _: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), GuestLoss> {
        if let HostMessage::Live(order) = message {
            self.orders.push(order.clone());
        }
        Ok(())
    }

    fn receive(&mut self, _: Duration, _: &(dyn Fn() -> bool + Sync)) -> Result<(GuestMessage, Vec<u8>), GuestLoss> {
        Err(GuestLoss::Silent)
    }

    fn attend(
        &mut self,
        _: Duration,
        _: &(dyn Fn() -> bool + Sync),
        _: Option<BorrowedFd<'_>>,
    ) -> Result<Option<(GuestMessage, Vec<u8>)>, GuestLoss> {
        std::thread::sleep(Duration::from_millis(1));
        let report = self.once.pop_front().or_else(|| self.always.clone());
        Ok(report.map(|report| (GuestMessage::Live(report), b"x".to_vec())))
    }

    fn silence(&self) -> GuestLoss {
        GuestLoss::Silent
    }

    fn console_tail(&self) -> Vec<String> {
        Vec::new()
    }

    fn received(&self) -> u64 {
        0
    }

    fn shape(&self) -> &GuestShape {
        static SHAPE: GuestShape =
            GuestShape { memory_mib: 512, cpus: 1, numa_nodes: 1, append: Vec::new(), modules: Vec::new() };
        &SHAPE
    }

    fn modules(&self) -> &[ModuleLoad] {
        &[]
    }

    fn shut_down(&mut self) {}
}

/// No one.
struct Nobody;

impl Attendant for Nobody {
    fn started(&mut self, _: &[String]) {}
    fn output(&mut self, _: Stream, _: &[u8]) {}
    fn input(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn read(&mut self, _: usize) -> Option<Vec<u8>> {
        None
    }
    fn resized(&mut self) -> Option<TerminalSize> {
        None
    }
    fn left(&mut self, _: &str, _: LeftKind, _: &[u8]) {}
}

fn run(once: Vec<LiveReport>, always: Option<LiveReport>) -> (FinishedCommand, Vec<LiveOrder>) {
    let command = LiveCommand {
        words: vec!["true".to_owned()],
        environment: Vec::new(),
        folder: "/".to_owned(),
        given: None,
        terminal: None,
        exercise: false,
    };
    let mut guest = Talker { once: once.into(), always, orders: Vec::new() };
    let short = Duration::from_millis(100);
    let mut session = CommandSession::new(&command, HostFiles::new(View::Everything).unwrap(), &[], Some(short));
    session.limits = TimeLimits { patience: short, to_start: short * 2, ..TimeLimits::default() };
    let finished = session.run(&mut guest, &mut Nobody, &|| false);
    (finished, guest.orders)
}

fn started() -> LiveReport {
    LiveReport::Started { notes: Vec::new() }
}

#[test]
fn guest_that_never_stops_talking_is_given_up() {
    let output = LiveReport::Output { stream: Stream::Out };
    let left = LiveReport::Left { path: "a".to_owned(), kind: LeftKind::More };
    let ended = LiveReport::Ended(CommandEnd::Code { code: 0 });
    for (once, always, words) in [
        (vec![], LiveReport::Asked, "did not start the command"),
        (vec![started()], output, "did not kill the command"),
        (vec![started()], LiveReport::Asked, "did not kill the command"),
        (vec![started(), ended], left, "did not finish copying the command's output"),
    ] {
        let (finished, _) = run(once, Some(always));
        let CommandEnding::Lost(GuestLoss::Harness(reason)) = finished.ending else { panic!("{finished:?}") };
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn command_is_killed_once_at_its_deadline_whatever_is_said() {
    let (finished, orders) = run(vec![started()], Some(LiveReport::Took { bytes: usize::MAX }));
    assert_eq!(orders.iter().filter(|order| **order == LiveOrder::Kill).count(), 1);
    assert!(finished.took < Duration::from_secs(5), "{finished:?}");
    // Starting again does not give it more time.
    let (finished, _) = run(vec![started()], Some(started()));
    assert!(matches!(finished.ending, CommandEnding::Lost(GuestLoss::Harness(_))), "{finished:?}");
}

#[test]
fn silent_guest_is_silent() {
    assert_eq!(run(vec![], None).0.ending, CommandEnding::Lost(GuestLoss::Silent));
    assert_eq!(run(vec![started()], None).0.ending, CommandEnding::Lost(GuestLoss::Silent));
}
