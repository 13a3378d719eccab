//! The verifier's words: [`complaint`] is what it refused the program for, [`tail`] is how its log ends.

use super::CellFacts;
use crate::record::ProgramRecord;
use crate::report::text::{paragraph, printable};
use crate::verifier::{VerifierFailure, fold};

/// What leads to a refusal is near the end; `report.json` says where the whole log is.
const TAIL_LINES: usize = 30;

/// The log as far as it is available, and why not all of it.
fn log(facts: &CellFacts<'_>, program: &ProgramRecord) -> (String, Option<String>) {
    match program.log_file.as_deref().map(|file| (file, (facts.log)(file))) {
        Some((_, Ok(log))) => (log, None),
        Some((file, Err(error))) => (program.log_tail.join("\n"), Some(format!("`{file}` cannot be read: {error}"))),
        None => (program.log_tail.join("\n"), None),
    }
}

/// The instruction that the verifier refused and everything it said about it; `None` if it said nothing.
pub fn complaint(facts: &CellFacts<'_>, program: &ProgramRecord, width: usize) -> Option<String> {
    let failure = VerifierFailure::read(&log(facts, program).0)?;
    let mut text = "Verifier message:\n".to_owned();
    if let (Some(insn), Some(insn_text)) = (failure.insn, &failure.insn_text) {
        text += &paragraph(&format!("{insn}: {insn_text}"), 2, width);
    }
    text.extend(failure.said.iter().map(|line| paragraph(line, 2, width)));
    if let Some(explanation) = &failure.explanation {
        let said = [Some(&explanation.summary), explanation.reason.as_ref(), explanation.suggestion.as_ref()];
        text.extend(said.into_iter().flatten().map(|line| paragraph(line, 2, width)));
    }
    Some(text)
}

/// The end of the log, with loops folded; `None` if there is no log.
pub fn tail(facts: &CellFacts<'_>, program: &ProgramRecord) -> Option<String> {
    let (log, trouble) = log(facts, program);
    if log.trim().is_empty() && trouble.is_none() {
        return None;
    }
    let folded = fold(&log).to_string();
    let lines: Vec<&str> = folded.lines().collect();
    let omitted = lines.len().saturating_sub(TAIL_LINES);
    let title = match omitted {
        0 => "Verifier log".to_owned(),
        _ => format!("Verifier log, last {TAIL_LINES} of {} lines", lines.len()),
    };
    let file = match (&trouble, &program.log_file) {
        (Some(trouble), _) => format!(" ({trouble})"),
        (None, Some(file)) => format!(", loops folded (complete in `{file}` of the report)"),
        (None, None) => String::new(),
    };
    let mut text = printable(&format!("{title}{file}:")) + "\n";
    text.extend(lines[omitted..].iter().map(|line| format!("  | {}", printable(line)).trim_end().to_owned() + "\n"));
    Some(text)
}
