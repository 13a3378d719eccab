//! [`Plan`]: which objects run on which kernels. Pure: the same input gives the same plan.

mod baseline;
mod cell;
mod command;
mod groups;
mod kernel_record;
mod loaders;
mod machine;
mod reuse;
mod room;
mod schedule;
mod sent;
mod targets;
mod types;
mod upgrade;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::coverage::Analysis;
use crate::loader::Profile;
use crate::manifest::{KernelSpec, ModuleChoice};
use crate::object::globals::with_patches;
use crate::object::{BpfObject, Inventory, Unclaimed};
use crate::parts::split;
use crate::protocol::{DataPatch, MAPS_ALONE, ObjectSetup, ProgramSetup};
use crate::record::CoreRelocation;
use crate::record::LoadingRecord;
use crate::record::MachineSettings;
use crate::record::Partition;
use crate::record::{
    AlternativesRecord, ObjectProgram, ObjectRecord, OptionalRecord, PartitionRecord, RunRecord, SCHEMA_VERSION,
    ShapeRecord, ToolRecord, WHOLE_OBJECT,
};
use crate::suite::{Settings, Shape, patches};

pub use baseline::PlannedBaseline;
use groups::{groups, optional, proposed};
use kernel_record::kernel_record;
pub use loaders::PlannedLoader;
pub use machine::CellMachine;
pub use reuse::PlannedReuse;
pub use room::Room;
pub use schedule::{Schedule, ScheduleFormat, ScheduledObject, ScheduledPart};
pub use targets::PlannedTarget;
pub use types::OwnTypes;
pub use upgrade::PlannedUpgrade;

/// The section of [`MAPS_ALONE`].
const MAPS_SECTION: &str = ".maps";
/// The reason of a program that no one has tried yet.
pub const PLANNED: &str = "not reached in the run";

/// Kernels x objects.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The kernels, in matrix order.
    pub kernels: Vec<KernelSpec>,
    /// The kernels to begin with, as indexes; the others follow.
    pub urgent: Vec<usize>,
    /// The objects, in the order given; the shapes of an object follow it.
    pub objects: Vec<PlannedObject>,
    /// Groups of objects, programs or maps of which one is enough.
    pub alternatives: Vec<AlternativesRecord>,
    /// What may fail.
    pub optional: Vec<OptionalRecord>,
    /// Percent of the guard sides that have to be verified.
    pub minimum_coverage: Option<f64>,
    /// Whether the least privileges are wanted with which objects load.
    pub least_privileges: bool,
    /// The modules that guests load, as the suites say.
    pub modules: Option<ModuleChoice>,
}

/// An object with the programs that get a verdict.
#[derive(Debug, Clone)]
pub struct PlannedObject {
    /// The object.
    pub object: BpfObject,
    /// Its bytes as its own loader makes them; what is in them is the object's inventory.
    pub loaded: Arc<[u8]>,
    /// Its programs; [`WHOLE_OBJECT`] if there are none.
    pub programs: Vec<ObjectProgram>,
    /// Why it cannot be loaded anywhere, if so.
    pub broken: Option<String>,
    /// Its guards.
    pub analysis: Arc<Analysis>,
    /// The settings that it is tried with, if not its own.
    pub shape: Option<PlannedShape>,
    /// What its machine is like, where someone says it.
    pub machine: MachineSettings,
    /// What its own loader does to it, as a suite says.
    pub loading: LoadingRecord,
    /// What loads it, if not libbpf.
    pub loader: Option<PlannedLoader>,
    /// The row of the same object and another loader that this one is compared with.
    pub beside: Option<String>,
    /// The variables that its own loader sets.
    pub patches: Vec<DataPatch>,
    /// What is done with its programs beyond loading them, as a suite says.
    pub programs_setup: Vec<ProgramSetup>,
    /// The maps that its own loader gives it.
    pub reused: Vec<PlannedReuse>,
    /// The programs of which its programs replace or trace functions.
    pub targets: Vec<PlannedTarget>,
    /// The BTF that its own loader relocates it with.
    pub types: Option<OwnTypes>,
    /// The older build whose maps it finds.
    pub upgrade: Option<PlannedUpgrade>,
    /// The build that it is measured beside.
    pub baseline: Option<PlannedBaseline>,
    /// Whether there is more than one setting of it, so that its switches in `.rodata` count.
    pub shaped: bool,
}

