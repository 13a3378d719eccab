//! [`Unpacked`]: the files with objects out of an image, an archive or an address, kept in the store by checksum.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::checksum;
use crate::file_name::file_name;
use crate::manifest::ImageReference;
use crate::object::{Place, holds_object};
use crate::source::archive::bounded::UnpackRoom;
use crate::source::archive::compression::unpacked;
use crate::source::archive::elf_tree::{ELF, ElfTree, Whiteouts};
use crate::source::archive::tarball::{self, damaged};
use crate::source::download::{Download, shown};
use crate::source::oci::document::Layer;
use crate::source::oci::layout;
use crate::source::oci::registry::Registry;
use crate::source::request::Request;
use crate::store::entry::Staging;
use crate::store::error::{IoContext, StoreError};
use crate::store::{Store, TAGS, UNPACKED, UNPACKED_FROM};
use crate::whole_file;

/// Raised when other files are kept of the same image or archive.
const FORMAT: u32 = 1;
/// The directory with the files, in an entry.
const FILES: &str = "files";
/// In front of what names an image.
pub(crate) const SCHEME: &str = "oci://";
/// The largest archive that is fetched.
const DOWNLOAD_LIMIT: u64 = 4 << 30;

/// The files with objects out of an image or an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The directory with the files, by their paths in the image.
    pub folder: PathBuf,
    /// `oci://REGISTRY/NAME@sha256:DIGEST`, the archive's path, or its address.
    pub origin: String,
}

impl Unpacked {
    /// As a place to find objects in.
    pub fn place(&self) -> Place {
        Place { path: self.folder.clone(), packed_in: Some(self.origin.clone().into()) }
    }
}

/// What something is unpacked from.
struct Packed {
    /// What it is kept by: SHA-256 in hex.
    key: String,
    origin: String,
}

