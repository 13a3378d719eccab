//! [`UpgradeReport`]: what happened to the maps of older builds on each kernel, for people and for tools.

use serde::Serialize;

use super::text::{counted, one_line, paragraph};
use crate::answer::Answer;
use crate::record::{
    KernelState, MapData, MapFate, MapUpgrade, ProgramRecord, RunRecord, UpgradeRecord, Verdict, exit_code,
};

/// What became of the maps of older builds when newer ones were loaded over their pins.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UpgradeReport {
    /// Each newer object on each kernel.
    pub cells: Vec<UpgradedCell>,
    /// Kernels of which nothing is known.
    pub kernels_left_out: Vec<KernelLeftOut>,
}

/// A newer object on a kernel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UpgradedCell {
    /// The newer object's name.
    pub object: String,
    /// The kernel's name.
    pub kernel: String,
    /// What became of the maps.
    #[serde(flatten)]
    pub upgrade: UpgradeRecord,
    /// The programs of the newer object that do not load, each with its verdict and reason.
    pub failed_programs: Vec<FailedProgram>,
}

/// A program of the newer object that does not load.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FailedProgram {
    /// Its name.
    pub program: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<String>,
}

/// A kernel of which nothing is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KernelLeftOut {
    /// Its name.
    pub kernel: String,
    /// Why.
    pub reason: String,
}

impl Answer for UpgradeReport {
    const SCHEMA: &'static str = "upgrade-1";
}

impl UpgradeReport {
    /// Reads it from the record of a run in which objects found the maps of older builds.
    pub fn of(record: &RunRecord) -> UpgradeReport {
        let cell = |o: usize, k: usize| {
            let cell = record.cell(o, k);
            let failed = cell.programs.iter().filter(|program| program.verdict.is_failure());
            let failed = failed.map(|program: &ProgramRecord| FailedProgram {
                program: program.name.clone(),
                verdict: program.verdict,
                reason: program.reason.clone(),
            });
            Some(UpgradedCell {
                object: record.objects[o].name.clone(),
                kernel: record.kernels[k].name.clone(),
                upgrade: cell.upgrade.clone()?,
                failed_programs: failed.collect(),
            })
        };
        let kernels = || 0..record.kernels.len();
        let cells = (0..record.objects.len()).flat_map(|o| kernels().filter_map(move |k| cell(o, k)));
        let left_out = kernels().filter_map(|k| {
            let kernel = &record.kernels[k];
            let is_known = (0..record.objects.len()).any(|o| record.cell(o, k).upgrade.is_some());
            let reason = match &kernel.state {
                KernelState::Unavailable { reason, .. }
                | KernelState::BootFailed { reason, .. }
                | KernelState::HarnessFailed { reason, .. } => reason.clone(),
                KernelState::Predicted { .. } => "no kernel was booted".to_owned(),
                KernelState::Ready | KernelState::Pending => "not reached in the run".to_owned(),
            };
            (!is_known).then(|| KernelLeftOut { kernel: kernel.name.clone(), reason })
        });
        UpgradeReport { cells: cells.collect(), kernels_left_out: left_out.collect() }
    }

    /// The exit code: that of the run, unless a map is refused or lost, or its data is misread.
    pub fn exit_code(&self, record: &RunRecord) -> u8 {
        let run = exit_code::of(record);
        let is_trouble = self.cells.iter().flat_map(|cell| &cell.upgrade.maps).any(MapUpgrade::is_trouble);
        let is_unknown = self.cells.iter().any(|cell| {
            let not_created = |map: &MapUpgrade| map.fate == MapFate::NotCreated;
            cell.upgrade.problem.is_some() || cell.upgrade.maps.iter().any(not_created)
        });
        match run {
            exit_code::INTERRUPTED => run,
            _ if is_trouble => exit_code::PROGRAM_FAILED,
            exit_code::GOOD if is_unknown => exit_code::INFRASTRUCTURE,
            _ => run,
        }
    }

    /// The maps down, the kernels across, and what is to know below.
    pub fn render(&self, width: usize) -> String {
        let mut text = String::new();
        let mut objects: Vec<&str> = self.cells.iter().map(|cell| cell.object.as_str()).collect();
        objects.dedup();
        for object in objects {
            let cells: Vec<&UpgradedCell> = self.cells.iter().filter(|cell| cell.object == object).collect();
            let from = cells.first().map_or("", |cell| cell.upgrade.from.as_str());
            text += &paragraph(&format!("{} instead of {}", one_line(object), one_line(from)), 0, width);
            text += &grid(&cells);
            text += "\n";
            for (line, kernels) in remarks(&cells) {
                let on = if kernels.len() == cells.len() && cells.len() > 1 {
                    format!("on all {} kernels", cells.len())
                } else {
                    format!("on {}", kernels.join(", "))
                };
                text += &paragraph(&format!("{line} ({on})"), 2, width);
            }
            text += "\n";
        }
        for KernelLeftOut { kernel, reason } in &self.kernels_left_out {
            text += &paragraph(&format!("kernel {kernel}: not run: {reason}"), 0, width);
        }
        let maps = || self.cells.iter().flat_map(|cell| &cell.upgrade.maps);
        let trouble = maps().filter(|map| map.is_trouble()).count();
        let failed: usize = self.cells.iter().map(|cell| cell.failed_programs.len()).sum();
        let verdict = match (trouble, failed) {
            (0, 0) => "nothing refused, lost or misread".to_owned(),
            _ => format!(
                "{} refused, lost or misread, {} not loaded",
                counted(trouble, "map"),
                counted(failed, "program")
            ),
        };
        text + &paragraph(&format!("{} checked: {verdict}", counted(maps().count(), "map")), 0, width)
    }
}

