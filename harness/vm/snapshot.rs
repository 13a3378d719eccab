//! Saving a guest that said hello as a [`Snapshot`], and the [`SnapshotKey`] with what it depends on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::channel::Port;
use super::compose::Words;
use super::machine::{AFTERMATH, GuestLink, GuestLoss, Machine, MachineSpec};
use super::memory::GuestMemory;
use super::qmp::{Limit, Monitor, Qmp, QmpError};
use super::{Accelerator, GuestExecutable, accelerator};
use crate::protocol::{GuestMessage, HostMessage, ModuleLoad};
use crate::store::{Seal, Snapshot, SnapshotKey, SnapshotPlace, Store, StoreError};

/// The guest's RAM, in a snapshot.
pub(super) const RAM: &str = "ram";
/// Everything else of the machine, in a snapshot.
pub(super) const STATE: &str = "state";
/// Stands for the machine's directory in a saved command.
pub(super) const SCRATCH: &str = "@scratch@";
/// How a connection breaks whose other end is gone.
const HUNG_UP: [io::ErrorKind; 3] =
    [io::ErrorKind::ConnectionReset, io::ErrorKind::UnexpectedEof, io::ErrorKind::BrokenPipe];
/// What the guest's CPU is called in a key.
pub const CPU: &str = "the CPU";
/// Raised when what is saved changes its meaning, or when snapshots of earlier versions are not to be trusted: those of format 1 may
/// be of a guest that was emulated and have KVM's key, since `--accel kvm` emulated where /dev/kvm could not be opened; those of format 2
/// have the place of the store in them; those of format 3 need the kernel's image; those of format 4 do not hold what the guest said of itself.
const FORMAT: &str = "5";

/// What it takes to snapshot a machine.
#[derive(Debug)]
pub(super) struct Recording {
    pub memory: GuestMemory,
    /// The command without its memory and what the kernel is started from.
    pub words: Words,
    pub monitor: Monitor,
}

/// What a snapshot says of its machine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedMachine {
    /// QEMU's command, with [`SCRATCH`] for the machine's directory. A kernel that runs does not need its image, which each QEMU would
    /// hold in memory.
    pub command: Words,
    /// Where the guest listens.
    pub port: Port,
    /// What could not be set up in the guest and is not vital.
    pub notes: Vec<String>,
    /// What became of the modules that it had to load.
    pub modules: Vec<ModuleLoad>,
}

