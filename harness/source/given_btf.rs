//! [`give`]: BTF that the user gives a kernel: a file, or an archive of many kernels' that is laid out as BTFHub's.
//!
//! The archive has `DISTRO/VERSION/ARCH/RELEASE.btf.tar.xz`, and is searched for the kernel's release.

use crate::whole_file;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use object::{Object, ObjectSection};

use super::archive::bounded::{Bounded, HeaderRoom};
use super::archive::compression::UNPACKED_LIMIT;
use super::distribution::Distribution;
use crate::checksum;
use crate::object::btf::Btf;
use crate::store::StoredKernel;
use crate::store::error::StoreError;
use crate::store::given_btf::{GivenBtf, file_name};
use crate::store::image;

/// The largest BTF that is unpacked; that of a distribution's kernel has 4 to 7 MB.
const LIMIT: u64 = 256 << 20;
/// The largest ELF file that is searched for BTF: a vmlinux with all its debug information may have a gigabyte.
const ELF_LIMIT: u64 = 4 << 30;
/// Directories are searched this deep; BTFHub's files lie in the fourth.
const DEPTH: u32 = 6;
/// How the files of an archive end.
pub(super) const ENDINGS: [&str; 4] = [".btf.tar.xz", ".btf.xz", ".btf.gz", ".btf"];
/// How an archive names the machines that corematrix does not run; one release may be there for several.
pub(super) const OTHER_MACHINES: [&str; 6] = ["arm64", "aarch64", "s390x", "ppc64le", "riscv64", "armhf"];
/// So much of an image has its banner.
const HEAD: u64 = 64 << 10;
/// Files in a message.
const MOST_NAMES: usize = 4;

/// Gives `kernel` the BTF at `place`.
pub(super) fn give(kernel: &mut StoredKernel, what: &str, place: &Path) -> Result<(), StoreError> {
    let failure = |path: &Path, reason: &str, hint: &str| StoreError::GivenBtf {
        what: what.to_owned(),
        path: path.to_owned(),
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    };
    let release = &kernel.identity.release;
    let origin = match place.is_dir() {
        true => in_archive(place, release).map_err(|(reason, hint)| failure(place, &reason, hint))?,
        false => place.to_owned(),
    };
    install(kernel, what, origin)
}

/// Gives a kernel without BTF what an archive has for its release. An archive that has nothing for it is no failure: the kernel says that it has
/// no BTF.
pub(super) fn give_missing(kernel: &mut StoredKernel, what: &str, archive: &Path) -> Result<(), StoreError> {
    let release = kernel.identity.release.clone();
    let mut found = Vec::new();
    if let Err(error) = search(archive, &release, DEPTH, &mut found) {
        let hint = "correct `btf` under [defaults]".to_owned();
        return Err(StoreError::GivenBtf {
            what: what.to_owned(),
            path: archive.to_owned(),
            reason: error.to_string(),
            hint,
        });
    }
    // Who built it matters only where there is a choice.
    let distribution = if found.len() > 1 { builder(kernel) } else { None };
    let fit = |path: &PathBuf| {
        let inside = path.strip_prefix(archive).unwrap_or(path);
        distribution.as_ref().map_or(0, |distribution| distribution.fit(inside))
    };
    let best = found.iter().map(fit).max().unwrap_or_default();
    found.retain(|path| fit(path) == best);
    found.sort();
    // Several versions of a distribution may have the very same.
    let is_one =
        found.len() <= 1 || found.windows(2).all(|pair| read(&pair[0]).is_ok_and(|raw| read(&pair[1]) == Ok(raw)));
    match &found[..] {
        [first, ..] if is_one => install(kernel, what, first.clone()),
        _ => {
            let names: Vec<String> =
                found.iter().take(MOST_NAMES).map(|path| format!("`{}`", path.display())).collect();
            kernel.notes.push(match found.len() {
                0 => format!("`{}` has no BTF for `{release}`", archive.display()),
                _ => format!(
                    "several BTF files match `{release}`; `btf` of the kernel must name one of them: {}",
                    names.join(", ")
                ),
            });
            Ok(())
        }
    }
}

/// Who built a kernel, as far as its image shows it.
pub(super) fn builder(kernel: &StoredKernel) -> Option<Distribution> {
    let image = kernel.boot_image.with_file_name("image");
    Distribution::of(&kernel.identity.release, &banner(&image).unwrap_or_default())
}

