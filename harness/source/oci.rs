//! [`kernel`]: a kernel from an OCI image, pinned by its digest.

pub(super) mod document;
pub(super) mod layout;
pub(super) mod registry;

use std::io::BufReader;

use crate::manifest::ImageReference;
use crate::source::archive::bounded::UnpackRoom;
use crate::source::archive::compression::unpacked;
use crate::source::archive::tarball;
use crate::source::kernel_files::{KernelFiles, is_kernel_file};
use crate::source::lock_file::LockedKernel;
use crate::source::request::{Fetched, Request};
use crate::store::StoredKernel;
use crate::store::entry::{Delivery, Staging};
use crate::store::error::{IoContext, StoreError};
use registry::Registry;

/// The kernel of a `Source::Oci`. What a tag means is pinned when it is first fetched.
pub(super) fn kernel(request: &Request<'_>, image: &ImageReference) -> Result<StoredKernel, StoreError> {
    let Request { store, name, what, lock, step, .. } = request;
    let asked = image.to_string();
    let pinned = request.pinned("oci").filter(|pinned| pinned.version.as_ref() == Some(&asked));
    let digest = image.digest.clone().or_else(|| pinned.as_ref().and_then(|pinned| pinned.digest.clone()));
    if let Some(digest) = &digest
        && let Some(stored) = store.stored(name, digest, Vec::new())
    {
        match &pinned {
            Some(pinned) => request.expect_identity(pinned, &stored.identity)?,
            None => lock.set_kernel(name, locked(&asked, digest, &stored.identity))?,
        }
        return Ok(stored);
    }
    request.may_fetch()?;
    step(format!("looking up {image}"));
    let staging = Staging::new(&store.locks)?;
    let mut registry = Registry::new(request, image, staging.work());
    let manifest = registry.manifest(digest.as_deref())?;
    let tree = staging.work().join("tree");
    std::fs::create_dir(&tree).during("create", &tree)?;
    let (mut blobs, mut room) = (Vec::new(), UnpackRoom::default());
    for layer in &manifest.layers {
        let file = registry.blob(&layer.digest)?;
        step(format!("unpacking {image}"));
        let reader = std::fs::File::open(&file).and_then(|opened| unpacked(BufReader::new(opened)));
        reader.and_then(|reader| tarball::unpack(reader, &tree, &is_kernel_file, &mut room)).map_err(|error| {
            StoreError::Corrupt { what: format!("{what}: {image}: layer {}", layer.digest), reason: error.to_string() }
        })?;
        blobs.push(file);
    }
    let found = KernelFiles::find(&tree)
        .map_err(|reason| StoreError::Corrupt { what: format!("{what}: {image}"), reason: format!("it {reason}") })?;
    let delivery = Delivery {
        what: what.clone(),
        source: format!("oci: {}/{}@sha256:{}", image.registry, image.repository, manifest.digest),
        image: found.image,
        config: found.config,
        modules: found.modules,
        notes: Vec::new(),
    };
    let fetched = Fetched { key: manifest.digest.clone(), delivery, staging, notes: Vec::new() };
    let kernel = request.publish(fetched, pinned.as_ref(), &|identity| locked(&asked, &manifest.digest, identity))?;
    for blob in blobs {
        // What cannot be removed is taken by the next one that wants it.
        let _ = std::fs::remove_file(blob);
    }
    Ok(kernel)
}

/// The digest that the image's tag has now.
pub(super) fn newest_digest(request: &Request<'_>, image: &ImageReference) -> Result<String, StoreError> {
    let staging = Staging::new(&request.store.locks)?;
    Registry::new(request, image, staging.work()).manifest(image.digest.as_deref()).map(|manifest| manifest.digest)
}

fn locked(asked: &str, digest: &str, identity: &crate::record::KernelIdentity) -> LockedKernel {
    LockedKernel {
        source: "oci".to_owned(),
        version: Some(asked.to_owned()),
        digest: Some(digest.to_owned()),
        release: identity.release.clone(),
        image_sha256: identity.image_sha256.clone(),
        given_btf_sha256: None,
        packages: Vec::new(),
    }
}
