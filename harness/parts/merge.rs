//! [`merge`]: the records of all parts of a run make the record of the run.

use crate::record::{CellRecord, KernelRecord, KernelState, PartitionRecord, RunRecord};

/// Why records are not the parts of one run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// One of them was run without `--partition`.
    #[error("run {run} is not a part: it was run without `--partition`")]
    NotAPart {
        /// Which one, counted from 1.
        run: usize,
    },
    /// They do not belong together.
    #[error("parts {first} and {other} are not of one run: {what}")]
    Mixed {
        /// The one, as `1/3`.
        first: String,
        /// The other.
        other: String,
        /// What differs, as a lowercase fragment.
        what: String,
    },
    /// Not all of them are there.
    #[error("{} missing", match &.missing[..] { [one] => format!("part {one} is"), all => format!("parts {} are", all.join(", ")) })]
    Missing {
        /// Those that are not there, as `2/3`.
        missing: Vec<String>,
    },
    /// One of them is there twice.
    #[error("part {part} was given twice")]
    Twice {
        /// Which, as `2/3`.
        part: String,
    },
    /// The parts together have not all objects of the run.
    #[error("no part has the object `{object}`")]
    Lacking {
        /// The object's name.
        object: String,
    },
}

impl MergeError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                MergeError::NotAPart { .. } => "name the reports of all parts of `corematrix run --partition k/n`",
                MergeError::Missing { .. } => "run it, or name its report, too: the matrix is incomplete without it",
                MergeError::Twice { .. } => "name the report of each part once",
                MergeError::Mixed { .. } | MergeError::Lacking { .. } => {
                    "run all parts with the same objects, kernels, `kernels.lock` and corematrix"
                }
            }
            .to_owned(),
        )
    }
}

/// Merges the parts of a run, given in any order: objects and cells are where an undivided run has them.
///
/// # Errors
/// They are not all the parts of one run.
pub fn merge(parts: &[RunRecord]) -> Result<RunRecord, MergeError> {
    let sorted = in_order(parts)?;
    let Some((first, head)) = sorted.first() else { return Err(MergeError::NotAPart { run: 1 }) };
    let all = &head.objects;
    let mut objects = Vec::with_capacity(all.len());
    let mut cells: Vec<CellRecord> = Vec::new();
    for name in all {
        let place = |(record, _): &(&RunRecord, _)| record.objects.iter().position(|object| object.name == *name);
        let found = sorted.iter().find_map(|part| Some((part.0, place(part)?)));
        let (record, object) = found.ok_or_else(|| MergeError::Lacking { object: name.clone() })?;
        objects.push(record.objects[object].clone());
        cells.extend((0..record.kernels.len()).map(|kernel| record.cell(object, kernel).clone()));
    }
    let records = || sorted.iter().map(|(record, _)| *record);
    let mut notices: Vec<String> = Vec::new();
    records().for_each(|record| add_new(&mut notices, &record.notices));
    Ok(RunRecord {
        schema_version: first.schema_version,
        tool: first.tool.clone(),
        started: records().map(|record| record.started.clone()).min().unwrap_or_default(),
        // The end of a part that was killed is not known, and neither is that of the run.
        finished: records()
            .map(|record| record.finished.clone())
            .collect::<Option<Vec<_>>>()
            .and_then(|all| all.into_iter().max()),
        interrupted: records().any(|record| record.interrupted),
        kernels: (0..first.kernels.len()).map(|k| kernel(records().map(|record| &record.kernels[k]))).collect(),
        objects,
        cells,
        notices,
        // Every part has those of the whole plan.
        alternatives: first.alternatives.clone(),
        optional: first.optional.clone(),
        minimum_coverage: first.minimum_coverage,
        partition: None,
    })
}