/// See [`Store::image_digest`].
pub(super) fn image_digest(request: &Request<'_>, image: &ImageReference) -> Result<String, StoreError> {
    let Request { store, offline, step, .. } = request;
    let tagged = store.root().join(TAGS).join(file_name(&image.to_string()));
    if *offline {
        let known = fs::read_to_string(&tagged).ok();
        let digest = known.filter(|digest| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        return digest.ok_or_else(|| StoreError::Offline { what: request.what.clone() });
    }
    step(format!("looking up {image}"));
    let staging = Staging::new(&store.locks)?;
    let digest = Registry::new(request, image, staging.work()).digest()?;
    whole_file::replace(&tagged, |out| out.write_all(digest.as_bytes()))?;
    Ok(digest)
}

/// See [`Store::image`].
pub(super) fn image(request: &Request<'_>, image: &ImageReference, digest: &str) -> Result<Unpacked, StoreError> {
    let origin = format!("{SCHEME}{}/{}@sha256:{digest}", image.registry, image.repository);
    make(request, Packed { key: digest.to_owned(), origin }, &|staging, tree| {
        request.may_fetch()?;
        let mut registry = Registry::new(request, image, staging.work());
        (request.step)(format!("looking up {image}"));
        let manifest = registry.manifest(Some(digest))?;
        let mut blobs = Vec::new();
        for (number, layer) in manifest.layers.iter().enumerate().filter(|(_, layer)| may_hold_objects(layer)) {
            let blob = registry.blob(&layer.digest)?;
            (request.step)(format!("unpacking {image}"));
            let what = || format!("{}: layer {}", request.what, layer.digest);
            add(tree, &blob, &Content::of_layer(layer, number + 1), &what)?;
            blobs.push(blob);
        }
        for blob in blobs {
            // What cannot be removed is taken by the next one that wants it.
            let _ = fs::remove_file(blob);
        }
        Ok(())
    })
}

/// See [`Store::archive`].
pub(super) fn archive(request: &Request<'_>, path: &Path) -> Result<Unpacked, StoreError> {
    let is_layout = path.is_dir();
    let described = if is_layout { path.join(layout::INDEX) } else { path.to_owned() };
    // Of a directory in OCI's layout the index names all the rest by checksum.
    let key = checksum::of_file(&described).during("read", &described)?;
    make(request, Packed { key, origin: path.display().to_string() }, &|staging, tree| {
        let what = || request.what.clone();
        (request.step)(format!("unpacking {}", path.display()));
        match is_layout {
            true => add_image(tree, path, &what),
            false => add_archive(tree, staging, path, &Content::named(&path.to_string_lossy()), &what),
        }
    })
}

/// Adds what an archive has; if that is an image that someone saved, what the archives in it have.
fn add_archive(
    tree: &mut ElfTree,
    staging: &Staging,
    file: &Path,
    content: &Content,
    what: &dyn Fn() -> String,
) -> Result<(), StoreError> {
    let is_archive = add(tree, file, content, what)?;
    let plain = tree.folder();
    if !is_archive || holds_objects(plain).during("read", plain)? {
        return Ok(());
    }
    let image = staging.work().join("image");
    fs::create_dir(&image).during("create", &image)?;
    let data = unpacked(BufReader::new(File::open(file).during("open", file)?));
    let mut room = UnpackRoom::default();
    data.and_then(|data| tarball::unpack(data, &image, &layout::is_of_image, &mut room))
        .map_err(|error| failure(error, &image, what))?;
    add_image(tree, &image, what)
}

/// Adds the layers of an image that lies in files, if there is one.
fn add_image(tree: &mut ElfTree, image: &Path, what: &dyn Fn() -> String) -> Result<(), StoreError> {
    let Some(layers) = layout::layers(image).map_err(|error| failure(error, image, what))? else { return Ok(()) };
    for (number, (file, layer)) in layers.iter().enumerate().filter(|(_, (_, layer))| may_hold_objects(layer)) {
        add(tree, file, &Content::of_layer(layer, number + 1), &|| format!("{}: layer {}", what(), layer.digest))?;
    }
    Ok(())
}

/// See [`Store::address`].
pub(super) fn address(request: &Request<'_>, url: &str, sha256: &str) -> Result<Unpacked, StoreError> {
    let origin = format!("{}#sha256={sha256}", shown(url));
    make(request, Packed { key: sha256.to_owned(), origin }, &|staging, tree| {
        request.may_fetch()?;
        let Request { store, what, step, .. } = request;
        step(format!("downloading {}", shown(url)));
        let file = store.downloads().join(sha256);
        let server = request.server(url);
        Download { what, url, headers: &[], sha256: Some(sha256), limit: DOWNLOAD_LIMIT, server, step }.to(&file)?;
        step(format!("unpacking {}", shown(url)));
        let what = || format!("{what}: `{}`", shown(url));
        add_archive(tree, staging, &file, &Content::named(&shown(url)), &what)?;
        let _ = fs::remove_file(file);
        Ok(())
    })
}

/// What a packed file is taken for.
struct Content {
    /// Otherwise only an ELF file is of use.
    is_archive: bool,
    whiteouts: Whiteouts,
    /// What it is called if it is an ELF file itself.
    name: PathBuf,
}

impl Content {
    fn of_layer(layer: &Layer, number: usize) -> Content {
        let title = layer.title.as_deref().filter(|title| !title.is_empty());
        let name = title.map_or_else(|| format!("layer-{number}.o"), last_of);
        let is_archive = layer.media_type.is_empty() || layer.media_type.contains("tar");
        Content { is_archive, whiteouts: Whiteouts::Respected, name: name.into() }
    }

    /// A file that the user names.
    fn named(path: &str) -> Content {
        Content { is_archive: true, whiteouts: Whiteouts::Unknown, name: last_of(path).into() }
    }
}

/// The last part of a path, as the name of a file.
fn last_of(path: &str) -> String {
    file_name(path.rsplit('/').next().unwrap_or(path))
}

/// Whether it is worth fetching a layer. By their media types, what signs, describes or extends a program holds none.
fn may_hold_objects(layer: &Layer) -> bool {
    let kind = layer.media_type.as_str();
    !["json", "yaml"].iter().any(|end| kind.ends_with(end))
        && !["wasm", "btfgen"].iter().any(|word| kind.contains(word))
}

/// Gives the entry of the store; makes it by `fill` if there is none.
fn make(
    request: &Request<'_>,
    packed: Packed,
    fill: &dyn Fn(&Staging, &mut ElfTree) -> Result<(), StoreError>,
) -> Result<Unpacked, StoreError> {
    let Request { store, step, .. } = request;
    let mut waiting = || step(format!("waiting for another run that unpacks {}", packed.origin));
    let _guard = store.locks.take(&format!("unpacked-{}", packed.key), &mut waiting)?;
    let target = entry_of(store, &packed.key);
    let unpacked = Unpacked { folder: target.join(FILES), origin: packed.origin };
    if unpacked.folder.is_dir() {
        return Ok(unpacked);
    }
    let staging = Staging::new(&store.locks)?;
    let work = staging.work();
    let mut tree = ElfTree::new(&work).during("create a directory in", &work)?;
    fill(&staging, &mut tree)?;
    let entry = staging.entry();
    keep_objects(tree.folder(), &entry.join(FILES)).during("write", &entry)?;
    let from = entry.join(UNPACKED_FROM);
    fs::write(&from, &unpacked.origin).during("write", &from)?;
    staging.publish(&target)?;
    Ok(unpacked)
}

fn entry_of(store: &Store, key: &str) -> PathBuf {
    store.root().join(UNPACKED).join(format!("{}-{FORMAT}", key.to_ascii_lowercase()))
}

/// Adds what a packed file has, and says whether it is an archive.
fn add(tree: &mut ElfTree, file: &Path, content: &Content, what: &dyn Fn() -> String) -> Result<bool, StoreError> {
    let opened = File::open(file).during("open", file)?;
    let added = unpacked(BufReader::new(opened)).and_then(|data| add_unpacked(tree, data, content));
    added.map_err(|error| failure(error, tree.folder(), what))
}

fn failure(error: io::Error, folder: &Path, what: &dyn Fn() -> String) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            StoreError::Io { action: "unpack to", path: folder.to_owned(), source: error }
        }
        _ => StoreError::Corrupt { what: what(), reason: error.to_string() },
    }
}

