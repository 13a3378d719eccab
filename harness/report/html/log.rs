//! [`LogTexts`]: the ends of verifier logs, loops folded, as long as a page can carry.

use std::collections::HashMap;

use crate::record::ProgramRecord;
use crate::report::Material;
use crate::report::text::printable;
use crate::verifier::fold;

/// Bytes of all logs in a page: with more of them each is cut shorter.
const ROOM: usize = 3 << 20;
/// Lines of one log, from much room to little.
const LINES: [usize; 4] = [600, 200, 60, 20];
/// No line of a page needs more characters.
const LONGEST_LINE: usize = 400;

/// Every log of a record, by program.
pub struct LogTexts {
    texts: Vec<Option<(String, usize)>>,
}

impl LogTexts {
    /// Reads the logs of all programs that did not load, in the order of the record.
    pub fn read(material: &Material<'_>) -> LogTexts {
        let programs = material.record.cells.iter().flat_map(|cell| &cell.programs);
        // Each log is read and folded once; equal ones take room once.
        let folded: Vec<Option<Vec<String>>> = programs.map(|program| lines(material, program)).collect();
        let cut = |most: usize| -> Vec<Option<(String, usize)>> {
            let shorten = |lines: &Vec<String>| {
                let omitted = lines.len().saturating_sub(most);
                (lines[omitted..].join("\n"), omitted)
            };
            folded.iter().map(|lines| lines.as_ref().map(shorten)).collect()
        };
        let size = |texts: &[Option<(String, usize)>]| -> usize {
            let unique: HashMap<&str, ()> = texts.iter().flatten().map(|(text, _)| (text.as_str(), ())).collect();
            unique.keys().map(|text| text.len()).sum()
        };
        let mut texts = cut(LINES[0]);
        for most in &LINES[1..] {
            if size(&texts) <= ROOM {
                break;
            }
            texts = cut(*most);
        }
        LogTexts { texts }
    }

    /// The log of the program that is the `index`th of the record, and how many of its folded lines stand before it.
    pub fn of(&self, index: usize) -> Option<(&str, usize)> {
        self.texts.get(index)?.as_ref().map(|(text, omitted)| (text.as_str(), *omitted))
    }
}

fn lines(material: &Material<'_>, program: &ProgramRecord) -> Option<Vec<String>> {
    if program.verdict.is_pass() {
        return None;
    }
    let whole = program.log_file.as_deref().and_then(|file| material.log(file).ok());
    let log = whole.unwrap_or_else(|| program.log_tail.join("\n"));
    if log.trim().is_empty() {
        return None;
    }
    let short = |line: &str| match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    };
    let folded = fold(&log).to_string();
    let lines: Vec<&str> = folded.lines().collect();
    let last = lines.len().saturating_sub(LINES[0] * 2);
    let mut kept: Vec<String> = vec![String::new(); last];
    kept.extend(lines[last..].iter().map(|line| short(&printable(line))));
    Some(kept)
}