/// Why a machine could not be saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// It was not booted for that, or has not answered yet.
    #[error("the guest was not booted to be saved")]
    NotRecorded,
    /// The guest did not get ready.
    #[error("the guest did not settle: {0}")]
    Unsettled(String),
    /// QEMU did not do it.
    #[error(transparent)]
    Qmp(#[from] QmpError),
    /// No room, most likely.
    #[error("cannot write the snapshot: {0}")]
    Io(#[from] std::io::Error),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Machine {
    /// Lets the guest settle and saves it. It is stopped by that, and useless afterwards. `limit` is for either step.
    pub fn save(
        mut self,
        place: SnapshotPlace,
        store: &Store,
        limit: Duration,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Snapshot, SaveError> {
        self.settle(limit, stop)?;
        let (Some(recording), Some(port)) = (self.recording.take(), self.channel.port()) else {
            return Err(SaveError::NotRecorded);
        };
        let (ram, state) = (place.folder().join(RAM), place.folder().join(STATE));
        let limit = Limit::from(Instant::now(), limit);
        self.with_monitor(&recording.monitor, limit, stop, |qmp| qmp.save_state(&state))?;
        let files =
            BTreeMap::from([(RAM.to_owned(), recording.memory.save(&ram)?), (STATE.to_owned(), Seal::of(&state)?)]);
        let scratch = self.scratch.path().display().to_string();
        let command = recording.words.moved(&scratch, SCRATCH);
        let (notes, modules) = (mem::take(&mut self.notes), mem::take(&mut self.modules));
        let saved = SavedMachine { command, port, notes, modules };
        let saved = serde_json::to_value(saved).map_err(std::io::Error::from)?;
        Ok(place.publish(store, files, saved)?)
    }

    /// Lets the guest finish what it has begun, so that nothing is on its way when it is saved.
    pub(super) fn settle(&mut self, limit: Duration, stop: &(dyn Fn() -> bool + Sync)) -> Result<(), SaveError> {
        let settled = self.send(&HostMessage::Settle, &[], limit, stop).and_then(|()| self.receive(limit, stop));
        match settled {
            Ok((GuestMessage::Hello { .. }, _)) => Ok(()),
            Ok((other, _)) => Err(SaveError::Unsettled(format!("it sent {}", other.name()))),
            Err(GuestLoss::Silent) => Err(SaveError::Unsettled(format!("no response within {}s", limit.as_secs()))),
            Err(loss) => Err(SaveError::Unsettled(loss.to_string())),
        }
    }

    /// Does something by QEMU's monitor, for as long as QEMU is there and well, and the user does not want to stop.
    pub(super) fn with_monitor<T>(
        &mut self,
        monitor: &Monitor,
        limit: Limit,
        stop: &(dyn Fn() -> bool + Sync),
        work: impl FnOnce(&mut Qmp<'_>) -> Result<T, QmpError>,
    ) -> Result<T, QmpError> {
        let (child, last_words) = (RefCell::new(&mut self.child), &self.last_words);
        let give_up = || {
            let mut child = child.borrow_mut();
            let ended = child.wait(Duration::ZERO).map(|status| format!("it ended ({status})"));
            let broken = || last_words.in_output_of(&child).then(|| last_words.line()).flatten();
            ended.or_else(broken).or_else(|| stop().then(|| "stopped by the user".to_owned()))
        };
        let done = monitor.connect(limit, &give_up).and_then(|mut qmp| {
            let done = work(&mut qmp);
            monitor.keep(qmp);
            done
        });
        match done {
            // Who hangs up has died, or is about to.
            Err(QmpError::Io(error)) if HUNG_UP.contains(&error.kind()) => {
                let status = child.borrow_mut().wait(AFTERMATH);
                Err(QmpError::Io(status.map_or(error, |status| io::Error::other(format!("it ended ({status})")))))
            }
            done => done,
        }
    }
}

/// What a snapshot of this machine depends on. `kernel` is its name in the manifest.
pub fn key(kernel: &str, spec: &MachineSpec<'_>) -> std::io::Result<SnapshotKey> {
    let stored = spec.kernel;
    // A store may be moved: what lies in the kernel's directory is named from there.
    let folder = stored.boot_image.parent();
    let named = |path: &Path| folder.and_then(|folder| path.strip_prefix(folder).ok()).unwrap_or(path).to_owned();
    let mut modules = Vec::new();
    for module in &stored.modules {
        modules.push(format!("{} {}", named(module).display(), fs::metadata(module)?.len()));
    }
    let text = |text: Option<&str>| text.unwrap_or("none").to_owned();
    let files: Vec<String> = spec.files.iter().map(|file| format!("{} {}", file.path, file.sha256)).collect();
    let mut guest = vec![
        ("the kernel", named(&stored.boot_image).display().to_string()),
        ("the kernel's image", stored.identity.image_sha256.clone()),
        ("the kernel's config", text(stored.identity.config_sha256.as_deref())),
        ("the kernel's modules", modules.join("\n")),
        ("the given BTF", text(stored.identity.given_btf_sha256.as_deref())),
        ("the memory", format!("{} MiB", spec.shape.memory_mib)),
        ("the kernel's command line", spec.shape.append.join(" ")),
        ("the accelerator", spec.accelerator.to_string()),
        // What one CPU saved another one need not be able to run. It belongs to what the guest is, so that machines which share a
        // store do not throw away each other's snapshots.
        (
            CPU,
            match spec.accelerator {
                Accelerator::Kvm => spec.tools.guest_cpu(spec.deadlines.compose).mark(),
                Accelerator::Tcg => "emulated".to_owned(),
            },
        ),
    ];
    // What has none keeps the snapshots that it has.
    if !files.is_empty() {
        guest.push(("the files", files.join("\n")));
    }
    let loaded = &spec.shape.modules;
    if !loaded.is_empty() {
        let loaded: Vec<String> = loaded.iter().map(|module| format!("{} {}", module.name, module.sha256)).collect();
        guest.push(("the modules that it loads", loaded.join("\n")));
    }
    if spec.shape.cpus != 1 {
        guest.push(("the processors", spec.shape.cpus.to_string()));
    }
    if spec.shape.numa_nodes != 1 {
        guest.push(("the NUMA nodes", spec.shape.numa_nodes.to_string()));
    }
    let tools = spec.tools;
    let mut host = vec![
        ("corematrix", format!("format {FORMAT}, guest {}", GuestExecutable::own().checksum())),
        ("QEMU", format!("{} {}", tools.qemu_version, file_mark(&tools.qemu)?)),
        ("virtme-ng", format!("{} {}", tools.virtme_version, tools.virtme_run.display())),
    ];
    if spec.accelerator == Accelerator::Kvm {
        // KVM itself is part of it.
        host.push(("the host's kernel", accelerator::host_kernel()));
    }
    let map =
        |pairs: &[(&str, String)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Ok(SnapshotKey { kernel: kernel.to_owned(), guest: map(&guest), host: map(&host) })
}

/// Recognises a program without reading it.
fn file_mark(path: &Path) -> std::io::Result<String> {
    let found = fs::metadata(path)?;
    Ok(format!("{} {} bytes, changed {}", path.display(), found.len(), found.mtime()))
}

#[cfg(test)]
mod tests;
