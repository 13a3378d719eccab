//! The comparative table: programs down, kernels across, and below it what a reader wants to know next.
//!
//! The blocks in order: what ran, the grid, its legend, which kernels those were and which are missing, what failed,
//! what loads and reads wrong data, what is close to a limit, where loaders differ, what kernels complained about, what was not run, notes, and at the end the counts, where a terminal shows them.

mod alternatives;
mod beyond;
mod change;
mod dangers;
mod failures;
mod finding_block;
mod grid;
mod loaders;
mod machines;
mod outputs;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use console::truncate_str;

pub(super) use alternatives::all_work;
pub(super) use change::change;
pub(super) use failures::{all_programs, kernels, nameless, names};

use super::run_cost;
use super::text::{counted, one_line, paragraph, unbroken};
use crate::record::{Blame, Verdict};
use crate::record::{KernelRecord, KernelState, LoaderRecord, ObjectRecord, RunRecord};

/// Below this a table is of no use, and no terminal is that narrow.
const LEAST_WIDTH: usize = 40;
/// A kernel's console is in `report.json`; its end is enough to see what kind of failure it was.
const CONSOLE_LINES: usize = 5;
/// Programs of which it is shown how long a run takes; the rest is in `report.json`.
const MOST_RUN_TIMES: usize = 16;

/// The table as text of at most `width` columns, save where a name alone is longer.
pub fn render(record: &RunRecord, width: usize) -> String {
    blocks(record, &record.notices, width)
}

/// The same without the notices of the run, for a reader who has seen them when it began.
pub fn after_run(record: &RunRecord, width: usize) -> String {
    blocks(record, &[], width)
}

fn blocks(record: &RunRecord, notices: &[String], width: usize) -> String {
    let width = width.max(LEAST_WIDTH);
    let shown = shown_kernels(record);
    let columns = columns(record);
    let blocks = [
        heading(record, width),
        grid::render(record, &columns, width),
        releases(record, &columns, width),
        kernels_left_out(record, width),
        failures::render(record, &shown, width),
        failures::allowed(record, &shown, width),
        outputs::render(record, &shown, width),
        alternatives::render(record, &shown, width),
        titled("Least privileges", &super::privileges::render(record, width)),
        dangers::render(record, &shown, width),
        finding_block::near_limits(record, width),
        loaders::differences(record, &shown, width),
        machines::render(record, width),
        run_times(record, &shown, width),
        finding_block::predicted_failures(record, width),
        finding_block::predictions(record, width),
        finding_block::modules(record, width),
        finding_block::kernel_warnings(record, width),
        not_run(record, &shown, width),
        reused(record, width),
        super::coverage::summary(record, width),
        notes(record, notices, width),
        counts(record, width),
    ];
    let blocks: Vec<String> = blocks.into_iter().filter(|block| !block.is_empty()).collect();
    blocks.join("\n")
}

/// The same without versions, releases and notes, for a reader who sees one for each of many commands.
pub fn brief(record: &RunRecord, width: usize) -> String {
    let width = width.max(LEAST_WIDTH);
    let shown = shown_kernels(record);
    let blocks = [
        grid::render(record, &columns(record), width),
        kernels_left_out(record, width),
        failures::render(record, &shown, width),
        failures::allowed(record, &shown, width),
        finding_block::modules(record, width),
        finding_block::kernel_warnings(record, width),
        not_run(record, &shown, width),
        reused(record, width),
        counts(record, width),
    ];
    let blocks: Vec<String> = blocks.into_iter().filter(|block| !block.is_empty()).collect();
    blocks.join("\n")
}

/// The kernels that take a column: those that something was tried on, or still can be.
pub(super) fn shown_kernels(record: &RunRecord) -> Vec<usize> {
    let was_tried = |k: usize| {
        let mut programs = (0..record.objects.len()).flat_map(|o| &record.cell(o, k).programs);
        programs.any(|program| program.verdict != Verdict::NotRun)
    };
    let kernels = record.kernels.iter().enumerate();
    kernels.filter(|(k, kernel)| kernel.state == KernelState::Ready || was_tried(*k)).map(|(k, _)| k).collect()
}

/// The same, and those of which only predictions are known, in the order of the matrix.
pub(super) fn columns(record: &RunRecord) -> Vec<usize> {
    let shown = shown_kernels(record);
    (0..record.kernels.len()).filter(|k| shown.contains(k) || record.kernels[*k].is_predicted()).collect()
}

fn heading(record: &RunRecord, width: usize) -> String {
    let tool = &record.tool;
    // A notice that has the reason has the advice with it.
    let is_told = record.notices.iter().any(|notice| notice.contains(&tool.accel_reason));
    let reason = if is_told { String::new() } else { format!(" ({})", tool.accel_reason) };
    let versions = format!(
        "corematrix {}, libbpf {}, virtme-ng {}, QEMU {} with {}{reason}",
        tool.corematrix, tool.libbpf, tool.virtme_ng, tool.qemu, tool.accel
    );
    let ended = match (&record.finished, record.interrupted) {
        (Some(finished), true) => format!("interrupted {finished}: this report is not complete"),
        (Some(finished), false) => format!("finished {finished}"),
        (None, _) => "not finished: this report is not complete".to_owned(),
    };
    paragraph(&versions, 0, width) + &paragraph(&format!("started {}, {ended}", record.started), 0, width)
}

