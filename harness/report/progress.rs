//! [`Progress`]: the live view of a run, drawn from its events on stderr.
//!
//! On a terminal each kernel that is being worked on has a line, and what is done scrolls up above them. Elsewhere, as in
//! a CI log, each step is a plain line. Nothing here decides anything: events in any order, or lost ones, only make the
//! view less exact.

mod excuses;
mod totals;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::one_line;
use crate::event::Event;
use crate::gate::Expectations;
use crate::record::{KernelRecord, KernelState, ObjectRecord, RunRecord, Verdict};
use excuses::Excuses;
use totals::Totals;

/// How often a kernel's spinner turns, to show that corematrix is alive.
const TICK: Duration = Duration::from_millis(250);
/// How long a step takes before a log gets a line that it is still under way, and how long until the next one.
const STILL: Duration = Duration::from_secs(20);
/// How long a step takes before a terminal shows for how long already.
const LONG: Duration = Duration::from_secs(5);

/// The live view. Feed it every event with [`Progress::on`] and end it with [`Progress::finish`].
pub struct Progress {
    kernels: Vec<KernelLine>,
    objects: Vec<ObjectView>,
    excuses: Excuses,
    screen: Screen,
}

/// What is known about a kernel so far.
struct KernelLine {
    name: String,
    /// What it is doing, for the terminal's line, and since when.
    doing: String,
    since: Instant,
    /// What takes time, by object: a boot belongs to none.
    steps: BTreeMap<Option<usize>, Step>,
    cells_done: usize,
    /// Results of the objects being loaded, by object and program; a program that is tried again counts once.
    current: BTreeMap<(usize, usize), Verdict>,
    /// Whether it was said that guests are restored.
    restored: bool,
    totals: Totals,
    /// Its failures, by object and program, excused ones too.
    failures: Vec<(usize, usize)>,
    /// Whether it was said that the kernel is out of the run.
    is_out: bool,
    /// Its line on the terminal while there is something to say.
    bar: Option<ProgressBar>,
}

impl KernelLine {
    /// What stands on the terminal's line.
    fn line(doing: &str, failed: usize) -> String {
        match failed {
            0 => doing.to_owned(),
            failed => format!("{doing} ({failed} failed so far)"),
        }
    }
}

/// Something that takes time.
struct Step {
    what: String,
    began: Instant,
    /// When a log last got a line about it.
    said: Instant,
}

struct ObjectView {
    name: String,
    programs: usize,
}

enum Screen {
    Terminal(MultiProgress),
    Lines(Box<dyn Write + Send>),
}

impl Progress {
    /// A view of a run that is `planned`; failures that are expected count apart. `is_terminal` says whether stderr is one.
    pub fn new(planned: RunRecord, expectations: Expectations, is_terminal: bool) -> Self {
        let screen = match is_terminal {
            true => Screen::Terminal(MultiProgress::with_draw_target(ProgressDrawTarget::stderr())),
            false => Screen::Lines(Box::new(std::io::stderr())),
        };
        Progress::on_screen(planned, expectations, screen)
    }

    fn on_screen(planned: RunRecord, expectations: Expectations, screen: Screen) -> Self {
        let kernel = |kernel: &KernelRecord| KernelLine {
            name: one_line(&kernel.name),
            doing: String::new(),
            since: Instant::now(),
            steps: BTreeMap::new(),
            cells_done: 0,
            current: BTreeMap::new(),
            restored: false,
            totals: Totals::default(),
            failures: Vec::new(),
            is_out: false,
            bar: None,
        };
        let object =
            |object: &ObjectRecord| ObjectView { name: one_line(&object.name), programs: object.programs.len() };
        Progress {
            kernels: planned.kernels.iter().map(kernel).collect(),
            objects: planned.objects.iter().map(object).collect(),
            excuses: Excuses::new(planned, expectations),
            screen,
        }
    }

