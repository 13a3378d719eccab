//! [`Data`]: the record as the page's script wants it. What repeats over kernels is there once, and referred to by number.

use serde::Serialize;
use serde_json::{Value, json};

use super::alternatives::alternatives;
use super::changes::changes;
use super::coverage::coverage;
use super::log::LogTexts;
use super::machines::machines;
use super::privileges::privileges;
use super::shared::Shared;
use crate::record::AttachRecord;
use crate::record::Cause;
use crate::record::ExerciseRecord;
use crate::record::Limit;
use crate::record::{Blame, Verdict};
use crate::record::{KernelRecord, KernelState, ProgramRecord, RunRecord};
use crate::record::{PredictedOutcome, RelocationOutcome, RelocationRecord};
use crate::report::Material;
use crate::report::explain::recorded;
use crate::report::finding::{FindingLevel, findings};
use crate::report::run_cost;
use crate::report::table::{change, shown_kernels};

/// What the page's script gets.
#[derive(Serialize)]
pub struct Data {
    run: Value,
    verdicts: Value,
    causes: Value,
    kernels: Vec<Value>,
    objects: Vec<Value>,
    findings: Vec<Value>,
    /// Groups of which one member is enough.
    alternatives: Vec<Value>,
    /// What other machines changed.
    machines: Vec<Value>,
    privileges: Vec<Value>,
    /// What differs from the baseline, if there is one.
    changes: Option<Value>,
    /// What is known about guards and source lines; `None` if no object has any.
    coverage: Option<Value>,
    /// Objects x kernels, as in the record.
    cells: Vec<Value>,
    /// Texts that the cells refer to.
    texts: Vec<String>,
    /// What became of relocations: kind of outcome, outcome, target; the last two are texts.
    outcomes: Vec<(u8, usize, usize)>,
    /// By relocation of the object, the number of its outcome; -1 without.
    rows: Vec<Vec<i64>>,
}

/// Reads a record, and the logs in its directory.
pub fn data(material: &Material<'_>) -> Data {
    let record = material.record;
    let logs = LogTexts::read(material);
    let mut shared = Shared::new();
    let mut number = 0;
    let mut cells = Vec::new();
    for o in 0..record.objects.len() {
        for k in 0..record.kernels.len() {
            let first = number;
            number += record.cell(o, k).programs.len();
            cells.push(cell_data(record, [o, k], &logs, first, &mut shared));
        }
    }
    let coverage = coverage(record, &mut shared);
    let Shared { texts, outcomes, rows } = shared;
    Data {
        run: json!({
            "tool": record.tool,
            "started": record.started,
            "finished": record.finished,
            "interrupted": record.interrupted,
            "notices": record.notices,
        }),
        verdicts: Verdict::ALL.iter().map(|verdict| verdict_data(*verdict)).collect(),
        causes: Cause::ALL.iter().map(|cause| json!({ "id": cause, "label": cause.label() })).collect(),
        kernels: record.kernels.iter().map(kernel_data).collect(),
        objects: (0..record.objects.len()).map(|o| object_data(record, o)).collect(),
        findings: findings_data(record),
        alternatives: alternatives(record),
        machines: machines(record),
        privileges: privileges(record),
        changes: material.baseline.as_ref().map(|baseline| changes(baseline, record)),
        coverage,
        cells,
        texts: texts.list,
        outcomes: outcomes.list,
        rows: rows.list,
    }
}

fn verdict_data(verdict: Verdict) -> Value {
    let look = match (verdict, verdict.blame()) {
        (Verdict::NotRun | Verdict::Skipped, _) => "none",
        (_, Blame::Nobody) => "good",
        (Verdict::TimedOut, _) | (_, Blame::Kernel) => "grave",
        (_, Blame::Object) => "bad",
        (_, Blame::Harness) => "odd",
    };
    json!({ "id": verdict, "short": verdict.short(), "label": verdict.label(), "look": look })
}

