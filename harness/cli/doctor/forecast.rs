//! What the chosen matrix will take of disk, memory and time, from what this machine has done before.

use bytesize::ByteSize;

use crate::cli::MachineArgs;
use crate::cli::answer::{Estimate, Forecast};
use crate::cli::failure::{Failure, store_failure};
use crate::cli::run::{LATEST, REPORTS};
use crate::matrix::{Matrix, Project};
use crate::plan::Plan;
use crate::record::{RunRecord, json};
use crate::store::FolderKind;
use crate::suite::Settings;
use crate::vm::Accelerator;

/// What a kernel takes in the store, where no stored kernel shows it: the default kernels' mean.
const KERNEL_BYTES: u64 = 190 << 20;
/// The same of a snapshot.
const SNAPSHOT_BYTES: u64 = 60 << 20;
/// Milliseconds of a boot under emulation, and under KVM, where nothing was measured.
const BOOT_MS: (u64, u64) = (3000, 1000);
/// The same of a restored guest with one object.
const CELL_MS: (u64, u64) = (600, 300);

/// What is known about this machine and the matrix.
#[derive(Debug, Default)]
struct Known {
    /// How many kernels.
    kernels: usize,
    /// Bytes of each kernel in the store, of those that are chosen.
    stored: Vec<u64>,
    /// How many of the chosen are not in the store.
    to_fetch: usize,
    /// Bytes of each snapshot of the chosen kernels.
    snapshots: Vec<u64>,
    /// How many of the chosen have no snapshot.
    to_boot: usize,
    guests: usize,
    guest_mib: u64,
    /// Milliseconds of boots that the store remembers.
    boots: Vec<u64>,
    /// Milliseconds of the cells of the latest run, guests' starts included.
    cells: Vec<u64>,
    is_emulated: bool,
}

pub(super) fn of(project: &Project, machine: &MachineArgs) -> Result<Forecast, Failure> {
    let kernels = project.kernels(&machine.kernel)?;
    let (folders, snapshots) =
        (project.store.folders().map_err(store_failure)?, project.store.snapshots().map_err(store_failure)?);
    let matrix = Matrix::new(project, machine.options()?);
    let plan = Plan::new(kernels, Vec::new(), &Settings::default());
    let accelerator = matrix.accelerator(&plan.kernels, &|_| ())?.accelerator;
    let jobs = matrix.jobs();
    let guest_mib = plan.kernels.iter().map(|kernel| kernel.memory_mib).max().unwrap_or_default();
    let mut known = Known {
        kernels: plan.kernels.len(),
        guests: jobs.count_of(guest_mib).min(plan.kernels.len()),
        guest_mib,
        is_emulated: accelerator == Accelerator::Tcg,
        ..Known::default()
    };
    let latest = json::read(&project.folder.join(REPORTS).join(LATEST).join("report.json")).ok();
    let latest = latest.filter(|record| record.tool.accel == accelerator.to_string());
    known.cells = latest.as_ref().map(cells).unwrap_or_default();
    for spec in &plan.kernels {
        let own = |folder: &&crate::store::StoredFolder| {
            folder.kind == FolderKind::Kernel && folder.kernel.as_ref() == Some(&spec.name)
        };
        match folders.iter().filter(own).map(|folder| folder.bytes()).max() {
            Some(bytes) => known.stored.push(bytes),
            None => known.to_fetch += 1,
        }
        match snapshots.iter().find(|snapshot| snapshot.kernel == spec.name) {
            Some(snapshot) => known.snapshots.push(snapshot.bytes),
            None => known.to_boot += 1,
        }
        let stored = project.store.kernel(spec, &project.lock, true, &|_| ()).ok();
        let proofs = stored.map(|stored| project.store.proofs(&stored.identity)).unwrap_or_default();
        let own = proofs.iter().filter(|proof| proof.accelerator == accelerator.to_string());
        known.boots.extend(own.filter_map(|proof| proof.hello_ms));
    }
    Ok(known.forecast())
}

