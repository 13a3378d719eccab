//! [`NewFiles`]: files that are all new, or none is written.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;

/// Files to be written, with their texts.
#[derive(Debug, Default)]
pub(super) struct NewFiles(Vec<(PathBuf, String)>);

impl NewFiles {
    /// One more, which must not exist.
    pub fn add(&mut self, path: PathBuf, text: String) -> Result<(), Failure> {
        // A link that leads nowhere is someone's, too.
        if path.symlink_metadata().is_ok() {
            return Err(exists(&path));
        }
        self.0.push((path, text));
        Ok(())
    }

    pub fn add_all(&mut self, files: Vec<(PathBuf, String)>) -> Result<(), Failure> {
        files.into_iter().try_for_each(|(path, text)| self.add(path, text))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes them, with the directories that they need, and returns their paths.
    pub fn write(self) -> Result<Vec<PathBuf>, Failure> {
        for (path, text) in &self.0 {
            let failed = |error: std::io::Error| match error.kind() {
                ErrorKind::AlreadyExists => exists(path),
                _ => Failure::input(format!("cannot write `{}`: {error}", path.display()), None),
            };
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(failed)?;
            }
            File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
        }
        Ok(self.0.into_iter().map(|(path, _)| path).collect())
    }
}

fn exists(path: &Path) -> Failure {
    let hint = "name another file, or remove it first".to_owned();
    Failure::input(format!("`{}` exists", path.display()), Some(hint))
}