/// The settings that an object is tried with.
#[derive(Debug, Clone)]
pub struct PlannedShape {
    /// The name of the object without them.
    pub of: String,
    /// The settings.
    pub shape: Shape,
}

impl Plan {
    /// Plans every object, with each of its shapes, on every kernel.
    pub fn new(kernels: Vec<KernelSpec>, objects: Vec<BpfObject>, settings: &Settings) -> Plan {
        let mut planned = Vec::new();
        let loadings = objects.iter().map(|object| {
            let mut loading = reuse::loading_of(settings, &object.name);
            let reused = reuse::resolve(object, &mut loading, &objects, settings);
            let targets = targets::resolve(object, &loading, &objects, settings);
            (loading, reused, targets)
        });
        for (object, (loading, reused, targets)) in objects.iter().zip(loadings) {
            let shapes: Vec<&Shape> =
                settings.shapes.iter().filter(|(of, _)| *of == object.name).map(|(_, shape)| shape).collect();
            // Another machine changes no switch.
            let shaped = shapes.iter().any(|shape| shape.setup != ObjectSetup::default());
            let machine = settings.machine_of(&object.name);
            let own = settings.types.iter().find(|(of, _)| *of == object.name);
            let types = own.and_then(|(_, raw)| OwnTypes::of(raw));
            let setup = || {
                let of_object = settings.programs.iter().filter(|(of, _)| *of == object.name);
                of_object.map(|(_, setup)| setup.clone()).collect()
            };
            let assigned = settings.loaders.iter().find(|(of, _)| *of == object.name).map(|(_, assigned)| assigned);
            for shape in std::iter::once(None).chain(shapes.into_iter().map(Some)) {
                let plan = |profile: Option<&Profile>| {
                    // What a suite says comes last and counts.
                    let mut all = profile.map(|profile| profile.loading.clone()).unwrap_or_default();
                    all.add(&loading);
                    let planned = PlannedObject::new(object.clone(), shape, &all);
                    let (reused, targets) = (reused.clone(), targets.clone());
                    let machine = shape.map_or_else(|| machine.clone(), |shape| shape.machine.over(&machine));
                    // What its user does with its programs may take other privileges.
                    let programs_setup = if planned.privileges().is_none() { setup() } else { Vec::new() };
                    let types = types.clone();
                    PlannedObject { machine, programs_setup, reused, targets, types, shaped, ..planned }
                };
                planned.extend(loaders::rows(assigned, object, plan));
            }
        }
        let mut alternatives = settings.alternatives.clone();
        alternatives.extend(proposed(&planned, &settings.alternatives));
        let (alternatives, optional) = (groups(&planned, alternatives), optional(&planned, &settings.optional));
        Plan {
            kernels,
            urgent: Vec::new(),
            objects: planned,
            alternatives,
            optional,
            minimum_coverage: settings.minimum_coverage,
            least_privileges: settings.least_privileges,
            modules: settings.modules.clone(),
        }
    }

    /// Plans an object, with each of its shapes, on a kernel; `targets` are the objects that its programs are loaded for.
    pub fn of_one(kernel: KernelSpec, object: &BpfObject, targets: &[BpfObject], settings: &Settings) -> Plan {
        let objects = std::iter::once(object).chain(targets).cloned().collect();
        let mut plan = Plan::new(vec![kernel], objects, settings);
        let is_of = |name: &str| targets.iter().any(|target| target.name == name);
        plan.objects.retain(|planned| !is_of(planned.shape.as_ref().map_or(&planned.object.name, |shape| &shape.of)));
        plan
    }

