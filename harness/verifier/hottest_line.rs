//! [`HottestLine`]: the source line that the verifier walked through most often.

use std::collections::HashMap;

use super::line::LogLine;

/// The source line with the most instructions in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HottestLine {
    /// Its text.
    pub text: String,
    /// File and line, where the kernel names them (6.8 and later).
    pub place: Option<(String, u32)>,
    /// How many instructions of it are in the log.
    pub instructions: u64,
    /// How many instructions are in the log.
    pub of: u64,
}

/// A source line as a log names it.
type Source<'l> = (&'l str, Option<(&'l str, u32)>);

impl HottestLine {
    /// Reads a log of level 1 or 2; `None` if it names no source lines.
    pub fn read(log: &str) -> Option<HottestLine> {
        let mut counts: HashMap<Source<'_>, u64> = HashMap::new();
        let (mut here, mut of) = (None, 0);
        for line in log.lines() {
            match LogLine::read(line) {
                LogLine::Source { text, place } => here = (!text.is_empty()).then_some((text, place)),
                LogLine::Instruction { .. } => {
                    of += 1;
                    if let Some(source) = here {
                        *counts.entry(source).or_default() += 1;
                    }
                }
                _ => {}
            }
        }
        // Of equal counts the same one each time.
        let most = counts.into_iter().max_by(|(a, of_a), (b, of_b)| of_a.cmp(of_b).then(b.cmp(a)));
        most.map(|((text, place), instructions)| HottestLine {
            text: text.to_owned(),
            place: place.map(|(file, line)| (file.to_owned(), line)),
            instructions,
            of,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_loop_has_most_instructions() {
        let mut log = "; int before = 0; @ a.bpf.c:3\n0: (b7) r1 = 0\n1: (b7) r2 = 0\n".to_owned();
        for _ in 0..5 {
            log += "; sum += i; @ a.bpf.c:5\n2: (0f) r1 += r2\n; i++ < n @ a.bpf.c:4\n3: (07) r2 += 1\n4: (ad) if r2 < 0x5 goto pc-3\n";
        }
        let found = HottestLine::read(&log).expect("a line");
        assert_eq!((found.text.as_str(), found.place), ("i++ < n", Some(("a.bpf.c".to_owned(), 4))));
        assert_eq!((found.instructions, found.of), (10, 17));
        assert_eq!(HottestLine::read("0: (95) exit\nprocessed 1 insns\n"), None);
    }
}