    /// Shows `event`. Events that name a kernel or object outside the plan are passed over.
    pub fn on(&mut self, event: &Event) {
        self.excuses.take(event);
        match event {
            Event::Fetching { kernel, step } => {
                let step = one_line(step);
                self.line(*kernel, &step);
                self.doing(*kernel, step);
            }
            Event::KernelReady { kernel, identity, .. } => {
                self.doing(*kernel, format!("{} is ready", one_line(&identity.release)));
            }
            Event::Booting { kernel, attempt } => {
                let what = match attempt {
                    0 | 1 => "booting".to_owned(),
                    again => format!("booting, attempt {again}"),
                };
                self.begin(*kernel, None, what.clone());
                self.doing(*kernel, what);
            }
            Event::Booted { kernel, took, .. } => {
                self.end(*kernel, None);
                self.line(*kernel, &format!("booted in {:.1}s", took.as_secs_f64()));
                self.doing(*kernel, "booted".to_owned());
            }
            Event::Restored { kernel, took, .. } => {
                // Once is enough: each cell gets its guest in this way.
                if self.kernels.get_mut(*kernel).is_some_and(|view| !std::mem::replace(&mut view.restored, true)) {
                    self.line(*kernel, &format!("restored in {:.2}s", took.as_secs_f64()));
                }
                self.doing(*kernel, "restored".to_owned());
            }
            Event::KernelNote { kernel, note } => self.line(*kernel, &one_line(note)),
            Event::KernelFailed { kernel, state } => self.kernel_failed(*kernel, state),
            Event::GuestLost { kernel, reason } => {
                self.end(*kernel, None);
                self.line(*kernel, &format!("guest lost: {}", one_line(reason)));
                self.doing(*kernel, "starting another guest".to_owned());
            }
            Event::CellStarted { kernel, object } => {
                if let Some(view) = self.kernels.get_mut(*kernel) {
                    view.current.retain(|(running, _), _| running != object);
                }
                let place = self.place(*kernel, *object);
                self.begin(*kernel, Some(*object), place.clone());
                self.doing(*kernel, place);
            }
            Event::ProgramStarted { kernel, object, program } => {
                let place = self.place(*kernel, *object);
                let programs = self.objects.get(*object).map_or(0, |object| object.programs);
                let doing = format!("{place}: program {}/{programs}", program.saturating_add(1));
                let steps = self.kernels.get_mut(*kernel).map(|view| &mut view.steps);
                if let Some(step) = steps.and_then(|steps| steps.get_mut(&Some(*object))) {
                    step.what.clone_from(&doing);
                }
                self.doing(*kernel, doing);
            }
            Event::ProgramDone { kernel, object, program, record } => {
                if let Some(view) = self.kernels.get_mut(*kernel) {
                    view.current.insert((*object, *program), record.verdict);
                }
            }
            Event::CellDone { kernel, object, .. } => self.cell_done(*kernel, *object, None),
            Event::CellReused { kernel, object, record, .. } => {
                if let Some(view) = self.kernels.get_mut(*kernel) {
                    let verdicts = record.programs.iter().enumerate();
                    view.current.extend(verdicts.map(|(p, program)| ((*object, p), program.verdict)));
                }
                self.cell_done(*kernel, *object, record.observed.as_deref());
            }
            Event::KernelDone { kernel } => {
                if let Some(view) = self.kernels.get(*kernel).filter(|view| !view.is_out) {
                    // An object that loaded later may excuse one that failed before.
                    let totals = view.totals.excusing(self.excuses.count(*kernel, &view.failures));
                    self.remark(*kernel, &format!("done: {totals}"));
                }
                self.clear(*kernel);
            }
            Event::KernelPredicted { kernel, state, .. } => self.kernel_predicted(*kernel, state),
            Event::Saved { .. } | Event::CellPredicted { .. } => {}
            Event::Waiting => self.wait(Instant::now()),
            Event::Unsaved(error) => self.print(&format!("warning: {}", one_line(error))),
            Event::Notice(text) => self.print(&format!("notice: {}", one_line(text))),
        }
    }

    /// Takes the live lines off the screen, so that the report can follow.
    pub fn finish(&mut self) {
        for kernel in 0..self.kernels.len() {
            self.clear(kernel);
        }
        match &mut self.screen {
            // The screen is gone if this fails, and then there is no one to read it.
            Screen::Terminal(bars) => drop(bars.clear()),
            Screen::Lines(out) => drop(out.flush()),
        }
    }

    fn kernel_predicted(&mut self, kernel: usize, state: &KernelState) {
        let KernelState::Predicted { release, reason, .. } = state else { return };
        if let Some(view) = self.kernels.get_mut(kernel) {
            view.is_out = true;
        }
        let why = reason.as_ref().map_or_else(String::new, |reason| format!(": {}", one_line(reason)));
        self.remark(kernel, &format!("only predicted, from the BTF of {}{why}", one_line(release)));
        self.clear(kernel);
    }

    fn kernel_failed(&mut self, kernel: usize, state: &KernelState) {
        let (what, reason, hint) = match state {
            KernelState::Pending | KernelState::Ready | KernelState::Predicted { .. } => return,
            KernelState::Unavailable { reason, hint } => ("unavailable", reason, hint),
            KernelState::BootFailed { reason, hint, .. } => ("boot failed", reason, hint),
            KernelState::HarnessFailed { reason, hint, .. } => ("harness failed", reason, hint),
        };
        if let Some(view) = self.kernels.get_mut(kernel) {
            view.is_out = true;
        }
        self.remark(kernel, &format!("{what}: {}", one_line(reason)));
        if let Some(hint) = hint {
            self.remark(kernel, &format!("hint: {}", one_line(hint)));
        }
        self.clear(kernel);
    }

