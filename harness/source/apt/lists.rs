//! [`Lists`]: apt with a private state in the store: one directory a suite, so that suites fail and age on their own.
//!
//! The system's lists, caches and sources are never touched. Signatures are verified by apt as always; only the expiry
//! date of a suite is not, because the `Release` file of an old suite is no longer renewed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use crate::file_name::file_name;
use crate::manifest::Archive;
use crate::process::{self, Finished, ProcessError};
use crate::source::apt::mirror::Mirror;
use crate::store::Store;
use crate::store::error::{IoContext, StoreError};

/// How long lists are taken as they are.
const LISTS_FRESH: Duration = Duration::from_secs(6 * 3600);
/// Lists newer than this cannot be outdated: a file they name that is gone will not come back by an update.
const LISTS_NEW: Duration = Duration::from_secs(600);
const UPDATE_DEADLINE: Duration = Duration::from_secs(300);
const QUERY_DEADLINE: Duration = Duration::from_secs(120);
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(900);
/// What apt says, in lower case, of a file that is not what the index says.
const LIES: [&str; 2] = ["hash sum mismatch", "unexpected size"];

/// One package in one suite, as its index says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct Package {
    pub name: String,
    pub version: String,
    pub suite: String,
    pub sha256: String,
}

impl std::fmt::Display for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.name, self.version)
    }
}

/// What became of a download.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::source) enum Downloaded {
    /// The `.deb`, checked against the index.
    Done(PathBuf),
    /// The index names the package, but its file is gone.
    Gone,
}

/// The suites of one archive, as the private apt knows them.
#[derive(Clone, Copy)]
pub(in crate::source) struct Lists<'a> {
    store: &'a Store,
    archive: Option<&'a Archive>,
}

impl Store {
    /// What apt knows of an archive, or of the machine's own.
    pub(in crate::source) fn apt<'a>(&'a self, archive: Option<&'a Archive>) -> Lists<'a> {
        Lists { store: self, archive }
    }
}