/// What each cell of a run took, the start of its guest included.
fn cells(record: &RunRecord) -> Vec<u64> {
    let starts: Vec<u64> = record.kernels.iter().flat_map(|kernel| kernel.restore_ms.clone()).collect();
    let start = mean(&starts).unwrap_or_default();
    let ran = record.cells.iter().filter(|cell| cell.wall_ms > 0);
    ran.map(|cell| cell.wall_ms + start).collect()
}

fn mean(values: &[u64]) -> Option<u64> {
    let total: u64 = values.iter().fold(0, |total, value| total.saturating_add(*value));
    (!values.is_empty()).then(|| total / values.len() as u64)
}

impl Known {
    fn forecast(&self) -> Forecast {
        // What is not needed is not guessed.
        let known = |count: usize, values: &[u64]| count == 0 || !values.is_empty();
        let each = |values: &[u64], guess: u64| mean(values).unwrap_or(guess);
        let times = |count: usize, each: u64| each.saturating_mul(count as u64);
        let disk = times(self.to_fetch, each(&self.stored, KERNEL_BYTES))
            .saturating_add(times(self.to_boot, each(&self.snapshots, SNAPSHOT_BYTES)));
        let disk_is_known = known(self.to_fetch, &self.stored) && known(self.to_boot, &self.snapshots);
        let of = |(emulated, kvm): (u64, u64)| if self.is_emulated { emulated } else { kvm };
        let (boot, cell) = (each(&self.boots, of(BOOT_MS)), each(&self.cells, of(CELL_MS)));
        let work = times(self.to_boot, boot).saturating_add(times(self.kernels, cell));
        let time_is_known = known(self.to_boot, &self.boots) && known(self.kernels, &self.cells);
        let word = |is_known: bool| {
            if is_known { "measured here" } else { "partly estimated: not yet measured on this machine" }
        };
        Forecast {
            kernels: self.kernels,
            to_fetch: self.to_fetch,
            to_boot: self.to_boot,
            guests: self.guests,
            disk_bytes: Estimate {
                value: disk,
                measured: disk_is_known,
                basis: format!("{} to fetch, {} to snapshot; {}", self.to_fetch, self.to_boot, word(disk_is_known)),
            },
            memory_bytes: Estimate {
                value: times(self.guests, self.guest_mib << 20),
                measured: true,
                basis: format!(
                    "{} guests at once with {} MiB each, plus the overhead of QEMU",
                    self.guests, self.guest_mib
                ),
            },
            time_ms: Estimate {
                value: work / (self.guests.max(1) as u64),
                measured: time_is_known,
                basis: format!(
                    "{} boots of {boot} ms, {} cells of {cell} ms, without downloads; {}",
                    self.to_boot,
                    self.kernels,
                    word(time_is_known)
                ),
            },
        }
    }
}

impl Forecast {
    /// The forecast as lines, for people.
    pub(super) fn lines(&self) -> [(&'static str, String); 3] {
        let Forecast { disk_bytes, memory_bytes, time_ms, .. } = self;
        let seconds = std::time::Duration::from_millis(time_ms.value);
        [
            ("will store", format!("{} more ({})", ByteSize(disk_bytes.value), disk_bytes.basis)),
            ("will use", format!("{} of memory ({})", ByteSize(memory_bytes.value), memory_bytes.basis)),
            (
                "will take",
                format!(
                    "{:.1} s for one object on {} kernels ({})",
                    seconds.as_secs_f64(),
                    self.kernels,
                    time_ms.basis
                ),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_told_from_what_is_a_guess() {
        let fresh = Known {
            kernels: 2,
            to_fetch: 2,
            to_boot: 2,
            guests: 2,
            guest_mib: 512,
            is_emulated: true,
            ..Known::default()
        };
        let warm = Known {
            stored: vec![100 << 20, 200 << 20],
            to_fetch: 0,
            snapshots: vec![50 << 20],
            to_boot: 1,
            boots: vec![2000],
            cells: vec![400, 600],
            ..Known { kernels: 2, guests: 2, guest_mib: 512, is_emulated: true, ..Known::default() }
        };
        let lines = [fresh, warm]
            .map(|known| known.forecast().lines().map(|(name, text)| format!("{name}: {text}")).join("\n"));
        insta::assert_snapshot!(lines.join("\n\n"));
    }
}