    /// The modules that the user names for a kernel's guests. What the command line says comes first, then what suites say, then the manifest.
    pub fn modules_of<'a>(
        &'a self,
        kernel: &'a KernelSpec,
        of_run: Option<&'a ModuleChoice>,
    ) -> Option<&'a ModuleChoice> {
        of_run.or(self.modules.as_ref()).or(kernel.modules.as_ref())
    }

    /// Leaves the objects of one part of the plan, and returns what to remember of the whole. Parts are of about equal cost.
    pub fn keep(&mut self, part: Partition) -> PartitionRecord {
        let objects = self.objects.iter().map(|object| object.object.name.clone()).collect();
        let costs: Vec<usize> = self.objects.iter().map(PlannedObject::expected_cost).collect();
        let mine = split(&costs, part.of).into_iter().nth(part.number - 1).unwrap_or_default();
        let mut place = 0;
        self.objects.retain(|_| {
            place += 1;
            mine.contains(&(place - 1))
        });
        PartitionRecord { part, objects }
    }

    /// The names of its objects, as reports have them.
    pub fn rows(&self) -> Vec<String> {
        self.objects.iter().map(|planned| planned.object.name.clone()).collect()
    }

    /// Whether another loader judges the same object.
    pub fn is_compared(&self, object: &PlannedObject) -> bool {
        let own = &object.object.name;
        object.beside.is_some() || self.objects.iter().any(|other| other.beside.as_ref() == Some(own))
    }

    /// The record of a run that has not begun: every cell is there, and not run.
    pub fn record(&self, tool: ToolRecord, started: String) -> RunRecord {
        RunRecord {
            schema_version: SCHEMA_VERSION,
            tool,
            started,
            finished: None,
            interrupted: false,
            kernels: self.kernels.iter().map(kernel_record).collect(),
            objects: self.objects.iter().map(PlannedObject::record).collect(),
            cells: self
                .objects
                .iter()
                .flat_map(|object| self.kernels.iter().map(|kernel| object.cell(kernel)))
                .collect(),
            notices: Vec::new(),
            alternatives: self.alternatives.clone(),
            optional: self.optional.clone(),
            minimum_coverage: self.minimum_coverage,
            partition: None,
        }
    }
}

