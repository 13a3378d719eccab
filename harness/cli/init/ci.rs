//! [`Engine`]: the file for a CI service.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

const GITHUB: &str = include_str!("../../../ci/github-actions.yml");
const GITLAB: &str = include_str!("../../../ci/gitlab-ci.yml");
/// The line of either that says what to load.
const OBJECTS: &str = "  OBJECTS: ";
/// That with the directory of what is built, which jobs hand on.
const BUILT: &str = "  BUILT: ";

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
    /// The files in the repository at `root`, and their texts; `objects` is what to load, `built` the directory that a build leaves it in.
    pub fn files(self, root: &Path, objects: &str, built: &str) -> Vec<(PathBuf, String)> {
        let filled = |text: &str| with_value(&with_value(text, OBJECTS, objects), BUILT, built);
        match self {
            Engine::Github => vec![(root.join(".github/workflows/corematrix.yml"), filled(GITHUB))],
            Engine::Gitlab => {
                let jobs = (root.join(GITLAB_JOBS), filled(GITLAB));
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
        lines.push(match self {
            Engine::Github => format!("in {file}, put the build of your objects into the step `Build the objects`"),
            Engine::Gitlab => format!("in {file}, put the build of your objects into the job `objects`"),
        });
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

/// The directory below `root` that holds all inputs, as jobs name it; `here` is where relative inputs start.
pub fn directory_of(inputs: &[PathBuf], here: &Path, root: &Path) -> String {
    let directory = |input: &PathBuf| {
        let path = here.join(input);
        let directory = if path.is_dir() { path } else { path.parent().unwrap_or(root).to_owned() };
        directory.strip_prefix(root).map(Path::to_owned).ok()
    };
    let mut known = inputs.iter().filter_map(directory);
    let Some(first) = known.next() else { return "build".to_owned() };
    let common = known.fold(first, |common, other| {
        common.components().zip(other.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    });
    match common.to_string_lossy() {
        root if root.is_empty() => ".".to_owned(),
        directory => directory.into_owned(),
    }
}

/// The text with another value in the line that begins with `key`.
fn with_value(text: &str, key: &str, value: &str) -> String {
    let line = |line: &str| match line.strip_prefix(key) {
        Some(rest) => {
            let comment = rest.find(" #").map_or("", |at| &rest[at..]);
            // JSON's strings are YAML's.
            format!("{key}{}{comment}\n", serde_json::Value::from(value))
        }
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_texts_have_one_place_for_the_objects_and_one_for_their_directory() {
        for (text, key) in [GITHUB, GITLAB].into_iter().flat_map(|text| [(text, OBJECTS), (text, BUILT)]) {
            assert_eq!(text.lines().filter(|line| line.starts_with(key)).count(), 1);
            let changed = with_value(text, key, "bpf/my suite.toml");
            assert!(changed.contains(&format!("{key}\"bpf/my suite.toml\"")), "{changed}");
            let others = |text: &str| text.lines().filter(|line| !line.starts_with(key)).count();
            assert_eq!(others(&changed), others(text));
        }
    }

    #[test]
    fn jobs_hand_on_the_directory_of_the_objects_and_never_the_suite_alone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("build/bpf")).unwrap();
        let of = |inputs: &[&str]| {
            let inputs: Vec<PathBuf> = inputs.iter().map(PathBuf::from).collect();
            directory_of(&inputs, root, root)
        };
        assert_eq!(of(&["build/bpf/a.bpf.o"]), "build/bpf");
        assert_eq!(of(&["build/bpf", "build/b.bpf.o"]), "build");
        assert_eq!(of(&["a.bpf.o", "build/b.bpf.o"]), ".");
        assert_eq!(of(&["/elsewhere/a.bpf.o"]), "build");
        let [(_, github)] = &Engine::Github.files(root, "suite.toml", "build/bpf")[..] else { panic!("one file") };
        let artifacts = github.lines().filter(|line| line.contains("name: objects, path:"));
        assert!(artifacts.clone().count() == 2 && artifacts.clone().all(|line| line.contains("env.BUILT")), "{github}");
    }

    #[test]
    fn gitlab_s_own_file_is_made_only_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let files = Engine::Gitlab.files(folder.path(), "suite.toml", "build");
        assert_eq!(files.len(), 2);
        fs::write(folder.path().join(GITLAB_ENTRY), "stages: [test]\n").unwrap();
        assert_eq!(Engine::Gitlab.files(folder.path(), "suite.toml", "build").len(), 1);
        let left = Engine::Gitlab.left_to_do(folder.path()).join("\n");
        assert!(left.contains("- local: .gitlab/corematrix.yml"), "{left}");
        fs::write(folder.path().join(GITLAB_ENTRY), include()).unwrap();
        assert!(!Engine::Gitlab.left_to_do(folder.path()).iter().any(|line| line.contains("local:")));
    }
}
