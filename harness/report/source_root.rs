//! [`SourceRoot`]: the repository that annotations point into.

use std::path::{Component, Path, PathBuf};

/// The directory that paths in annotations are relative to.
#[derive(Debug, Clone)]
pub struct SourceRoot {
    root: PathBuf,
}

impl SourceRoot {
    /// The repository around `start`: the nearest directory with `.git`, else `start` itself.
    pub fn around(start: &Path) -> SourceRoot {
        let start = start.canonicalize().unwrap_or_else(|_| start.to_owned());
        let root = start.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(&start).to_owned();
        SourceRoot { root }
    }

    /// `file`, as a compiler or a user named it, relative to the root; `None` if it is not there. A file that was compiled in
    /// another checkout is found by the end of its path, of which the directory's name has to fit, too.
    pub fn find(&self, file: &Path) -> Option<String> {
        let named: PathBuf = file.components().filter(|part| *part != Component::CurDir).collect();
        let inside = |path: &Path| {
            let safe = path.components().all(|part| matches!(part, Component::Normal(_)));
            (safe && self.root.join(path).is_file()).then(|| path.to_str().map(str::to_owned)).flatten()
        };
        if let Ok(path) = named.strip_prefix(&self.root) {
            return inside(path);
        }
        if named.is_relative()
            && let Some(found) = inside(&named)
        {
            return Some(found);
        }
        let parts: Vec<_> = named.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let ends = (0..parts.len().saturating_sub(1)).map(|from| parts[from..].iter().collect::<PathBuf>());
        ends.into_iter().find_map(|end| inside(&end))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_the_repository_and_not_outside() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for made in [".git", "programs", "reports/1"] {
            std::fs::create_dir_all(root.join(made)).unwrap();
        }
        for file in ["programs/a.bpf.c", "top.bpf.c"] {
            std::fs::write(root.join(file), "x").unwrap();
        }
        let sources = SourceRoot::around(&root.join("reports/1"));
        let find = |file: &str| sources.find(Path::new(file));
        assert_eq!(find(&format!("{}/programs/a.bpf.c", root.display())).as_deref(), Some("programs/a.bpf.c"));
        assert_eq!(find("./programs/a.bpf.c").as_deref(), Some("programs/a.bpf.c"));
        assert_eq!(find("top.bpf.c").as_deref(), Some("top.bpf.c"));
        assert_eq!(find("/home/builder/src/programs/a.bpf.c").as_deref(), Some("programs/a.bpf.c"));
        // The name alone proves nothing, and nothing leads out of the root.
        for other in ["/usr/src/top.bpf.c", "a.bpf.c", "../programs/gone.c", "../../etc/passwd", "/etc/passwd", ""] {
            assert_eq!(find(other), None, "{other}");
        }
    }
}
