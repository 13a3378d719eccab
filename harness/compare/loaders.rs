//! [`loader_differences`]: what differs between the loaders that judged the same object on the same kernels.

use crate::loader::LIBBPF;
use crate::record::{
    CellRecord, CreatedMap, LoaderRecord, ObjectRecord, ProgramRecord, RelocationOutcome, RunRecord, Verdict,
};

/// What several loaders make of one thing of an object, on the kernels where they do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderDifference {
    /// The object of the first loader, as an index.
    pub object: usize,
    /// The kernels, as indexes.
    pub kernels: Vec<usize>,
    /// What they make another thing of.
    pub of: LoaderSubject,
    /// Each loader with what it makes of it, in words.
    pub sides: Vec<(String, String)>,
}

/// What loaders make different things of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoaderSubject {
    /// The verdicts of programs.
    Programs(Vec<String>),
    /// The value of a relocation: the function that has it, and what it asks for.
    Relocation(String),
    /// The definition of a map.
    Map(String),
}

impl LoaderDifference {
    /// The difference as one line without object and kernels: `` `probe`: loaded by libbpf; failed to open by aya ``.
    pub fn line(&self) -> String {
        let what = match &self.of {
            LoaderSubject::Programs(names) => {
                names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            }
            LoaderSubject::Relocation(asked) => asked.clone(),
            LoaderSubject::Map(map) => format!("map `{map}`"),
        };
        let sides: Vec<String> = self.sides.iter().map(|(loader, words)| format!("{loader}: {words}")).collect();
        format!("{what}: {}", sides.join("; "))
    }
}

/// The name of the loader of an object.
fn loader_name(object: &ObjectRecord) -> String {
    object.loader.as_ref().map_or_else(|| LIBBPF.to_owned(), LoaderRecord::label)
}

/// What differs between the loaders of a run, in the order of its objects; what is the same on several kernels or for several programs
/// once. What was not tried on at least two sides is left out.
pub fn loader_differences(record: &RunRecord) -> Vec<LoaderDifference> {
    let mut found = Vec::new();
    for (o, object) in record.objects.iter().enumerate() {
        let beside = |other: &&ObjectRecord| other.beside.as_ref() == Some(&object.name);
        let others: Vec<usize> =
            record.objects.iter().enumerate().filter(|(_, other)| beside(other)).map(|(other, _)| other).collect();
        if others.is_empty() {
            continue;
        }
        let rows: Vec<usize> = std::iter::once(o).chain(others).collect();
        let mut of_object = Vec::new();
        for kernel in 0..record.kernels.len() {
            let sides: Vec<Side<'_>> = rows
                .iter()
                .map(|&row| Side { loader: loader_name(&record.objects[row]), cell: record.cell(row, kernel) })
                .collect();
            for (of, sides) in differences_of_cells(object, &sides) {
                add(&mut of_object, LoaderDifference { object: o, kernels: vec![kernel], of, sides });
            }
        }
        found.extend(of_object);
    }
    found
}

/// What one loader did on one kernel.
struct Side<'a> {
    loader: String,
    cell: &'a CellRecord,
}

/// Adds a difference; the same on another kernel, or of another program on the same kernels, is not reported twice.
fn add(all: &mut Vec<LoaderDifference>, new: LoaderDifference) {
    if let Some(known) = all.iter_mut().find(|known| known.of == new.of && known.sides == new.sides) {
        known.kernels.extend(new.kernels);
    } else {
        all.push(new);
    }
}

fn differences_of_cells(object: &ObjectRecord, sides: &[Side<'_>]) -> Vec<(LoaderSubject, Vec<(String, String)>)> {
    let mut found: Vec<(LoaderSubject, Vec<(String, String)>)> = Vec::new();
    for program in &object.programs {
        let of_program =
            |side: &Side<'_>| side.cell.programs.iter().find(|one| one.name == program.name).and_then(verdict_in_words);
        let Some(words) = differing(sides, of_program) else { continue };
        // Programs that fare alike are one difference.
        match found.iter_mut().find(|(_, known)| *known == words) {
            Some((LoaderSubject::Programs(names), _)) => names.push(program.name.clone()),
            _ => found.push((LoaderSubject::Programs(vec![program.name.clone()]), words)),
        }
    }
    for (number, asked) in object.relocations.iter().enumerate() {
        // Each loader numbers the object's own types in its own way.
        if asked.kind == "local_type_id" {
            continue;
        }
        let of_relocation =
            |side: &Side<'_>| value(&side.cell.relocations.iter().find(|one| one.relocation == number)?.outcome);
        let Some(words) = differing(sides, of_relocation) else { continue };
        let local = sides.iter().find_map(|side| side.cell.relocations.get(number).map(|one| one.local.as_str()));
        let what = format!("`{}`: {} {}", asked.function, asked.kind, local.unwrap_or_default());
        found.push((LoaderSubject::Relocation(what.trim_end().to_owned()), words));
    }
    let mut names: Vec<&str> = Vec::new();
    for map in sides.iter().flat_map(|side| maps(side.cell)) {
        if !names.contains(&map.map.as_str()) {
            names.push(&map.map);
        }
    }
    for name in names {
        let settings = |side: &Side<'_>| {
            maps(side.cell).iter().find(|map| map.map == name).map(|map| (side.loader.clone(), map.settings()))
        };
        let known: Vec<(String, Vec<String>)> = sides.iter().filter_map(settings).collect();
        let shared = |setting: &String| known.iter().all(|(_, settings)| settings.contains(setting));
        let only = |(loader, settings): &(String, Vec<String>)| {
            let own: Vec<&str> = settings.iter().filter(|one| !shared(one)).map(String::as_str).collect();
            (loader.clone(), if own.is_empty() { "nothing more".to_owned() } else { own.join(", ") })
        };
        if known.iter().any(|(_, settings)| *settings != known[0].1) {
            found.push((LoaderSubject::Map(name.to_owned()), known.iter().map(only).collect()));
        }
    }
    found
}

