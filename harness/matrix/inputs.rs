//! [`Inputs`]: what the inputs of the user hold, wherever they have to be unpacked from.

use std::path::{Path, PathBuf};

use super::error::MatrixError;
use super::input::Input;
use super::project::Project;
use crate::gate::Expectations;
use crate::manifest::ImageReference;
use crate::object::{BpfObject, Place, find_in};
use crate::source::{SCHEME, Unpacked};
use crate::store::StoreError;
use crate::suite::{Settings, Suite};

/// Files that a hint names at most.
const MOST_NAMES: usize = 5;

/// What inputs hold.
#[derive(Debug)]
pub struct Inputs {
    /// The objects, in the order given.
    pub objects: Vec<BpfObject>,
    /// What was left out on purpose, and what is not pinned.
    pub notices: Vec<String>,
    /// What suite files say of the objects.
    pub settings: Settings,
    /// The failures that suite files expect.
    pub expectations: Expectations,
    /// Where the objects were looked for.
    pub(super) places: Vec<Place>,
}

/// Where to get what is not on this machine.
#[derive(Clone, Copy)]
struct Way<'a> {
    project: &'a Project,
    offline: bool,
    say: &'a dyn Fn(String),
}

impl Project {
    /// The objects in files, directories, executables, archives, images (`oci://...`), addresses and suites. `say` gets a line for each step
    /// that takes time.
    ///
    /// # Errors
    /// An input is wrong, or a package or an image is unavailable.
    pub fn inputs(&self, paths: &[PathBuf], offline: bool, say: &dyn Fn(String)) -> Result<Inputs, MatrixError> {
        let way = Way { project: self, offline, say };
        let (mut places, mut suites, mut notices) = (Vec::new(), Vec::new(), Vec::new());
        for path in paths {
            match Input::of(path)? {
                Input::Suite => {
                    let suite = Suite::load(path)?.with_profiles(&self.manifest.profiles);
                    let own = way.suite(&suite)?;
                    places.extend(own.iter().cloned());
                    suites.push((suite, own));
                }
                Input::Image(image) => {
                    let digest = match &image.digest {
                        Some(digest) => digest.clone(),
                        None => {
                            let digest = way.digest(&image)?;
                            notices.push(format!(
                                "`{SCHEME}{image}` is not pinned by digest; to pin it, write `{}`",
                                pinned(&image, &digest)
                            ));
                            digest
                        }
                    };
                    places.push(way.image(&image, &digest)?.place());
                }
                Input::Address { url, sha256 } => {
                    places.push(self.store.address(&url, &sha256, &self.lock, offline, say)?.place());
                }
                Input::Archive => places.push(way.archive(path)?),
                Input::Local => places.push(path.clone().into()),
            }
        }
        let found = find_in(&places).map_err(MatrixError::Objects)?;
        let (mut settings, mut expectations) = (Settings::default(), Expectations::default());
        for (suite, own) in &suites {
            expectations.extend(suite.expectations()?);
            let mut of_suite = suite.settings(&found.objects)?;
            let is_own = |object: &&BpfObject| own.iter().any(|place| place.file(&object.origin.path).is_some());
            let machine = suite.machine()?;
            if !machine.is_empty() {
                let names = found.objects.iter().filter(is_own).map(|object| object.name.clone());
                of_suite.machines.extend(names.map(|name| (name, machine.clone())));
            }
            if let Some(loader) = suite.loader() {
                let names = found.objects.iter().filter(is_own).map(|object| object.name.clone());
                of_suite.named_loaders.extend(names.map(|name| (name, loader.clone())));
            }
            settings.merge(of_suite).map_err(MatrixError::SaidTwice)?;
        }
        notices.extend(found.notices);
        Ok(Inputs { objects: found.objects, notices, settings, expectations, places })
    }
}

