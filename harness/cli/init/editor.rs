//! What editors need to complete `kernels.toml` and suites: their schemas, in the repository, and the line of a file that names one.

use std::path::{Path, PathBuf};

use crate::cli::schema;

/// The directory of the schemas, in the root of the repository.
const FOLDER: &str = ".corematrix";
/// How editors' TOML servers look for a schema: in the first line.
const DIRECTIVE: &str = "#:schema ";
/// The schema of `kernels.toml`, and that of suites.
pub(super) const KERNELS: &str = "kernels-1";
pub(super) const SUITE: &str = "suite-1";

/// The schema files that the repository at `root` lacks, with their texts.
pub(super) fn files(root: &Path) -> Vec<(PathBuf, String)> {
    let file = |name: &str| Some((root.join(FOLDER).join(file_name(name)), schema::text(name)?.to_owned()));
    let all = [KERNELS, SUITE].into_iter().filter_map(file);
    all.filter(|(path, _)| path.symlink_metadata().is_err()).collect()
}

/// The text of a TOML file that is to lie at `file`, an absolute path, with a first line that names its schema. A file outside of the
/// repository names none.
pub(super) fn with_schema(text: &str, name: &str, root: &Path, file: &Path) -> String {
    let rest = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with(DIRECTIVE) => rest,
        _ => text,
    };
    let Some(folder) = file.parent().and_then(|folder| folder.strip_prefix(root).ok()) else { return rest.to_owned() };
    let up = "../".repeat(folder.components().count());
    let up = if up.is_empty() { "./" } else { &up };
    format!("{DIRECTIVE}{up}{FOLDER}/{}\n{rest}", file_name(name))
}

fn file_name(schema: &str) -> String {
    format!("{schema}.schema.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_name_the_schemas_that_are_written() {
        let root = tempfile::tempdir().expect("a folder");
        let written = files(root.path());
        assert_eq!(written.len(), 2);
        for (text, name, file) in [
            ("#:schema ./schema/x.json\n[matrix]\n", KERNELS, "kernels.toml"),
            ("[matrix]\n", SUITE, "bpf/deep/suite.toml"),
        ] {
            let file = root.path().join(file);
            let text = with_schema(text, name, root.path(), &file);
            let (first, rest) = text.split_once('\n').expect("two lines");
            assert_eq!(rest, "[matrix]\n");
            let named = first.strip_prefix(DIRECTIVE).expect("a schema");
            let depth = named.matches("../").count();
            let base = file.ancestors().nth(depth + 1).expect("a folder");
            let path = base.join(named.trim_start_matches("../").trim_start_matches("./"));
            assert!(written.iter().any(|(known, _)| *known == path), "{path:?}");
        }
        assert_eq!(with_schema("a = 1\n", SUITE, root.path(), Path::new("/elsewhere/suite.toml")), "a = 1\n");
        std::fs::create_dir(root.path().join(FOLDER)).expect("a folder");
        std::fs::write(&written[0].0, "").expect("a file");
        assert_eq!(files(root.path()).len(), 1);
    }
}
