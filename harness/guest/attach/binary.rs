//! [`resolve`]: the file that a probe in user space is for, looked up as libbpf 1.7 does (`resolve_full_path`).

use std::env;
use std::path::{Path, PathBuf};

use corematrix_protocol::user_space::{EXECUTABLES, LIBRARIES, is_library};

/// The file, if the guest has it. A name without `/` is searched for; `archive!/member` is a member of a zip file.
pub fn resolve(binary: &str) -> Option<PathBuf> {
    if let Some((archive, _)) = binary.split_once("!/") {
        return Some(PathBuf::from(archive)).filter(|path| path.exists());
    }
    if binary.contains('/') {
        return Some(PathBuf::from(binary)).filter(|path| path.exists());
    }
    let (variable, folders) = if is_library(binary) { ("LD_LIBRARY_PATH", LIBRARIES) } else { ("PATH", EXECUTABLES) };
    let own = env::var(variable).unwrap_or_default();
    search(binary, &[&own, folders])
}

fn search(file: &str, lists: &[&str]) -> Option<PathBuf> {
    let folders = lists.iter().flat_map(|list| list.split(':')).filter(|folder| !folder.is_empty());
    folders.map(|folder| Path::new(folder).join(file)).find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_slash_are_searched_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().to_str().expect("a path").to_owned();
        std::fs::write(folder.path().join("libodd.so.6"), "").expect("a file");
        let lists = format!("/nowhere::{place}");
        assert_eq!(search("libodd.so.6", &["", &lists]), Some(folder.path().join("libodd.so.6")));
        assert_eq!(search("libodd.so.7", &["", &lists]), None);
        let archive = format!("{place}/libodd.so.6!/lib/member.so");
        assert_eq!(resolve(&archive), Some(folder.path().join("libodd.so.6")));
        assert_eq!(resolve("/no/such/file"), None);
    }
}