fn kernel_data(kernel: &KernelRecord) -> Value {
    let (state, reason, hint, console) = match &kernel.state {
        KernelState::Pending => ("never started", None, None, &[][..]),
        KernelState::Ready if !kernel.was_started() => ("not booted, results reused", None, None, &[][..]),
        KernelState::Ready => ("booted", None, None, &[][..]),
        KernelState::Predicted { reason, hint, .. } => ("only predicted", reason.as_ref(), hint.as_ref(), &[][..]),
        KernelState::Unavailable { reason, hint } => ("unavailable", Some(reason), hint.as_ref(), &[][..]),
        KernelState::BootFailed { reason, hint, console_tail } => {
            ("boot failed", Some(reason), hint.as_ref(), &console_tail[..])
        }
        KernelState::HarnessFailed { reason, hint, console_tail } => {
            ("harness failed", Some(reason), hint.as_ref(), &console_tail[..])
        }
    };
    let types = match &kernel.state {
        KernelState::Predicted { release, btf_sha256, .. } => Some(json!({ "release": release, "sha256": btf_sha256 })),
        _ => None,
    };
    json!({
        "name": kernel.name,
        "types": types,
        "source": kernel.source,
        "optional": kernel.optional,
        "ready": kernel.state == KernelState::Ready,
        "state": state,
        "reason": reason,
        "hint": hint,
        "console": console,
        "identity": kernel.identity,
        "hello": kernel.hello_ms,
        "restored": kernel.restore_ms,
        "notes": kernel.notes,
    })
}

fn object_data(record: &RunRecord, o: usize) -> Value {
    let object = &record.objects[o];
    let cells = || (0..record.kernels.len()).map(|k| record.cell(o, k));
    // What a relocation asks for is the same on every kernel, and logged where libbpf got that far.
    let mut asked = vec![""; object.relocations.len()];
    let mut users = vec![Vec::<&str>::new(); object.relocations.len()];
    for one in cells().flat_map(|cell| &cell.relocations) {
        if let (Some(asked), Some(users)) = (asked.get_mut(one.relocation), users.get_mut(one.relocation)) {
            if asked.is_empty() {
                *asked = &one.local;
            }
            for place in &one.verifier_insns {
                if !users.contains(&place.program.as_str()) {
                    users.push(&place.program);
                }
            }
        }
    }
    let shown = shown_kernels(record);
    let programs = object.programs.iter().enumerate().map(|(p, program)| {
        let mine = object.relocations.iter().enumerate().filter(|(index, relocation)| {
            relocation.function == program.name || users[*index].contains(&program.name.as_str())
        });
        let mine: Vec<usize> = mine.map(|(index, _)| index).collect();
        let story = change(record, &shown, o, p).map(|story| story.trim_start_matches([':', ' ']).to_owned());
        json!({ "name": program.name, "section": program.section, "story": story, "relocations": mine })
    });
    let relocations = object.relocations.iter().zip(asked).map(|(one, asked)| {
        let source = one.source.as_ref();
        json!({
            "kind": one.kind,
            "asked": asked,
            "place": source.map(|source| format!("{}:{}", source.file.rsplit('/').next().unwrap_or(""), source.line)),
            "text": source.map(|source| source.text.trim()),
        })
    });
    json!({
        "name": object.name,
        "origin": object.origin,
        "sha256": object.sha256,
        "size": object.size,
        "broken": object.broken,
        "shape": object.shape.as_ref().map(|shape| json!({ "of": shape.of, "settings": shape.settings })),
        "loading": object.loading.settings().into_iter().chain(object.loading.changes.clone()).collect::<Vec<_>>(),
        "loader": object.loader.as_ref().map(|loader| loader.label()),
        "programs": programs.collect::<Vec<_>>(),
        "relocations": relocations.collect::<Vec<_>>(),
    })
}

fn findings_data(record: &RunRecord) -> Vec<Value> {
    let entry = |finding: &crate::report::finding::Finding| {
        json!({
            "level": match finding.level {
                FindingLevel::Error => "error",
                FindingLevel::Warning => "warning",
                FindingLevel::Note => "note",
            },
            "rule": finding.rule_label(),
            "object": finding.object,
            "programs": finding.programs,
            "kernels": finding.kernels,
            "story": finding.story,
            "place": finding.place.as_ref().map(|place| {
                format!("{}:{}", place.file.rsplit('/').next().unwrap_or(""), place.line)
            }),
            "text": finding.place.as_ref().map(|place| &place.text),
        })
    };
    findings(record).iter().map(entry).collect()
}