impl PlannedObject {
    fn new(mut object: BpfObject, shape: Option<&Shape>, loading: &LoadingRecord) -> Self {
        let (loaded, mut loading) = (object.completed(loading), loading.clone());
        if let Some((_, inventory, changes)) = &loaded {
            (object.inventory, loading.changes) = (Ok(inventory.clone()), changes.clone());
        }
        let (loaded, loading) = (loaded.map_or_else(|| object.bytes.clone(), |(bytes, ..)| bytes), &loading);
        if let Ok(inventory) = &mut object.inventory {
            inventory.set(loading);
        }
        let (programs, broken) = match &object.inventory {
            Ok(inventory) => {
                let programs: Vec<_> = inventory
                    .programs
                    .iter()
                    .map(|program| ObjectProgram { name: program.name.clone(), section: program.section.clone() })
                    .collect();
                let has_maps = !inventory.maps.is_empty() || !inventory.struct_ops.is_empty();
                match programs.is_empty() {
                    // Maps that load would not show anything about the code beside them.
                    true if !inventory.unclaimed.is_empty() => (programs, None),
                    // libbpf loads it all the same.
                    true if has_maps => {
                        (vec![ObjectProgram { name: MAPS_ALONE.to_owned(), section: MAPS_SECTION.to_owned() }], None)
                    }
                    true => (programs, Some("the object holds no code and no map".to_owned())),
                    false => (programs, None),
                }
            }
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let stand_in = || vec![ObjectProgram { name: WHOLE_OBJECT.to_owned(), section: String::new() }];
        let programs = if programs.is_empty() { stand_in() } else { programs };
        let names: Vec<&str> = programs.iter().map(|program| program.name.as_str()).collect();
        // The bytes that are loaded stay what they are: the guest sets the values as a loader does.
        // Whoever made the settings has checked them against the object.
        let own = patches(loading, &object).unwrap_or_default();
        let shape = shape.cloned().map(|shape| shape.clone().starting_from(&own, &object).unwrap_or(shape));
        let set = own.iter().chain(shape.iter().flat_map(|shape| &shape.setup.patches));
        let applied = with_patches(&loaded, set.map(|patch| (&*patch.section, patch.offset, &*patch.bytes)));
        let analysis = Arc::new(Analysis::of(&applied, &names));
        if let (Some(shape), Ok(inventory)) = (&shape, &mut object.inventory) {
            shape.sized(&mut inventory.maps);
        }
        let shape = shape.map(|shape| PlannedShape { of: object.name.clone(), shape });
        if let Some(PlannedShape { of, shape }) = &shape {
            object.name = shape.row(of);
        }
        let shaped = shape.is_some();
        let loading = loading.clone();
        PlannedObject {
            object,
            loaded,
            programs,
            broken,
            analysis,
            shape,
            machine: MachineSettings::default(),
            patches: own,
            loading,
            loader: None,
            beside: None,
            programs_setup: Vec::new(),
            reused: Vec::new(),
            targets: Vec::new(),
            types: None,
            upgrade: None,
            baseline: None,
            shaped,
        }
    }

    /// Why nothing of it can be judged, though it is sound: libbpf finds no program in it.
    pub fn unclaimed(&self) -> Option<&Unclaimed> {
        if self.by_executable() {
            return None;
        }
        let inventory = self.object.inventory.as_ref().ok()?;
        inventory.unclaimed.first().filter(|_| inventory.programs.is_empty())
    }

    /// Whether it is known without a guest what becomes of it.
    pub fn needs_no_guest(&self) -> bool {
        self.broken.is_some() || self.unclaimed().is_some()
    }

    /// The object's CO-RE relocations.
    pub fn relocations(&self) -> &[CoreRelocation] {
        self.object.inventory.as_ref().map_or(&[], |inventory| &inventory.core_relocations)
    }

    /// How long a cell of this object takes, relative to others: a guess that orders cells and decides nothing else.
    pub fn expected_cost(&self) -> usize {
        // Measured: a program costs about as much as preparing 10 kB of object, and the largest objects hold the longest programs.
        self.object.bytes.len() + 10_000 * self.programs.len()
    }

    /// The programs that refer to each extern, subprograms that they call included.
    pub fn extern_users(&self) -> BTreeMap<String, Vec<String>> {
        self.object.inventory.as_ref().map(Inventory::extern_users).unwrap_or_default()
    }

    /// Names of the programs whose visited instructions are wanted.
    pub fn visited(&self) -> Vec<String> {
        let wanted = self.analysis.wants_visited(self.shaped);
        let names = self.programs.iter().map(|program| &program.name).enumerate();
        let is_wanted = |(at, name): &(usize, &String)| wanted.contains(at) || self.depends_on_reach(name);
        names.filter(is_wanted).map(|(_, name)| name.clone()).collect()
    }

    /// What reports say of it.
    pub fn record(&self) -> ObjectRecord {
        ObjectRecord {
            name: self.object.name.clone(),
            origin: self.object.origin.to_string(),
            sha256: self.object.sha256.clone(),
            size: self.object.bytes.len() as u64,
            programs: self.programs.clone(),
            relocations: self.relocations().to_vec(),
            broken: self.broken.clone(),
            coverage: self.analysis.record(),
            shape: self.shape.as_ref().map(|PlannedShape { of, shape }| ShapeRecord {
                of: of.clone(),
                name: shape.name.clone(),
                settings: shape.settings.clone(),
                machine: shape.machine.clone(),
            }),
            machine: self.machine.clone(),
            loading: self.loading.clone(),
            loader: self.loader.as_ref().map(PlannedLoader::record),
            beside: self.beside.clone(),
        }
    }
}
