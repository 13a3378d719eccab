//! [`change`]: where in the matrix a program's fate changes.

use std::collections::BTreeSet;

use super::super::text::one_line;
use super::failures::{kernels, nameless};
use crate::judge::same_everywhere;
use crate::record::Blame;
use crate::record::Cause;
use crate::record::{ProgramRecord, RunRecord};

/// What to say of a program that failed, if it changes once in the matrix or fails alike on every kernel that judged it; `None`
/// if the matrix shows no such order. Follows the program's name: `: loads up to 6.1, relocation failed from 6.12: ...`.
pub(in crate::report) fn change(record: &RunRecord, shown: &[usize], o: usize, p: usize) -> Option<String> {
    let program = |k: usize| record.cell(o, k).programs.get(p).filter(|program| is_judged(program));
    let judged: Vec<(usize, &ProgramRecord)> = shown.iter().filter_map(|&k| Some((k, program(k)?))).collect();
    if judged.iter().any(|(_, program)| !program.verdict.is_pass() && program.cause.is_none()) {
        return None;
    }
    let breaks: Vec<usize> = (1..judged.len()).filter(|&at| !alike(judged[at - 1].1, judged[at].1)).collect();
    match breaks[..] {
        [] if judged.len() > 1 && !judged[0].1.verdict.is_pass() => {
            let all: Vec<usize> = judged.iter().map(|(k, _)| *k).collect();
            let (verdict, why) = (judged[0].1.verdict, why(judged[0].1));
            let kernels = kernels(record, shown, &all);
            // Of a kernel that was not asked, or could not judge it, nothing is known.
            let everywhere = match judged.len() == shown.len() {
                true => "the same on every kernel, so independent of the kernel",
                false => "the same on every kernel that judged it",
            };
            Some(format!(" {kernels}: {verdict}{why}; {everywhere}"))
        }
        [at] => {
            let fate = |(k, program): (usize, &ProgramRecord), word: &str| {
                let fate = if program.verdict.is_pass() { "loads" } else { program.verdict.label() };
                (format!("{fate} {word} {}", one_line(&record.kernels[k].name)), why(program))
            };
            let (before, why_before) = fate(judged[at - 1], "up to");
            let (after, why_after) = fate(judged[at], "from");
            let reasons = [why_before, why_after];
            Some(match reasons.each_ref().map(String::is_empty) {
                // Only one side has a reason to give, and it is clear which.
                [true, _] | [_, true] => format!(": {before}, {after}{}", reasons.concat()),
                _ => format!(": {before}{}; {after}{}", reasons[0], reasons[1]),
            })
        }
        _ => None,
    }
}

/// Whether the kernel has said something about the program.
pub fn is_judged(program: &ProgramRecord) -> bool {
    program.verdict.blame() != Blame::Harness
}

fn alike(a: &ProgramRecord, b: &ProgramRecord) -> bool {
    let failure = |program: &ProgramRecord| {
        let subject = program.evidence.as_ref().and_then(|evidence| evidence.subject.clone());
        program.cause.map(|cause| (cause, subject))
    };
    let (first, second) = (failure(a), failure(b));
    let borrowed = [&first, &second].map(|one| one.as_ref().map(|(cause, subject)| (*cause, subject.as_deref())));
    a.verdict == b.verdict && (a.verdict.is_pass() || same_everywhere(borrowed))
}

