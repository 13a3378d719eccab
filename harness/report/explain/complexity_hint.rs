//! [`complexity_hint`]: where the verifier spends its instructions, and how to make it spend fewer.

use super::CellFacts;
use crate::record::{Cause, ProgramRecord};
use crate::report::text::one_line;
use crate::verifier::HottestLine;

/// Words of the verifier, and what to do about them.
const ADVICE: [(&str, &str); 6] = [
    (
        "infinite loop detected",
        "give the loop a bound that the verifier sees: compare its counter with a constant, and change the counter in each \
         iteration; or use `bpf_loop` (Linux 5.17 or later)",
    ),
    (
        "back-edge from insn",
        "this kernel allows no loops: unroll the loop (`#pragma unroll`), or replace it by tail calls",
    ),
    ("frames is too deep", "the verifier allows 8 nested calls: make some of the functions `__always_inline`"),
    (
        "jumps is too complex",
        "reduce the branches that are open at one time: move parts into a global function (`__noinline`, not `static`), \
         which the verifier checks on its own, or into another program by a tail call",
    ),
    (
        "too large",
        "reduce the paths that the verifier follows: lower the bound of the loop; make its body the callback of `bpf_loop` \
         (Linux 5.17 or later), which the verifier checks once; move parts into a global function (`__noinline`, not \
         `static`), which it checks on its own; or split the program with a tail call",
    ),
    (
        "",
        "simplify the program, or move parts of it into a global function (`__noinline`, not `static`) or into another \
         program by a tail call",
    ),
];

/// What to do about a program that is too complex, and, where the whole log is available, the line with the most work.
pub(super) fn complexity_hint(facts: &CellFacts<'_>, program: &ProgramRecord) -> Vec<String> {
    if program.cause != Some(Cause::ComplexityLimit) {
        return Vec::new();
    }
    let log = program.log_file.as_deref().and_then(|file| (facts.log)(file).ok());
    let hottest = log.and_then(|log| HottestLine::read(&log));
    let words = program.evidence.as_ref().map_or("", |evidence| evidence.line.as_str());
    let advice = ADVICE.iter().find(|(known, _)| words.contains(known)).map(|(_, advice)| (*advice).to_owned());
    hottest.map(|line| line_words(&line)).into_iter().chain(advice).collect()
}

fn line_words(line: &HottestLine) -> String {
    let HottestLine { text, place, instructions, of } = line;
    let place = place.as_ref().map_or_else(String::new, |(file, line)| format!("{file}:{line}, "));
    let text = one_line(text).replace('`', "'");
    format!("most of the verifier's work in the log is at {place}`{text}`: {instructions} of {of} instructions")
}
