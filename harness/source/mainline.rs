//! [`kernel`]: an upstream version as Ubuntu builds it, from the archive of mainline builds: a directory for each version, `v6.6` or `v6.6.87`, with
//! one for each machine in it, that has packages and a file `CHECKSUMS`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::checksum;
use crate::manifest::release::KernelRelease;
use crate::manifest::{Keyring, KeyringPlace};
use crate::source::archive::deb;
use crate::source::available_kernels::Build;
use crate::source::checksum_list::sha256_of;
use crate::source::download::{Download, shown};
use crate::source::kernel_files::{KernelFiles, is_kernel_file};
use crate::source::lock_file::LockedKernel;
use crate::source::repository::keys::{KeyKind, Keys};
use crate::source::request::{Fetched, Request};
use crate::store::StoredKernel;
use crate::store::entry::{Delivery, Staging};
use crate::store::error::{IoContext, StoreError};

/// Where the builds are, unless the manifest names a mirror.
const ARCHIVE: &str = "https://kernel.ubuntu.com/mainline";
/// How it calls this machine.
const MACHINE: &str = "amd64";
/// The list of all versions has some 300 KiB.
const LIST_LIMIT: u64 = 16 << 20;
/// Who signs the checksums of the builds.
const KEY: &str = "60AA7B6F30434AE68E569963E50C6A0917C622B0";
const KEY_SERVER: &str = "https://keyserver.ubuntu.com/pks/lookup?op=get&options=mr&search=0x";
/// Image and modules have about 200 MB.
const PACKAGE_LIMIT: u64 = 2 << 30;
/// The end of a version that stands for the newest of its series.
const ANY_POINT: &str = ".*";

/// What the manifest asks for.
pub(super) struct Asked<'a> {
    /// `v6.6.87`, or `v6.6.*` for the newest point release.
    pub version: &'a str,
    pub mirror: Option<&'a str>,
    /// Who signs its checksums, if not Ubuntu does.
    pub keys: Option<&'a Keyring>,
}

/// The kernel of a `Source::Mainline`. Which point release it is gets pinned when it is first fetched.
pub(super) fn kernel(request: &Request<'_>, asked: &Asked<'_>) -> Result<StoredKernel, StoreError> {
    let (store, what) = (request.store, request.what.clone());
    let pinned =
        request.pinned("mainline").filter(|pinned| pinned.version.as_deref().is_some_and(|it| asked.takes(it)));
    if let Some(pinned) = &pinned
        && let Some(stored) = store.stored(request.name, &pinned.image_sha256, Vec::new())
    {
        return Ok(stored);
    }
    request.may_fetch()?;
    let staging = Staging::new(&store.locks)?;
    let archive = Archive { request, base: asked.base(), work: staging.work() };
    let version = match pinned.as_ref().and_then(|pinned| pinned.version.clone()) {
        Some(version) => version,
        None => archive.resolve(asked)?,
    };
    let tree = staging.work().join("tree");
    let notes = archive.unpack(&version, &tree, asked.keys)?;
    let found = KernelFiles::find(&tree)
        .map_err(|reason| StoreError::Corrupt { what: format!("{what}: packages of `{version}`"), reason })?;
    let image_sha256 = checksum::of_file(&found.image).during("read", &found.image)?;
    if let Some(pinned) = &pinned {
        crate::source::expect(&what, "sha256 of the image", &pinned.image_sha256, &image_sha256)?;
    }
    let delivery = Delivery {
        what: what.clone(),
        source: format!("mainline: {version}, built by Ubuntu"),
        image: found.image,
        config: found.config,
        modules: found.modules,
        notes,
    };
    let fetched = Fetched { key: image_sha256, delivery, staging, notes: Vec::new() };
    request.publish(fetched, pinned.as_ref(), &|identity| LockedKernel {
        source: "mainline".to_owned(),
        version: Some(version.clone()),
        digest: None,
        release: identity.release.clone(),
        image_sha256: identity.image_sha256.clone(),
        given_btf_sha256: None,
        packages: Vec::new(),
    })
}

/// The newest version in the archive that matches the request.
pub(super) fn newest_version(request: &Request<'_>, asked: &Asked<'_>) -> Result<String, StoreError> {
    let staging = Staging::new(&request.store.locks)?;
    Archive { request, base: asked.base(), work: staging.work() }.resolve(asked)
}

/// The versions in the archive that match the request, oldest first.
pub(super) fn builds(request: &Request<'_>, asked: &Asked<'_>) -> Result<Vec<Build>, StoreError> {
    let staging = Staging::new(&request.store.locks)?;
    let versions = Archive { request, base: asked.base(), work: staging.work() }.versions(asked)?;
    let build = |version: String| {
        let version = version.trim_start_matches('v').to_owned();
        Build { name: version.clone(), version }
    };
    Ok(versions.into_iter().map(build).collect())
}

