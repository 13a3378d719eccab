//! [`splats`]: finds the complaints in a kernel's log and where each ends.
//!
//! There is no grammar. Most complaints stand between `cut here` and `end trace`; sanitizers put lines of `=` around theirs, the lock
//! validator only above, and others just begin and end with a call trace.

use crate::record::WarningKind;

/// Lines of one complaint that are kept.
const MOST_LINES: usize = 100;

/// Begin of a line, and what it stands for. The first that fits counts.
const MARKS: [(&str, WarningKind); 25] = [
    ("watchdog: BUG: soft lockup", WarningKind::Stall),
    ("BUG: soft lockup", WarningKind::Stall),
    ("BUG: workqueue lockup", WarningKind::Stall),
    ("watchdog: Watchdog detected hard LOCKUP", WarningKind::Stall),
    ("INFO: task ", WarningKind::Stall),
    ("INFO: rcu_", WarningKind::Stall),
    ("rcu: INFO: ", WarningKind::Stall),
    ("clocksource: timekeeping watchdog", WarningKind::Clock),
    ("clocksource: Long readout interval", WarningKind::Clock),
    ("hrtimer: interrupt took", WarningKind::Clock),
    ("INFO: NMI handler", WarningKind::Clock),
    ("BUG: KASAN", WarningKind::Sanitizer),
    ("BUG: KFENCE", WarningKind::Sanitizer),
    ("BUG: KMSAN", WarningKind::Sanitizer),
    ("BUG: KCSAN", WarningKind::Sanitizer),
    ("UBSAN: ", WarningKind::Sanitizer),
    ("refcount_t: ", WarningKind::Refcount),
    ("BUG: sleeping function called", WarningKind::Locking),
    ("BUG: scheduling while atomic", WarningKind::Locking),
    ("INFO: trying to register non-static key", WarningKind::Locking),
    ("BUG: ", WarningKind::Bug),
    ("kernel BUG at ", WarningKind::Bug),
    ("Oops: ", WarningKind::Bug),
    ("general protection fault", WarningKind::Bug),
    ("WARNING: ", WarningKind::Warning),
];

/// What the lock validator calls its warnings, which otherwise look like those of `WARN_ON`.
const LOCKING: [&str; 9] = [
    "locking dependency",
    "recursive locking",
    "inconsistent lock state",
    "lock order",
    "lock inversion",
    "suspicious RCU usage",
    "bad unlock balance",
    "lock held when",
    "held lock freed",
];

/// What a kernel logs once, about itself, some time after its start, and so in the midst of anything.
const LATE: [&str; 3] = ["tsc: ", "clocksource: ", "random: "];

/// What a line says; `in_block` is behind `cut here`.
fn kind_of(line: &str, in_block: bool) -> Option<WarningKind> {
    let (_, kind) = MARKS.into_iter().find(|(mark, _)| line.starts_with(mark))?;
    match kind {
        WarningKind::Warning if LOCKING.iter().any(|words| line.contains(words)) => Some(WarningKind::Locking),
        // Elsewhere it is a remark, such as that a mount option is deprecated.
        WarningKind::Warning if !in_block && !line.starts_with("WARNING: CPU: ") => None,
        kind => Some(kind),
    }
}

/// One complaint.
#[derive(Debug, Default)]
pub(super) struct Splat<'a> {
    kind: Option<WarningKind>,
    /// The line that says what it is.
    mark: Option<&'a str>,
    /// What a warning's author had to say; stands above its mark.
    message: Option<&'a str>,
    lines: Vec<&'a str>,
    left_out: usize,
    /// It stands between `cut here` and `end trace`.
    cut: bool,
    /// It stands below a line of `=`.
    framed: bool,
    /// Its call trace has begun.
    traced: bool,
}

impl<'a> Splat<'a> {
    /// A complaint in a block without a mark is a warning, too.
    pub(super) fn kind(&self) -> WarningKind {
        self.kind.unwrap_or(WarningKind::Warning)
    }