/// A row for each map, a column for each kernel.
fn grid(cells: &[&UpgradedCell]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for map in cells.iter().flat_map(|cell| &cell.upgrade.maps) {
        if !names.contains(&map.map.as_str()) {
            names.push(&map.map);
        }
    }
    let mut rows =
        vec![std::iter::once(String::new()).chain(cells.iter().map(|cell| one_line(&cell.kernel))).collect()];
    for name in names {
        let words = |cell: &&UpgradedCell| match cell.upgrade.maps.iter().find(|map| map.map == name) {
            Some(map) if !map.misread.is_empty() => "misread".to_owned(),
            Some(MapUpgrade { fate: MapFate::Reused, data: Some(MapData::Lost { .. }), .. }) => "data lost".to_owned(),
            Some(map) => map.fate.label().to_owned(),
            None => "-".to_owned(),
        };
        rows.push(std::iter::once(one_line(name)).chain(cells.iter().map(words)).collect::<Vec<String>>());
    }
    let columns = rows.first().map_or(0, Vec::len);
    let wide = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| wide(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// What the grid does not say, with the kernels that it holds for.
fn remarks(cells: &[&UpgradedCell]) -> Vec<(String, Vec<String>)> {
    let mut remarks: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |line: String, kernel: &str| match remarks.iter_mut().find(|(known, _)| *known == line) {
        Some((_, kernels)) => kernels.push(one_line(kernel)),
        None => remarks.push((line, vec![one_line(kernel)])),
    };
    for cell in cells {
        if let Some(problem) = &cell.upgrade.problem {
            add(format!("unknown: {}", one_line(problem)), &cell.kernel);
        }
        for map in &cell.upgrade.maps {
            let name = format!("`{}`", one_line(&map.map));
            let data = map.data.as_ref().map(MapData::to_string);
            let parts: Vec<String> = map.reason.iter().cloned().chain(data).map(|part| one_line(&part)).collect();
            if !parts.is_empty() {
                add(format!("{name} {}: {}", map.fate.label(), parts.join("; ")), &cell.kernel);
            }
            for line in &map.misread {
                add(format!("{name} misread: the data survives, but {}", one_line(line)), &cell.kernel);
            }
        }
        for FailedProgram { program, verdict, reason } in &cell.failed_programs {
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {}", one_line(reason)));
            add(format!("program `{}`: {verdict}{reason}", one_line(program)), &cell.kernel);
        }
    }
    remarks
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::sample;

    fn map(name: &str, fate: MapFate, data: Option<MapData>) -> MapUpgrade {
        MapUpgrade { map: name.to_owned(), fate, reason: None, data, misread: Vec::new() }
    }

    fn record() -> RunRecord {
        let kernels = vec![sample::kernel("5.10"), sample::kernel("7.3"), sample::kernel("8.0")];
        let mut record = sample::assemble(kernels, vec![sample::object("new", &[("p", "kprobe/x")])], |_, _, _| {
            (Verdict::Loaded, None)
        });
        let data = || Some(MapData::Survives { entries: 8 });
        let mut changed = map("changed", MapFate::Reused, data());
        changed.misread = vec!["`count` at offset 8 is read as `bytes`".to_owned()];
        let mut refused = map("sized", MapFate::Refused, None);
        refused.reason = Some("value_size 16 -> 24".to_owned());
        let all = vec![map("same", MapFate::Reused, data()), changed, refused, map("added", MapFate::New, None)];
        for cell in &mut record.cells[..2] {
            cell.upgrade = Some(UpgradeRecord { from: "old".to_owned(), problem: None, maps: all.clone() });
        }
        record.cells[1].upgrade.as_mut().unwrap().maps.truncate(2);
        record.kernels[2].state = KernelState::Unavailable { reason: "it is missing".to_owned(), hint: None };
        record.cells[2].programs[0].verdict = Verdict::NotRun;
        record
    }

    #[test]
    fn maps_are_shown_by_kernel_with_what_is_to_know() {
        let report = UpgradeReport::of(&record());
        insta::assert_snapshot!(report.render(100), @"
        new instead of old
                   5.10     7.3
          same     reused   reused
          changed  misread  misread
          sized    refused  -
          added    new      -

          `same` reused: 8 entries survive (on all 2 kernels)
          `changed` reused: 8 entries survive (on all 2 kernels)
          `changed` misread: the data survives, but `count` at offset 8 is read as `bytes` (on all 2
              kernels)
          `sized` refused: value_size 16 -> 24 (on 5.10)

        kernel 8.0: not run: it is missing
        6 maps checked: 3 maps refused, lost or misread, 0 programs not loaded
        ");
        assert_eq!(report.exit_code(&record()), exit_code::PROGRAM_FAILED);
    }

    #[test]
    fn only_trouble_is_red() {
        let mut record = record();
        record.kernels.truncate(1);
        record.cells.truncate(1);
        let maps = &mut record.cells[0].upgrade.as_mut().unwrap().maps;
        maps.retain(|map| !map.is_trouble());
        let code = |record: &RunRecord| UpgradeReport::of(record).exit_code(record);
        assert_eq!(code(&record), exit_code::GOOD);
        record.cells[0].upgrade.as_mut().unwrap().problem = Some("it cannot be prepared".to_owned());
        assert_eq!(code(&record), exit_code::INFRASTRUCTURE);
    }
}
