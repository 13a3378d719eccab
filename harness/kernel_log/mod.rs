//! [`KernelLog`]: what a kernel complained about while it judged the object of one cell.
//!
//! The guest sends the lines as the kernel wrote them; what is a complaint, and of which kind, is decided here.

mod splat;
mod taint;

use crate::record::{KernelWarning, WarningKind};
use splat::splats;

/// Complaints of one cell that are kept; more of them say no more.
const MOST_IN_CELL: usize = 16;
/// Notes of one cell that are kept.
const MOST_NOTES: usize = 16;

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
        let note = format!("the kernel log could not be read completely: {why}");
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
        // They were set by a splat.
        if !grave.is_empty() && self.warnings.iter().all(|warning| warning.kind == WarningKind::Clock) {
            let headline = format!("the kernel became tainted ({}), but its log gives no reason", grave.join(", "));
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
            notes.push(format!("the kernel logged {} more warnings, which are omitted", self.left_out));
        }
        (self.warnings, notes)
    }
}

#[cfg(test)]
mod tests;
