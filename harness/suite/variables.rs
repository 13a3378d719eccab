//! [`Variables`]: values for an object's global variables, checked against their types.

mod encoding;

use toml::{Table, Value};

use super::error::Mistake;
use crate::object::{BpfObject, GlobalVariable, Globals};
use crate::protocol::DataPatch;
use crate::record::LoadingRecord;

/// The global variables of an object.
pub(super) struct Variables<'a> {
    object: &'a str,
    globals: Option<Globals>,
}

impl<'a> Variables<'a> {
    /// Reads them.
    pub fn of(object: &'a BpfObject) -> Variables<'a> {
        Variables { object: &object.name, globals: Globals::read(&object.bytes) }
    }

    /// With other values to start from: a struct that is set in part keeps those of its other members.
    pub fn starting_from(mut self, patches: &[DataPatch]) -> Self {
        let is_of = |variable: &GlobalVariable, patch: &DataPatch| {
            (&variable.section, variable.offset) == (&patch.section, patch.offset)
        };
        for variable in self.globals.iter_mut().flat_map(|globals| &mut globals.variables) {
            let mut own =
                patches.iter().filter(|patch| is_of(variable, patch) && patch.bytes.len() == variable.initial.len());
            if let Some(patch) = own.next_back() {
                variable.initial.clone_from(&patch.bytes);
            }
        }
        self
    }

    /// The bytes of a variable that is set to `value`.
    pub fn patch(&self, name: &str, value: &Value) -> Result<DataPatch, Mistake> {
        let object = self.object;
        let Some(globals) = &self.globals else {
            return Err(Mistake::new(format!("object `{object}` has no BTF, so its variables are not known")));
        };
        let Some(variable) = globals.variables.iter().find(|variable| variable.name == *name) else {
            let known = globals.variables.iter().map(|variable| variable.name.as_str());
            let message = format!("object `{object}` has no variable `{name}` that can be set");
            return Err(Mistake::new(message).known(name, known));
        };
        let mut bytes = variable.initial.clone();
        encoding::encode(&globals.btf, variable.type_id, value, &mut bytes).map_err(|why| {
            let declaration = globals.btf.declaration(variable.type_id, name);
            Mistake::new(format!("`{name}` {why}")).hint(format!("it is declared as `{declaration}`"))
        })?;
        Ok(DataPatch { section: variable.section.clone(), offset: variable.offset, bytes })
    }

    /// The same for a value as TOML writes it.
    pub fn patch_of_text(&self, name: &str, text: &str) -> Result<DataPatch, Mistake> {
        let table: Table =
            toml::from_str(&format!("value = {text}")).map_err(|error| Mistake::new(error.message().to_owned()))?;
        let value = table.get("value").ok_or_else(|| Mistake::new(format!("`{name}` has no value")))?;
        self.patch(name, value)
    }
}

/// What an object's own loader sets of its variables.
///
/// # Errors
///
/// Why a value does not fit the object, as a lowercase fragment.
pub fn patches(loading: &LoadingRecord, object: &BpfObject) -> Result<Vec<DataPatch>, String> {
    if loading.variables.is_empty() {
        return Ok(Vec::new());
    }
    let variables = Variables::of(object);
    let patch = |one: &crate::record::VariableLoading| variables.patch_of_text(&one.variable, &one.value);
    loading.variables.iter().map(patch).collect::<Result<_, _>>().map_err(|mistake| mistake.message)
}