    fn cell_done(&mut self, kernel: usize, object: usize, observed: Option<&str>) {
        self.end(kernel, Some(object));
        let of_all = self.objects.len();
        let name = self.objects.get(object).map_or("?", |object| object.name.as_str());
        let Some(view) = self.kernels.get_mut(kernel) else {
            return;
        };
        let (verdicts, others) = std::mem::take(&mut view.current).into_iter().partition(|((of, _), _)| *of == object);
        view.current = others;
        let verdicts: BTreeMap<(usize, usize), Verdict> = verdicts;
        let totals = Totals::of(verdicts.values().copied());
        let is_failure = |verdict: Verdict| !verdict.is_pass() && verdict != Verdict::NotRun;
        let failures = verdicts.iter().filter(|(_, verdict)| is_failure(**verdict));
        let failures: Vec<(usize, usize)> = failures.map(|(place, _)| *place).collect();
        let totals = totals.excusing(self.excuses.count(kernel, &failures));
        view.cells_done += 1;
        view.totals += totals;
        view.failures.extend(failures);
        let when = observed.map_or_else(String::new, |when| format!(" (observed {when})"));
        let line = format!("{}/{of_all} {name}: {totals}{when}", view.cells_done);
        // On a terminal only what went wrong is worth a line that stays.
        match totals.failed + totals.not_run {
            0 => self.line(kernel, &line),
            _ => self.remark(kernel, &line),
        }
    }

    /// Shows what has been under way for long.
    fn wait(&mut self, now: Instant) {
        let mut lines = Vec::new();
        for view in &mut self.kernels {
            if let Some(bar) = &view.bar
                && now.saturating_duration_since(view.since) >= LONG
            {
                let line = KernelLine::line(&view.doing, view.totals.failed);
                bar.set_message(format!("{line}, {} s", (now - view.since).as_secs()));
            }
            for step in view.steps.values_mut() {
                if now.saturating_duration_since(step.said) >= STILL {
                    step.said = now;
                    lines.push(format!("[{}] {}: {} s", view.name, step.what, (now - step.began).as_secs()));
                }
            }
        }
        if matches!(self.screen, Screen::Lines(_)) {
            lines.iter().for_each(|line| self.print(line));
        }
    }

    fn begin(&mut self, kernel: usize, object: Option<usize>, what: String) {
        if let Some(view) = self.kernels.get_mut(kernel) {
            let now = Instant::now();
            view.steps.insert(object, Step { what, began: now, said: now });
        }
    }

    fn end(&mut self, kernel: usize, object: Option<usize>) {
        if let Some(view) = self.kernels.get_mut(kernel) {
            view.steps.remove(&object);
        }
    }

    /// Which object of how many the kernel is at.
    fn place(&self, kernel: usize, object: usize) -> String {
        let done = self.kernels.get(kernel).map_or(0, |view| view.cells_done);
        let name = self.objects.get(object).map_or("?", |object| object.name.as_str());
        format!("object {}/{} {name}", (done + 1).min(self.objects.len().max(1)), self.objects.len())
    }

    /// A step of a kernel: a line in a log, and nothing on a terminal, where the kernel's own line shows it.
    fn line(&mut self, kernel: usize, text: &str) {
        if matches!(self.screen, Screen::Lines(_)) {
            self.remark(kernel, text);
        }
    }

    /// Something about a kernel that stays on the screen.
    fn remark(&mut self, kernel: usize, text: &str) {
        if let Some(view) = self.kernels.get(kernel) {
            let line = format!("[{}] {text}", view.name);
            self.print(&line);
        }
    }

    fn print(&mut self, line: &str) {
        // A closed stderr must not stop a run whose reports go to files.
        match &mut self.screen {
            Screen::Terminal(bars) => drop(bars.println(line)),
            Screen::Lines(out) => drop(writeln!(out, "{line}")),
        }
    }

    /// Sets the kernel's line on a terminal.
    fn doing(&mut self, kernel: usize, doing: String) {
        let (Some(view), Screen::Terminal(bars)) = (self.kernels.get_mut(kernel), &self.screen) else {
            return;
        };
        view.doing = doing;
        view.since = Instant::now();
        let bar = view.bar.get_or_insert_with(|| {
            let bar = bars.add(ProgressBar::no_length());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(format!("[{}]", view.name));
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_message(KernelLine::line(&view.doing, view.totals.failed));
    }

    fn clear(&mut self, kernel: usize) {
        if let Some(view) = self.kernels.get_mut(kernel) {
            view.steps.clear();
        }
        if let Some(bar) = self.kernels.get_mut(kernel).and_then(|view| view.bar.take()) {
            bar.finish_and_clear();
            if let Screen::Terminal(bars) = &self.screen {
                bars.remove(&bar);
            }
        }
    }
}

#[cfg(test)]
mod tests;