/// The cause with what it is about, else with the words it rests on; empty for a program that loads.
fn why(program: &ProgramRecord) -> String {
    let Some(cause) = program.cause.filter(|_| !program.verdict.is_pass()) else { return String::new() };
    let subject = program.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref());
    let reason = || one_line(nameless(program.reason.as_deref().unwrap_or("no reason was recorded"), &program.name));
    let words = |label: &str| label.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    // `attach target missing` and `missing attach target`: once is enough.
    let is_said = words(cause.label()) == words(program.verdict.label());
    match subject {
        _ if cause == Cause::Unrecognised => format!(": {}", reason()),
        // The name of a target does not say which argument of it.
        Some(subject) if reason().starts_with(&format!("`{subject}` has ")) => format!(": {cause}: {}", reason()),
        Some(subject) if is_said => format!(": `{}`", one_line(subject)),
        Some(subject) => format!(": {cause} `{}`", one_line(subject)),
        None if is_said => format!(": {}", reason()),
        None => format!(": {cause}: {}", reason()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Evidence;
    use crate::record::Verdict;
    use crate::record::sample;

    /// One program on the kernels named by number, which ends as given for each.
    fn change_of(fates: &[Option<(Verdict, Cause, &str)>]) -> Option<String> {
        let names = ["5.10", "6.1", "6.12", "7.3"];
        let kernels = names[..fates.len()].iter().map(|name| sample::kernel(name)).collect();
        let objects = vec![sample::object("o", &[("p", "kprobe/x")])];
        let mut record = sample::assemble(kernels, objects, |_, _, k| match fates[k] {
            Some((verdict, ..)) => (verdict, Some(format!("reason {k}"))),
            None => (Verdict::Loaded, None),
        });
        for (cell, fate) in record.cells.iter_mut().zip(fates) {
            if let Some((_, cause, subject)) = fate {
                let subject = (!subject.is_empty()).then(|| (*subject).to_owned());
                cell.programs[0].cause = Some(*cause);
                cell.programs[0].evidence = Some(Evidence { line: "line".to_owned(), subject, source: None });
            }
        }
        change(&record, &(0..fates.len()).collect::<Vec<_>>(), 0, 0)
    }

    const FIELD: Option<(Verdict, Cause, &str)> =
        Some((Verdict::RelocationFailed, Cause::MissingField, "struct task_struct.state"));
    const LIMIT: Option<(Verdict, Cause, &str)> = Some((Verdict::HarnessLimit, Cause::NeedsLoader, ""));

    fn helper(subject: &'static str) -> Option<(Verdict, Cause, &'static str)> {
        Some((Verdict::VerifierRejected, Cause::UnknownHelper, subject))
    }

    #[test]
    fn one_change_is_told_with_its_kernels() {
        assert_eq!(
            change_of(&[None, None, FIELD, FIELD]).as_deref(),
            Some(": loads up to 6.1, relocation failed from 6.12: missing field `struct task_struct.state`")
        );
        assert_eq!(
            change_of(&[helper("bpf_loop#181"), helper("unknown#181"), None]).as_deref(),
            Some(": verifier rejected up to 6.1, loads from 6.12: unknown helper `unknown#181`")
        );
        let unbounded = Some((Verdict::VerifierRejected, Cause::MemoryUnbounded, ""));
        assert_eq!(
            change_of(&[unbounded, FIELD]).as_deref(),
            Some(
                ": verifier rejected up to 5.10: unbounded memory access: reason 0; relocation failed from 6.1: \
                 missing field `struct task_struct.state`"
            )
        );
        // Kernels that did not judge it part nothing.
        assert!(change_of(&[None, LIMIT, FIELD]).unwrap().contains("loads up to 5.10, relocation failed from 6.12"));
    }

    #[test]
    fn what_fails_everywhere_is_no_fact_about_kernels() {
        assert_eq!(
            change_of(&[FIELD, FIELD, FIELD]).as_deref(),
            Some(
                " on all 3 kernels: relocation failed: missing field `struct task_struct.state`; the same on every \
    kernel, so independent of the kernel"
            )
        );
        // What one of the kernels says is not known.
        let some = change_of(&[FIELD, LIMIT, FIELD]).unwrap();
        assert!(
            some.starts_with(" on 5.10, 6.12: ") && some.ends_with("; the same on every kernel that judged it"),
            "{some}"
        );
        assert_eq!(change_of(&[FIELD]), None);
        assert_eq!(change_of(&[LIMIT, LIMIT]), None);
    }

    #[test]
    fn what_comes_and_goes_is_no_change() {
        assert_eq!(change_of(&[None, FIELD, None]), None);
        assert_eq!(change_of(&[None, FIELD, helper("x#1")]), None);
        assert_eq!(change_of(&[None, None]), None);
    }
}
