//! [`rewrite`]: an object as its own loader makes it before libbpf could open it.
//!
//! What libbpf can be asked for between opening and loading, the guest asks for. Here is what it refuses to open.

mod btf;
mod btf_ext;
mod called;
mod constants;
mod elf;
mod externs;
mod flavours;
mod legacy_maps;
mod pinning;
mod statics;
mod stubs;

use crate::record::LoadingRecord;
pub use called::is_unambiguous;

use btf::BtfEditor;
use elf::ElfEditor;

const LICENSE: &str = "license";

/// An object as its own loader makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The object.
    pub bytes: Vec<u8>,
    /// What was done to it, as lowercase fragments.
    pub changes: Vec<String>,
}

/// Rewrites an object as a suite says that its loader does; `None` if there is nothing to do.
///
/// # Errors
///
/// Why that cannot be done to this object, as a lowercase fragment.
pub fn rewrite(bytes: &[u8], loading: &LoadingRecord) -> Result<Option<Rewritten>, String> {
    let unpinned: Vec<&str> =
        loading.maps.iter().filter(|map| map.pinning.is_some()).map(|map| map.map.as_str()).collect();
    let names = [&loading.stubs, &loading.whole_names];
    if !loading.static_programs
        && !loading.called_programs
        && !loading.legacy_maps
        && loading.license.is_none()
        && loading.constants.is_empty()
        && names.iter().all(|names| names.is_empty())
        && unpinned.is_empty()
    {
        return Ok(None);
    }
    let mut object = ElfEditor::read(bytes)?;
    let mut changes = Vec::new();
    if let Some(license) = loading.license.as_ref().filter(|_| object.find(LICENSE).is_none()) {
        object.add(LICENSE, license.bytes().chain([0]).collect());
        changes.push(format!("set its licence to `{license}`"));
    }
    let section = object.find(".BTF");
    let mut btf = match section.map(|section| BtfEditor::read(object.data(section))) {
        Some(Ok(btf)) => Some(btf),
        Some(Err(error)) => return Err(format!("its `.BTF` is corrupt: {error}")),
        None => None,
    };
    // Before static programs are global, since their copies are no programs.
    if loading.called_programs {
        changes.extend(called::copy(&mut object, btf.as_mut())?);
    }
    if loading.static_programs {
        statics::make_global(&mut object)?;
    }
    if loading.legacy_maps {
        changes.extend(legacy_maps::define(&mut object, btf.get_or_insert_with(BtfEditor::empty))?);
    }
    for name in &loading.stubs {
        changes.push(stubs::stub(&mut object, btf.as_mut(), name)?);
    }
    for constant in &loading.constants {
        changes.push(constants::give(&mut object, btf.as_mut(), constant)?);
    }
    if let Some(btf) = &mut btf {
        pinning::ignore(btf, &unpinned);
        for name in &loading.whole_names {
            changes.push(flavours::unfind(&mut object, btf, name));
        }
    }
    if let Some(btf) = btf {
        let data = btf.finish()?;
        match section {
            Some(section) => object.replace(section, data),
            None => object.add(".BTF", data),
        }
    }
    Ok(Some(Rewritten { bytes: object.finish(), changes }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
