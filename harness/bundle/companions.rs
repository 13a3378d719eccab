//! What a cell needs beside its object: the objects that its programs are loaded for, and kernel modules that the user gave as files.

use std::io::Read as _;
use std::path::Path;

use super::archive::{ArchiveMember, limit};
use crate::file_name::file_name as plain;
use crate::manifest::{ModuleChoice, NamedModule};
use crate::record::{KernelRecord, RunRecord};

/// Where bundles have the objects that programs of the cell's object are loaded for.
pub(super) const TARGETS: &str = "targets/";
/// Where they have modules.
pub(super) const MODULES: &str = "modules/";

/// The rows of the objects that programs of `object` are loaded for, without itself.
pub fn target_rows(record: &RunRecord, object: usize) -> Vec<usize> {
    let own = &record.objects[object];
    let mut rows: Vec<usize> = Vec::new();
    for name in own.loading.target_objects().filter(|name| *name != own.base_name()) {
        let row = record.objects.iter().position(|other| other.shape.is_none() && other.base_name() == name);
        rows.extend(row.filter(|row| !rows.contains(row)));
    }
    rows
}

/// The file of a target in a bundle.
pub(super) fn target_file(name: &str) -> String {
    format!("{TARGETS}{}.bpf.o", plain(name))
}

/// Reads the modules that the user gave as files for a kernel. Their paths become those in the bundle.
///
/// # Errors
/// A file cannot be read, is too large, or two have one name; as a lowercase fragment.
pub(super) fn modules(kernel: &mut KernelRecord) -> Result<Vec<ArchiveMember>, String> {
    let choice = ModuleChoice::of(kernel.modules.iter().map(String::as_str), Path::new(""))?;
    let mut members: Vec<ArchiveMember> = Vec::new();
    for (word, module) in kernel.modules.iter_mut().zip(&choice.named) {
        let NamedModule::File(path) = module else { continue };
        let name = in_bundle(path);
        let most = limit(&name).ok_or_else(|| format!("module `{}` has no name for a bundle", path.display()))?;
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
        read.map_err(|error| format!("module `{}` cannot be read: {error}", path.display()))?;
        if bytes.len() as u64 > most {
            return Err(format!("module `{}` is larger than {most} bytes", path.display()));
        }
        if members.iter().any(|(known, _)| *known == name) {
            return Err(format!("two modules have the file name of `{}`", path.display()));
        }
        members.push((name.clone(), bytes));
        *word = format!("./{name}");
    }
    Ok(members)
}

/// Of the modules of other kernels, the names alone: their paths are for the machine of the run.
pub(super) fn hide_paths(kernel: &mut KernelRecord) {
    for word in kernel.modules.iter_mut().filter(|word| word.starts_with('/')) {
        *word = format!("./{}", in_bundle(Path::new(word)));
    }
}

fn in_bundle(path: &Path) -> String {
    format!("{MODULES}{}", plain(&path.file_name().unwrap_or_default().to_string_lossy()))
}

/// Whether the modules that a manifest of a bundle names are names, or files of the bundle itself, which lies in `folder`.
pub(super) fn are_own(choice: Option<&ModuleChoice>, folder: &Path, members: &[ArchiveMember]) -> bool {
    let named = choice.iter().flat_map(|choice| &choice.named);
    named.into_iter().all(|module| match module {
        NamedModule::OfKernel(_) => true,
        NamedModule::File(path) => {
            members.iter().any(|(name, _)| name.starts_with(MODULES) && *path == folder.join(format!("./{name}")))
        }
    })
}