fn add_unpacked(tree: &mut ElfTree, mut data: impl Read, content: &Content) -> io::Result<bool> {
    let mut begin = Vec::new();
    data.by_ref().take(512).read_to_end(&mut begin)?;
    let is_elf = begin.starts_with(ELF);
    // An empty archive is zeros alone.
    let is_tar = begin.get(257..262) == Some(b"ustar") || (begin.len() == 512 && begin.iter().all(|&byte| byte == 0));
    let data = begin.chain(data);
    match () {
        () if is_elf => tree.add_file(&content.name, data).map(|()| false),
        () if is_tar && content.is_archive => tree.add(data, content.whiteouts).map(|()| true),
        () if content.is_archive => Err(damaged("it is neither a tar archive nor an ELF file")),
        () => Ok(false),
    }
}

/// Moves the files that hold objects.
fn keep_objects(tree: &Path, into: &Path) -> io::Result<()> {
    fs::create_dir(into)?;
    each_file(tree, &mut |path| {
        if holds_object(&mut File::open(tree.join(path))?)? {
            path.parent().map_or(Ok(()), |folder| fs::create_dir_all(into.join(folder)))?;
            fs::rename(tree.join(path), into.join(path))?;
        }
        Ok(())
    })
}

/// Whether any file of a tree holds an object.
fn holds_objects(tree: &Path) -> io::Result<bool> {
    let mut found = false;
    each_file(tree, &mut |path| {
        found = found || holds_object(&mut File::open(tree.join(path))?)?;
        Ok(())
    })?;
    Ok(found)
}

/// Calls `act` with the path of each file below a directory.
fn each_file(root: &Path, act: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true => folders.push(path),
                false => act(&path)?,
            }
        }
    }
    Ok(())
}

/// The file of the store that an object of a record came out of: `origin` as [`Unpacked::origin`] with the path in it.
pub fn unpacked_file(store: &Store, origin: &Path) -> Option<PathBuf> {
    let text = origin.to_str()?;
    let entry = |key: &str, inside: &Path| {
        let file = entry_of(store, key).join(FILES).join(inside);
        // It may come from a report of anyone's.
        let is_plain = inside.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        (is_plain && file.is_file()).then_some(file)
    };
    for mark in ["@sha256:", "#sha256="] {
        if let Some((_, rest)) = text.split_once(mark)
            && let Some((key, inside)) = rest.split_once('/')
            && key.len() == 64
            && key.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return entry(key, Path::new(inside));
        }
    }
    let archive = origin.ancestors().skip(1).find(|path| path.is_file())?;
    entry(&checksum::of_file(archive).ok()?, origin.strip_prefix(archive).ok()?)
}
