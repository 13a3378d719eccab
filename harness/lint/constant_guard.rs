//! Guards that every known kernel answers alike.

use super::finding::LintFinding;
use super::hint::Hints;
use super::kernel_span::KnownKernels;
use super::message;
use super::rule::{LintLevel, LintRule};
use super::subject::LintSubject;
use crate::record::{GuardKind, GuardRecord};

/// On so few kernels a guard cannot but be constant.
const FEWEST_KERNELS: usize = 2;

/// The guards that every known kernel answers alike. `answers` are by kernel, then by guard.
pub(super) fn findings(
    subject: &LintSubject,
    answers: &[&[Option<bool>]],
    known: KnownKernels<'_>,
    hints: &mut Hints<'_>,
) -> Vec<LintFinding> {
    let mut found: Vec<LintFinding> = Vec::new();
    if answers.len() < FEWEST_KERNELS {
        return found;
    }
    for (number, guard) in subject.subject.analysis().guards.iter().enumerate() {
        if guard.kind == GuardKind::Rodata || guard.undecided.is_some() {
            continue;
        }
        let of = |answers: &&[Option<bool>]| answers.get(number).copied().flatten();
        let Some(answer) = answers.first().and_then(of) else { continue };
        if !answers.iter().all(|own| of(own) == Some(answer)) {
            continue;
        }
        let finding = finding(subject, guard, answer, known, hints);
        // Inlined code is one place to a reader.
        let same = |other: &&mut LintFinding| {
            (&other.source, &other.subject, other.rule) == (&finding.source, &finding.subject, finding.rule)
                && (finding.source.is_some() || other.function == finding.function)
        };
        match found.iter_mut().find(same) {
            Some(other) => {
                let missing: Vec<String> =
                    finding.programs.into_iter().filter(|program| !other.programs.contains(program)).collect();
                other.programs.extend(missing);
            }
            None => found.push(finding),
        }
    }
    found
}

fn finding(
    subject: &LintSubject,
    guard: &GuardRecord,
    answer: bool,
    known: KnownKernels<'_>,
    hints: &mut Hints<'_>,
) -> LintFinding {
    let all = known.read.iter().copied().collect();
    let (picked, other) = if answer { (&guard.sides[0], &guard.sides[1]) } else { (&guard.sides[1], &guard.sides[0]) };
    let meant = if answer { None } else { hints.misspelled(subject, guard) };
    let (rule, hint) = match (answer, meant) {
        (true, _) => (LintRule::AlwaysTrueGuard, None),
        (false, Some(meant)) => (LintRule::MisspelledGuard, Some(format!("did you mean `{meant}`?"))),
        (false, None) => {
            let hint = match guard.kind {
                GuardKind::Ksym => message::MAYBE_MODULE,
                kind if kind.is_existence() => "it may be misspelled, or belong to a module or an unknown kernel",
                _ => "",
            };
            (LintRule::AlwaysFalseGuard, (!hint.is_empty()).then(|| hint.to_owned()))
        }
    };
    // The name of the kind is libbpf's; a symbol has none.
    let asked = if guard.kind == GuardKind::Ksym { guard.asked.clone() } else { guard.name() };
    let unused = if other.insns > 0 {
        format!("; the code under `{}` never runs ({})", other.when, message::instructions(other.insns))
    } else {
        String::new()
    };
    LintFinding {
        rule,
        level: if rule == LintRule::MisspelledGuard { LintLevel::Warning } else { rule.level() },
        programs: subject.names(&guard.programs.iter().copied().collect()),
        function: guard.function.clone(),
        source: guard.source.clone(),
        subject: guard.name(),
        message: format!("the guard `{asked}` is `{}` on {}{unused}", picked.when, known.span(&all)),
        kernels: known.read.to_vec(),
        hint,
    }
}
