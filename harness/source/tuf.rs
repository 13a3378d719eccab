//! [`Lookup`]: what a repository of The Update Framework (TUF) says of its targets, verified by python-tuf.
//!
//! python-tuf is the reference implementation. It verifies metadata alone; the target itself is downloaded and compared with its SHA-256 as everything
//! else. What was trusted last is kept in the store: a repository that goes back is noticed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checksum;
use crate::manifest::{FileLocation, TufRepository, VERSION};
use crate::process::{self, ProcessError};
use crate::source::download::{Download, shown};
use crate::source::repository::digest::Digest;
use crate::source::request::Request;
use crate::source::unreachable::Unreachable;
use crate::store::error::{IoContext, StoreError};
use crate::store::{TUF, version};
use crate::whole_file;

/// The program that looks up.
const LOOK_UP: &str = include_str!("tuf/look_up.py");
/// For all of its rounds.
const DEADLINE: Duration = Duration::from_secs(300);
/// python-tuf takes no larger root.
const ROOT_LIMIT: u64 = 512_000;
/// The root of trust that the manifest names, beside what python-tuf keeps.
const ROOT: &str = "given-root.json";

/// A target that is asked for.
pub(super) struct Lookup<'a> {
    pub request: &'a Request<'a>,
    pub repository: &'a TufRepository,
    /// Its address, in which `{version}` may stand for the version.
    pub url: &'a str,
}

/// A file that the repository vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// Where it is.
    pub url: String,
    /// What stands for `{version}` in its name.
    pub version: Option<String>,
    pub length: u64,
    /// In hex.
    pub sha256: String,
}

/// What the program is asked.
#[derive(Serialize)]
struct Asked<'a> {
    metadata: &'a str,
    state: &'a Path,
    root: &'a Path,
    version: bool,
    before: &'a str,
    after: &'a str,
}

/// What the program answers.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Answer {
    Found { targets: Vec<Listed>, hash_in_name: bool },
    Missing { missing: String },
    Status { status: u16, file: String },
    Unreachable { unreachable: String },
    Untrusted { untrusted: String },
}

#[derive(Debug, Deserialize)]
struct Listed {
    name: String,
    length: u64,
    sha256: Option<String>,
}