fn maps(cell: &CellRecord) -> &[CreatedMap] {
    cell.loader.as_ref().map_or(&[], |loader| &loader.maps)
}

/// Each loader with its words, if there are at least two and they are not all the same.
fn differing(sides: &[Side<'_>], words: impl Fn(&Side<'_>) -> Option<String>) -> Option<Vec<(String, String)>> {
    let known: Vec<(String, String)> =
        sides.iter().filter_map(|side| Some((side.loader.clone(), words(side)?))).collect();
    let first = &known.first()?.1;
    known.iter().any(|(_, words)| words != first).then_some(known)
}

/// The verdict, and the cause where that says more. `None` for a program that was not tried.
fn verdict_in_words(program: &ProgramRecord) -> Option<String> {
    match (program.verdict, program.cause) {
        (Verdict::NotRun, _) => None,
        (verdict, Some(cause)) if cause.label() != verdict.label() => Some(format!("{verdict} ({cause})")),
        (verdict, _) => Some(verdict.label().to_owned()),
    }
}

/// The value of a relocation that was tried, in words. What an instruction holds of it is 32 bits.
fn value(outcome: &RelocationOutcome) -> Option<String> {
    match outcome {
        RelocationOutcome::Poisoned => Some("poisoned".to_owned()),
        RelocationOutcome::Resolved { new, .. } | RelocationOutcome::NoMatch { new, .. } => {
            Some((*new & u64::from(u32::MAX)).to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::{Cause, LoaderChoice, LoaderEvidence, LoaderRecord, MapDefinition, RelocationRecord, sample};

    /// One object, judged by libbpf and by aya on two kernels.
    fn record() -> RunRecord {
        let mut record = sample::large(20, 2);
        let name = record.objects[0].name.clone();
        let (programs, relocations) = (record.objects[0].programs.clone(), record.objects[0].relocations.clone());
        let other = &mut record.objects[1];
        (other.name, other.programs, other.relocations) = (format!("{name}@aya"), programs, relocations);
        other.beside = Some(name);
        let (name, sha256) = ("aya".to_owned(), Some(String::new()));
        other.loader = Some(LoaderRecord { name, sha256, chosen: LoaderChoice::Option });
        let cells = record.cells.clone();
        record.cells[2..4].clone_from_slice(&cells[..2]);
        record
    }

    fn lines(record: &RunRecord) -> Vec<String> {
        loader_differences(record).iter().map(|one| format!("{} {:?}", one.line(), one.kernels)).collect()
    }

    #[test]
    fn loaders_that_agree_are_not_told() {
        assert_eq!(lines(&record()), Vec::<String>::new());
    }

    #[test]
    fn verdicts_relocations_and_maps_are_compared() {
        let mut record = record();
        let program = record.objects[0].programs[0].name.clone();
        for kernel in 0..2 {
            for (cell, value, entries) in [(kernel, 8, 1), (2 + kernel, 16, 2)] {
                let cell = &mut record.cells[cell];
                cell.programs[0].verdict = Verdict::Loaded;
                cell.programs[0].cause = None;
                let outcome = RelocationOutcome::Resolved { old: 0, new: value };
                let local = "struct x.y (0:1 @ offset 4)".to_owned();
                let (candidates, verifier_insns) = (Vec::new(), Vec::new());
                cell.relocations = vec![RelocationRecord {
                    relocation: 0,
                    local,
                    candidates,
                    outcome,
                    verifier_insns,
                    predicted: None,
                }];
                let definition =
                    MapDefinition { key_size: Some(4), max_entries: Some(entries), ..MapDefinition::default() };
                let maps = vec![CreatedMap { map: "m".to_owned(), definition, ..CreatedMap::default() }];
                cell.loader = Some(LoaderEvidence { maps, ..LoaderEvidence::default() });
            }
            let refused = &mut record.cells[2 + kernel].programs[0];
            (refused.verdict, refused.cause) = (Verdict::FailedToOpen, Some(Cause::Unrecognised));
        }
        record.objects[0].relocations.truncate(1);
        let asked = record.objects[0].relocations.first().map(|asked| (asked.function.clone(), asked.kind.clone()));
        let mut expected = vec![format!("`{program}`: libbpf: loaded; aya: failed to open (unrecognised) [0, 1]")];
        if let Some((function, kind)) = asked {
            expected.push(format!("`{function}`: {kind} struct x.y (0:1 @ offset 4): libbpf: 8; aya: 16 [0, 1]"));
        }
        expected.push("map `m`: libbpf: max_entries = 1; aya: max_entries = 2 [0, 1]".to_owned());
        assert_eq!(lines(&record), expected);
    }
}
