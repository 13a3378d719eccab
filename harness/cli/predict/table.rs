//! What is predicted, as text: where each program changes, from kernel to kernel.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Range;

use crate::predict::{PredictedKernel, PredictedMatrix, Subject, stretches};
use crate::record::PredictedOutcome;
use crate::report::counted;

/// All objects.
pub(super) fn whole(subjects: &[Subject], matrix: &PredictedMatrix) -> String {
    let mut text = String::from("Predicted from BTF alone: no kernel was booted, and the verifier was not run.\n");
    for (number, subject) in subjects.iter().enumerate() {
        text.push('\n');
        object(&mut text, number, subject, matrix);
    }
    let unread = matrix.kernels.iter().zip(&matrix.cells);
    for (kernel, reason) in unread.filter_map(|(kernel, cells)| Some((kernel, cells.as_ref().err()?))) {
        let _ = writeln!(text, "\nnot predicted for {}: {reason}", label(kernel));
    }
    text
}

/// Writing to a string cannot fail, so results are dropped.
fn object(text: &mut String, number: usize, subject: &Subject, matrix: &PredictedMatrix) {
    let all = matrix.kernels.len();
    let resolving = (0..all).filter(|&kernel| {
        let outcomes = outcomes(matrix, kernel, number);
        outcomes.is_some_and(|outcomes| outcomes.iter().all(PredictedOutcome::resolves))
    });
    let _ = writeln!(
        text,
        "{}: {}, {}; all programs resolve on {} of {}",
        subject.name,
        counted(subject.programs.len(), "program"),
        counted(subject.relocations(), "relocation"),
        resolving.count(),
        counted(all, "kernel")
    );
    let cells = (0..all).filter_map(|kernel| matrix.cells.get(kernel)?.as_ref().ok()?.get(number));
    let modules: BTreeSet<&str> = cells.flat_map(|cell| &cell.modules).map(String::as_str).collect();
    if !modules.is_empty() {
        let names: Vec<&str> = modules.into_iter().collect();
        let _ = writeln!(text, "  with the types of kernel modules: {}", names.join(", "));
    }
    for (index, program) in subject.programs.iter().enumerate() {
        let on = |kernel: usize| outcomes(matrix, kernel, number).map(|outcomes| &outcomes[index]);
        if (0..all).all(|kernel| on(kernel) == Some(&PredictedOutcome::Resolves)) {
            let _ = writeln!(text, "  {}: resolves on all kernels", program.name);
            continue;
        }
        let _ = writeln!(text, "  {}", program.name);
        for group in groups(&matrix.kernels) {
            let name = &matrix.kernels[group.start].group;
            let known: Vec<usize> = group.filter(|&kernel| on(kernel).is_some()).collect();
            let found = stretches(known.iter().map(|&kernel| on(kernel)));
            for (place, stretch) in found.iter().enumerate() {
                let Some(outcome) = stretch.outcome else { continue };
                let (first, last) = (&matrix.kernels[known[stretch.first]], &matrix.kernels[known[stretch.last]]);
                let count = stretch.last - stretch.first + 1;
                let span = match count {
                    1 => first.release.clone(),
                    _ => format!("{} to {} ({count})", first.release, last.release),
                };
                let head = if place == 0 && !name.is_empty() { format!("{name}: ") } else { String::new() };
                let _ = writeln!(text, "    {head}{span}  {}", outcome.words());
            }
        }
    }
}

fn outcomes(matrix: &PredictedMatrix, kernel: usize, object: usize) -> Option<&[PredictedOutcome]> {
    Some(&matrix.cells.get(kernel)?.as_ref().ok()?.get(object)?.programs)
}

/// Where each group begins and ends.
fn groups(kernels: &[PredictedKernel]) -> Vec<Range<usize>> {
    let found = stretches(kernels.iter().map(|kernel| &kernel.group));
    found.into_iter().map(|stretch| stretch.first..stretch.last + 1).collect()
}

fn label(kernel: &PredictedKernel) -> String {
    match kernel.group.is_empty() {
        true => format!("`{}`", kernel.release),
        false => format!("`{}` of {}", kernel.release, kernel.group),
    }
}