/// What the image says of itself: its release, and who built it.
fn banner(image: &Path) -> Option<String> {
    let mut head = Vec::new();
    let mut file = File::open(image).ok()?;
    file.by_ref().take(HEAD).read_to_end(&mut head).ok()?;
    match head.starts_with(b"\x7fELF") {
        true => image::banner_of_vmlinux(&limited(io::Cursor::new(head).chain(file), ELF_LIMIT).ok()?),
        false => image::banner_in_head(&head),
    }
}

fn install(kernel: &mut StoredKernel, what: &str, origin: PathBuf) -> Result<(), StoreError> {
    let failure = |path: &Path, reason: &str, hint: &str| StoreError::GivenBtf {
        what: what.to_owned(),
        path: path.to_owned(),
        reason: reason.to_owned(),
        hint: hint.to_owned(),
    };
    let hint = "name raw BTF or an ELF file with a `.BTF` section, plain or as `.gz`, `.xz` or `.tar.xz`";
    let raw = read(&origin).map_err(|reason| failure(&origin, &reason, hint))?;
    install_raw(kernel, what, &raw, origin)
}

/// Gives a kernel raw BTF.
pub(super) fn install_raw(
    kernel: &mut StoredKernel,
    what: &str,
    raw: &[u8],
    origin: PathBuf,
) -> Result<(), StoreError> {
    if let Err(error) = Btf::parse(raw) {
        return Err(StoreError::GivenBtf {
            what: what.to_owned(),
            path: origin,
            reason: format!("it is damaged: {error}"),
            hint: "name raw BTF or an ELF file with a `.BTF` section, plain or as `.gz`, `.xz` or `.tar.xz`".to_owned(),
        });
    }
    let sha256 = checksum::of_bytes(raw);
    let path = kernel.boot_image.with_file_name(file_name(&sha256));
    if !fs::metadata(&path).is_ok_and(|found| found.len() == raw.len() as u64) {
        publish(raw, &path)?;
    }
    kernel.identity.given_btf_sha256 = Some(sha256.clone());
    kernel.notes.retain(|note| note != crate::store::entry::NO_BTF);
    kernel.notes.push(match &kernel.btf {
        Some(_) => format!("relocations use the BTF in `{}`, not the kernel's own", origin.display()),
        None => format!(
            "the kernel has no BTF: relocations use the BTF in `{}`; programs that attach by BTF (fentry, LSM, tp_btf, \
    struct_ops) and kfuncs still fail",
            origin.display()
        ),
    });
    kernel.given_btf = Some(GivenBtf { path, sha256, origin });
    Ok(())
}

/// The one file for a release; otherwise why there is none, and what to do.
fn in_archive(root: &Path, release: &str) -> Result<PathBuf, (String, &'static str)> {
    let mut found = Vec::new();
    search(root, release, DEPTH, &mut found).map_err(|error| (error.to_string(), "check its permissions"))?;
    found.sort();
    match &found[..] {
        [] => Err((
            format!("it contains no `{release}{}` for `x86_64`", ENDINGS[0]),
            "name a file, or a directory with the layout `distro/version/arch/release.btf.tar.xz`",
        )),
        [one] => Ok(one.clone()),
        several => {
            let names = several.iter().take(MOST_NAMES).map(|path| format!("`{}`", path.display()));
            let names = names.collect::<Vec<_>>().join(", ");
            Err((format!("it has {} files for `{release}`: {names}", several.len()), "name one of them"))
        }
    }
}

fn search(folder: &Path, release: &str, depth: u32, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        if path.is_dir() {
            if depth > 1 && !OTHER_MACHINES.contains(&&*name) {
                search(&path, release, depth - 1, found)?;
            }
        } else if name.strip_prefix(release).is_some_and(|ending| ENDINGS.contains(&ending)) {
            found.push(path);
        }
    }
    Ok(())
}

