use std::io;
use std::sync::{Arc, Mutex};

use indicatif::InMemoryTerm;

use super::*;
use crate::event::CellOutcome;
use crate::record::KernelIdentity;
use crate::record::sample;

/// A log that the test can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn planned(kernels: &[&str], objects: &[(&str, &[(&str, &str)])]) -> RunRecord {
    let kernels = kernels.iter().map(|name| sample::kernel(name)).collect();
    let objects = objects.iter().map(|(name, programs)| sample::object(name, programs)).collect();
    sample::assemble(kernels, objects, |_, _, _| (Verdict::NotRun, None))
}

fn progress(screen: Screen) -> Progress {
    let programs: &[(&str, &str)] = &[("p", "kprobe/x"), ("q", "kprobe/x"), ("r", "kprobe/x")];
    let planned = planned(&["5.4", "6.1"], &[("execsnoop", programs), ("bad\x1b[2Jname", &[("p", "kprobe/x")])]);
    Progress::on_screen(planned, Expectations::default(), screen)
}

fn done(kernel: usize, object: usize, program: usize, verdict: Verdict) -> Event {
    let record = Box::new(sample::program("p", "kprobe/x", verdict, Some("reason")));
    Event::ProgramDone { kernel, object, program, record }
}

fn cell_done(kernel: usize, object: usize) -> Event {
    let outcome = CellOutcome { took: Duration::from_millis(20), ..CellOutcome::default() };
    Event::CellDone { kernel, object, outcome: Box::new(outcome) }
}

/// A run with everything in it: one kernel unavailable, the other loses its guest once.
fn story() -> Vec<Event> {
    let identity = KernelIdentity {
        release: "6.1.0-50-cloud-amd64".to_owned(),
        image_sha256: String::new(),
        config_sha256: None,
        btf_sha256: None,
        given_btf_sha256: None,
    };
    let unavailable = KernelState::Unavailable {
        reason: "no internet\nhere".to_owned(),
        hint: Some("connect \x1b[31mit".to_owned()),
    };
    vec![
        Event::Notice("using TCG".to_owned()),
        Event::Fetching { kernel: 0, step: "downloading v5.4".to_owned() },
        Event::Fetching { kernel: 1, step: "unpacking".to_owned() },
        Event::KernelReady { kernel: 1, source: "apt".to_owned(), identity, notes: Vec::new() },
        Event::Booting { kernel: 1, attempt: 1 },
        Event::KernelFailed { kernel: 0, state: unavailable },
        Event::KernelDone { kernel: 0 },
        Event::Booted { kernel: 1, took: Duration::from_millis(2412), notes: Vec::new() },
        Event::CellStarted { kernel: 1, object: 0 },
        Event::ProgramStarted { kernel: 1, object: 0, program: 0 },
        done(1, 0, 0, Verdict::Loaded),
        Event::ProgramStarted { kernel: 1, object: 0, program: 1 },
        Event::GuestLost { kernel: 1, reason: "kernel panic".to_owned() },
        Event::Booting { kernel: 1, attempt: 2 },
        Event::Booted { kernel: 1, took: Duration::from_millis(300), notes: Vec::new() },
        done(1, 0, 1, Verdict::HarnessError),
        // Tried again: only the last answer counts.
        done(1, 0, 1, Verdict::KernelCrashed),
        Event::ProgramStarted { kernel: 1, object: 0, program: 2 },
        done(1, 0, 2, Verdict::NotRun),
        cell_done(1, 0),
        Event::CellStarted { kernel: 1, object: 1 },
        Event::ProgramStarted { kernel: 1, object: 1, program: 0 },
        done(1, 1, 0, Verdict::Loaded),
        cell_done(1, 1),
        Event::KernelDone { kernel: 1 },
    ]
}

#[test]
fn a_log_gets_plain_lines() {
    let log = Log::default();
    let mut progress = progress(Screen::Lines(Box::new(log.clone())));
    story().iter().for_each(|event| progress.on(event));
    progress.finish();
    insta::assert_snapshot!(log.text());
}

#[test]
fn a_terminal_shows_what_each_kernel_is_doing() {
    let terminal = InMemoryTerm::new(20, 60);
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), 255);
    let mut progress = progress(Screen::Terminal(MultiProgress::with_draw_target(target)));
    let story = story();
    let mut seen = Vec::new();
    for event in &story {
        progress.on(event);
        for bar in progress.kernels.iter().filter_map(|kernel| kernel.bar.as_ref()) {
            seen.push(format!("{} {}", bar.prefix(), bar.message()));
        }
    }
    seen.dedup();
    insta::assert_snapshot!("terminal_on_the_way", seen.join("\n"));
    progress.finish();
    insta::assert_snapshot!("terminal_at_the_end", terminal.contents());
}

#[test]
fn no_order_of_events_makes_it_panic() {
    let story = story();
    for step in [1, 3, 5, 7, 11] {
        for is_terminal in [false, true] {
            let screen = match is_terminal {
                true => Screen::Terminal(MultiProgress::with_draw_target(ProgressDrawTarget::hidden())),
                false => Screen::Lines(Box::new(io::sink())),
            };
            // Fewer kernels and objects than the events speak of, and every event twice.
            let mut progress = Progress::on_screen(planned(&["5.4"], &[]), Expectations::default(), screen);
            let order = (0..2 * story.len()).map(|index| &story[(story.len() - 1 + index * step) % story.len()]);
            order.for_each(|event| progress.on(event));
            progress.on(&Event::ProgramStarted { kernel: 0, object: usize::MAX, program: usize::MAX });
            progress.on(&Event::Booting { kernel: usize::MAX, attempt: u32::MAX });
            progress.finish();
            progress.finish();
        }
    }
}