impl Asked<'_> {
    fn base(&self) -> String {
        self.mirror.unwrap_or(ARCHIVE).trim_end_matches('/').to_owned()
    }

    /// The series, if any point release will do.
    fn series(&self) -> Option<&str> {
        self.version.strip_suffix(ANY_POINT)
    }

    /// Whether a version matches the request.
    fn takes(&self, version: &str) -> bool {
        match self.series() {
            None => version == self.version,
            Some(series) => {
                let rest = version.strip_prefix(series);
                let is_point = |rest: &str| rest.strip_prefix('.').is_some_and(|number| number.parse::<u32>().is_ok());
                rest.is_some_and(|rest| rest.is_empty() || is_point(rest))
            }
        }
    }
}

struct Archive<'a> {
    request: &'a Request<'a>,
    base: String,
    work: PathBuf,
}

impl Archive<'_> {
    /// The version itself, or the newest of its series.
    fn resolve(&self, asked: &Asked<'_>) -> Result<String, StoreError> {
        if asked.series().is_none() {
            return Ok(asked.version.to_owned());
        }
        let reason = format!("the mainline archive has no `{}`", asked.version);
        let newest = self.versions(asked)?.pop();
        newest.ok_or_else(|| self.request.unavailable(reason, "choose another version in the manifest"))
    }

    /// The versions of a series, oldest first.
    fn versions(&self, asked: &Asked<'_>) -> Result<Vec<String>, StoreError> {
        (self.request.step)(format!("looking up the versions of {}", asked.version));
        let list = self.text("", "list")?.unwrap_or_default();
        let versions = links(&list).into_iter().map(|link| link.trim_end_matches('/').to_owned());
        let mut matching: Vec<(KernelRelease, String)> =
            versions.filter(|version| asked.takes(version)).filter_map(|one| Some((one.parse().ok()?, one))).collect();
        matching.sort();
        matching.dedup();
        Ok(matching.into_iter().map(|(_, version)| version).collect())
    }

    /// Downloads the packages of a version and unpacks what is of use in them. Returns what the user should know.
    fn unpack(&self, version: &str, tree: &Path, keys: Option<&Keyring>) -> Result<Vec<String>, StoreError> {
        let Request { what, step, .. } = self.request;
        // Old versions have the packages of all machines in one directory.
        let mut found = None;
        for folder in [format!("{version}/{MACHINE}"), version.to_owned()] {
            let list = self.text(&format!("{folder}/"), "packages")?.unwrap_or_default();
            let packages: Vec<String> = links(&list).into_iter().filter(|link| is_needed(link)).collect();
            if !packages.is_empty() {
                found = Some((folder, packages));
                break;
            }
        }
        let Some((folder, packages)) = found else {
            let reason = format!("the mainline archive has no `{version}`");
            return Err(self.request.unavailable(reason, "choose another version in the manifest"));
        };
        let sums = self.text(&format!("{folder}/CHECKSUMS"), "checksums")?.unwrap_or_default();
        let note = self.verify(&folder, keys)?;
        fs::create_dir(tree).during("create", tree)?;
        for package in packages {
            let url = format!("{}/{folder}/{package}", self.base);
            step(format!("downloading {}", shown(&url)));
            let file = self.work.join(&package);
            let (sha256, server) = (sha256_of(&sums, &package), self.request.server(&url));
            let sha256 = sha256.as_deref();
            Download { what, url: &url, headers: &[], sha256, limit: PACKAGE_LIMIT, server, step }.to(&file)?;
            step(format!("unpacking {package}"));
            deb::unpack(&file, tree, &is_kernel_file).map_err(|error| match error.kind() {
                ErrorKind::InvalidData => {
                    StoreError::Corrupt { what: format!("{what}: `{package}`"), reason: error.to_string() }
                }
                _ => StoreError::Io { action: "unpack to", path: tree.to_owned(), source: error },
            })?;
            // What cannot be removed goes with the directory that it is in.
            let _ = fs::remove_file(&file);
        }
        Ok(note.into_iter().collect())
    }

    /// Verifies the signature of the checksums that were fetched last. Returns why they cannot be verified, if that is no reason to refuse them.
    fn verify(&self, folder: &str, keys: Option<&Keyring>) -> Result<Option<String>, StoreError> {
        let Archive { request, work, .. } = self;
        if self.text(&format!("{folder}/CHECKSUMS.gpg"), "signature")?.is_none() {
            return Ok(Some("the archive has no signature of its checksums: only https protects it".to_owned()));
        }
        let ubuntu = Keyring {
            places: vec![KeyringPlace::Url(format!("{KEY_SERVER}{KEY}"))],
            fingerprints: vec![KEY.to_ascii_lowercase()],
        };
        let keys = match Keys::fetch(request, (keys.unwrap_or(&ubuntu), KeyKind::OpenPgp), &work.join("keys"), work) {
            Ok(keys) => keys,
            // Of an archive that is named, its keys are as well.
            Err(error) if keys.is_none() && error.is_unavailable() => {
                return Ok(Some(format!("the signature of its checksums cannot be verified: {}", error.reason())));
            }
            Err(error) => return Err(error),
        };
        match keys.verify(request, &work.join("signature"), &work.join("checksums"))? {
            Ok(()) => Ok(None),
            Err(reason) => {
                let reason = format!("the checksums of `{folder}` are not trusted: {reason}");
                Err(request.unavailable(reason, "try again later, or correct `keyring` of the mirror"))
            }
        }
    }

    /// A page or file of the archive; `None` if it has none of this name.
    fn text(&self, path: &str, name: &str) -> Result<Option<String>, StoreError> {
        let url = format!("{}/{path}", self.base);
        let file = self.work.join(name);
        // What an answer that was refused left there is no beginning of this one.
        let _ = fs::remove_file(&file);
        let Request { what, step, .. } = self.request;
        let server = self.request.server(&url);
        let download = Download { what, url: &url, headers: &[], sha256: None, limit: LIST_LIMIT, server, step };
        match download.answer(&file)? {
            response if (200..300).contains(&response.status) => {
                let bytes = fs::read(&file).during("read", &file)?;
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            }
            response if matches!(response.status, 404 | 410) => Ok(None),
            response => Err(download.refused(&response)),
        }
    }
}

