//! [`CellInputs`] and [`ObjectInputs`]: everything that decides what becomes of a cell, and the key that two runs share only where all of it
//! is the same.
//!
//! What is left out decides nothing: where an object or a kernel came from, how many guests run at once, what else is in the matrix. Whoever
//! adds a field to what is taken apart here has to say which it is.

use std::collections::BTreeMap;

use serde::Serialize;

use super::isolation::Isolation;
use super::kernel_modules::CellModules;
use super::user_space;
use crate::checksum;
use crate::loader::Profile;
use crate::manifest::KernelSpec;
use crate::plan::{CellMachine, PlannedObject, Room};
use crate::protocol::attach::Reach;
use crate::protocol::{HostMessage, LeftOutMap, ObjectSetup};
use crate::record::{KernelIdentity, ObjectRecord};
use crate::store::SnapshotKey;

/// Raised when the meaning of a key changes.
const FORMAT: u32 = 2;

/// What an object and all that is said of it decide, the same on every kernel.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ObjectInputs {
    /// Name, bytes, programs, shape, machine, loading, loader, guards.
    record: ObjectRecord,
    /// The bytes that are judged, and those that a guest gets.
    loaded: String,
    sent: String,
    setup: ObjectSetup,
    /// What a guest gets beside it: reused maps, targets, types, the older build.
    files: Vec<(HostMessage, String)>,
    /// What this machine gives to it.
    user_space: Vec<(String, String)>,
    extern_users: BTreeMap<String, Vec<String>>,
    visited: Vec<String>,
    shaped: bool,
    /// What its loader is known to do.
    profile: Option<Profile>,
    compared: bool,
}

impl ObjectInputs {
    /// Those of an object that is taken so far; `compared` says whether another loader judges it, too. `None` for what is measured: that
    /// is of today or nothing.
    pub(super) fn of(planned: &PlannedObject, reach: Reach, compared: bool) -> Option<ObjectInputs> {
        let mut record = planned.record();
        let PlannedObject {
            // In the record, but for the bytes; what is in them follows from them.
            object: _,
            loaded,
            programs: _,
            broken: _,
            analysis: _,
            // Its name and its words are in the record, the rest is in the setup.
            shape: _,
            machine: _,
            loading: _,
            loader,
            beside: _,
            // What a guest is sent.
            patches: _,
            programs_setup: _,
            reused: _,
            targets: _,
            types: _,
            upgrade: _,
            baseline,
            shaped,
        } = planned;
        if baseline.is_some() {
            return None;
        }
        record.origin.clear();
        let sum = |bytes: &[u8]| checksum::of_bytes(bytes);
        let of_machine = user_space::files(planned, reach).iter();
        Some(ObjectInputs {
            record,
            loaded: sum(loaded),
            sent: sum(&planned.bytes()),
            setup: planned.setup(),
            files: planned.files().into_iter().map(|(make, content)| (make, sum(&content))).collect(),
            user_space: of_machine.map(|file| (file.path.display().to_string(), sum(&file.content))).collect(),
            extern_users: planned.extern_users(),
            visited: planned.visited(),
            shaped: *shaped,
            profile: loader.as_ref().map(|loader| loader.profile.clone()),
            compared,
        })
    }

    pub(super) fn digest(&self) -> Option<String> {
        digest(self)
    }
}

/// All that decides a cell.
#[derive(Debug, Serialize)]
pub(super) struct CellInputs<'a> {
    format: u32,
    /// Which corematrix judges: a checksum.
    build: &'a str,
    /// What [`ObjectInputs`] come to.
    object: &'a str,
    reach: Reach,
    full_logs: bool,
    least_privileges: bool,
    isolation: Isolation,
    kernel: &'a str,
    timeouts_ms: [u128; 2],
    identity: &'a KernelIdentity,
    /// Image, command line, memory, guest, loaders, QEMU, processor.
    guest: &'a BTreeMap<String, String>,
    host: &'a BTreeMap<String, String>,
    machine: &'a CellMachine,
    memory_mib: u64,
    without: &'a [LeftOutMap],
    room_note: &'a Option<String>,
    modules: Vec<(&'a str, &'a str, bool)>,
    module_reasons: &'a BTreeMap<String, String>,
    module_impossible: &'a Option<String>,
    module_notes: &'a [String],
}

/// What a run is about, beside kernels and objects.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunInputs<'a> {
    pub(super) build: &'a str,
    pub(super) reach: Reach,
    pub(super) full_logs: bool,
    pub(super) least_privileges: bool,
    pub(super) isolation: Isolation,
}

/// What a cell's guest is.
#[derive(Debug, Clone, Copy)]
pub(super) struct GuestInputs<'a> {
    pub(super) snapshot: &'a SnapshotKey,
    pub(super) machine: &'a CellMachine,
    pub(super) room: &'a Room,
    pub(super) modules: &'a CellModules,
}

impl<'a> CellInputs<'a> {
    pub(super) fn of(
        run: &RunInputs<'a>,
        object: &'a str,
        (spec, identity): (&'a KernelSpec, &'a KernelIdentity),
        guest: &GuestInputs<'a>,
    ) -> CellInputs<'a> {
        let RunInputs { build, reach, full_logs, least_privileges, isolation } = *run;
        let KernelSpec {
            name,
            // Where it comes from; what came is its identity.
            source: _,
            fallbacks: _,
            builds: _,
            btf: _,
            btf_archive: _,
            optional: _,
            // In the machine.
            memory_mib: _,
            machine: _,
            append: _,
            modules: _,
            boot_timeout,
            program_timeout,
        } = spec;
        let SnapshotKey { kernel: _, guest: of_guest, host } = guest.snapshot;
        let Room { mib, without, note } = guest.room;
        // What became of modules that were loaded is a result, and so are the types that they brought.
        let CellModules { files, reasons, impossible, notes, loads: _, types: _ } = guest.modules;
        CellInputs {
            format: FORMAT,
            build,
            object,
            reach,
            full_logs,
            least_privileges,
            isolation,
            kernel: name,
            timeouts_ms: [boot_timeout, program_timeout].map(std::time::Duration::as_millis),
            identity,
            guest: of_guest,
            host,
            machine: guest.machine,
            memory_mib: *mib,
            without,
            room_note: note,
            modules: files.iter().map(|file| (&*file.name, &*file.sha256, file.optional)).collect(),
            module_reasons: reasons,
            module_impossible: impossible,
            module_notes: notes,
        }
    }

    pub(super) fn key(&self) -> Option<String> {
        digest(self)
    }
}

/// Fields are written in the order of their types, and all maps are sorted: the same is always the same bytes. `None` for what cannot be
/// written; it has no key, rather than one that something else has, too.
fn digest(inputs: &impl Serialize) -> Option<String> {
    serde_json::to_vec(inputs).ok().map(|bytes| checksum::of_bytes(&bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