impl Way<'_> {
    fn suite(&self, suite: &Suite) -> Result<Vec<Place>, MatrixError> {
        let mut places = Vec::new();
        for object in &suite.objects {
            places.push(match Input::of(object)? {
                Input::Archive => self.archive(object)?,
                _ => object.clone().into(),
            });
        }
        for package in &suite.packages {
            let Project { store, lock, .. } = self.project;
            let step = |step: String| (self.say)(format!("{}: {step}", package.apt));
            let folder = store.debian_package(&package.apt, &package.suites, lock, self.offline, &step)?;
            for pattern in &package.files {
                let files = files_in(&folder, pattern);
                if files.is_empty() {
                    let hint = format!("the package is unpacked in `{}`", folder.display());
                    return Err(no_file(suite, format!("package `{}`", package.apt), pattern, hint));
                }
                add_new(&mut places, files.into_iter().map(Place::from));
            }
        }
        for image in &suite.images {
            let wrong = |reason| MatrixError::Input {
                input: suite.path.display().to_string(),
                reason,
                hint: "name it as `REGISTRY/NAME@sha256:DIGEST`".to_owned(),
            };
            let reference = image.reference().map_err(wrong)?;
            let Some(digest) = &reference.digest else {
                // What a gate decides must not change with a tag; but the tag shows what to write.
                let now = self.digest(&reference).ok().map(|digest| pinned(&reference, &digest));
                return Err(MatrixError::UnpinnedImage { suite: suite.path.clone(), image: image.oci.clone(), now });
            };
            let unpacked = self.image(&reference, digest)?;
            if image.files.is_empty() {
                add_new(&mut places, [unpacked.place()]);
            }
            for pattern in &image.files {
                let files = files_in(&unpacked.folder, pattern);
                if files.is_empty() {
                    let what = format!("image `{}`", image.oci);
                    return Err(no_file(suite, what, pattern, what_is_there(&unpacked)));
                }
                let place = |file: PathBuf| {
                    let inside = file.strip_prefix(&unpacked.folder).unwrap_or(&file);
                    let packed_in = Some(Path::new(&unpacked.origin).join(inside));
                    Place { path: file, packed_in }
                };
                add_new(&mut places, files.into_iter().map(place));
            }
        }
        Ok(places)
    }

    fn digest(&self, image: &ImageReference) -> Result<String, MatrixError> {
        let Project { store, lock, .. } = self.project;
        Ok(store.image_digest(image, lock, self.offline, self.say)?)
    }

    fn image(&self, image: &ImageReference, digest: &str) -> Result<Unpacked, MatrixError> {
        let Project { store, lock, .. } = self.project;
        Ok(store.image(image, digest, lock, self.offline, self.say)?)
    }

    fn archive(&self, path: &Path) -> Result<Place, MatrixError> {
        let Project { store, lock, .. } = self.project;
        let unpacked = store.archive(path, lock, self.say).map_err(|error| match error {
            // No one else delivered it.
            StoreError::Corrupt { reason, .. } => MatrixError::Input {
                input: path.display().to_string(),
                reason,
                hint: "name a tar archive; check that the build or download was complete".to_owned(),
            },
            error => error.into(),
        })?;
        Ok(unpacked.place())
    }
}

/// An image with its digest, to be written instead of a tag.
fn pinned(image: &ImageReference, digest: &str) -> String {
    format!("{SCHEME}{}/{}@sha256:{digest}", image.registry, image.repository)
}

fn add_new(places: &mut Vec<Place>, more: impl IntoIterator<Item = Place>) {
    for place in more {
        if !places.contains(&place) {
            places.push(place);
        }
    }
}

fn no_file(suite: &Suite, holder: String, pattern: &str, hint: String) -> MatrixError {
    MatrixError::NoFile { suite: suite.path.clone(), holder, pattern: pattern.to_owned(), hint }
}

/// Names the files with objects of an image.
fn what_is_there(unpacked: &Unpacked) -> String {
    let files = files_in(&unpacked.folder, "**/*");
    let name = |file: &PathBuf| format!("`{}`", file.strip_prefix(&unpacked.folder).unwrap_or(file).display());
    let names: Vec<String> = files.iter().take(MOST_NAMES).map(name).collect();
    match files.len() {
        0 => "no file in it is a BPF object or an executable that embeds one".to_owned(),
        count if count > names.len() => {
            format!("it has objects in {} and {} more", names.join(", "), count - names.len())
        }
        _ => format!("it has objects in {}", names.join(", ")),
    }
}

/// Files below `folder` that match a glob of a suite, which was checked when the suite was read.
fn files_in(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let whole = Path::new(&glob::Pattern::escape(&folder.to_string_lossy())).join(pattern);
    let paths = glob::glob(&whole.to_string_lossy()).into_iter().flatten().flatten();
    paths.filter(|path| path.is_file()).collect()
}