/// Names that a page of the archive links to, without those that lead elsewhere.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    for part in page.split("href=").skip(1) {
        let Some(quote) = part.chars().next().filter(|quote| matches!(quote, '"' | '\'')) else { continue };
        let Some(link) = part[1..].split(quote).next() else { continue };
        let link = link.strip_prefix("./").unwrap_or(link);
        let is_plain = link.trim_end_matches('/').chars().all(|c| c.is_ascii_alphanumeric() || "._+-~".contains(c));
        if is_plain && !link.starts_with('.') && !link.is_empty() {
            links.push(link.to_owned());
        }
    }
    links
}

/// Whether a package holds the image or the modules of the usual flavour.
fn is_needed(name: &str) -> bool {
    let is_part = ["linux-image-", "linux-modules-"].iter().any(|start| name.starts_with(start));
    is_part && name.contains("-generic_") && name.ends_with(&format!("_{MACHINE}.deb"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn point_releases_of_a_series_are_told_from_others() {
        let takes = |asked: &str, version: &str| Asked { version: asked, mirror: None, keys: None }.takes(version);
        for version in ["v6.6", "v6.6.1", "v6.6.142"] {
            assert!(takes("v6.6.*", version), "{version}");
        }
        for version in ["v6.6-rc1", "v6.60", "v6.60.1", "v6.6.1-rc1", "v6.6.", "v6.6.1/x", "v5.6.6"] {
            assert!(!takes("v6.6.*", version), "{version}");
        }
        assert!(takes("v6.6.1", "v6.6.1") && !takes("v6.6.1", "v6.6.12"));
    }

    #[test]
    fn links_are_read_and_the_needed_packages_known() {
        let page = r#"<a href="?C=M;O=A">x</a> <a href="/mainline/">up</a> <a href="v6.6.9/">v6.6.9/</a>
            <a href='v6.6.10/'>x</a> <a href="../">up</a> <a href="a_amd64.deb">x</a> <a href=x"#;
        assert_eq!(links(page), ["v6.6.9/", "v6.6.10/", "a_amd64.deb"]);
        for (name, needed) in [
            ("linux-image-unsigned-6.6.9-060609-generic_6.6.9-060609.202401_amd64.deb", true),
            ("linux-modules-6.6.9-060609-generic_6.6.9-060609.202401_amd64.deb", true),
            ("linux-headers-6.6.9-060609-generic_6.6.9-060609.202401_amd64.deb", false),
            ("linux-image-unsigned-6.6.9-060609-lowlatency_6.6.9_amd64.deb", false),
            ("linux-image-unsigned-6.6.9-060609-generic_6.6.9_arm64.deb", false),
        ] {
            assert_eq!(is_needed(name), needed, "{name}");
        }
    }
}