/// The parts by number, checked to be all of one run.
fn in_order(parts: &[RunRecord]) -> Result<Vec<(&RunRecord, &PartitionRecord)>, MergeError> {
    let mut sorted = Vec::with_capacity(parts.len());
    for (index, record) in parts.iter().enumerate() {
        let partition = record.partition.as_ref().ok_or(MergeError::NotAPart { run: index + 1 })?;
        sorted.push((record, partition));
    }
    sorted.sort_by_key(|(_, partition)| partition.part.number);
    let Some((first, head)) = sorted.first() else { return Ok(sorted) };
    for (record, partition) in &sorted[1..] {
        let mixed =
            |what: String| MergeError::Mixed { first: head.part.to_string(), other: partition.part.to_string(), what };
        if let Some(what) = difference((first, head), (record, partition)) {
            return Err(mixed(what));
        }
    }
    if let Some(two) = sorted.windows(2).find(|two| two[0].1.part.number == two[1].1.part.number) {
        return Err(MergeError::Twice { part: two[0].1.part.to_string() });
    }
    let of = head.part.of;
    // Counted before they are listed: a damaged report must not make a list of a billion.
    if sorted.len() < of {
        let there = |number: usize| sorted.iter().any(|(_, partition)| partition.part.number == number);
        let missing = (1..=of).filter(|number| !there(*number)).take(MOST_NAMED);
        return Err(MergeError::Missing { missing: missing.map(|number| format!("{number}/{of}")).collect() });
    }
    Ok(sorted)
}

/// Missing parts that an error names.
const MOST_NAMED: usize = 10;

/// Why two parts cannot be of one run.
fn difference(a: (&RunRecord, &PartitionRecord), b: (&RunRecord, &PartitionRecord)) -> Option<String> {
    if a.1.part.of != b.1.part.of {
        return Some("they are of runs with different numbers of parts".to_owned());
    }
    if a.1.objects != b.1.objects {
        return Some("their objects differ".to_owned());
    }
    let (a, b) = (a.0, b.0);
    if (&a.tool.corematrix, &a.tool.libbpf) != (&b.tool.corematrix, &b.tool.libbpf) {
        let words =
            |tool: &crate::record::ToolRecord| format!("corematrix {} with libbpf {}", tool.corematrix, tool.libbpf);
        return Some(format!("one was run by {}, another by {}", words(&a.tool), words(&b.tool)));
    }
    let names = |record: &'_ RunRecord| record.kernels.iter().map(|kernel| kernel.name.clone()).collect::<Vec<_>>();
    if names(a) != names(b) {
        return Some(format!(
            "the kernels are {} in one part and {} in another",
            names(a).join(", "),
            names(b).join(", ")
        ));
    }
    let builds =
        a.kernels.iter().zip(&b.kernels).filter_map(|(a, b)| Some((a, a.identity.as_ref()?, b.identity.as_ref()?)));
    let other = builds.into_iter().find(|(_, a, b)| a != b)?;
    Some(format!(
        "kernel {} is {} in one part and {} in another, or another build",
        other.0.name, other.1.release, other.2.release
    ))
}

/// One kernel as all parts know it: ready if it was ready for any, since cells without a guest say so themselves.
fn kernel<'a>(seen: impl Iterator<Item = &'a KernelRecord> + Clone) -> KernelRecord {
    let rank = |state: &KernelState| match state {
        KernelState::Ready => 0,
        KernelState::BootFailed { .. } => 1,
        KernelState::HarnessFailed { .. } => 2,
        KernelState::Predicted { .. } => 3,
        KernelState::Unavailable { .. } => 4,
        KernelState::Pending => 5,
    };
    let best = seen.clone().min_by_key(|kernel| rank(&kernel.state));
    let Some(mut merged) = best.cloned() else { unreachable!("a merge needs at least one part") };
    merged.hello_ms = seen.clone().flat_map(|kernel| kernel.hello_ms.iter().copied()).collect();
    merged.restore_ms = seen.clone().flat_map(|kernel| kernel.restore_ms.iter().copied()).collect();
    merged.notes.clear();
    for kernel in seen {
        add_new(&mut merged.notes, &kernel.notes);
        if merged.state == KernelState::Ready
            && let KernelState::BootFailed { reason, .. }
            | KernelState::HarnessFailed { reason, .. }
            | KernelState::Unavailable { reason, .. } = &kernel.state
        {
            add_new(&mut merged.notes, &[format!("unusable in one of the parts: {reason}")]);
        }
    }
    merged
}

/// Adds what is not there yet.
fn add_new(known: &mut Vec<String>, new: &[String]) {
    for text in new {
        if !known.contains(text) {
            known.push(text.clone());
        }
    }
}
