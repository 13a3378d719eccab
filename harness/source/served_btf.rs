//! [`fetch`]: the types of a kernel in a file on a web server, such as the `vmlinux` of a build. It is pinned when it is first fetched.

use std::fs;
use std::path::{Path, PathBuf};

use super::download::{Download, shown};
use super::given_btf;
use super::lock_file::{LockedPackage, archive_mark};
use super::mapped::mapped;
use super::request::Request;
use crate::checksum;
use crate::manifest::file_name_of_url;
use crate::object::btf::Btf;
use crate::store::error::{IoContext, StoreError};
use crate::store::{TYPES, image};
use crate::whole_file;

/// A vmlinux with all its debug information may have a gigabyte.
const LIMIT: u64 = 4 << 30;

/// The types as the store has them.
pub(super) struct ServedBtf {
    /// Raw BTF.
    pub path: PathBuf,
    /// What the file says of itself, else its name.
    pub release: String,
    /// Where it is from, in words.
    pub source: String,
}

/// Gives the types of the file at `url`, whose SHA-256 the manifest may know.
pub(super) fn fetch(request: &Request<'_>, url: &str, known: Option<&str>) -> Result<ServedBtf, StoreError> {
    let Request { store, name, what, lock, step, .. } = request;
    let source = match known {
        Some(_) => format!("btf: {}", shown(url)),
        None => format!("btf: {} (not signed; pinned by the checksum of its first download)", shown(url)),
    };
    let mut waiting = || step("waiting for another run that is fetching the same types".to_owned());
    let mark = archive_mark(url);
    let _guard = store.locks.take(&format!("types-{mark}"), &mut waiting)?;
    let is_of = |pinned: &LockedPackage| pinned.archive == mark && known.is_none_or(|known| known == pinned.sha256);
    let pinned = lock.types(name).filter(is_of);
    let kept = |sha256: &str| store.root().join(TYPES).join(format!("served-{sha256}.btf"));
    if let Some(pinned) = &pinned
        && kept(&pinned.sha256).is_file()
    {
        return Ok(ServedBtf { path: kept(&pinned.sha256), release: pinned.version.clone(), source });
    }
    request.may_fetch()?;
    let expected = known.or(pinned.as_ref().map(|pinned| pinned.sha256.as_str()));
    // A name of its own, so that a download that broke off goes on.
    let file_name = expected.map_or_else(|| checksum::of_bytes(url.as_bytes()), str::to_owned);
    let file = store.downloads().join(file_name);
    step(format!("downloading {}", shown(url)));
    let server = request.server(url);
    let download = Download { what, url, headers: &[], sha256: expected, limit: LIMIT, server, step };
    let fetched = download.to(&file);
    if let (Err(StoreError::Corrupt { .. }), Some(pinned), true) = (&fetched, &pinned, file.is_file()) {
        let found = checksum::of_file(&file).during("read", &file)?;
        let _ = fs::remove_file(&file);
        crate::source::expect(what, "sha256 of the file with BTF", &pinned.sha256, &found)?;
    }
    fetched?;
    let sha256 = checksum::of_file(&file).during("read", &file)?;
    let base = file_name_of_url(url).unwrap_or_default();
    let types = types_in(&file, base);
    // What cannot be removed is taken by the next one that wants it.
    let _ = fs::remove_file(&file);
    let (raw, told) = types.map_err(|reason| StoreError::Corrupt {
        what: format!("{what}: `{}`", shown(url)),
        reason: format!("it has no types of a kernel: {reason}"),
    })?;
    let release = told.unwrap_or_else(|| base.to_owned());
    fs::create_dir_all(store.root().join(TYPES)).during("create", &store.root().join(TYPES))?;
    whole_file::replace(&kept(&sha256), |out| out.write_all(&raw))?;
    lock.set_types(
        name,
        LockedPackage {
            name: base.to_owned(),
            version: release.clone(),
            architecture: String::new(),
            archive: mark,
            suite: String::new(),
            sha256: sha256.clone(),
        },
    )?;
    Ok(ServedBtf { path: kept(&sha256), release, source })
}

/// The raw BTF in a file that its server calls `name`, and the release that it names.
fn types_in(file: &Path, name: &str) -> Result<(Vec<u8>, Option<String>), String> {
    let bytes = mapped(file).map_err(|error| error.to_string())?;
    if bytes.starts_with(b"\x7fELF") {
        let raw = sound(given_btf::of_elf(&bytes)?)?;
        return Ok((raw, image::release_of_vmlinux(&bytes).ok()));
    }
    drop(bytes);
    // The ending says how it is packed.
    let ending = given_btf::ENDINGS.into_iter().find(|ending| name.ends_with(ending)).unwrap_or(".btf");
    let named = file.with_extension(ending.trim_start_matches('.'));
    fs::rename(file, &named).map_err(|error| error.to_string())?;
    let raw = given_btf::read(&named);
    let _ = fs::remove_file(&named);
    Ok((sound(raw?)?, name.strip_suffix(ending).map(str::to_owned)))
}

fn sound(raw: Vec<u8>) -> Result<Vec<u8>, String> {
    Btf::parse(&raw).map_err(|error| error.to_string())?;
    Ok(raw)
}