    pub(super) fn headline(&self) -> String {
        match (self.mark.map(without_numbers), self.message) {
            (Some(mark), Some(message)) => format!("{mark}: {message}"),
            (Some(mark), None) => mark,
            (None, message) => message.unwrap_or("a warning without text").to_owned(),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        if self.left_out > 0 {
            text += &format!("\n({} more lines)", self.left_out);
        }
        text
    }

    fn begins(line: &'a str, kind: Option<WarningKind>) -> Splat<'a> {
        let mut splat = Splat::default();
        splat.push(line);
        splat.take_mark(line, kind);
        splat
    }

    fn push(&mut self, line: &'a str) {
        self.traced |= line.contains("Call Trace:");
        if self.lines.len() < MOST_LINES { self.lines.push(line) } else { self.left_out += 1 }
    }

    fn take_mark(&mut self, line: &'a str, kind: Option<WarningKind>) {
        match (kind, self.kind) {
            (None, _) => {}
            // Words of a warning, whose mark is about to come.
            (Some(WarningKind::Refcount), None) => (self.kind, self.message) = (kind, Some(line)),
            (Some(_), None) => (self.kind, self.mark) = (kind, Some(line)),
            (Some(WarningKind::Warning), Some(WarningKind::Refcount)) => self.mark = self.mark.or(Some(line)),
            (Some(_), Some(_)) => {}
        }
    }

    /// Whether a mark that follows is of another complaint.
    fn is_over(&self) -> bool {
        self.traced && !self.cut
    }

    /// Whether `line`, which it has, is its last.
    fn ends_with(&self, line: &str) -> bool {
        let trace = line.trim() == "</TASK>" && !self.cut && !self.framed;
        // An oops has an end mark of its own.
        (trace && self.kind != Some(WarningKind::Bug)) || line.contains("---[ end trace")
    }
}

/// The complaints among the lines.
pub(super) fn splats(lines: &str) -> Vec<Splat<'_>> {
    let mut found = Vec::new();
    let mut open: Option<Splat<'_>> = None;
    for line in lines.lines() {
        let kind = kind_of(line, open.as_ref().is_some_and(|splat| splat.cut));
        if line.contains("[ cut here ]") {
            found.extend(open.take());
            open = Some(Splat { cut: true, ..Splat::begins(line, None) });
            continue;
        }
        if line.len() > 20 && line.bytes().all(|byte| byte == b'=') {
            let mut closed = open.take();
            // The second line of two.
            let end = closed.as_mut().filter(|splat| splat.framed && splat.kind != Some(WarningKind::Locking));
            match end {
                Some(splat) => splat.push(line),
                None => open = Some(Splat { framed: true, ..Splat::begins(line, None) }),
            }
            found.extend(closed);
            continue;
        }
        let Some(mut splat) = open.take() else {
            open = kind.map(|_| Splat::begins(line, kind));
            continue;
        };
        let stray_clock = splat.kind == Some(WarningKind::Clock) && !line.starts_with("clocksource:");
        if stray_clock || kind.is_some() && splat.is_over() {
            found.push(splat);
            open = kind.map(|_| Splat::begins(line, kind));
            continue;
        }
        // A line of `=` that nothing of interest follows.
        if splat.framed && splat.kind.is_none() && kind.is_none() {
            continue;
        }
        splat.push(line);
        let is_late = LATE.iter().any(|start| line.starts_with(start));
        if kind.is_none() && splat.kind.is_none() && splat.cut && !line.trim().is_empty() && !is_late {
            splat.message = splat.message.or(Some(line));
        }
        splat.take_mark(line, kind);
        if splat.ends_with(line) { found.push(splat) } else { open = Some(splat) }
    }
    found.extend(open);
    found.retain(|splat| splat.kind.is_some() || splat.message.is_some());
    found
}

/// A mark without what differs from run to run: the CPU, the process, and how far into a function.
fn without_numbers(line: &str) -> String {
    let line = line.split(", CPU#").next().unwrap_or(line);
    let mut words = Vec::new();
    let mut all = line.split_whitespace();
    while let Some(word) = all.next() {
        match word {
            "CPU:" | "PID:" => drop(all.next()),
            _ => words.push(word.split_once("+0x").map_or(word, |(function, _)| function)),
        }
    }
    words.join(" ")
}