/// `first` is the number of the cell's first program among those of all cells.
fn cell_data(record: &RunRecord, [o, k]: [usize; 2], logs: &LogTexts, first: usize, shared: &mut Shared) -> Value {
    let cell = record.cell(o, k);
    let mut row = vec![-1; record.objects[o].relocations.len()];
    for one in &cell.relocations {
        let outcome = outcome(one, shared);
        if let Some(place) = row.get_mut(one.relocation) {
            *place = i64::try_from(shared.outcomes.number(outcome)).unwrap_or(-1);
        }
    }
    let programs: Vec<Value> = cell
        .programs
        .iter()
        .enumerate()
        .map(|(p, program)| {
            let mut data = program_data(program, &record.tool.accel, logs.of(first + p), shared);
            if let Some(excuse) = record.excuse(o, k, p) {
                data["excuse"] = json!(shared.text(excuse));
            }
            data
        })
        .collect();
    let dangers: Vec<Value> = cell
        .dangers
        .iter()
        .map(|danger| {
            let mine = |(_, program): &(usize, &ProgramRecord)| danger.programs.contains(&program.name);
            let programs: Vec<usize> = cell.programs.iter().enumerate().filter(mine).map(|(p, _)| p).collect();
            json!({
                "programs": programs,
                "words": shared.text(danger.to_string()),
                "here": danger.difference.is_wrong_here(),
                "effect": danger.difference.effect().label(),
                "place": danger.source.as_ref().map(|at| format!("{}:{}", at.file.rsplit('/').next().unwrap_or(""), at.line)),
                "text": danger.source.as_ref().map(|at| at.text.trim()),
            })
        })
        .collect();
    let warnings: Vec<Value> = cell
        .kernel_log
        .iter()
        .map(|warning| {
            let program = warning.program.as_ref();
            json!({
                "program": program.and_then(|name| cell.programs.iter().position(|one| one.name == *name)),
                "headline": shared.text(warning.headline.as_str()),
                "text": shared.text(warning.text.as_str()),
                "count": warning.count,
                "noise": warning.is_noise(&record.tool.accel),
            })
        })
        .collect();
    let observed = cell.observed.as_ref().map(|when| format!("not run again: an earlier run observed this, {when}"));
    let externs: Vec<usize> = cell
        .externs
        .iter()
        .map(|one| {
            let weak = if one.weak { " (weak)" } else { "" };
            let resolved = one.resolved.as_deref().unwrap_or("missing");
            shared.text(format!("{} {}{weak}: {resolved}", one.kind, one.name))
        })
        .collect();
    json!({
        "programs": programs,
        "predicted": cell.prediction.as_ref().map(|prediction| {
            prediction.programs.iter().map(|outcome| predicted_data(outcome, shared)).collect::<Vec<_>>()
        }),
        "row": shared.rows.number(row),
        "whole": cell.whole.as_ref().map(|whole| whole.prepared),
        "why": shared.maybe(cell.whole.as_ref().and_then(|whole| whole.reason.as_deref())),
        "whole_excuse": shared.maybe(record.whole_excuse(o, k).as_deref()),
        "dangers": dangers,
        "warnings": warnings,
        "externs": externs,
        "downgrades": cell.downgrades.iter().map(|text| shared.text(text)).collect::<Vec<_>>(),
        "notes": observed.iter().chain(&cell.module_words()).chain(&cell.notes).map(|text| shared.text(text)).collect::<Vec<_>>(),
        "loader": cell.loader.as_ref().map(|known| {
            known.words().iter().map(|text| shared.text(text)).collect::<Vec<_>>()
        }),
        "ms": cell.wall_ms,
    })
}

fn predicted_data(outcome: &PredictedOutcome, shared: &mut Shared) -> Value {
    json!({
        "short": outcome.short(),
        "label": outcome.label(),
        "fails": outcome.is_failure(),
        "resolves": outcome.resolves(),
        "reason": shared.maybe(outcome.reason().as_deref()),
    })
}