/// What exactly was booted.
fn releases(record: &RunRecord, shown: &[usize], width: usize) -> String {
    let kernels = shown.iter().map(|&k| &record.kernels[k]);
    let name = |kernel: &KernelRecord| match (&kernel.identity, &kernel.state) {
        (Some(identity), _) => Some(format!("{} = {}", kernel.name, identity.release)),
        (None, KernelState::Predicted { release, .. }) => Some(format!("{} = BTF of {release}", kernel.name)),
        _ => None,
    };
    let named: Vec<String> = kernels.filter_map(name).map(|name| unbroken(&name)).collect();
    if named.is_empty() { String::new() } else { paragraph(&format!("Kernels: {}", named.join(", ")), 0, width) }
}

/// Every kernel that is out of the run, with the reason and what to do; kernels with the same story together.
fn kernels_left_out(record: &RunRecord, width: usize) -> String {
    let mut stories: Vec<(&str, &KernelState, Vec<String>)> = Vec::new();
    for kernel in &record.kernels {
        let what = match &kernel.state {
            KernelState::Ready | KernelState::Predicted { reason: None, .. } => continue,
            KernelState::Predicted { .. } if kernel.optional => "only predicted (optional)",
            KernelState::Predicted { .. } => "only predicted",
            KernelState::Pending => "never started",
            KernelState::Unavailable { .. } if kernel.optional => "unavailable (optional)",
            KernelState::Unavailable { .. } => "unavailable",
            KernelState::BootFailed { .. } => "boot failed",
            KernelState::HarnessFailed { .. } => "harness failed",
        };
        match stories.iter_mut().find(|(known, state, _)| *known == what && **state == kernel.state) {
            Some((_, _, kernels)) => kernels.push(one_line(&kernel.name)),
            None => stories.push((what, &kernel.state, vec![one_line(&kernel.name)])),
        }
    }
    let mut block = String::new();
    for (what, state, kernels) in stories {
        let (reason, hint, console) = match state {
            KernelState::Ready | KernelState::Pending => (None, &None, &[][..]),
            KernelState::Unavailable { reason, hint } => (Some(reason), hint, &[][..]),
            KernelState::Predicted { reason, hint, .. } => (reason.as_ref(), hint, &[][..]),
            KernelState::BootFailed { reason, hint, console_tail }
            | KernelState::HarnessFailed { reason, hint, console_tail } => (Some(reason), hint, &console_tail[..]),
        };
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        block += &paragraph(&format!("{}: {what}{reason}", kernels.join(", ")), 2, width);
        if let Some(hint) = hint {
            block += &paragraph(&format!("hint: {hint}"), 6, width);
        }
        for line in console.iter().skip(console.len().saturating_sub(CONSOLE_LINES)) {
            let _ = writeln!(block, "      | {}", truncate_str(&one_line(line), width - 8, "…"));
        }
    }
    titled("Kernels that could not be used", &block)
}

/// Why programs were not run on the kernels that have a column.
fn not_run(record: &RunRecord, shown: &[usize], width: usize) -> String {
    let mut reasons: BTreeMap<&str, (usize, Vec<&str>)> = BTreeMap::new();
    for &k in shown {
        let name = record.kernels[k].name.as_str();
        let programs = (0..record.objects.len()).flat_map(|o| &record.cell(o, k).programs);
        for program in programs.filter(|program| program.verdict == Verdict::NotRun) {
            let reason = program.reason.as_deref().unwrap_or("no reason was recorded");
            let (count, kernels) = reasons.entry(reason).or_default();
            *count += 1;
            if kernels.last() != Some(&name) {
                kernels.push(name);
            }
        }
    }
    let lines = reasons.iter().map(|(reason, (count, kernels))| {
        paragraph(&format!("{} on {}: {reason}", counted(*count, "program"), kernels.join(", ")), 2, width)
    });
    titled("Not run", &lines.collect::<String>())
}

/// What earlier runs observed, and when.
fn reused(record: &RunRecord, width: usize) -> String {
    super::reused::sentence(record).map_or_else(String::new, |sentence| paragraph(&sentence, 0, width))
}

/// How long runs take; nothing if nothing was made to run.
fn run_times(record: &RunRecord, shown: &[usize], width: usize) -> String {
    let lines = run_cost::lines(record, shown);
    let mut block: String = lines.iter().take(MOST_RUN_TIMES).map(|line| paragraph(line, 2, width)).collect();
    if lines.len() > MOST_RUN_TIMES {
        block += &format!("  ... {} in report.json\n", counted(lines.len() - MOST_RUN_TIMES, "more program"));
    }
    if block.is_empty() { block } else { paragraph(&run_cost::title(record), 0, width) + &block }
}

