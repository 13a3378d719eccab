//! [`PlannedTarget`]: a program of which a program of an object replaces or traces a function, and what guests need to load it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::PlannedObject;
use super::reuse::loading_of;
use crate::object::{BpfObject, Inventory};
use crate::protocol::{DataPatch, HostMessage, TargetProgram};
use crate::record::LoadingRecord;
use crate::suite::{Settings, patches};

/// A program of which a program of an object replaces or traces a function.
#[derive(Debug, Clone)]
pub struct PlannedTarget {
    /// The object's program.
    program: String,
    /// `OBJECT/PROGRAM`.
    name: String,
    /// The object that has it, as libbpf can open it; `None` for the object itself.
    object: Option<Arc<[u8]>>,
    /// The program of that.
    target: String,
    function: String,
    loading: LoadingRecord,
    patches: Vec<DataPatch>,
    extern_users: BTreeMap<String, Vec<String>>,
}

/// Finds the targets that a suite names for the programs of `object`.
pub(super) fn resolve(
    object: &BpfObject,
    loading: &LoadingRecord,
    all: &[BpfObject],
    settings: &Settings,
) -> Vec<PlannedTarget> {
    let named = loading.programs.iter().filter_map(|one| Some((one, one.target_program.as_ref()?)));
    let planned = named.filter_map(|(one, name)| {
        // Suites name only what there is.
        let (of, target) = name.rsplit_once('/')?;
        let other = all.iter().find(|other| other.name == of)?;
        let is_own = other.name == object.name;
        let mut set = loading_of(settings, of);
        // Privileges are those of the object that is loaded.
        set.privileges = None;
        let completed = other.completed(&set);
        let inventory = completed.as_ref().map(|(_, inventory, _)| inventory).or(other.inventory.as_ref().ok());
        let extern_users = inventory.map(Inventory::extern_users).unwrap_or_default();
        let patches = patches(&set, other).unwrap_or_default();
        let bytes = completed.map_or_else(|| other.bytes.clone(), |(bytes, ..)| bytes);
        Some(PlannedTarget {
            program: one.program.clone(),
            name: name.clone(),
            object: (!is_own).then_some(bytes),
            target: target.to_owned(),
            function: one.target.clone().unwrap_or_else(|| target.to_owned()),
            loading: set,
            patches,
            extern_users,
        })
    });
    planned.collect()
}

impl PlannedTarget {
    /// The file of its object in the guest.
    fn path(&self, number: usize) -> Option<String> {
        self.object.as_ref().map(|_| format!("/corematrix/targets/{number}.bpf.o"))
    }
}

impl PlannedObject {
    /// The programs that guests load first.
    pub(super) fn target_programs(&self) -> Vec<TargetProgram> {
        let sent = |(number, one): (usize, &PlannedTarget)| TargetProgram {
            program: one.program.clone(),
            name: one.name.clone(),
            object: one.path(number),
            target: one.target.clone(),
            function: one.function.clone(),
            loading: one.loading.clone(),
            patches: one.patches.clone(),
            extern_users: one.extern_users.clone(),
        };
        self.targets.iter().enumerate().map(sent).collect()
    }

    /// The files of their objects.
    pub(super) fn target_files(&self) -> impl Iterator<Item = (HostMessage, Arc<[u8]>)> {
        self.targets.iter().enumerate().filter_map(|(number, one)| {
            let make = HostMessage::File { path: one.path(number)?, mode: 0o644 };
            Some((make, one.object.clone()?))
        })
    }
}
