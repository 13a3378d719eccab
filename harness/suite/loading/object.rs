//! [`WrittenObject`]: what an object's own loader does to the object as a whole.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::super::error::Mistake;
use super::super::part::Objects;
use super::super::variables::Variables;
use super::Placed;
use crate::object::rewrite::rewrite;
use crate::record::{LoadingRecord, VariableLoading};

/// An `[[object]]` table: what the object's own loader does to the object as a whole.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in super::super) struct WrittenObject {
    object: Spanned<String>,
    loader: Option<String>,
    static_programs: Option<Spanned<bool>>,
    legacy_maps: Option<Spanned<bool>>,
    #[serde(default)]
    stubs: Vec<Spanned<String>>,
    #[serde(default)]
    set: BTreeMap<String, Spanned<Value>>,
}

impl WrittenObject {
    /// The loader that it names for the object.
    pub fn loader(&self) -> Option<&str> {
        self.loader.as_deref()
    }

    /// Finds the object and checks what is done to it. `Err` has the place in the file if it is not the table's.
    pub fn checked(&self, all: Objects<'_>) -> Result<(usize, LoadingRecord), Placed> {
        let at = self.object.span().start;
        let index = all.object(self.object.get_ref()).map_err(|error| (Some(at), error))?;
        let object = &all.0[index];
        let mut loading = LoadingRecord::default();
        if let Some(asked) = &self.static_programs {
            let has_static =
                all.inventory(index).is_none_or(|all| all.programs.iter().any(|program| program.is_static));
            if *asked.get_ref() && !has_static {
                let message = format!("object `{}` has no static program", object.name);
                return Err((Some(asked.span().start), Mistake::new(message)));
            }
            loading.static_programs = *asked.get_ref();
        }
        let only = |loading: &LoadingRecord, at: usize| match rewrite(&object.bytes, loading) {
            Ok(_) => Ok(()),
            Err(why) => Err((Some(at), Mistake::new(format!("object `{}`: {why}", object.name)))),
        };
        if let Some(asked) = self.legacy_maps.as_ref().filter(|asked| *asked.get_ref()) {
            loading.legacy_maps = true;
            only(&loading, asked.span().start)?;
        }
        for stub in &self.stubs {
            loading.stubs.push(stub.get_ref().clone());
            only(&loading, stub.span().start)?;
        }
        if !self.set.is_empty() {
            let variables = Variables::of(object);
            for (name, value) in &self.set {
                variables.patch(name, value.get_ref()).map_err(|mistake| (Some(value.span().start), mistake))?;
                let (variable, value) = (name.clone(), value.get_ref().to_string());
                loading.variables.push(VariableLoading { variable, value });
            }
        }
        let says_nothing = self.static_programs.is_none() && self.legacy_maps.is_none() && self.loader.is_none();
        if says_nothing && loading.is_empty() {
            let message = format!("`[[object]]` says nothing of `{}`", object.name);
            let keys = "write `set.VARIABLE = VALUE`, `loader`, `static-programs`, `legacy-maps` or `stubs`";
            return Err((None, Mistake::new(message).hint(keys)));
        }
        Ok((index, loading))
    }
}
