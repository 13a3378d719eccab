//! [`ShapeRecord`]: with which settings an object is tried, and [`RunRecord::family`]: the object with all of them.

use serde::{Deserialize, Serialize};

use super::RunRecord;
use crate::{MachineSettings, ObjectRecord};

/// With which settings an object is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ShapeRecord {
    /// The name of the object without them.
    pub of: String,
    /// The name of the shape.
    pub name: String,
    /// The settings: `targ_failed = true`; those of the machine begin with `machine.`.
    pub settings: Vec<String>,
    /// What the machine is like, if it is not that of the object itself.
    #[serde(default, skip_serializing_if = "MachineSettings::is_empty")]
    pub machine: MachineSettings,
}

/// What the settings of the machine begin with.
pub const MACHINE_SETTING: &str = "machine.";

impl ShapeRecord {
    /// Whether nothing but the machine is another.
    pub fn is_machine_alone(&self) -> bool {
        self.settings.iter().all(|setting| setting.starts_with(MACHINE_SETTING))
    }
}

impl RunRecord {
    /// The object that `object` is a shape of, or the same with another loader, or itself; by index.
    pub fn base(&self, object: usize) -> usize {
        let of = self.objects[object].base_name();
        self.objects.iter().position(|one| is_base(one) && one.name == of).unwrap_or(object)
    }

    /// The object, all its shapes, and the same with other loaders, the object first; by index. The same for each of them.
    pub fn family(&self, object: usize) -> Vec<usize> {
        let base = self.base(object);
        let of = &self.objects[base];
        // Where the object itself is not in the run, each of its shapes stands alone.
        let belongs = |other: &usize| *other == base || is_base(of) && self.objects[*other].base_name() == of.name;
        (0..self.objects.len()).filter(belongs).collect()
    }
}

/// Whether an object is no shape of another, nor the same with another loader.
fn is_base(object: &ObjectRecord) -> bool {
    object.shape.is_none() && object.beside.is_none()
}