impl Lookup<'_> {
    /// The target of this version, or the newest; `None` if there is none. `work` is a directory for files in between.
    pub fn target(&self, wanted: Option<&str>, work: &Path) -> Result<Option<Target>, StoreError> {
        let Lookup { request, repository, url } = self;
        let (folder, name) = url.rsplit_once('/').unwrap_or(("", url));
        let exact = wanted.map(|wanted| name.replace(VERSION, wanted));
        let (before, after) = match &exact {
            Some(name) => (name.as_str(), None),
            None => name.split_once(VERSION).map_or((name, None), |(before, after)| (before, Some(after))),
        };
        (request.step)(format!("looking up {name} in the TUF repository {}", shown(&repository.metadata)));
        let (listed, hash_in_name) = self.ask(before, after, work)?;
        let version_of = |listed: &Listed| match (after, wanted) {
            (Some(after), _) => listed.name.strip_prefix(before)?.strip_suffix(after).map(str::to_owned),
            (None, wanted) => wanted.map(str::to_owned),
        };
        let candidates = listed.into_iter().map(|listed| (version_of(&listed), listed));
        let candidates = candidates.filter(|(found, _)| after.is_none() || found.as_deref().is_some_and(is_version));
        let newest = candidates.reduce(|a, b| {
            let text = |it: &Option<String>| it.clone().unwrap_or_default();
            if version::compare(&text(&b.0), &text(&a.0)).is_gt() { b } else { a }
        });
        let Some((version, Listed { name, length, sha256 })) = newest else { return Ok(None) };
        let Some(sha256) = sha256.filter(|sum| Digest::parse("sha256", sum).is_some()) else {
            return Err(self.untrusted(&format!("it lists no SHA-256 of `{name}`")));
        };
        let prefix = if hash_in_name { format!("{sha256}.") } else { String::new() };
        let url = format!("{folder}/{prefix}{name}");
        Ok(Some(Target { url, version, length, sha256: sha256.to_ascii_lowercase() }))
    }

    /// Why there is no such target.
    pub fn not_listed(&self) -> StoreError {
        let name = self.url.rsplit('/').next().unwrap_or(self.url);
        let reason = format!("the TUF repository `{}` lists no target `{name}`", shown(&self.repository.metadata));
        self.request.unavailable(reason, "correct `disk` or `tuf` in the manifest")
    }

    /// The targets, and whether the server has their checksums in front of their names.
    fn ask(&self, before: &str, after: Option<&str>, work: &Path) -> Result<(Vec<Listed>, bool), StoreError> {
        let Lookup { request, repository, .. } = self;
        let server = request.server(&repository.metadata);
        if let Some(reason) = server.since() {
            return Err(self.unavailable(&reason, &Unreachable::hint()));
        }
        let id = self.id()?;
        // python-tuf is not made for two at once.
        let mut waiting = || (request.step)("waiting for another run that uses the same TUF repository".to_owned());
        let _guard = request.store.locks.take(&format!("tuf-{id}"), &mut waiting)?;
        let state = request.store.root().join(TUF).join(id);
        fs::create_dir_all(&state).during("create", &state)?;
        let root = self.root(&state, work)?;
        let asked = Asked {
            metadata: &repository.metadata,
            state: &state,
            root: &root,
            version: after.is_some(),
            before,
            after: after.unwrap_or_default(),
        };
        // The address may have credentials, which no command line must show.
        let file = work.join("tuf.json");
        let text = serde_json::to_vec(&asked).map_err(std::io::Error::from).during("write", &file)?;
        fs::write(&file, text).during("write", &file)?;
        match self.run(&file)? {
            Answer::Found { targets, hash_in_name } => {
                server.forget();
                Ok((targets, hash_in_name))
            }
            Answer::Status { status, file } => {
                server.forget();
                Err(match status {
                    403 | 404 | 410 => {
                        let reason = format!("the server does not give `{file}` (status {status})");
                        self.unavailable(&reason, "correct `tuf` in the manifest")
                    }
                    _ => self.unavailable(&format!("`{file}`: the server responded with {status}"), "try again later"),
                })
            }
            Answer::Unreachable { unreachable } => {
                let reason = format!("the server cannot be reached: {unreachable}");
                server.remember(&reason);
                Err(self.unavailable(&reason, &Unreachable::hint()))
            }
            Answer::Untrusted { untrusted } => Err(self.untrusted(&untrusted)),
            Answer::Missing { missing } => Err(self.without_python_tuf(&missing)),
        }
    }

    /// Runs the program with the first Python that has python-tuf.
    fn run(&self, asked: &Path) -> Result<Answer, StoreError> {
        let mut missing = None;
        for python in &self.request.store.programs.pythons {
            // Without files of the directory, settings of the user, or modules of his that shadow others.
            let mut command = Command::new(python);
            command.args(["-I", "-c", LOOK_UP]).arg(asked);
            let done = match process::finish(&mut command, DEADLINE) {
                Ok(done) => done,
                Err(error @ ProcessError::Missing { .. }) => {
                    missing = missing.or(Some(error.to_string()));
                    continue;
                }
                Err(error @ ProcessError::Deadline { .. }) => {
                    return Err(self.unavailable(&error.to_string(), "check the network and the proxy settings"));
                }
                Err(error) => return Err(self.broken(&error.to_string())),
            };
            match serde_json::from_str(&done.stdout) {
                Ok(Answer::Missing { missing: reason }) => missing = missing.or(Some(reason)),
                Ok(answer) => return Ok(answer),
                // A traceback ends with what it is about.
                Err(_) => return Err(self.broken(done.stderr.trim().lines().next_back().unwrap_or("it said nothing"))),
            }
        }
        Ok(Answer::Missing { missing: missing.unwrap_or_else(|| "no Python".to_owned()) })
    }

    /// What distinguishes the repository, and the root that it is trusted by, from others.
    fn id(&self) -> Result<String, StoreError> {
        let TufRepository { metadata, root, root_checksums } = self.repository;
        let root = match root {
            FileLocation::Url(_) => root_checksums.join(" "),
            FileLocation::Path(path) => checksum::of_file(path).map_err(|error| {
                let reason = format!("the root of trust `{}` cannot be read: {error}", path.display());
                self.request.unavailable(reason, "correct `tuf-root` in the manifest")
            })?,
        };
        Ok(checksum::of_bytes(format!("{} {root}", metadata.trim_end_matches('/')).as_bytes())[..16].to_owned())
    }

    /// The root of trust that the manifest names. One on a server is fetched once.
    fn root(&self, state: &Path, work: &Path) -> Result<PathBuf, StoreError> {
        let Lookup { request, repository, .. } = self;
        let url = match &repository.root {
            FileLocation::Path(path) => return self.is_right(path, &path.display().to_string()).map(|()| path.clone()),
            FileLocation::Url(url) => url,
        };
        let kept = state.join(ROOT);
        if kept.is_file() && self.is_right(&kept, url).is_ok() {
            return Ok(kept);
        }
        let file = work.join("root.json");
        let (server, step) = (request.server(url), request.step);
        Download { what: &request.what, url, headers: &[], sha256: None, limit: ROOT_LIMIT, server, step }.to(&file)?;
        self.is_right(&file, &shown(url))?;
        let bytes = fs::read(&file).during("read", &file)?;
        whole_file::replace(&kept, |out| out.write_all(&bytes))?;
        Ok(kept)
    }

    fn is_right(&self, root: &Path, shown: &str) -> Result<(), StoreError> {
        let sums = &self.repository.root_checksums;
        let digests = sums.iter().filter_map(|sum| {
            let kind = if sum.len() == 64 { "sha256" } else { "sha512" };
            Digest::parse(kind, sum)
        });
        for digest in digests {
            if digest.is_of(root).during("read", root)? {
                return Ok(());
            }
        }
        match sums.is_empty() {
            true => Ok(()),
            false => Err(StoreError::Corrupt {
                what: format!("{}: `{shown}`", self.request.what),
                reason: "it is not a root of trust that `tuf-root-checksums` lists".to_owned(),
            }),
        }
    }

    fn untrusted(&self, reason: &str) -> StoreError {
        StoreError::Corrupt {
            what: format!("{}: TUF repository `{}`", self.request.what, shown(&self.repository.metadata)),
            reason: format!("it is not trusted: {reason}"),
        }
    }

    fn unavailable(&self, reason: &str, hint: &str) -> StoreError {
        self.request.unavailable(format!("`{}`: {reason}", shown(&self.repository.metadata)), hint)
    }

    fn without_python_tuf(&self, reason: &str) -> StoreError {
        let reason = format!("python-tuf, which verifies TUF repositories, is not installed ({reason})");
        self.request.unavailable(reason, "`corematrix setup --tuf` installs it")
    }

    fn broken(&self, reason: &str) -> StoreError {
        self.unavailable(
            &format!("python-tuf does not work: {reason}"),
            "`corematrix setup --tuf` installs another one",
        )
    }
}

/// Whether what stands for `{version}` is one: other images have words behind it, such as `1.53.0-data`.
fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._+~".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_images_are_no_versions() {
        for good in ["1.53.0", "4230.2.1", "1.11.0~rc1"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["1.53.0-data", "", "v1.2", "1/2", "fips-1.53.0"] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    #[test]
    fn answers_are_told_apart() {
        let read = |text: &str| serde_json::from_str::<Answer>(text);
        assert!(matches!(read(r#"{"targets": [], "hash_in_name": true}"#), Ok(Answer::Found { .. })));
        assert!(matches!(read(r#"{"status": 404, "file": "x"}"#), Ok(Answer::Status { status: 404, .. })));
        assert!(matches!(read(r#"{"untrusted": "x"}"#), Ok(Answer::Untrusted { .. })));
        assert!(read(r#"{"untrusted": "x", "targets": []}"#).is_err() && read("").is_err());
    }
}