/// Only what there is: most programs load, and have little to show.
fn program_data(program: &ProgramRecord, accel: &str, log: Option<(&str, usize)>, shared: &mut Shared) -> Value {
    let verdict = Verdict::ALL.iter().position(|known| *known == program.verdict);
    let mut data = json!({ "v": verdict, "ms": program.load_ms });
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            data[key] = value;
        }
    };
    put("reason", shared.maybe(program.reason.as_deref()));
    put("cause", json!(program.cause.and_then(|cause| Cause::ALL.iter().position(|known| *known == cause))));
    put("errno", json!(program.errno));
    if let Some(evidence) = &program.evidence {
        put("line", json!(shared.text(&evidence.line)));
        put("subject", shared.maybe(evidence.subject.as_deref()));
        if let Some(source) = &evidence.source {
            put("insn", json!(source.insn));
            put("text", shared.maybe(source.text.as_deref().map(str::trim)));
            let place = source.place.as_ref().map(|(file, line)| format!("{file}:{line}"));
            put("place", shared.maybe(place.as_deref()));
        }
    }
    put("attach", shared.maybe(program.attach.as_ref().map(AttachRecord::words).as_deref()));
    put("ran", shared.maybe(program.exercise.as_ref().map(ExerciseRecord::words).as_deref()));
    put("time", shared.maybe(run_cost::words(program, accel).as_deref()));
    put("advice", shared.maybe(recorded(program).as_deref()));
    if let Some((text, omitted)) = log {
        put("log", json!(shared.text(text)));
        put("omitted", json!(omitted));
        put("file", shared.maybe(program.log_file.as_deref()));
    }
    if let Some(numbers) = &program.statistics {
        let stack = numbers.stack_depth_max.map(u64::from).or_else(|| {
            (!numbers.stack_depth.is_empty()).then(|| numbers.stack_depth.iter().copied().map(u64::from).sum())
        });
        put(
            "stats",
            json!([
                numbers.insns_processed,
                numbers.total_states,
                numbers.peak_states,
                numbers.max_states_per_insn,
                stack,
                numbers.verification_time_us,
            ]),
        );
    }
    let share = |limit| program.use_of(limit).map(|one| (one.percent() * 10.0).floor() / 10.0);
    if !program.headroom.is_empty() {
        put("shares", json!(Limit::ALL.map(share)));
    }
    let near = program.headroom.iter().filter(|one| one.is_near() && program.verdict.is_pass());
    let near: Vec<usize> = near.map(|one| shared.text(one.to_string())).collect();
    if !near.is_empty() {
        put("near", json!(near));
    }
    if let Some(loaded) = &program.loaded {
        put("size", json!([loaded.xlated_bytes, loaded.jited_bytes]));
    }
    data
}

/// Kind, outcome and target: 0 as compiled, 1 patched, 2 an answer of no, 3 fails where it is reached, 4 nothing was tried or logged.
fn outcome(one: &RelocationRecord, shared: &mut Shared) -> (u8, usize, usize) {
    let (kind, text) = match &one.outcome {
        RelocationOutcome::Resolved { old, new } => (u8::from(old != new), new.to_string()),
        RelocationOutcome::NoMatch { new, .. } => (2, format!("{new} (none)")),
        RelocationOutcome::Poisoned => (3, "poisoned".to_owned()),
        RelocationOutcome::Ambiguous { reason } => (3, format!("ambiguous: {reason}")),
        RelocationOutcome::Failed { reason } => (3, format!("failed: {reason}")),
        RelocationOutcome::Contradicted { reason } => (3, format!("contradicted: {reason}")),
        RelocationOutcome::Lost => (3, "no record".to_owned()),
        RelocationOutcome::Skipped => (4, "skipped".to_owned()),
        RelocationOutcome::NotReached => (4, "not reached".to_owned()),
    };
    let target = one.candidates.iter().find(|candidate| candidate.matching);
    let target = target.map_or_else(String::new, |target| match target.module.as_str() {
        "" | "vmlinux" => target.spec.clone(),
        module => format!("{} in {module}", target.spec),
    });
    (kind, shared.text(text), shared.text(target))
}
