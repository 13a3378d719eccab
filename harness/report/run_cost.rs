//! How long runs of programs take, by the kernel's own count: [`words`] of one, [`lines`] of all.

use super::text::one_line;
use crate::record::{ProgramRecord, RunRecord};

/// What accelerates nothing.
const EMULATOR: &str = "tcg";

/// What stands above the lines.
pub fn title(record: &RunRecord) -> String {
    let emulated = if record.tool.accel == EMULATOR { ", under emulation: comparable, but not absolute" } else { "" };
    format!("Run time of programs (measured by the kernel{emulated})")
}

/// What a run of one program takes, and how that compares with the baseline; `accel` is what ran the guest's code.
pub fn words(program: &ProgramRecord, accel: &str) -> Option<String> {
    let emulated = if accel == EMULATOR { " under emulation" } else { "" };
    parts(program).map(|parts| format!("run time{emulated}: {parts}"))
}

fn parts(program: &ProgramRecord) -> Option<String> {
    let exercise = program.exercise.as_ref();
    let ns = exercise.and_then(|exercise| Some((exercise.ns_per_run()?, exercise.runs?)));
    let ns = ns.map(|(ns, runs)| format!("{ns:.0} ns ({runs} {})", if runs == 1 { "run" } else { "runs" }));
    let parts: Vec<String> = ns.into_iter().chain(program.cost.as_ref().map(ToString::to_string)).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A line for each program that ran, with what a run takes on each of the kernels.
pub fn lines(record: &RunRecord, shown: &[usize]) -> Vec<String> {
    let mut lines = Vec::new();
    for (o, object) in record.objects.iter().enumerate() {
        for (p, program) in object.programs.iter().enumerate() {
            let on = |k: &usize| {
                let parts = parts(record.cell(o, *k).programs.get(p)?)?;
                Some(format!("{} {parts}", record.kernels[*k].name))
            };
            let parts: Vec<String> = shown.iter().filter_map(on).collect();
            if !parts.is_empty() {
                lines.push(one_line(&format!("{}/{}: {}", object.name, program.name, parts.join("; "))));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CostRecord, CostRound, ExerciseRecord, RunTime, Verdict, sample};

    #[test]
    fn what_a_run_takes_is_shown_by_kernel() {
        let kernels = vec![sample::kernel("5.10"), sample::kernel("7.3")];
        let objects = vec![sample::object("o", &[("a", "kprobe/x"), ("b", "kprobe/y")])];
        let mut record = sample::assemble(kernels, objects, |_, _, _| (Verdict::Loaded, None));
        assert!(lines(&record, &[0, 1]).is_empty());
        for (cell, ns) in record.cells.iter_mut().zip([4_200, 3_000]) {
            let exercise = ExerciseRecord { runs: Some(10), run_time_ns: Some(ns), ..ExerciseRecord::default() };
            cell.programs[0].exercise = Some(exercise);
        }
        let run = |ns| RunTime { runs: 100, ns };
        let rounds = vec![CostRound { baseline: run(10_000), program: run(21_000) }; 10];
        let cost = CostRecord { baseline: "old".to_owned(), by: "fork".to_owned(), problem: None, rounds };
        record.cells[1].programs[0].cost = Some(cost);
        let all = [title(&record), lines(&record, &[0, 1]).join("\n")];
        insta::assert_snapshot!(all.join("\n"), @"
        Run time of programs (measured by the kernel, under emulation: comparable, but not absolute)
        o/a: 5.10 420 ns (10 runs); 7.3 300 ns (10 runs), 2.10 times as long (95 % interval 2.10 to 2.10) as in `old`
        ");
        assert_eq!(words(&record.cells[0].programs[0], "kvm").as_deref(), Some("run time: 420 ns (10 runs)"));
    }
}
