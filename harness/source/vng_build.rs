//! [`kernel`]: a kernel that `vng --build` builds: of a version in a git repository, or of a tree as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::checksum;
use crate::file_name::file_name;
use crate::process;
use crate::source::path;
use crate::source::request::Request;
use crate::source::tree;
use crate::store::error::{IoContext, StoreError};
use crate::store::{Store, StoredKernel};

/// For the whole of a build, on a slow machine.
const DEADLINE: Duration = Duration::from_secs(4 * 3600);
/// For a question to git or the compiler.
const SHORT: Duration = Duration::from_secs(60);
/// For a checkout of 80 000 files.
const CHECKOUT: Duration = Duration::from_secs(900);
/// Says what the build in a directory is of.
const BUILT: &str = "corematrix-build";

/// The kernel of a `Source::Build`. The build is kept, so that a changed config or source costs only what changed.
pub(super) fn kernel(
    request: &Request<'_>,
    tree: &Path,
    version: Option<&str>,
    config: Option<&Path>,
) -> Result<StoredKernel, StoreError> {
    let build = Build { request, tree, config };
    for path in std::iter::once(tree).chain(config) {
        if !path.exists() {
            let reason = format!("`{}` does not exist", path.display());
            return Err(request.unavailable(reason, "correct its path in the manifest"));
        }
    }
    let folder = folder(request.store, request.name);
    fs::create_dir_all(&folder).during("create", &folder)?;
    let (source, shown) = match version {
        Some(version) => {
            let commit = build.commit(version)?;
            let source = folder.join("source");
            build.check_out(&commit, &source)?;
            (source, format!("build: {version} ({}) of {}", &commit[..12], tree.display()))
        }
        None => (tree.to_owned(), format!("build: {}", tree.display())),
    };
    let output = output(request.store, request.name);
    fs::create_dir_all(&output).during("create", &output)?;
    build.make(&source, &output, version.is_some())?;
    let found = tree::find(&output).ok_or_else(|| {
        request.unavailable("`vng --build` produced no bzImage".to_owned(), "run the same command by hand in the tree")
    })?;
    path::from_tree(request, found, shown, Vec::new())
}

/// Where the builds of a kernel are.
fn folder(store: &Store, name: &str) -> PathBuf {
    store.build_folders().join(file_name(name))
}

/// What `make` calls `O`, of a kernel by its name.
pub(super) fn output(store: &Store, name: &str) -> PathBuf {
    folder(store, name).join("output")
}

/// What is built.
struct Build<'a> {
    request: &'a Request<'a>,
    tree: &'a Path,
    config: Option<&'a Path>,
}

impl Build<'_> {
    fn git(&self, folder: &Path, limit: Duration, args: &[&str]) -> Result<String, StoreError> {
        let mut git = Command::new("git");
        git.arg("-C").arg(folder).args(args);
        process::run(git, limit).map(|text| text.trim().to_owned()).map_err(|error| {
            self.request.unavailable(error.to_string(), "`version` needs a git repository that contains it")
        })
    }

    fn commit(&self, version: &str) -> Result<String, StoreError> {
        let commit = format!("{version}^{{commit}}");
        let found = self.git(self.tree, SHORT, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]);
        found.map_err(|_| {
            let reason = format!("`{}` has no version `{version}`", self.tree.display());
            self.request.unavailable(reason, "fetch it with `git fetch --tags`, or correct it in the manifest")
        })
    }

    /// The commit's files in a clone that shares the repository's objects; the user's own tree is not touched.
    fn check_out(&self, commit: &str, source: &Path) -> Result<(), StoreError> {
        if !source.join(".git").exists() {
            // What a killed run left is no repository.
            let _ = fs::remove_dir_all(source);
            let (from, to) = (self.tree.to_string_lossy(), source.to_string_lossy());
            self.git(Path::new("."), CHECKOUT, &["clone", "--quiet", "--shared", "--no-checkout", "--", &from, &to])?;
        }
        if self.git(source, SHORT, &["rev-parse", "HEAD"]).ok().as_deref() != Some(commit)
            || !source.join("Makefile").exists()
        {
            (self.request.step)(format!("checking out {}", &commit[..12]));
            self.git(source, CHECKOUT, &["checkout", "--quiet", "--force", "--detach", commit])?;
        }
        Ok(())
    }

    /// Builds unless the same was built here before; a tree of the user's may have changed anywhere, and `make` knows.
    fn make(&self, source: &Path, output: &Path, is_pinned: bool) -> Result<(), StoreError> {
        let Request { step, .. } = self.request;
        let built = self.identity(source)?;
        let mark = output.join(BUILT);
        let same = fs::read_to_string(&mark).is_ok_and(|text| text == built);
        if same && is_pinned && tree::find(output).is_some() {
            return Ok(());
        }
        let vng = self.vng()?;
        step("building with `vng --build`; the first time takes minutes".to_owned());
        if !same {
            // virtme-ng leaves a config alone that is there.
            let _ = fs::remove_file(output.join(".config"));
            let _ = fs::remove_file(&mark);
        }
        let mut command = Command::new(&vng);
        command.args(["--build", "--skip-modules"]).current_dir(source);
        if let Some(config) = self.config {
            command.arg("--config").arg(config);
        }
        command.arg(format!("O={}", output.display()));
        let beside = vng.parent().into_iter().map(Path::to_owned);
        let path = std::env::var_os("PATH").unwrap_or_default();
        if let Ok(path) = std::env::join_paths(beside.chain(std::env::split_paths(&path))) {
            command.env("PATH", path);
        }
        let done = process::finish(&mut command, DEADLINE)
            .map_err(|error| self.request.unavailable(error.to_string(), "run the same command by hand in the tree"))?;
        let log = output.with_extension("log");
        fs::write(&log, format!("{}\n{}", done.stdout, done.stderr)).during("write", &log)?;
        if !done.status.success() {
            let text = format!("{}\n{}", done.stdout, done.stderr);
            let telling = text.lines().find(|line| line.contains("rror:") || line.contains("***"));
            let reason = format!("`vng --build` failed: {}", telling.unwrap_or("no reason given").trim());
            return Err(self.request.unavailable(reason, &format!("its output is in `{}`", log.display())));
        }
        fs::write(&mark, built).during("write", &mark)
    }

    /// What a build depends on besides the sources of a tree that is built as it is.
    fn identity(&self, source: &Path) -> Result<String, StoreError> {
        let commit = self.git(source, SHORT, &["rev-parse", "HEAD"]).unwrap_or_else(|_| source.display().to_string());
        let config = match self.config {
            Some(config) => checksum::of_file(config).during("read", config)?,
            None => "none".to_owned(),
        };
        let mut gcc = Command::new("gcc");
        gcc.arg("--version");
        let compiler = process::run(gcc, SHORT).unwrap_or_default();
        Ok(format!("{commit}\nconfig {config}\n{}\n", compiler.lines().next().unwrap_or("no gcc")))
    }

    fn vng(&self) -> Result<PathBuf, StoreError> {
        self.request.store.virtme_ng().map(Path::to_owned).ok_or_else(|| {
            self.request.unavailable(
                "virtme-ng, which is needed to build kernels, is not installed".to_owned(),
                "install virtme-ng",
            )
        })
    }
}
