//! [`BaselineObject`]: another build of an object, beside whose programs those of the object are measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ObjectSetup;

/// Another build of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineObject {
    /// Its file in the guest.
    pub object: String,
    /// Its name.
    pub name: String,
    /// What is set of it before it is loaded.
    pub setup: ObjectSetup,
    /// The programs that refer to each of its strong externs.
    pub extern_users: BTreeMap<String, Vec<String>>,
    /// Its programs.
    pub programs: Vec<String>,
}
