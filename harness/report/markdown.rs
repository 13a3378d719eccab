//! [`render`]: the run for a pull request or a step summary: the answer, what failed, the matrix, and what else is to know.
//!
//! Platforms cut or refuse what is too long, so the text is kept below a limit, most important first, and says what it leaves out.

use std::path::Path;

use super::SourceRoot;
use super::finding::{Finding, FindingKind, FindingLevel, findings, short_name};
use super::machines::machine_views;
use super::privileges::{WHOLE, rows};
use super::run_cost;
use super::summary::{RunAnswer, Summary};
use super::table::{columns, shown_kernels};
use super::text::{counted, one_line};
use crate::record::RunRecord;
use crate::record::Verdict;

/// Bytes. GitHub refuses comments of more than 65,536 characters; a step summary may be longer.
const LIMIT: usize = 60_000;
/// What failures may take of that, so that the matrix still has room.
const LIMIT_OF_FAILURES: usize = 30_000;
/// Kept for the words about what was left out and for the last line.
const RESERVE: usize = 1_000;

/// Text that grows up to a limit.
struct Page {
    text: String,
}

impl Page {
    /// Adds lines under a title as far as they fit below `limit`, and says how many do not.
    fn section(&mut self, limit: usize, title: &str, head: &[String], lines: &[String], what: &str) {
        if lines.is_empty() {
            return;
        }
        let limit = limit.min(LIMIT - RESERVE);
        let head: String = head.iter().map(|line| format!("{line}\n")).collect();
        let opening = format!("\n### {title}\n\n{head}");
        let mut kept = 0;
        if self.text.len() + opening.len() <= limit {
            self.text += &opening;
            for line in lines {
                if self.text.len() + line.len() + 1 > limit {
                    break;
                }
                self.text += line;
                self.text.push('\n');
                kept += 1;
            }
        }
        if kept < lines.len() {
            let more = counted(lines.len() - kept, what);
            self.text += &format!("\n*… {more} omitted here; the report has all of them.*\n");
        }
    }
}

/// A row for each program of which the least privileges were looked for.
fn privileges(record: &RunRecord) -> (Vec<String>, Vec<String>) {
    let of_object = |object: usize| {
        rows(record, object).into_iter().map(move |row| {
            let what = escaped(row.program.unwrap_or(WHOLE));
            format!("| {} | {what} | {} |", escaped(&record.objects[object].name), escaped(&row.words))
        })
    };
    let head = vec!["| object | program | least privileges |".to_owned(), "| --- | --- | --- |".to_owned()];
    (head, (0..record.objects.len()).flat_map(of_object).collect())
}

