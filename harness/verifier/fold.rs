//! [`fold()`]: a long verifier log, made readable.
//!
//! The verifier walks through a loop turn by turn and prints every turn. A log is cut into walks: instructions in rising order, as
//! they stand in the program. A walk, or a few in a row, that come again right after themselves are shown once with their count.
//! That nests: loops in loops fold as well, also when the inner one takes another number of turns each time.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use super::line::LogLine;

/// The longest row of walks that is looked for; a turn of a loop with branches is one row.
const MAX_PERIOD: usize = 8;
/// This many walks at the beginning are kept, and as many at the end: it bounds the memory that a log without loops takes.
const MAX_KEPT: usize = 1 << 16;
/// More lines of backtracking in a row than this are counted, not shown.
const MAX_BACKTRACK: usize = 3;

/// A log whose repeated parts are shown once. `Display` writes it.
#[derive(Debug)]
pub struct Folded<'a> {
    log: &'a str,
    first: Vec<Item>,
    last: VecDeque<Item>,
    /// Lines of walks between `first` and `last` that were not kept.
    left_out: u64,
}

/// A walk, or several in a row, and how often they came in a row.
#[derive(Debug)]
struct Item {
    /// Equal for items that show the same instructions, however often inner ones repeat.
    key: u64,
    /// The fewest and the most times in a row.
    times: (u32, u32),
    what: What,
}

#[derive(Debug)]
enum What {
    /// Bytes of the log, and how many instructions and lines they hold.
    Walk { bytes: Range<usize>, instructions: u64, lines: u64 },
    /// At least two items.
    Row(Vec<Item>),
}

/// Makes a log readable. Takes time linear in the log's length, and bounded memory beside it.
pub fn fold(log: &str) -> Folded<'_> {
    let mut folded = Folded { log, first: Vec::new(), last: VecDeque::new(), left_out: 0 };
    let mut walk = Walk::default();
    let mut position = 0;
    for whole in log.split_inclusive('\n') {
        let line = LogLine::read(whole);
        if walk.ends_before(&line) {
            let next = Walk { start: position, source_pending: walk.source_pending.take(), ..Walk::default() };
            // A source line belongs to the instruction behind it.
            let (start, pending_lines) = next.source_pending.unwrap_or((position, 0));
            folded.push(walk.item(start, pending_lines));
            walk = Walk { start, lines: pending_lines, source_pending: None, ..next };
        }
        walk.take(&line, position);
        position += whole.len();
    }
    if walk.lines > 0 {
        folded.push(walk.item(position, 0));
    }
    folded
}

/// The walk that is being read.
struct Walk {
    start: usize,
    lines: u64,
    instructions: u64,
    last_instruction: Option<u32>,
    key: DefaultHasher,
    /// Says something that must not be folded away.
    unique: bool,
    /// Where source lines begin that no instruction followed yet, and how many lines that is.
    source_pending: Option<(usize, u64)>,
}

impl Default for Walk {
    fn default() -> Self {
        Walk {
            start: 0,
            lines: 0,
            instructions: 0,
            last_instruction: None,
            key: DefaultHasher::new(),
            unique: false,
            source_pending: None,
        }
    }
}

impl Walk {
    fn ends_before(&self, line: &LogLine<'_>) -> bool {
        match line {
            LogLine::Instruction { index, .. } => self.last_instruction.is_some_and(|last| *index <= last),
            LogLine::Branch(_) => self.lines > 0,
            // Words stand alone, so that what is around them still folds.
            LogLine::Words(_) | LogLine::Statistics | LogLine::Noise => self.lines > 0 && !self.unique,
            _ => self.unique,
        }
    }

    fn take(&mut self, line: &LogLine<'_>, position: usize) {
        self.lines += 1;
        match line {
            LogLine::Instruction { index, .. } => {
                index.hash(&mut self.key);
                self.instructions += 1;
                self.last_instruction = Some(*index);
                self.source_pending = None;
            }
            LogLine::Branch(branch) => branch.hash(&mut self.key),
            LogLine::Words(_) | LogLine::Statistics | LogLine::Noise => {
                // The place in the log: equal to nothing else.
                (position, "words").hash(&mut self.key);
                self.unique = true;
            }
            LogLine::Source { .. } => {
                let (_, lines) = self.source_pending.get_or_insert((position, 0));
                *lines += 1;
            }
            LogLine::State | LogLine::Backtrack | LogLine::Blank => {
                if let Some((_, lines)) = &mut self.source_pending {
                    *lines += 1;
                }
            }
        }
    }

    fn item(&self, end: usize, pending_lines: u64) -> Item {
        let what = What::Walk {
            bytes: self.start..end,
            instructions: self.instructions,
            lines: self.lines - pending_lines.min(self.lines),
        };
        Item { key: self.key.finish(), times: (1, 1), what }
    }
}

