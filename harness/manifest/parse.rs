//! [`parse`]: the text of `kernels.toml` to a [`Manifest`], or to all its problems.

use std::path::Path;

use toml::de::DeTable;

use super::catalogue::Catalogue;
use super::declaration::Declaration;
use super::limits::{self, GuestLimits};
use super::machine;
use super::problem::Problem;
use super::profiles::{self, Profiles};
use super::reader::{TableReader, TomlSection};
use super::release::KernelRelease;
use super::source_table::is_web_address;
use super::{BtfArchive, KernelSpec, Manifest};
use crate::nearest::nearest;
use crate::record::MachineSettings;

/// Tables of the file.
pub(super) const SECTIONS: [&str; 4] = ["defaults", "matrix", "kernel", profiles::SECTION];
/// Keys of `[defaults]`.
pub(super) const DEFAULTS: [&str; 6] =
    [limits::KEYS[0], limits::KEYS[1], limits::KEYS[2], machine::KEYS[0], machine::KEYS[1], "btf"];

/// Reads the text of the manifest at `path`; relative paths in it start at the directory of `path`, which is absolute.
///
/// # Errors
/// Every problem there is, in the order of lines. A text that is not TOML yields only its syntax errors.
pub fn parse(text: &str, path: &Path) -> Result<Manifest, Vec<Problem>> {
    let mut reader = TableReader::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let hint = (error.message() == "duplicate key").then(|| "remove one of them".to_owned());
            reader.problem(error.span().map_or(0, |span| span.start), error.message().replace('\n', ", "), hint);
        }
        let mut problems = reader.into_problems();
        // Recovery after an error makes more errors of the same slip.
        problems.dedup_by_key(|problem| problem.line);
        return Err(problems);
    }

    let root = TomlSection { title: String::new(), start: 0, table: document.get_ref() };
    reader.refuse_unknown(&root, &SECTIONS);
    let mut profiles = Profiles::built_in();
    profiles.read(&mut reader, &root);
    let folder = path.parent().unwrap_or(Path::new("."));
    let (limits, machine, btf_archive) = match reader.table(&root, "defaults") {
        Some(defaults) => {
            reader.refuse_unknown(&defaults, &DEFAULTS);
            let machine = machine::read(&mut reader, &defaults, None, &MachineSettings::default());
            let archive = reader.string(&defaults, "btf").map(|(text, _)| match is_web_address(text) {
                true => BtfArchive::Server(text.trim_end_matches('/').to_owned()),
                false => BtfArchive::Folder(folder.join(text)),
            });
            (GuestLimits::read(&mut reader, &defaults, GuestLimits::BUILT_IN), machine, archive)
        }
        None => (GuestLimits::BUILT_IN, MachineSettings::default(), None),
    };
    let mut kernels = Vec::new();
    let mut names = Vec::new();
    if let Some(declared) = reader.table(&root, "kernel") {
        names.extend(declared.table.keys().map(|name| name.get_ref().to_string()));
        for (name, value) in declared.table.iter() {
            let (name, start): (&str, usize) = (name.get_ref(), name.span().start);
            let Some(table) = value.get_ref().as_table() else {
                let message = format!("`kernel.{}` must be a table, found {}", shown(name), value.get_ref().type_str());
                let hint = format!("write `[kernel.\"{}\"]` on a line of its own", shown(name));
                reader.problem(start, message, Some(hint));
                continue;
            };
            let title = format!("kernel `{}`", shown(name));
            let section = TomlSection { title, start, table };
            let (machine, profiles, btf_archive) = (&machine, &profiles, btf_archive.as_ref());
            let declaration = Declaration { name, section, folder, limits, machine, profiles, btf_archive };
            kernels.extend(declaration.read(&mut reader).map(|spec| (start, spec)));
        }
    }
    if names.is_empty() {
        reader.problem(0, "no kernel is declared", Some("add a `[kernel.\"6.1\"]` table with a `source`".to_owned()));
    }
    let matrix = read_matrix(&mut reader, &root, &names);

    let problems = reader.into_problems();
    if !problems.is_empty() {
        return Err(problems);
    }
    // Oldest series first; kernels without a version come last, as they stand in the file.
    kernels.sort_by_key(|(start, spec)| {
        let release = spec.name.parse::<KernelRelease>().ok();
        (release.is_none(), release, *start)
    });
    let kernels: Vec<KernelSpec> = kernels.into_iter().map(|(_, spec)| spec).collect();
    let matrix = matrix.unwrap_or_else(|| kernels.iter().map(|kernel| kernel.name.clone()).collect());
    Ok(Manifest { path: path.to_owned(), kernels, matrix, profiles, catalogue: Catalogue::default() })
}

/// `[matrix]`; `None` if the file leaves it out, which means all kernels.
fn read_matrix<'t>(reader: &mut TableReader<'t>, root: &TomlSection<'t>, names: &[String]) -> Option<Vec<String>> {
    let section = &reader.table(root, "matrix")?;
    reader.refuse_unknown(section, &["default"]);
    let mut matrix: Vec<String> = Vec::new();
    for (name, place) in reader.strings(section, "default")? {
        if !names.iter().any(|known| known == name) {
            let hint = match nearest(name, names.iter().map(String::as_str), 1).first() {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("add a `[kernel.\"{}\"]` table", shown(name)),
            };
            let message = format!("matrix: kernel `{}` is not declared", shown(name));
            reader.problem(place.start, message, Some(hint));
        } else if matrix.iter().any(|known| known == name) {
            let message = format!("matrix: kernel `{}` is listed twice in `default`", shown(name));
            reader.problem(place.start, message, Some("remove one of them".to_owned()));
        } else {
            matrix.push(name.to_owned());
        }
    }
    Some(matrix)
}

/// A name of the file's author as it can be printed.
fn shown(name: &str) -> std::str::EscapeDebug<'_> {
    name.escape_debug()
}

#[cfg(test)]
mod tests;
