//! [`KernelWarning`]: what a kernel complained about while it judged an object; [`KernelLog`] collects it for one cell.
//!
//! The guest sends the lines as the kernel wrote them; what is a complaint, and of which kind, is decided here.

mod splat;
mod taint;

use serde::{Deserialize, Serialize};

use splat::splats;

/// Complaints of one cell that are kept; more of them say no more.
const MOST_IN_CELL: usize = 16;
/// Notes of one cell that are kept.
const MOST_NOTES: usize = 16;

/// Something that a kernel complained about and survived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KernelWarning {
    /// The program that was in flight; `None` before the first one and after the last.
    pub program: Option<String>,
    /// What sort of complaint it is.
    pub kind: WarningKind,
    /// The complaint as one line, without times, addresses of code and numbers of processes.
    pub headline: String,
    /// The whole of it as the kernel wrote it, without times; cut if it is very long.
    pub text: String,
    /// How often it was made.
    pub count: u32,
}

/// What sort of complaint a kernel makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// `WARN_ON` and its like.
    Warning,
    /// An oops, or another `BUG:`.
    Bug,
    /// KASAN, UBSAN and their like.
    Sanitizer,
    /// The lock validator, or sleeping where that is forbidden.
    Locking,
    /// A counter of references ran over or under.
    Refcount,
    /// Nothing moved for long: soft lockups, stalls of RCU, hung tasks.
    Stall,
    /// A clock that is not to be trusted.
    Clock,
    /// The kernel marked itself as tainted, and its words about that are not in its log.
    Taint,
}

impl WarningKind {
    /// The kind in words.
    pub fn label(self) -> &'static str {
        match self {
            WarningKind::Warning => "warning",
            WarningKind::Bug => "bug",
            WarningKind::Sanitizer => "sanitizer report",
            WarningKind::Locking => "locking error",
            WarningKind::Refcount => "reference count error",
            WarningKind::Stall => "stall",
            WarningKind::Clock => "clock trouble",
            WarningKind::Taint => "taint without words",
        }
    }
}

impl KernelWarning {
    /// Whether the machine brings it about by itself: a host that is busy lets emulated kernels wait, and their clocks go wrong.
    /// `accel` is the accelerator's name.
    pub fn is_noise(&self, accel: &str) -> bool {
        match self.kind {
            WarningKind::Clock => true,
            WarningKind::Stall => accel == "tcg",
            _ => false,
        }
    }

    /// Whether it is the same complaint as another one, maybe of another release: numbers do not count.
    pub fn is_like(&self, other: &KernelWarning) -> bool {
        let letters = |text: &str| -> String { text.chars().filter(|c| !c.is_ascii_digit()).collect() };
        self.kind == other.kind && self.program == other.program && letters(&self.headline) == letters(&other.headline)
    }
}

/// What the kernel's log said while one cell was judged.
#[derive(Debug, Default)]
pub struct KernelLog {
    warnings: Vec<KernelWarning>,
    left_out: usize,
    notes: Vec<String>,
}

impl KernelLog {
    /// Takes in lines of the log. `program` was in flight.
    pub fn read(&mut self, program: Option<String>, lines: &str) {
        for splat in splats(lines) {
            let (kind, headline, text) = (splat.kind(), splat.headline(), splat.text());
            self.add(KernelWarning { program: program.clone(), kind, headline, text, count: 1 });
        }
    }

    /// Takes in that lines are missing, and why.
    pub fn note_missing(&mut self, why: &str) {
        let note = format!("not all of the kernel's log could be read: {why}");
        self.note(note);
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MOST_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Takes in which bits of `/proc/sys/kernel/tainted` were set in the meantime: a second witness.
    pub fn taint(&mut self, bits: u64) {
        let (grave, others) = taint::names(bits);
        // Whatever splat there is has set them.
        if !grave.is_empty() && self.warnings.iter().all(|warning| warning.kind == WarningKind::Clock) {
            let headline = format!("the kernel became tainted ({}), and its log does not say why", grave.join(", "));
            let text = headline.clone();
            self.add(KernelWarning { program: None, kind: WarningKind::Taint, headline, text, count: 1 });
        }
        if !others.is_empty() {
            self.note(format!("the kernel became tainted: {}", others.join(", ")));
        }
    }

    fn add(&mut self, warning: KernelWarning) {
        let full = self.warnings.len() == MOST_IN_CELL;
        match self.warnings.iter_mut().find(|known| known.is_like(&warning)) {
            Some(known) => known.count = known.count.saturating_add(1),
            None if full => self.left_out += 1,
            None => self.warnings.push(warning),
        }
    }

    /// The complaints in the order in which they were made, and notes on what is not among them.
    pub fn finish(self) -> (Vec<KernelWarning>, Vec<String>) {
        let mut notes = self.notes;
        if self.left_out > 0 {
            notes.push(format!("the kernel complained about {} more things, which are left out", self.left_out));
        }
        (self.warnings, notes)
    }
}

/// Whether a line says that the whole machine has no memory left. The limit of a control group says `out of memory` in small letters:
/// that is somebody's will.
pub fn is_out_of_memory(line: &str) -> bool {
    line.contains("Out of memory") || line.contains("deadlocked on memory") || line.contains("no killable processes")
}

#[cfg(test)]
mod tests;
