//! [`WrittenObject`]: what an object's own loader does to the object as a whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use object::{Object, ObjectSection};
use serde::Deserialize;
use toml::{Spanned, Value};

use super::super::error::Mistake;
use super::super::part::Objects;
use super::super::privileges;
use super::super::variables::Variables;
use super::Placed;
use crate::object::btf::Btf;
use crate::object::rewrite::rewrite;
use crate::record::{ConstantLoading, LoadingRecord, VariableLoading};

/// An `[[object]]` table: what the object's own loader does to the object as a whole.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in super::super) struct WrittenObject {
    object: Spanned<String>,
    loader: Option<String>,
    static_programs: Option<Spanned<bool>>,
    called_programs: Option<Spanned<bool>>,
    legacy_maps: Option<Spanned<bool>>,
    #[serde(default)]
    stubs: Vec<Spanned<String>>,
    btf: Option<Spanned<String>>,
    #[serde(default)]
    set: BTreeMap<String, Spanned<Value>>,
    capabilities: Option<Spanned<Vec<Spanned<String>>>>,
    token: Option<Spanned<bool>>,
}

impl WrittenObject {
    /// The loader that it names for the object.
    pub fn loader(&self) -> Option<&str> {
        self.loader.as_deref()
    }

    /// The BTF that the object is relocated with; `folder` is that of the suite file.
    pub fn types(&self, folder: &Path) -> Result<Option<Vec<u8>>, Placed> {
        let Some(written) = &self.btf else { return Ok(None) };
        let path = folder.join(written.get_ref());
        read_btf(&path).map(Some).map_err(|why| {
            let hint = "name a file of raw BTF, or an ELF file with a section `.BTF`, relative to the suite file";
            (Some(written.span().start), Mistake::new(format!("BTF `{}`: {why}", written.get_ref())).hint(hint))
        })
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
        if let Some(asked) = self.called_programs.as_ref().filter(|asked| *asked.get_ref()) {
            loading.called_programs = true;
            only(&loading, asked.span().start)?;
        }
        if let Some(asked) = self.legacy_maps.as_ref().filter(|asked| *asked.get_ref()) {
            loading.legacy_maps = true;
            only(&loading, asked.span().start)?;
        }
        for stub in &self.stubs {
            loading.stubs.push(stub.get_ref().clone());
            only(&loading, stub.span().start)?;
        }
        loading.privileges = privileges::checked(self.capabilities.as_ref(), self.token.as_ref())?;
        loading.btf = self.btf.as_ref().map(|path| path.get_ref().clone());
        if !self.set.is_empty() {
            let variables = Variables::of(object);
            let undefined = object.undefined();
            for (name, value) in &self.set {
                if undefined.contains(name) {
                    loading.constants.push(constant(name, value)?);
                    only(&loading, value.span().start)?;
                    continue;
                }
                variables.patch(name, value.get_ref()).map_err(|mistake| (Some(value.span().start), mistake))?;
                let (variable, value) = (name.clone(), value.get_ref().to_string());
                loading.variables.push(VariableLoading { variable, value });
            }
        }
        let switches = [&self.static_programs, &self.called_programs, &self.legacy_maps];
        let says_nothing = switches.iter().all(|switch| switch.is_none()) && self.loader.is_none();
        if says_nothing && loading.is_empty() {
            let message = format!("`[[object]]` of `{}` sets nothing", object.name);
            let keys = "write `set.VARIABLE = VALUE`, `loader`, `btf`, `static-programs`, `called-programs`, `legacy-maps`, `stubs`, `capabilities` or `token`";
            return Err((None, Mistake::new(message).hint(keys)));
        }
        Ok((index, loading))
    }
}

/// The number that a constant of inline assembly is set to.
fn constant(name: &str, value: &Spanned<Value>) -> Result<ConstantLoading, Placed> {
    match value.get_ref().as_integer() {
        Some(number) => Ok(ConstantLoading { constant: name.to_owned(), value: Some(number) }),
        None => {
            let message = format!("`{name}` is a constant of inline assembly, which takes a number");
            Err((Some(value.span().start), Mistake::new(message)))
        }
    }
}

/// The largest file that is searched for BTF; a kernel's own has 4 to 7 MB.
const LIMIT: u64 = 256 << 20;

/// The raw BTF in a file, or why there is none.
fn read_btf(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LIMIT {
        return Err(format!("it is larger than {} MiB", LIMIT >> 20));
    }
    if bytes.starts_with(b"\x7fELF") {
        let elf = object::File::parse(&*bytes).map_err(|error| format!("it is a damaged ELF file: {error}"))?;
        let section = elf.section_by_name(".BTF").ok_or("the ELF file has no section `.BTF`")?;
        bytes = section.uncompressed_data().map_err(|error| format!("section `.BTF`: {error}"))?.into_owned();
    }
    Btf::parse(&bytes).map_err(|error| format!("it is damaged: {error}"))?;
    Ok(bytes)
}