/// What the packages lack, once for all kernels that lack it, and what belongs to no kernel.
fn notes(record: &RunRecord, notices: &[String], width: usize) -> String {
    let mut notes: Vec<(&str, Vec<&str>)> = Vec::new();
    for kernel in &record.kernels {
        for note in &kernel.notes {
            match notes.iter_mut().find(|(known, _)| known == note) {
                Some((_, kernels)) => kernels.push(&kernel.name),
                None => notes.push((note, vec![&kernel.name])),
            }
        }
    }
    let mut block = String::new();
    for (note, kernels) in notes {
        block += &paragraph(&format!("{}: {note}", kernels.join(", ")), 2, width);
    }
    // Shapes of an object are loaded as it is.
    let is_of_suite = |object: &&ObjectRecord| {
        let by_profile = object.loader.as_ref().is_some_and(LoaderRecord::is_by_profile);
        object.shape.is_none() && !object.loading.is_empty() && !by_profile
    };
    for object in record.objects.iter().filter(is_of_suite) {
        let mut loading = object.loading.clone();
        if let Some(privileges) = loading.privileges.take() {
            block += &paragraph(&format!("{} is loaded with {privileges}, not as root", object.name), 2, width);
        }
        if loading.is_empty() {
            continue;
        }
        let mut settings = loading.settings().join(", ");
        if !loading.changes.is_empty() {
            settings += &format!("; {}", loading.changes.join(", "));
        }
        block += &paragraph(
            &format!("{} is loaded with the loader settings of the suite: {settings}", object.name),
            2,
            width,
        );
    }
    block += &loaders::notes(record, width);
    for notice in notices {
        block += &paragraph(notice, 2, width);
    }
    titled("Notes", &block)
}

fn counts(record: &RunRecord, width: usize) -> String {
    let mut counts = record.count();
    let mut allowed = 0;
    for (o, object) in record.objects.iter().enumerate() {
        for (k, p) in (0..record.kernels.len()).flat_map(|k| (0..object.programs.len()).map(move |p| (k, p))) {
            if record.excuse(o, k, p).is_some() {
                allowed += 1;
                let verdict = record.cell(o, k).programs[p].verdict;
                counts.entry(verdict).and_modify(|count| *count -= 1);
            }
        }
    }
    counts.retain(|_, count| *count > 0);
    let of = |wanted: &dyn Fn(Verdict) -> bool| -> usize {
        counts.iter().filter(|(verdict, _)| wanted(**verdict)).map(|(_, count)| count).sum()
    };
    let with_breakdown = |label: &str, wanted: &dyn Fn(Verdict) -> bool| {
        let parts = counts.iter().filter(|(verdict, _)| wanted(**verdict));
        let parts: Vec<String> = parts.map(|(verdict, count)| format!("{count} {verdict}")).collect();
        (!parts.is_empty()).then(|| format!("{} {label} ({})", of(wanted), parts.join(", ")))
    };
    let not_judged = |verdict: Verdict| verdict.blame() == Blame::Harness && verdict != Verdict::NotRun;
    let is_any = |kind: fn(&ObjectRecord) -> bool| record.objects.iter().any(kind);
    let (noun, done) = match (is_any(ObjectRecord::is_command), is_any(ObjectRecord::has_tests)) {
        (true, _) => ("command", "succeeded"),
        (_, true) => ("test", "passed"),
        _ => ("program", "loaded"),
    };
    let mut parts = vec![match of(&Verdict::is_pass) {
        0 => format!("nothing {done}"),
        passed => format!("{passed} {done}"),
    }];
    parts.extend(with_breakdown("failed", &|verdict| verdict.is_failure()));
    parts.extend((allowed > 0).then(|| format!("{allowed} failed as the suite allows")));
    parts.extend(with_breakdown("not judged", &not_judged));
    let predicted = record.cells.iter().filter(|cell| cell.prediction.is_some());
    let predicted: usize = predicted.map(|cell| cell.programs.len()).sum();
    let not_run = counts.get(&Verdict::NotRun).map_or(0, |count| count.saturating_sub(predicted));
    parts.extend((predicted > 0).then(|| format!("{predicted} only predicted")));
    parts.extend((not_run > 0).then(|| format!("{not_run} not run")));
    let skipped = counts.get(&Verdict::Skipped).copied().unwrap_or_default();
    parts.extend((skipped > 0).then(|| format!("{skipped} skipped")));
    let programs = record.objects.iter().map(|object| object.programs.len()).sum();
    let matrix = format!("{} x {}", counted(programs, noun), counted(record.kernels.len(), "kernel"));
    let broken = record.objects.iter().filter(|object| object.broken.is_some()).count();
    if broken > 0 {
        parts.push(format!("{} cannot be read", counted(broken, "object")));
    }
    paragraph(&format!("{matrix}: {}", parts.join(", ")), 0, width) + &beyond::counts(record, width)
}

/// `block` under its title; nothing if there is nothing in it.
fn titled(title: &str, block: &str) -> String {
    if block.is_empty() { String::new() } else { format!("{title}\n{block}") }
}

#[cfg(test)]
mod tests;
