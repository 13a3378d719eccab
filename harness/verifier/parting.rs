//! [`Parting`]: where the verifiers of two kernels part on one program.

use std::collections::VecDeque;

use super::line::LogLine;

/// Lines that are kept behind the parting.
const MOST_AFTER: usize = 12;

/// Where two walks through one program part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parting {
    /// How many instructions both walked through alike.
    pub common: usize,
    /// Among these, how many have other numbers on the two kernels: what relocations made of them.
    pub relocated: usize,
    /// The last instruction of both; `None` if they part at once.
    pub last: Option<WalkStep>,
    /// What either did next, its words included. Both empty if the walks are the same to their ends.
    pub next: [Vec<Said>; 2],
}

/// One instruction of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkStep {
    /// Its number.
    pub insn: u32,
    /// Its text.
    pub text: String,
    /// The source line it belongs to.
    pub source: Option<LoggedSource>,
}

/// A source line, as a log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedSource {
    /// Its text.
    pub text: String,
    /// File and line; kernels before 6.8 do not say.
    pub place: Option<(String, u32)>,
}

/// One line of a log that says something of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// An instruction.
    Step(WalkStep),
    /// Words, such as the complaint.
    Words(String),
}

/// What is left of a log: instructions and words.
struct Walk<'a> {
    lines: std::str::Lines<'a>,
    source: Option<LoggedSource>,
    /// Words that were read on the way to an instruction.
    words: VecDeque<String>,
}

impl<'a> Walk<'a> {
    fn new(log: &'a str) -> Self {
        Walk { lines: log.lines(), source: None, words: VecDeque::new() }
    }

    /// The next instruction; the words before it are kept.
    fn step(&mut self) -> Option<WalkStep> {
        self.words.clear();
        for line in self.lines.by_ref() {
            match LogLine::read(line) {
                LogLine::Source { text: "", .. } => {}
                LogLine::Source { text, place } => {
                    let place = place.map(|(file, line)| (file.to_owned(), line));
                    self.source = Some(LoggedSource { text: text.to_owned(), place });
                }
                LogLine::Instruction { index, text } => {
                    return Some(WalkStep { insn: index, text: text.to_owned(), source: self.source.clone() });
                }
                LogLine::Words(words) => {
                    self.words.push_back(words.to_owned());
                    // A log of nothing but words is none of a verifier.
                    self.words.truncate(MOST_AFTER);
                }
                _ => {}
            }
        }
        None
    }
}

impl Parting {
    /// Walks through two logs side by side. What is only a verifier's state, and what differs from kernel to kernel without
    /// meaning (addresses, offsets of fields, numbers of helpers, times), parts no one.
    pub fn of(logs: [&str; 2]) -> Parting {
        let [mut a, mut b] = logs.map(Walk::new);
        let mut parting = Parting { common: 0, relocated: 0, last: None, next: [Vec::new(), Vec::new()] };
        loop {
            match (a.step(), b.step()) {
                (Some(one), Some(other)) if one.insn == other.insn && shape(&one.text) == shape(&other.text) => {
                    parting.common += 1;
                    parting.relocated += usize::from(one.text != other.text);
                    // Newer kernels know the file as well.
                    let place = |step: &WalkStep| step.source.as_ref().is_some_and(|source| source.place.is_some());
                    parting.last = Some(if place(&other) { other } else { one });
                }
                (None, None) if a.words == b.words => return parting,
                (one, other) => {
                    parting.next = [rest(a, one), rest(b, other)];
                    return parting;
                }
            }
        }
    }

    /// Whether the walks are the same to their ends.
    pub fn is_none(&self) -> bool {
        self.next.iter().all(Vec::is_empty)
    }
}

/// What a walk does from `step` on.
fn rest(mut walk: Walk<'_>, step: Option<WalkStep>) -> Vec<Said> {
    let mut said: Vec<Said> = walk.words.drain(..).map(Said::Words).collect();
    let mut next = step;
    while let Some(step) = next {
        if said.len() >= MOST_AFTER {
            break;
        }
        said.push(Said::Step(step));
        next = walk.step();
        said.extend(walk.words.drain(..).map(Said::Words));
    }
    said.truncate(MOST_AFTER);
    said
}