impl Lists<'_> {
    /// The name of a suite's state: suites of two archives may have the same name.
    fn state(&self, suite: &str) -> String {
        match self.archive {
            None => suite.to_owned(),
            Some(archive) => {
                let identity = crate::checksum::of_bytes(format!("{archive:?}").as_bytes());
                format!("{suite}-{}", &identity[..12])
            }
        }
    }

    fn folder(&self, suite: &str) -> PathBuf {
        self.store.locks.root().join("apt").join(file_name(&self.state(suite)))
    }

    /// Makes the lists of `suite` present and fresh, and returns whether they are new. With `again`, because something
    /// they name is gone, fresh means minutes instead of hours.
    pub fn update(&self, what: &str, suite: &str, again: bool, step: &dyn Fn(String)) -> Result<bool, StoreError> {
        let (folder, state) = (self.folder(suite), self.state(suite));
        fs::create_dir_all(&folder).during("create", &folder)?;
        let mut waiting = || step(format!("waiting for the lists of {suite}"));
        let _guard = self.store.locks.take(&format!("apt-{state}"), &mut waiting)?;
        let stamp = folder.join("updated");
        let age =
            fs::metadata(&stamp).and_then(|found| found.modified()).ok().map(|at| at.elapsed().unwrap_or_default());
        let mut updated = self.store.updated_suites.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = if again { LISTS_NEW } else { LISTS_FRESH };
        if updated.contains(&state) || age.is_some_and(|age| age < enough) {
            return Ok(false);
        }
        // Other suites need not wait for this one; the same suite waits for its file lock.
        drop(updated);
        step(format!("updating the package lists of {suite}"));
        let mirror = self.mirror(what)?;
        self.configure(what, &folder, suite, &mirror)?;
        let mut update = self.command(&self.store.programs.apt_get, &folder);
        update.args(["-q", "update", "-o", "APT::Update::Error-Mode=any"]);
        let done = self.run(what, &mut update, UPDATE_DEADLINE)?;
        if !done.status.success() {
            return Err(self.failed(what, &format!("updating the package lists of {suite}"), &mirror, &done));
        }
        // Built once, under the lock, instead of by every query at the same time.
        self.run(what, self.command(&self.store.programs.apt_cache, &folder).arg("gencaches"), QUERY_DEADLINE)?;
        File::create(&stamp).and_then(|file| file.set_modified(SystemTime::now())).during("write", &stamp)?;
        updated = self.store.updated_suites.lock().unwrap_or_else(PoisonError::into_inner);
        updated.insert(state);
        Ok(true)
    }

    /// The packages of `suite` whose name matches the POSIX regular expression, in no order.
    ///
    /// Needs lists, so [`update`](Self::update) has to come first.
    pub fn packages(&self, what: &str, suite: &str, pattern: &str) -> Result<Vec<Package>, StoreError> {
        let folder = self.folder(suite);
        let _guard = self.store.locks.take(&format!("apt-{}", self.state(suite)), &mut || {})?;
        let mut search = self.command(&self.store.programs.apt_cache, &folder);
        let found = self.run(what, search.args(["search", "--names-only", pattern]), QUERY_DEADLINE)?;
        let names: Vec<&str> = found.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut show = self.command(&self.store.programs.apt_cache, &folder);
        let shown = self.run(what, show.arg("show").args(names), QUERY_DEADLINE)?;
        Ok(stanzas(&shown.stdout, suite))
    }

    /// Downloads one package into `folder`, which holds nothing else.
    pub fn download(&self, what: &str, package: &Package, folder: &Path) -> Result<Downloaded, StoreError> {
        fs::create_dir_all(folder).during("create", folder)?;
        let mirror = self.mirror(what)?;
        let mut download = self.command(&self.store.programs.apt_get, &self.folder(&package.suite));
        download.args(["-q", "download"]).arg(format!("{}={}", package.name, package.version)).current_dir(folder);
        let done = self.run(what, &mut download, DOWNLOAD_DEADLINE)?;
        if !done.status.success() {
            let said = done.stderr.to_lowercase();
            let gone = ["404  not found", "404 not found", "410  gone", "unable to find a source", "was not found"];
            if gone.iter().any(|text| said.contains(text)) {
                return Ok(Downloaded::Gone);
            }
            if LIES.iter().any(|text| said.contains(text)) {
                return Err(StoreError::Corrupt {
                    what: format!("{what}: package {package}"),
                    reason: "the file on the mirror does not match its index".to_owned(),
                });
            }
            return Err(self.failed(what, &format!("downloading {package}"), &mirror, &done));
        }
        let mut files = fs::read_dir(folder).during("read", folder)?.flatten().map(|file| file.path());
        let Some(deb) = files.find(|path| path.extension().is_some_and(|ending| ending == "deb")) else {
            return Err(self.failed(what, &format!("downloading {package}"), &mirror, &done));
        };
        let sha256 = crate::checksum::of_file(&deb).during("read", &deb)?;
        if sha256 != package.sha256 {
            return Err(StoreError::Corrupt {
                what: format!("{what}: package {package}"),
                reason: format!("it has sha256 `{sha256}`, but the index has `{}`", package.sha256),
            });
        }
        Ok(Downloaded::Done(deb))
    }

    fn mirror(&self, what: &str) -> Result<Mirror, StoreError> {
        if let Some(archive) = self.archive {
            return Ok(Mirror::of(archive));
        }
        Mirror::find(&self.store.programs.apt_etc).ok_or_else(|| StoreError::Unavailable {
            what: what.to_owned(),
            reason: "the apt sources of this machine name no Debian archive".to_owned(),
            hint: Some("add a Debian archive to the apt sources, or choose another source for this kernel".to_owned()),
        })
    }

    /// Writes the private configuration of one suite.
    fn configure(&self, what: &str, folder: &Path, suite: &str, mirror: &Mirror) -> Result<(), StoreError> {
        for part in ["lists/partial", "cache/archives/partial", "keys"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).during("create", &path)?;
        }
        for (at, keyring) in mirror.keyrings.iter().enumerate() {
            if !keyring.is_file() {
                return Err(StoreError::Unavailable {
                    what: what.to_owned(),
                    reason: format!("the keyring `{}` does not exist", keyring.display()),
                    hint: Some("correct `keyring` in the manifest".to_owned()),
                });
            }
            let ending = keyring.extension().and_then(|ending| ending.to_str()).filter(|&ending| ending == "asc");
            let copy = folder.join("keys").join(format!("{at}.{}", ending.unwrap_or("gpg")));
            fs::copy(keyring, &copy).during("copy the keyring to", &copy)?;
        }
        let Mirror { uri, components, trusted, .. } = mirror;
        let sources = format!(
            "Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: {}\nTargets: Packages\n{}",
            components.join(" "),
            if *trusted { "Trusted: yes\n" } else { "" }
        );
        let root = if rustix::process::geteuid().is_root() { "APT::Sandbox::User \"root\";\n" } else { "" };
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let here = folder.display();
        // The system's own configuration still counts (proxies, credentials), but not its hooks: they act on the
        // system.
        let config = format!(
            "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n#clear APT::Architectures;\n\
             APT::Architecture \"{arch}\";\nAPT::Architectures {{ \"{arch}\"; }};\n\
             Dir::Etc::SourceList \"{here}/mirror.sources\";\nDir::Etc::SourceParts \"/dev/null\";\n\
             Dir::Etc::Preferences \"/dev/null\";\nDir::Etc::PreferencesParts \"/dev/null\";\n\
             Dir::Etc::Trusted \"/dev/null\";\nDir::Etc::TrustedParts \"{here}/keys\";\n\
             Dir::State \"{here}\";\nDir::State::lists \"{here}/lists\";\nDir::State::status \"{here}/status\";\n\
             Dir::Cache \"{here}/cache\";\nDir::Cache::archives \"{here}/cache/archives\";\n\
             Dir::Cache::pkgcache \"pkgcache.bin\";\nDir::Cache::srcpkgcache \"\";\n\
             Acquire::Languages \"none\";\nAcquire::PDiffs \"false\";\nAcquire::Check-Valid-Until \"false\";\n\
             Acquire::AllowInsecureRepositories \"false\";\nAcquire::AllowReleaseInfoChange \"true\";\n\
             Acquire::Retries \"2\";\nAcquire::http::Timeout \"30\";\nAcquire::https::Timeout \"30\";\n\
             APT::Get::AllowUnauthenticated \"false\";\n{root}"
        );
        for (name, text) in [("mirror.sources", &sources), ("apt.conf", &config), ("status", &String::new())] {
            let path = folder.join(name);
            fs::write(&path, text).during("write", &path)?;
        }
        Ok(())
    }

    fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(folder.join("apt.conf"));
        command
    }

    fn run(&self, what: &str, command: &mut Command, deadline: Duration) -> Result<Finished, StoreError> {
        process::finish(command, deadline).map_err(|error| StoreError::Unavailable {
            what: what.to_owned(),
            reason: error.to_string(),
            hint: Some(match error {
                ProcessError::Missing { .. } => {
                    "kernels from such archives need apt; on other systems, choose another source for this kernel"
                        .to_owned()
                }
                _ => "check the network and try again".to_owned(),
            }),
        })
    }

    /// Says in words what apt reported; its own text only where nothing fits, and without the mirror.
    fn failed(&self, what: &str, doing: &str, mirror: &Mirror, done: &Finished) -> StoreError {
        let said = format!("{}\n{}", done.stderr, done.stdout);
        let lower = said.to_lowercase();
        let has = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
        if has(&["no space left on device"]) {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return StoreError::Io { action: "download to", path: self.store.locks.root().to_owned(), source };
        }
        let (reason, hint) =
            if has(&["could not resolve", "temporary failure resolving", "unable to connect", "could not connect"]) {
                ("the mirror cannot be reached".to_owned(), "check the network and the proxy settings of apt")
            } else if has(&["no_pubkey", "expkeysig", "invalid signature", "couldn't be verified", "is not signed"]) {
                let reason = "apt does not trust the signature of the archive".to_owned();
                match self.archive {
                    Some(_) => (reason, "name the file with the archive's keys as `keyring` in the manifest"),
                    None => (reason, "install a newer `debian-archive-keyring`"),
                }
            } else if has(&LIES) {
                let reason = "the files of the mirror do not match its signed index".to_owned();
                (reason, "the mirror may be updating: try again later, or use another mirror")
            } else if has(&["timed out", "timeout"]) {
                ("the mirror did not respond in time".to_owned(), "check the network and the proxy settings of apt")
            } else if has(&["does not have a release file", "404  not found", "404 not found"]) {
                ("the mirror does not have the file".to_owned(), "check the name of the suite in the manifest")
            } else {
                let line = said
                    .lines()
                    .find(|line| line.starts_with("E:"))
                    .or(said.lines().next())
                    .unwrap_or("apt printed no reason");
                (mirror.mask(line), "check that apt works on this machine")
            };
        StoreError::Unavailable {
            what: what.to_owned(),
            reason: format!("{doing} failed: {reason}"),
            hint: Some(hint.to_owned()),
        }
    }
}