impl Folded<'_> {
    /// Lines that neither are shown nor repeat what is shown: a log without loops longer than anyone reads.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    fn push(&mut self, item: Item) {
        self.last.push_back(item);
        while self.merge_end() {}
        if self.last.len() > 2 * MAX_KEPT {
            for item in self.last.drain(..MAX_KEPT) {
                if self.first.len() < MAX_KEPT {
                    self.first.push(item);
                } else {
                    self.left_out = self.left_out.saturating_add(item.lines());
                }
            }
        }
    }

    /// Merges the end of the list into what stands before it, if that is the same.
    fn merge_end(&mut self) -> bool {
        let items = &self.last;
        let len = items.len();
        for period in 1..=MAX_PERIOD.min(len.saturating_sub(1)) {
            let end = items.range(len - period..);
            let before = len - period - 1;
            if let What::Row(row) = &items[before].what
                && row.len() == period
                && row.iter().map(|item| item.key).eq(end.clone().map(|item| item.key))
            {
                let again: Vec<Item> = self.last.drain(len - period..).collect();
                let row = &mut self.last[before];
                row.times = (row.times.0.saturating_add(1), row.times.1.saturating_add(1));
                if let What::Row(row) = &mut row.what {
                    row.iter_mut().zip(&again).for_each(|(item, again)| item.absorb(again));
                }
                return true;
            }
            if len < 2 * period {
                break;
            }
            let twin = items.range(len - 2 * period..len - period);
            if !twin.map(|item| item.key).eq(end.map(|item| item.key)) {
                continue;
            }
            let again: Vec<Item> = self.last.drain(len - period..).collect();
            if period == 1 {
                let (item, again) = (&mut self.last[len - 2], &again[0]);
                let times = (item.times.0.saturating_add(again.times.0), item.times.1.saturating_add(again.times.1));
                item.absorb(again);
                item.times = times;
                return true;
            }
            let mut row: Vec<Item> = self.last.drain(len - 2 * period..).collect();
            row.iter_mut().zip(&again).for_each(|(item, again)| item.absorb(again));
            let mut key = DefaultHasher::new();
            row.iter().for_each(|item| item.key.hash(&mut key));
            self.last.push_back(Item { key: key.finish(), times: (2, 2), what: What::Row(row) });
            return true;
        }
        false
    }
}

impl Item {
    /// Takes in the counts of an item that shows the same.
    fn absorb(&mut self, again: &Item) {
        self.times = (self.times.0.min(again.times.0), self.times.1.max(again.times.1));
        if let (What::Row(row), What::Row(again)) = (&mut self.what, &again.what) {
            row.iter_mut().zip(again).for_each(|(item, again)| item.absorb(again));
        }
    }

    /// Instructions of one time.
    fn instructions(&self) -> u64 {
        match &self.what {
            What::Walk { instructions, .. } => *instructions,
            What::Row(row) => row.iter().map(Item::instructions).sum(),
        }
    }

    /// Lines of all times; where the times differ, of the most.
    fn lines(&self) -> u64 {
        let once = match &self.what {
            What::Walk { lines, .. } => *lines,
            What::Row(row) => row.iter().map(Item::lines).fold(0, u64::saturating_add),
        };
        once.saturating_mul(u64::from(self.times.1))
    }

    fn write(&self, log: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.times.1 > 1 {
            let (fewest, most) = self.times;
            match self.instructions() {
                1 => write!(f, "… the next instruction repeats ")?,
                0 => write!(f, "… the next branch repeats ")?,
                count => write!(f, "… the next {count} instructions repeat ")?,
            }
            match fewest == most {
                true => writeln!(f, "{most} times")?,
                false => writeln!(f, "{fewest} to {most} times")?,
            }
        }
        match &self.what {
            What::Walk { bytes, .. } => write_walk(&log[bytes.clone()], f),
            What::Row(row) => row.iter().try_for_each(|item| item.write(log, f)),
        }
    }
}

/// Writes the lines of a walk, without long rows of backtracking.
fn write_walk(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if LogLine::read(line) != LogLine::Backtrack {
            writeln!(f, "{line}")?;
            continue;
        }
        // Dumps between lines of backtracking belong to them.
        let mut row = vec![line];
        let mut more = 0_u64;
        while let Some(next) = lines.next_if(|next| matches!(LogLine::read(next), LogLine::Backtrack | LogLine::State))
        {
            if row.len() < MAX_BACKTRACK { row.push(next) } else { more += 1 }
        }
        if more == 0 {
            row.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        } else {
            writeln!(f, "… {} lines of backtracking", row.len() as u64 + more)?;
        }
    }
    Ok(())
}

impl fmt::Display for Folded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.iter().try_for_each(|item| item.write(self.log, f))?;
        if self.left_out > 0 {
            writeln!(f, "… {} lines omitted", self.left_out)?;
        }
        self.last.iter().try_for_each(|item| item.write(self.log, f))
    }
}

#[cfg(test)]
mod tests;
