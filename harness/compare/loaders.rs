//! [`loader_differences`]: what differs between the loaders that judged the same object on the same kernels.

use crate::loader::LIBBPF;
use crate::record::{CellRecord, CreatedMap, ObjectRecord, ProgramRecord, RelocationOutcome, RunRecord, Verdict};

/// What two loaders make of one object, on the kernels that share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderDifference {
    /// The object of the first loader, as an index.
    pub object: usize,
    /// That of the other one.
    pub other: usize,
    /// The kernels, as indexes.
    pub kernels: Vec<usize>,
    /// What differs.
    pub what: LoaderChange,
}

/// What differs between two loaders; the other one's second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoaderChange {
    /// The verdict of a program, in words.
    Verdict {
        /// The program.
        program: String,
        /// What became of it.
        verdicts: [String; 2],
    },
    /// The value that a relocation has.
    Relocation {
        /// What is asked, and the function that asks.
        asked: String,
        /// The values in words.
        values: [String; 2],
    },
    /// What the kernel was asked to create.
    Map {
        /// The map.
        map: String,
        /// The members of its definition that differ: `max_entries = 4096`.
        definitions: [String; 2],
    },
}

impl LoaderDifference {
    /// The difference as one line without kernels: `opensnoop/probe: libbpf: loaded; aya: failed to open`.
    pub fn line(&self, record: &RunRecord) -> String {
        let [one, other] = [self.object, self.other].map(|object| loader_name(&record.objects[object]));
        let name = record.objects[self.object].base_name();
        let (what, [first, second]) = match &self.what {
            LoaderChange::Verdict { program, verdicts } => (format!("{name}/{program}"), verdicts),
            LoaderChange::Relocation { asked, values } => (format!("{name}/{asked}"), values),
            LoaderChange::Map { map, definitions } => (format!("{name}: map `{map}`"), definitions),
        };
        format!("{what}: {one}: {first}; {other}: {second}")
    }
}

/// The name of the loader of an object.
pub fn loader_name(object: &ObjectRecord) -> &str {
    object.loader.as_ref().map_or(LIBBPF, |loader| &loader.name)
}

/// What differs between the loaders of a run, in the order of its objects; what is the same on several kernels once. Cells that were not
/// judged on both sides are left out.
pub fn loader_differences(record: &RunRecord) -> Vec<LoaderDifference> {
    let mut found: Vec<LoaderDifference> = Vec::new();
    for (other, of) in record.objects.iter().enumerate().filter_map(|(o, object)| Some((o, object.beside.as_ref()?))) {
        let Some(object) = record.objects.iter().position(|object| object.name == *of) else { continue };
        for kernel in 0..record.kernels.len() {
            let [one, two] = [object, other].map(|o| record.cell(o, kernel));
            for what in changes(&record.objects[object], one, two) {
                match found
                    .iter_mut()
                    .find(|known| known.object == object && known.other == other && known.what == what)
                {
                    Some(known) => known.kernels.push(kernel),
                    None => found.push(LoaderDifference { object, other, kernels: vec![kernel], what }),
                }
            }
        }
    }
    found
}

fn changes(object: &ObjectRecord, one: &CellRecord, other: &CellRecord) -> Vec<LoaderChange> {
    let mut changes = Vec::new();
    let programs = one.programs.iter().filter_map(|program| {
        let second = other.programs.iter().find(|second| second.name == program.name)?;
        let pair = [program, second];
        let same = program.verdict == second.verdict && program.cause == second.cause;
        let tried = pair.iter().all(|program| program.verdict != Verdict::NotRun);
        (!same && tried)
            .then(|| LoaderChange::Verdict { program: program.name.clone(), verdicts: pair.map(verdict_in_words) })
    });
    changes.extend(programs);
    for first in &one.relocations {
        let Some(second) = other.relocations.iter().find(|second| second.relocation == first.relocation) else {
            continue;
        };
        if let (Some(a), Some(b)) = (value(&first.outcome), value(&second.outcome))
            && a != b
        {
            let function = object.relocations.get(first.relocation).map_or("", |asked| asked.function.as_str());
            let asked = format!("{function}: {}", if first.local.is_empty() { &second.local } else { &first.local });
            changes.push(LoaderChange::Relocation { asked, values: [a, b] });
        }
    }
    let maps = |cell: &CellRecord| cell.loader.as_ref().map(|loader| loader.maps.clone()).unwrap_or_default();
    let theirs = maps(other);
    for map in maps(one) {
        let Some(second) = theirs.iter().find(|second| second.map == map.map) else { continue };
        if let Some(definitions) = differ(&map, second) {
            changes.push(LoaderChange::Map { map: map.map, definitions });
        }
    }
    changes
}

fn verdict_in_words(program: &ProgramRecord) -> String {
    match (&program.reason, program.cause) {
        (_, None) => program.verdict.label().to_owned(),
        (None, Some(cause)) => format!("{} ({cause})", program.verdict),
        (Some(reason), Some(_)) => format!("{} ({reason})", program.verdict),
    }
}

/// The value of a relocation that was tried, in words. A value in 32 bits is what an instruction holds.
fn value(outcome: &RelocationOutcome) -> Option<String> {
    match outcome {
        RelocationOutcome::Poisoned => Some("poisoned".to_owned()),
        RelocationOutcome::Resolved { new, .. } | RelocationOutcome::NoMatch { new, .. } => {
            Some((*new & u64::from(u32::MAX)).to_string())
        }
        _ => None,
    }
}

/// The members of two definitions that differ.
fn differ(one: &CreatedMap, other: &CreatedMap) -> Option<[String; 2]> {
    let settings = |map: &CreatedMap| map.settings();
    let (a, b) = (settings(one), settings(other));
    let only = |mine: &[String], theirs: &[String]| {
        let only: Vec<&str> = mine.iter().filter(|setting| !theirs.contains(setting)).map(String::as_str).collect();
        if only.is_empty() { "nothing more".to_owned() } else { only.join(", ") }
    };
    (a != b).then(|| [only(&a, &b), only(&b, &a)])
}