/// The stanzas of `apt-cache show`.
fn stanzas(text: &str, suite: &str) -> Vec<Package> {
    let field = |stanza: &str, name: &str| {
        let line = stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map(|value| value.trim().to_owned())
    };
    let package = |stanza: &str| {
        Some(Package {
            name: field(stanza, "Package")?,
            version: field(stanza, "Version")?,
            suite: suite.to_owned(),
            sha256: field(stanza, "SHA256")?,
        })
    };
    text.split("\n\n").filter_map(package).collect()
}

/// A shell glob as a POSIX extended regular expression for the whole name.
pub(in crate::source) fn regex_of_glob(glob: &str) -> String {
    let mut regex = String::from("^");
    for c in glob.chars() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            // A bracket expression means the same in both, but for its negation.
            '[' | ']' => regex.push(c),
            '!' => regex.push('^'),
            c if c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '~' => regex.push(c),
            c => {
                regex.push('\\');
                regex.push(c);
            }
        }
    }
    regex.push('$');
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_become_regular_expressions() {
        assert_eq!(regex_of_glob("linux-image-5.10.*-cloud-amd64"), "^linux-image-5\\.10\\..*-cloud-amd64$");
        assert_eq!(regex_of_glob("a+[!b]?"), "^a\\+[^b].$");
    }

    #[test]
    fn stanzas_without_checksum_are_left_out() {
        let text =
            "Package: a\nVersion: 1:2-3\nSHA256: ff\n\nPackage: b\nVersion: 1\n\nPackage: c\nVersion: 1\nSHA256: 00\n";
        let names: Vec<String> = stanzas(text, "sid").iter().map(ToString::to_string).collect();
        assert_eq!(names, ["`a` 1:2-3", "`c` 1"]);
    }
}
