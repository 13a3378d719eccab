//! [`ShapeRecord`]: with which settings an object is tried, and [`RunRecord::family`]: the object with all of them.

use serde::{Deserialize, Serialize};

use super::RunRecord;

/// With which settings an object is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ShapeRecord {
    /// The name of the object without them.
    pub of: String,
    /// The name of the shape.
    pub name: String,
    /// The settings: `targ_failed = true`.
    pub settings: Vec<String>,
}

impl RunRecord {
    /// The object that `object` is a shape of, or itself; by index.
    pub fn base(&self, object: usize) -> usize {
        let of = self.objects[object].shape.as_ref().map(|shape| shape.of.as_str());
        let base = of.and_then(|of| self.objects.iter().position(|one| one.shape.is_none() && one.name == of));
        base.unwrap_or(object)
    }

    /// The object and all its shapes, the object first; by index. The same for each of them.
    pub fn family(&self, object: usize) -> Vec<usize> {
        let base = self.base(object);
        (0..self.objects.len()).filter(|&other| self.base(other) == base).collect()
    }
}
