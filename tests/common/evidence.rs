//! What every run has to leave behind: a record of each relocation, and a cause of each failure.

use corematrix::record::Cause;
use corematrix::record::RelocationOutcome;
use corematrix::record::RunRecord;
use corematrix::record::Verdict;

/// Relocations on the given kernels (by index) without a record that agrees with the relocated instructions.
pub fn missing_records(record: &RunRecord, kernels: &[usize]) -> Vec<String> {
    let mut missing = Vec::new();
    for (number, object) in record.objects.iter().enumerate() {
        for index in kernels {
            let cell = record.cell(number, *index);
            let place = format!("{} on {}", cell.object, cell.kernel);
            let (found, wanted) = (cell.relocations.len(), object.relocations.len());
            if found != wanted || cell.defective_records() > 0 {
                let defective = cell.defective_records();
                missing.push(format!("{place}: {found} records, {defective} defective, of {wanted} relocations"));
            }
            let otherwise = cell.relocations.iter().filter(|one| one.predicted.is_some()).count();
            if otherwise > 0 {
                missing.push(format!("{place}: {otherwise} relocations came to something else than the types say"));
            }
            // Where a strong extern is missing libbpf stops before the relocations, on a real machine too.
            let stopped = cell.externs.iter().any(|one| !one.weak && one.resolved.is_none());
            let unread = cell.relocations.iter().filter(|one| one.outcome == RelocationOutcome::NotReached).count();
            if unread > 0 && !stopped {
                missing.push(format!("{place}: libbpf never got to {unread} relocations"));
            }
        }
    }
    missing
}

/// Programs that failed on the given kernels (by index) for no known cause.
pub fn missing_causes(record: &RunRecord, kernels: &[usize]) -> Vec<String> {
    let mut missing = Vec::new();
    for cell in
        (0..record.objects.len()).flat_map(|object| kernels.iter().map(move |kernel| record.cell(object, *kernel)))
    {
        for program in &cell.programs {
            let unexplained = program.cause.is_none() && program.verdict != Verdict::Loaded;
            if unexplained || program.cause == Some(Cause::Unrecognised) {
                let (name, cause) = (&program.name, program.cause);
                missing.push(format!("{} on {}: {name} failed and its cause is {cause:?}", cell.object, cell.kernel));
            }
        }
    }
    missing
}
