//! [`RunRecord::machine_changes`]: what another machine made of programs, held against the same object on the kernel's own machine.

use crate::{Blame, CellRecord, ExerciseRecord, ProgramRecord, RunRecord, Verdict};

/// A row of the run whose object differs from another row in its machine alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineRow {
    /// The object itself, as an index.
    pub base: usize,
    /// The same on another machine, as an index.
    pub row: usize,
}

/// What another machine made of one program on one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineChange {
    /// The rows.
    pub rows: MachineRow,
    /// The kernel, as an index.
    pub kernel: usize,
    /// The program.
    pub program: String,
    /// What changed.
    pub what: ChangedBy,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangedBy {
    /// The verdict.
    Verdict {
        /// Without the settings.
        before: Verdict,
        /// With them.
        after: Verdict,
    },
    /// It loads on both machines, and is compiled to machine code on the first alone.
    Interpreted,
    /// It loads on both machines, and reads wrong data on the second alone.
    WrongData,
    /// It loads on both machines, and was made to run on the first alone.
    NeverRan,
}

impl std::fmt::Display for ChangedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ChangedBy::Verdict { before, after } => write!(f, "{before} -> {after}"),
            ChangedBy::Interpreted => f.write_str("loaded, but interpreted instead of compiled"),
            ChangedBy::WrongData => f.write_str("loaded, but reads wrong data"),
            ChangedBy::NeverRan => f.write_str("loaded, but no longer runs"),
        }
    }
}

impl RunRecord {
    /// The rows that differ from their object in the machine alone, in the record's order.
    pub fn machine_rows(&self) -> Vec<MachineRow> {
        let mut rows = Vec::new();
        for (row, object) in self.objects.iter().enumerate() {
            let Some(shape) = object.shape.as_ref().filter(|shape| !shape.machine.is_empty()) else { continue };
            if !shape.is_machine_alone() {
                continue;
            }
            // With another loader, the row of the object with the same one.
            let loader = object.loader.as_ref().map(|loader| loader.name.as_str());
            let is_base = |&other: &usize| {
                let other = &self.objects[other];
                other.shape.is_none() && other.loader.as_ref().map(|loader| loader.name.as_str()) == loader
            };
            let base = self.family(row).into_iter().find(is_base);
            rows.extend(base.map(|base| MachineRow { base, row }));
        }
        rows
    }

    /// What other machines made of programs, in the order of the record. What was not judged on both is left out.
    pub fn machine_changes(&self) -> Vec<MachineChange> {
        let mut changes = Vec::new();
        for rows in self.machine_rows() {
            for kernel in 0..self.kernels.len() {
                let (before, after) = (self.cell(rows.base, kernel), self.cell(rows.row, kernel));
                for program in &after.programs {
                    let Some(own) = before.programs.iter().find(|known| known.name == program.name) else { continue };
                    if let Some(what) = changed((before, own), (after, program)) {
                        changes.push(MachineChange { rows, kernel, program: program.name.clone(), what });
                    }
                }
            }
        }
        changes
    }

    /// Whether a row was judged on a kernel, and its object without the settings, too.
    pub fn is_compared(&self, rows: MachineRow, kernel: usize) -> bool {
        let judged = |row| self.cell(row, kernel).programs.iter().any(|program| is_judged(program.verdict));
        judged(rows.base) && judged(rows.row)
    }
}

fn changed(
    (cell_before, before): (&CellRecord, &ProgramRecord),
    (cell_after, after): (&CellRecord, &ProgramRecord),
) -> Option<ChangedBy> {
    if !is_judged(before.verdict) || !is_judged(after.verdict) {
        return None;
    }
    if before.verdict != after.verdict {
        return Some(ChangedBy::Verdict { before: before.verdict, after: after.verdict });
    }
    let reads_wrong = |cell: &CellRecord, program: &ProgramRecord| {
        program.verdict.was_loaded() && cell.effects_on(&program.name).contains(&crate::DangerEffect::WrongData)
    };
    if reads_wrong(cell_after, after) && !reads_wrong(cell_before, before) {
        return Some(ChangedBy::WrongData);
    }
    let ran = |program: &ProgramRecord| program.exercise.as_ref().map(ExerciseRecord::ran);
    if before.verdict.was_loaded() && ran(before) == Some(true) && ran(after) == Some(false) {
        return Some(ChangedBy::NeverRan);
    }
    let jited = |program: &ProgramRecord| program.loaded.map(|loaded| loaded.jited_bytes > 0);
    (jited(before) == Some(true) && jited(after) == Some(false)).then_some(ChangedBy::Interpreted)
}

fn is_judged(verdict: Verdict) -> bool {
    verdict.blame() != Blame::Harness
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{LoadedProgram, MachineSettings, ShapeRecord, sample};

    /// A run of one object on its own machine and on one with 8 processors.
    fn run() -> RunRecord {
        let objects = [
            sample::object("a", &[("p", "kprobe/x"), ("q", "kprobe/y")]),
            sample::object("a@cpus-8", &[("p", "kprobe/x"), ("q", "kprobe/y")]),
        ];
        let kernels = [sample::kernel("6.1"), sample::kernel("7.3")];
        let mut record = sample::assemble(kernels.to_vec(), objects.to_vec(), |_, _, _| (Verdict::Loaded, None));
        let machine = MachineSettings { cpus: Some(8), ..MachineSettings::default() };
        let settings = vec!["machine.cpus = 8".to_owned()];
        record.objects[1].shape = Some(ShapeRecord { of: "a".into(), name: "cpus-8".into(), settings, machine });
        record
    }

    #[test]
    fn only_what_the_machine_changed_is_a_change() {
        let mut record = run();
        assert_eq!(record.machine_changes(), []);
        record.cells[2].programs[0].verdict = Verdict::MapCreationFailed;
        let loaded = |jited_bytes| Some(LoadedProgram { xlated_bytes: 8, jited_bytes });
        (record.cells[1].programs[1].loaded, record.cells[3].programs[1].loaded) = (loaded(20), loaded(0));
        let changes: Vec<String> = record
            .machine_changes()
            .iter()
            .map(|change| format!("{} {} {}", change.kernel, change.program, change.what))
            .collect();
        assert_eq!(changes, ["0 p loaded -> map creation failed", "1 q loaded, but interpreted instead of compiled"]);
        // What was not judged does not count.
        record.cells[2].programs[0].verdict = Verdict::HarnessLimit;
        assert_eq!(record.machine_changes().len(), 1);
    }

    #[test]
    fn shape_that_sets_a_variable_too_proves_nothing_of_its_machine() {
        let mut record = run();
        record.objects[1].shape.as_mut().unwrap().settings.push("filter = 1".to_owned());
        assert_eq!(record.machine_rows(), []);
    }
}