#[test]
fn a_closed_screen_does_not_stop_the_run() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    let mut progress = progress(Screen::Lines(Box::new(Closed)));
    story().iter().for_each(|event| progress.on(event));
    progress.finish();
}

#[test]
fn a_log_shows_that_a_long_step_is_under_way() {
    let log = Log::default();
    let mut progress = progress(Screen::Lines(Box::new(log.clone())));
    let start = Instant::now();
    progress.on(&Event::Booting { kernel: 1, attempt: 1 });
    let later = |seconds: u64| start + Duration::from_secs(seconds) + Duration::from_millis(500);
    [10, 21, 22].into_iter().for_each(|seconds| progress.wait(later(seconds)));
    progress.on(&Event::Booted { kernel: 1, took: Duration::from_secs(23), notes: Vec::new() });
    progress.on(&Event::CellStarted { kernel: 1, object: 0 });
    progress.on(&Event::ProgramStarted { kernel: 1, object: 0, program: 1 });
    [19, 20, 30, 41].into_iter().for_each(|seconds| progress.wait(later(seconds)));
    progress.on(&cell_done(1, 0));
    progress.wait(later(90));
    insta::assert_snapshot!(log.text(), @"
    [6.1] booting: 21 s
    [6.1] booted in 23.0s
    [6.1] object 1/2 execsnoop: program 2/3: 20 s
    [6.1] object 1/2 execsnoop: program 2/3: 41 s
    [6.1] 1/2 execsnoop: nothing loaded
    ");
}

#[test]
fn a_terminal_shows_for_how_long() {
    let target = ProgressDrawTarget::hidden();
    let mut progress = progress(Screen::Terminal(MultiProgress::with_draw_target(target)));
    progress.on(&Event::CellStarted { kernel: 1, object: 0 });
    let message = |progress: &Progress| progress.kernels[1].bar.as_ref().unwrap().message();
    progress.wait(Instant::now() + Duration::from_secs(2));
    assert_eq!(message(&progress), "object 1/2 execsnoop");
    progress.wait(Instant::now() + Duration::from_secs(12));
    assert!(message(&progress).starts_with("object 1/2 execsnoop, 1"), "{}", message(&progress));
    assert!(message(&progress).ends_with(" s"));
}

#[test]
fn what_the_suite_allows_counts_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("suite.toml");
    // `acme` has no number in its name, so that only its release says whether it is in the range.
    let text = "[[expect]]\nobject = \"a\"\nprogram = \"old\"\nkernel = \"<6.2\"\nverdict = \"verifier_rejected\"\nreason = \"known\"";
    std::fs::write(&path, text).unwrap();
    let expectations = Expectations::read(&path).unwrap();
    let programs: &[(&str, &str)] = &[("old", "kprobe/x"), ("new", "kprobe/x")];
    let mut planned = planned(&["acme", "7.1"], &[("a", programs), ("b", programs)]);
    planned.kernels.iter_mut().for_each(|kernel| kernel.identity = None);
    let what = crate::record::Alternative { object: "b".to_owned(), name: Some("new".to_owned()) };
    planned.optional.push(crate::record::OptionalRecord { what, reason: "extra".to_owned() });
    let log = Log::default();
    let mut progress = Progress::on_screen(planned, expectations, Screen::Lines(Box::new(log.clone())));
    let identity = |release: &str| KernelIdentity {
        release: release.to_owned(),
        image_sha256: String::new(),
        config_sha256: None,
        btf_sha256: None,
        given_btf_sha256: None,
    };
    for (kernel, release) in [(0, "6.1.0-50"), (1, "7.1.3")] {
        let (source, notes) = ("apt".to_owned(), Vec::new());
        progress.on(&Event::KernelReady { kernel, source, identity: identity(release), notes });
        for (object, verdict) in [(0, Verdict::VerifierRejected), (1, Verdict::MissingBtf)] {
            for (program, name) in ["old", "new"].into_iter().enumerate() {
                let fails = program == object;
                let verdict = if fails { verdict } else { Verdict::Loaded };
                let record = sample::program(name, "kprobe/x", verdict, fails.then_some("reason"));
                progress.on(&Event::ProgramDone { kernel, object, program, record: Box::new(record) });
            }
            progress.on(&cell_done(kernel, object));
        }
        progress.on(&Event::KernelDone { kernel });
    }
    insta::assert_snapshot!(log.text(), @"
    [acme] 1/2 a: 1 loaded, 1 excused
    [acme] 2/2 b: 1 loaded, 1 excused
    [acme] done: 2 loaded, 2 excused
    [7.1] 1/2 a: 1 loaded, 1 failed
    [7.1] 2/2 b: 1 loaded, 1 excused
    [7.1] done: 2 loaded, 1 failed, 1 excused
    ");
}