/// The raw BTF in a file, or why it is unavailable.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let bytes = match &*name {
        name if name.ends_with(".tar.xz") => first_of_tar(liblzma::read::XzDecoder::new(file)),
        name if name.ends_with(".gz") => limited(flate2::read::GzDecoder::new(file), LIMIT),
        name if name.ends_with(".xz") => limited(liblzma::read::XzDecoder::new(file), LIMIT),
        _ => limited(file, ELF_LIMIT),
    };
    let bytes = bytes.map_err(|error| error.to_string())?;
    if !bytes.starts_with(b"\x7fELF") {
        return Ok(bytes);
    }
    of_elf(&bytes)
}

/// The raw BTF in an ELF file.
pub(super) fn of_elf(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let elf = object::File::parse(bytes).map_err(|error| format!("it is a damaged ELF file: {error}"))?;
    let section = elf.section_by_name(".BTF").ok_or("the ELF file has no section `.BTF`")?;
    let failure = |error: object::Error| format!("section `.BTF`: {error}");
    let packed = section.compressed_data().map_err(failure)?;
    // What it says of itself is what is made room for.
    if packed.uncompressed_size > LIMIT {
        return Err(format!("section `.BTF` is larger than {LIMIT} bytes"));
    }
    packed.decompress().map(|data| data.into_owned()).map_err(failure)
}

/// The first file of a tar archive that is called like BTF.
fn first_of_tar(packed: impl Read) -> io::Result<Vec<u8>> {
    let (headers, packed) = HeaderRoom::of(Bounded::new(packed, UNPACKED_LIMIT));
    let mut archive = tar::Archive::new(packed);
    let mut entries = archive.entries()?;
    loop {
        headers.headers();
        let Some(entry) = entries.next() else { break };
        headers.content();
        let mut entry = entry?;
        if entry.path()?.extension().is_some_and(|extension| extension == "btf") {
            return limited(entry, LIMIT);
        }
        io::copy(&mut entry, &mut io::sink())?;
    }
    Err(io::Error::other("the archive holds no `.btf` file"))
}

fn limited(from: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// Writes a file that appears whole: other runs may want it just now.
fn publish(raw: &[u8], path: &Path) -> Result<(), StoreError> {
    Ok(whole_file::replace(path, |out| out.write_all(raw))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut packer = liblzma::write::XzEncoder::new(Vec::new(), 1);
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn tar_xz(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_data(&mut header, name, bytes).unwrap();
        xz(&archive.into_inner().unwrap())
    }

    #[test]
    fn every_form_of_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        assert_eq!(read(&write("a.btf", b"raw")).unwrap(), b"raw");
        assert_eq!(read(&write("a.btf.xz", &xz(b"raw"))).unwrap(), b"raw");
        assert_eq!(read(&write("a.btf.tar.xz", &tar_xz("5.4.0-1.btf", b"raw"))).unwrap(), b"raw");
        let elf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain/kernel_a.o");
        assert!(Btf::parse(&read(&elf).unwrap()).is_ok());
        assert_eq!(
            read(&write("b.btf.tar.xz", &tar_xz("readme", b"raw"))).unwrap_err(),
            "the archive holds no `.btf` file"
        );
        assert!(read(&write("c.btf.tar.xz", &xz(b"raw")[..20])).is_err());
        assert!(read(&write("d.btf", b"\x7fELF")).unwrap_err().starts_with("it is a damaged ELF file"));
        assert!(read(&folder.path().join("gone")).is_err());
    }

    #[test]
    fn an_archive_is_searched_for_the_release_on_this_machine() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, b"").unwrap();
            path
        };
        write("ubuntu/18.04/arm64/5.4.0-1-generic.btf.tar.xz");
        write("ubuntu/18.04/x86_64/5.4.0-1-generic.btf.sha256");
        let right = write("ubuntu/18.04/x86_64/5.4.0-1-generic.btf.tar.xz");
        assert_eq!(in_archive(root.path(), "5.4.0-1-generic"), Ok(right));
        let (none, _) = in_archive(root.path(), "5.4.0-1").unwrap_err();
        assert_eq!(none, "it contains no `5.4.0-1.btf.tar.xz` for `x86_64`");
        write("ubuntu/20.04/x86_64/5.4.0-1-generic.btf");
        let (two, hint) = in_archive(root.path(), "5.4.0-1-generic").unwrap_err();
        assert!(two.starts_with("it has 2 files for `5.4.0-1-generic`: `"), "{two}");
        assert_eq!(hint, "name one of them");
    }
}