/// The run as GitHub-flavoured Markdown of at most 60,000 bytes.
pub fn render(record: &RunRecord, sources: &SourceRoot) -> String {
    let summary = Summary::of(record);
    let sign = match summary.answer {
        RunAnswer::Everywhere => "✅",
        RunAnswer::Broken => "❌",
        RunAnswer::NotProven => "⚠️",
    };
    let mut page = Page { text: format!("## {sign} corematrix: {}\n\n", escaped(&summary.sentence)) };
    for detail in &summary.details {
        page.text += &format!("* {}\n", shortened(&escaped(detail), 2_000));
    }
    let all = findings(record);
    let listed = |wanted: &dyn Fn(&Finding) -> bool| -> Vec<String> {
        all.iter().filter(|finding| wanted(finding)).map(|finding| item(record, sources, finding)).collect()
    };
    let errors = listed(&|finding| finding.level == FindingLevel::Error);
    page.section(LIMIT_OF_FAILURES, "Failures", &[], &errors, "failure");
    let (head, rows) = matrix(record);
    page.section(LIMIT, "Programs that load", &head, &rows, "object");
    let (head, rows) = privileges(record);
    page.section(LIMIT, "Least privileges", &head, &rows, "row");
    let dangers = listed(&|finding| finding.kind == FindingKind::Danger);
    page.section(LIMIT, "Loads, but reads wrong data", &[], &dangers, "danger");
    let unattachable = listed(&|finding| finding.kind == FindingKind::CannotAttach);
    page.section(LIMIT, "Loads, but cannot attach", &[], &unattachable, "program");
    let near = listed(&|finding| finding.kind == FindingKind::NearLimit);
    page.section(LIMIT, "Close to a limit", &[], &near, "program");
    let times: Vec<String> =
        run_cost::lines(record, &shown_kernels(record)).iter().map(|line| format!("* {}", escaped(line))).collect();
    page.section(LIMIT, &run_cost::title(record), &[], &times, "program");
    let loaders = listed(&|finding| finding.kind == FindingKind::Loaders);
    page.section(LIMIT, "Differences between loaders", &[], &loaders, "difference");
    let mut machines = Vec::new();
    for view in machine_views(record) {
        let title = escaped(&view.title());
        machines.extend(view.lines(record).iter().map(|line| format!("* **{title}**: {}", escaped(line))));
    }
    page.section(LIMIT, "Effects of machine settings", &[], &machines, "line");
    let predicted = listed(&|finding| finding.kind == FindingKind::PredictedFailure);
    page.section(LIMIT, "Predicted to fail (from BTF alone)", &[], &predicted, "failure");
    let predictions = listed(&|finding| finding.kind == FindingKind::Prediction);
    page.section(LIMIT, "Prediction differs", &[], &predictions, "difference");
    let modules = listed(&|finding| finding.kind == FindingKind::Module);
    page.section(LIMIT, "Refused kernel modules", &[], &modules, "module");
    let complaints = listed(&|finding| finding.kind == FindingKind::KernelWarning);
    page.section(LIMIT, "Kernel warnings", &[], &complaints, "warning");
    let elsewhere = [
        FindingKind::Danger,
        FindingKind::CannotAttach,
        FindingKind::NearLimit,
        FindingKind::Loaders,
        FindingKind::Prediction,
        FindingKind::PredictedFailure,
        FindingKind::Module,
        FindingKind::KernelWarning,
        FindingKind::Reused,
    ];
    let is_allowed = |finding: &Finding| {
        let is_failure = match finding.kind {
            FindingKind::Program(verdict, _) => verdict.is_failure(),
            FindingKind::Object => true,
            _ => false,
        };
        is_failure && finding.level > FindingLevel::Error
    };
    let allowed = listed(&is_allowed);
    page.section(LIMIT, "Failures that the suite allows", &[], &allowed, "failure");
    let rest = listed(&|finding| {
        finding.level > FindingLevel::Error && !elsewhere.contains(&finding.kind) && !is_allowed(finding)
    });
    page.section(LIMIT, "Could not be judged", &[], &rest, "item");
    let (head, rows) = kernels(record);
    page.section(LIMIT, "Kernels", &head, &rows, "kernel");
    let tool = &record.tool;
    let last = format!(
        "\ncorematrix {}, libbpf {}, QEMU {} with {}; started {}{}",
        tool.corematrix,
        tool.libbpf,
        tool.qemu,
        tool.accel,
        record.started,
        record.finished.as_ref().map_or_else(String::new, |finished| format!(", finished {finished}")),
    );
    page.text += &format!("\n{}\n", shortened(&escaped(&last), RESERVE / 2));
    page.text
}

fn item(record: &RunRecord, sources: &SourceRoot, finding: &Finding) -> String {
    let object =
        finding.object.map_or_else(String::new, |o| format!("**{}**: ", escaped(&short_name(&record.objects[o].name))));
    let place = finding.place.as_ref().map_or_else(String::new, |place| {
        let file = sources.find(Path::new(&place.file));
        let name = || place.file.rsplit('/').next().unwrap_or(&place.file).to_owned();
        let file = file.unwrap_or_else(name);
        let text = if place.text.is_empty() { String::new() } else { format!(" {}", code(&one_line(&place.text))) };
        format!("<br>at {}{text}", code(&one_line(&format!("{file}:{}", place.line))))
    });
    format!("* {object}{}{place}", escaped(&finding.story))
}

/// Head and rows of the table of objects and kernels.
fn matrix(record: &RunRecord) -> (Vec<String>, Vec<String>) {
    let shown = columns(record);
    if shown.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let names: Vec<String> = shown.iter().map(|&k| in_table(&escaped(&record.kernels[k].name))).collect();
    let head = vec![format!("| object | {} |", names.join(" | ")), format!("|---|{}", "---|".repeat(shown.len()))];
    let row = |o: usize| {
        let cells: Vec<String> = shown.iter().map(|&k| cell(record, o, k)).collect();
        let name = if record.objects[o].broken.is_some() { " (cannot be read)" } else { "" };
        format!("| {}{name} | {} |", in_table(&escaped(&short_name(&record.objects[o].name))), cells.join(" | "))
    };
    (head, (0..record.objects.len()).map(row).collect())
}

