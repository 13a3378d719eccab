//! [`WantedNames`]: what an object attaches to, calls and reads, by name: what a kernel lacks of it may be in its modules.

use std::collections::BTreeSet;

use crate::core_relo::ObjectSide;
use crate::judge;
use crate::plan::PlannedObject;
use crate::protocol::attach::{AttachTo, Reach};

/// A name that a kernel may have in a module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WantedName {
    /// Any of these does: kernels name one thing in several ways.
    pub(super) any_of: Vec<String>,
    /// The module that the object itself names.
    pub(super) module: Option<String>,
    /// Whether the name is worth fetching what the modules of a kernel have: types that kernels lack are many.
    pub(super) is_target: bool,
}

/// The names of an object, the same on every kernel.
#[derive(Debug, Default)]
pub(super) struct WantedNames {
    pub(super) names: BTreeSet<WantedName>,
    /// Whether filters of traffic control are attached, which kernels before 6.6 do by a queueing discipline.
    pub(super) attaches_filters: bool,
}

impl WantedNames {
    pub(super) fn of(planned: &PlannedObject, reach: Reach) -> WantedNames {
        let mut names = WantedNames::default();
        let Ok(inventory) = &planned.object.inventory else { return names };
        for program in &inventory.programs {
            if planned.loading.leaves_out(&program.name) {
                continue;
            }
            names.attaches_filters |= reach >= Reach::Attach && program.prog_type.as_deref() == Some("sched_cls");
            let attached = planned.programs_setup.iter().find(|setup| setup.program == program.name);
            if let Some(target) = judge::module_target(&program.section, reach >= Reach::Attach || attached.is_some()) {
                names.add(target.names, target.module, true);
            }
            match attached.and_then(|setup| setup.attach.as_ref()) {
                Some(AttachTo::Function(name)) => names.add(vec![name.clone()], None, true),
                Some(AttachTo::Tracepoint { name, .. } | AttachTo::RawTracepoint(name)) => {
                    names.add(judge::tracepoint_names(name), None, true);
                }
                _ => {}
            }
        }
        for name in planned.object.undefined() {
            names.add(vec![name], None, true);
        }
        for map in &inventory.struct_ops {
            names.add(vec![essential(&map.type_name).to_owned()], None, true);
        }
        // With types of its own no module has a part in its relocations.
        if planned.own_types().is_none()
            && let Ok(side) = ObjectSide::read(&planned.loaded)
        {
            for relocation in &side.relocations {
                let name = String::from_utf8_lossy(side.types.name(relocation.record.type_id)).into_owned();
                if !name.is_empty() {
                    names.add(vec![essential(&name).to_owned()], None, false);
                }
            }
        }
        names
    }

    fn add(&mut self, any_of: Vec<String>, module: Option<String>, is_target: bool) {
        self.names.insert(WantedName { any_of, module, is_target });
    }
}

/// `nf_conn___old` -> `nf_conn`, as libbpf takes it.
fn essential(name: &str) -> &str {
    name.split_once("___").map_or(name, |(name, _)| name)
}
