//! [`Engine`]: the file for a CI service.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

const GITHUB: &str = include_str!("../../../ci/github-actions.yml");
const GITLAB: &str = include_str!("../../../ci/gitlab-ci.yml");
/// The line of either that says what to load.
const OBJECTS: &str = "  OBJECTS: ";

/// Where GitLab looks, and where the jobs are.
const GITLAB_ENTRY: &str = ".gitlab-ci.yml";
const GITLAB_JOBS: &str = ".gitlab/corematrix.yml";

/// An engine of continuous integration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Engine {
    /// GitHub Actions workflow.
    Github,
    /// GitLab CI jobs.
    Gitlab,
}

impl Engine {
    /// The files in the repository at `root`, and their texts; `objects` is what to load.
    pub fn files(self, root: &Path, objects: &str) -> Vec<(PathBuf, String)> {
        match self {
            Engine::Github => vec![(root.join(".github/workflows/corematrix.yml"), with_objects(GITHUB, objects))],
            Engine::Gitlab => {
                let jobs = (root.join(GITLAB_JOBS), with_objects(GITLAB, objects));
                let entry = root.join(GITLAB_ENTRY);
                let new = (!entry.exists()).then(|| (entry, include()));
                std::iter::once(jobs).chain(new).collect()
            }
        }
    }

    /// What only the user can do, once the files are written.
    pub fn left_to_do(self, root: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        let (file, text) = match self {
            Engine::Github => (".github/workflows/corematrix.yml", GITHUB),
            Engine::Gitlab => (GITLAB_JOBS, GITLAB),
        };
        if text.contains("OWNER/") {
            lines.push(format!("in {file}, replace OWNER by the owner of the corematrix repository"));
        }
        let entry = fs::read_to_string(root.join(GITLAB_ENTRY)).unwrap_or_default();
        if self == Engine::Gitlab && !entry.contains(GITLAB_JOBS) {
            lines.push(format!("in {GITLAB_ENTRY}, add\n{}", include()));
        }
        lines
    }
}

fn include() -> String {
    format!("include:\n  - local: {GITLAB_JOBS}\n")
}

/// The text with another value for what is to be loaded.
fn with_objects(text: &str, objects: &str) -> String {
    let line = |line: &str| match line.strip_prefix(OBJECTS) {
        Some(rest) => {
            let comment = rest.find(" #").map_or("", |at| &rest[at..]);
            // JSON's strings are YAML's.
            format!("{OBJECTS}{}{comment}\n", serde_json::Value::from(objects))
        }
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_texts_have_one_place_for_the_objects() {
        for text in [GITHUB, GITLAB] {
            assert_eq!(text.lines().filter(|line| line.starts_with(OBJECTS)).count(), 1);
            let changed = with_objects(text, "bpf/my suite.toml");
            assert!(changed.contains("  OBJECTS: \"bpf/my suite.toml\""), "{changed}");
            let others = |text: &str| text.lines().filter(|line| !line.starts_with(OBJECTS)).count();
            assert_eq!(others(&changed), others(text));
        }
    }

    #[test]
    fn gitlab_s_own_file_is_made_only_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let files = Engine::Gitlab.files(folder.path(), "suite.toml");
        assert_eq!(files.len(), 2);
        fs::write(folder.path().join(GITLAB_ENTRY), "stages: [test]\n").unwrap();
        assert_eq!(Engine::Gitlab.files(folder.path(), "suite.toml").len(), 1);
        let left = Engine::Gitlab.left_to_do(folder.path()).join("\n");
        assert!(left.contains("- local: .gitlab/corematrix.yml"), "{left}");
        fs::write(folder.path().join(GITLAB_ENTRY), include()).unwrap();
        assert!(!Engine::Gitlab.left_to_do(folder.path()).iter().any(|line| line.contains("local:")));
    }
}