/// The text of an instruction without what differs from kernel to kernel: numbers behind `#`, offsets into memory, and constants
/// that are moved or added.
fn shape(text: &str) -> String {
    let mut shape = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        shape.push(c);
        let masks = match c {
            '#' => true,
            '+' | '-' => {
                chars.peek().is_some_and(char::is_ascii_digit) && !shape.ends_with("pc+") && !shape.ends_with("pc-")
            }
            ' ' => {
                let assigned = shape.trim_end().ends_with('=');
                let compared = ["==", "!=", "<=", ">="].iter().any(|sign| shape.trim_end().ends_with(sign));
                assigned && !compared && chars.peek().is_some_and(|c| c.is_ascii_digit() || *c == '-')
            }
            _ => false,
        };
        if masks {
            while chars.next_if(|c| c.is_ascii_hexdigit() || matches!(c, 'x' | '-')).is_some() {}
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "; int x = BPF_CORE_READ(task, state);\n0: (79) r1 = *(u64 *)(r1 +16)\nR1_w=inv(id=0) R10=fp0\n\
        1: (b7) r2 = 24\n2: (18) r3 = 0xffff888004a0f000\n; bpf_loop(10, cb, NULL, 0);\n4: (85) call unknown#181\n\
        invalid func unknown#181\nprocessed 4 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n";
    const NEW: &str = "; int x = BPF_CORE_READ(task, state); @ a.bpf.c:7\n0: (79) r1 = *(u64 *)(r1 +16)         ; R1_w=scalar()\n\
        1: (b7) r2 = 3224                     ; R2_w=3224\n2: (18) r3 = 0xff1a5c0003           ; R3_w=map_ptr()\n\
        ; bpf_loop(10, cb, NULL, 0); @ a.bpf.c:9\n4: (85) call bpf_loop#181\n5: (95) exit\nverification time 88 usec\n";

    #[test]
    fn the_first_point_where_they_part_is_found() {
        let parting = Parting::of([OLD, NEW]);
        assert_eq!((parting.common, parting.relocated), (3, 2));
        let source = parting.last.and_then(|step| step.source);
        assert_eq!(source.map(|source| source.place), Some(Some(("a.bpf.c".to_owned(), 7))));
        let texts = parting.next.map(|said| {
            let text = |said: &Said| match said {
                Said::Step(step) => format!("{} {}", step.insn, step.text),
                Said::Words(words) => words.clone(),
            };
            said.iter().map(text).collect::<Vec<_>>()
        });
        assert_eq!(texts[0], ["4 (85) call unknown#181", "invalid func unknown#181"]);
        assert_eq!(texts[1], ["4 (85) call bpf_loop#181", "5 (95) exit"]);
    }

    #[test]
    fn states_times_and_addresses_part_nobody() {
        let other = NEW.replace("verification time 88", "verification time 99").replace("0xff1a5c0003", "0xff1a5c0abc");
        let parting = Parting::of([NEW, &other]);
        assert!(parting.is_none() && parting.common == 5, "{parting:?}");
        assert!(Parting::of(["", ""]).is_none());
    }

    #[test]
    fn one_that_goes_on_where_the_other_ends_parts() {
        let cut = "; x\n0: (79) r1 = *(u64 *)(r1 +16)\nR1 invalid mem access 'inv'\n";
        let parting = Parting::of([cut, NEW]);
        assert_eq!(parting.common, 1);
        assert_eq!(parting.next[0], [Said::Words("R1 invalid mem access 'inv'".to_owned())]);
        assert!(matches!(&parting.next[1][0], Said::Step(step) if step.insn == 1));
    }

    #[test]
    fn branches_and_comparisons_keep_their_numbers() {
        assert_eq!(shape("(15) if r0 == 0x0 goto pc+2"), "(15) if r0 == 0x0 goto pc+2");
        assert_eq!(shape("(07) r3 += 120"), "(07) r3 += ");
        assert_eq!(shape("(61) r0 = *(u32 *)(r1 -4096)"), "(61) r0 = *(u32 *)(r1 -)");
        assert_eq!(shape("(85) call bpf_get_prandom_u32#7"), "(85) call bpf_get_prandom_u32#");
    }
}
