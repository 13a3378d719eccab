//! [`Plan`]: which objects run on which kernels. Pure: the same input gives the same plan.

use std::sync::Arc;

use crate::coverage::{Analysis, CellCoverage};
use crate::manifest::{KernelSpec, Source};
use crate::object::BpfObject;
use crate::record::{
    CellRecord, KernelRecord, KernelState, ObjectProgram, ObjectRecord, PartitionRecord, ProgramRecord, RunRecord,
    SCHEMA_VERSION, ToolRecord,
};
use crate::relocation::CoreRelocation;
use crate::shard::{Partition, split};

/// Stands in for the programs of an object that has none or cannot be read, so that the object still gets a verdict.
pub const WHOLE_OBJECT: &str = "(object)";
/// The reason of a program that nobody has tried yet.
pub const PLANNED: &str = "the run did not get to it";

/// Kernels x objects.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The kernels, in matrix order.
    pub kernels: Vec<KernelSpec>,
    /// The objects, in the order given.
    pub objects: Vec<PlannedObject>,
}

/// An object with the programs that get a verdict.
#[derive(Debug, Clone)]
pub struct PlannedObject {
    /// The object.
    pub object: BpfObject,
    /// Its programs; [`WHOLE_OBJECT`] if there are none.
    pub programs: Vec<ObjectProgram>,
    /// Why it cannot be loaded anywhere, if so.
    pub broken: Option<String>,
    /// Its guards.
    pub analysis: Arc<Analysis>,
}

impl Plan {
    /// Plans every object on every kernel.
    pub fn new(kernels: Vec<KernelSpec>, objects: Vec<BpfObject>) -> Plan {
        Plan { kernels, objects: objects.into_iter().map(PlannedObject::new).collect() }
    }

    /// Leaves the objects of one part of the plan, and tells what to remember of the whole. Parts are of about equal cost.
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

    /// The record of a run that has not begun: every cell is there, and not run.
    pub fn record(&self, tool: ToolRecord, started: String) -> RunRecord {
        let cell = |object: &PlannedObject, kernel: &KernelSpec| CellRecord {
            kernel: kernel.name.clone(),
            object: object.object.name.clone(),
            whole: None,
            programs: object.programs.iter().map(|program| ProgramRecord::not_run(program, PLANNED)).collect(),
            relocations: Vec::new(),
            dangers: Vec::new(),
            externs: Vec::new(),
            downgrades: Vec::new(),
            coverage: CellCoverage::default(),
            wall_ms: 0,
            notes: Vec::new(),
        };
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
                .flat_map(|object| self.kernels.iter().map(move |kernel| cell(object, kernel)))
                .collect(),
            notices: Vec::new(),
            partition: None,
        }
    }
}

impl PlannedObject {
    fn new(object: BpfObject) -> Self {
        let (programs, broken) = match &object.inventory {
            Ok(inventory) => {
                let programs: Vec<_> = inventory
                    .programs
                    .iter()
                    .map(|program| ObjectProgram { name: program.name.clone(), section: program.section.clone() })
                    .collect();
                let broken = programs.is_empty().then(|| "the object holds no program".to_owned());
                (programs, broken)
            }
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let stand_in = || vec![ObjectProgram { name: WHOLE_OBJECT.to_owned(), section: String::new() }];
        let programs = if programs.is_empty() { stand_in() } else { programs };
        let names: Vec<&str> = programs.iter().map(|program| program.name.as_str()).collect();
        let analysis = Arc::new(Analysis::of(&object.bytes, &names));
        PlannedObject { object, programs, broken, analysis }
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

    /// Names of the programs whose visited instructions are wanted.
    pub fn visited(&self) -> Vec<String> {
        self.analysis.wants_visited().into_iter().map(|program| self.programs[program].name.clone()).collect()
    }

    fn record(&self) -> ObjectRecord {
        ObjectRecord {
            name: self.object.name.clone(),
            origin: self.object.origin.to_string(),
            sha256: self.object.sha256.clone(),
            size: self.object.bytes.len() as u64,
            programs: self.programs.clone(),
            relocations: self.relocations().to_vec(),
            broken: self.broken.clone(),
            coverage: self.analysis.record(),
        }
    }
}

fn kernel_record(spec: &KernelSpec) -> KernelRecord {
    let source = match &spec.source {
        Source::Apt { suites, packages } => format!("apt: {} in {}", packages.join(" or "), suites.join(", ")),
        Source::Path { image, .. } => format!("path: {}", image.display()),
        Source::Mainline { version } => format!("mainline: {version}"),
    };
    KernelRecord {
        name: spec.name.clone(),
        source,
        optional: spec.optional,
        state: KernelState::Pending,
        identity: None,
        hello_ms: Vec::new(),
        restore_ms: Vec::new(),
        notes: Vec::new(),
    }
}