fn cell(record: &RunRecord, o: usize, k: usize) -> String {
    let (object, cell) = (&record.objects[o], record.cell(o, k));
    let loaded = cell.programs.iter().filter(|program| program.verdict.is_pass()).count();
    let total = cell.programs.iter().filter(|program| !object.loading.leaves_out(&program.name)).count();
    let failed = (0..cell.programs.len()).any(|p| record.fails(o, k, p));
    let allowed = (0..cell.programs.len()).filter(|p| record.excuse(o, k, *p).is_some()).count();
    if let Some(prediction) = &cell.prediction {
        let resolve = prediction.programs.iter().filter(|outcome| outcome.resolves()).count();
        return format!("*predicted: {resolve}/{total} resolve*");
    }
    let whole = cell.whole.as_ref().is_none_or(|whole| whole.prepared);
    let sign = match () {
        () if failed => "❌",
        () if total > 0 && loaded == total && whole => "✅",
        () if allowed > 0 && loaded + allowed == total => {
            return format!("✅ {loaded}/{total}, {allowed} allowed to fail");
        }
        () if total > 0 && loaded == total && record.whole_excuse(o, k).is_some() => {
            return format!("✅ {loaded}/{total}, allowed to fail as a whole");
        }
        () if total > 0 && loaded == total => "❌ not whole",
        () if cell.programs.iter().all(|program| program.verdict == Verdict::NotRun) => return "– not run".to_owned(),
        () => "⚠️",
    };
    format!("{sign} {loaded}/{total}")
}

/// Head and rows of the table of kernels.
fn kernels(record: &RunRecord) -> (Vec<String>, Vec<String>) {
    use crate::record::KernelState::{BootFailed, HarnessFailed, Pending, Predicted, Ready, Unavailable};
    let row = |kernel: &crate::record::KernelRecord| {
        let state = match &kernel.state {
            Ready if !kernel.was_started() => "not booted: results of earlier runs".to_owned(),
            Ready => "booted".to_owned(),
            Pending => "never started".to_owned(),
            Unavailable { reason, .. } => format!("unavailable: {reason}"),
            Predicted { reason: None, .. } => "predicted from its BTF".to_owned(),
            Predicted { reason: Some(reason), .. } => format!("only predicted from BTF: {reason}"),
            BootFailed { reason, .. } => format!("did not boot: {reason}"),
            HarnessFailed { reason, .. } => format!("could not be run: {reason}"),
        };
        let release = match &kernel.state {
            Predicted { release, .. } => release,
            _ => kernel.identity.as_ref().map_or("", |identity| &identity.release),
        };
        let cells = [&kernel.name, release, &state].map(|text| in_table(&escaped(text)));
        format!("| {} |", cells.join(" | "))
    };
    (vec!["| kernel | release | |".to_owned(), "|---|---|---|".to_owned()], record.kernels.iter().map(row).collect())
}

/// Text as Markdown that shows it as it is; what stands between backticks becomes code.
fn escaped(text: &str) -> String {
    let line = one_line(text);
    let parts: Vec<&str> = line.split('`').collect();
    let paired = parts.len() % 2 == 1;
    let mut out = String::new();
    for (index, part) in parts.iter().enumerate() {
        match (paired, index % 2) {
            (true, 1) => out += &code(part),
            (true, _) => out += &plain(part),
            (false, 0) if index == 0 => out += &plain(part),
            (false, _) => out += &format!("\\`{}", plain(part)),
        }
    }
    out
}

fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '&' => out += "&amp;",
            // A mention or a reference must not reach anybody: the blank of no width parts it.
            '@' | '#' => out.extend([c, '\u{200b}']),
            '\\' | '*' | '_' | '[' | ']' | '~' | '|' | '$' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

/// A span of code, with as many backticks around as its text needs.
fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    match (text.trim().is_empty(), text.starts_with('`') || text.ends_with('`')) {
        (true, _) => String::new(),
        (_, true) => format!("{fence} {text} {fence}"),
        (_, false) => format!("{fence}{text}{fence}"),
    }
}

/// Markdown inside a table's cell, where a bar ends the cell even in code.
fn in_table(text: &str) -> String {
    text.replace("\\|", "|").replace('|', "\\|")
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
