//! The texts of a bundle that make it a project of its own: `kernels.toml` with its one kernel, and `suite.toml` with its one object.

use std::collections::BTreeMap;

use serde::Serialize;

use super::companions::{TARGETS, target_file};
use crate::manifest::{FileLocation, KernelSpec, Source, profile_table};
use crate::record::{MachineSettings, ObjectRecord};
use crate::source::LockedKernel;

/// Stands in for the image of a kernel that lies on the machine of the run only.
const ELSEWHERE: &str = "on-the-machine-of-the-run";

#[derive(Serialize)]
struct ManifestText<'a> {
    matrix: Matrix<'a>,
    kernel: BTreeMap<&'a str, Declared<'a>>,
}

#[derive(Serialize)]
struct Matrix<'a> {
    default: [&'a str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Declared<'a> {
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    suites: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packages: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sha256: Vec<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    append: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    cpus: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    numa: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    profile: Vec<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    modules: &'a [String],
    memory: String,
    boot_timeout: String,
    program_timeout: String,
}

/// A manifest that declares only this kernel, from the source that served. Of what lies on this machine it does not say where.
///
/// The profiles of the kernel and of the object's machine are in it.
pub(super) fn manifest(
    spec: &KernelSpec,
    source: Option<&Source>,
    machine: &MachineSettings,
    modules: &[String],
) -> Result<String, toml::ser::Error> {
    let mut declared = Declared {
        source: source.map_or("path", Source::label),
        suites: None,
        packages: None,
        version: None,
        image: None,
        files: Vec::new(),
        sha256: Vec::new(),
        append: &spec.append,
        cpus: spec.machine.cpus,
        numa: spec.machine.numa_nodes,
        profile: spec.machine.profile_names(),
        modules,
        memory: format!("{}MiB", spec.memory_mib),
        boot_timeout: humantime::format_duration(spec.boot_timeout).to_string(),
        program_timeout: humantime::format_duration(spec.program_timeout).to_string(),
    };
    match source {
        Some(Source::Apt { suites, packages, archive: None }) => {
            (declared.suites, declared.packages) = (Some(&suites[..]), Some(&packages[..]));
        }
        Some(Source::Mainline { version, mirror: None, keys: None }) => declared.version = Some(version.as_str()),
        Some(Source::Oci { image }) => declared.image = Some(image.to_string()),
        Some(Source::Package { files }) => {
            for file in files {
                if let (FileLocation::Url(url), Some(sha256)) = (&file.place, &file.sha256) {
                    declared.files.push(url);
                    declared.sha256.push(sha256);
                }
            }
        }
        _ => (declared.source, declared.image) = ("path", Some(ELSEWHERE.to_owned())),
    }
    let name = spec.name.as_str();
    let text = ManifestText { matrix: Matrix { default: [name] }, kernel: BTreeMap::from([(name, declared)]) };
    let mut text = toml::to_string(&text)?;
    for profile in machine.over(&spec.machine).profiles {
        text += &format!("\n{}", profile_table(&profile));
    }
    Ok(text)
}

/// Of the sources of a kernel the one that another machine can use, too: the one that is pinned.
pub(super) fn portable<'a>(spec: &'a KernelSpec, pinned: Option<&LockedKernel>) -> Option<&'a Source> {
    let pinned = pinned?;
    let source = spec.sources().find(|one| one.label() == pinned.source)?;
    match source {
        // The mirror of a company is not for a bundle to name.
        Source::Apt { archive: Some(_), .. } | Source::Mainline { mirror: Some(_), .. } => None,
        Source::Apt { archive: None, .. } | Source::Mainline { mirror: None, .. } | Source::Oci { .. } => Some(source),
        Source::Package { files } => files
            .iter()
            .all(|file| matches!(file.place, FileLocation::Url(_)) && file.sha256.is_some())
            .then_some(source),
        Source::Repository(_)
        | Source::Path { .. }
        | Source::Tree { .. }
        | Source::Build { .. }
        | Source::Host
        | Source::Disk { .. }
        | Source::Btf { .. } => None,
    }
}

/// Whether a bundle may name this source. Others would have this machine read, or even build, what the bundle's author wants.
pub(super) fn is_harmless(spec: &KernelSpec) -> bool {
    spec.fallbacks.is_empty()
        && match &spec.source {
            Source::Apt { archive, .. } => archive.is_none(),
            Source::Mainline { mirror, .. } => mirror.is_none(),
            Source::Oci { .. } => true,
            Source::Package { files } => files.iter().all(|file| matches!(file.place, FileLocation::Url(_))),
            Source::Path { image, modules, config } => {
                image.ends_with(ELSEWHERE) && modules.is_none() && config.is_none()
            }
            Source::Repository(_)
            | Source::Tree { .. }
            | Source::Build { .. }
            | Source::Host
            | Source::Disk { .. }
            | Source::Btf { .. } => false,
        }
}

#[derive(Serialize)]
struct SuiteText<'a> {
    name: &'a str,
    objects: Vec<String>,
}

/// A suite with the first object and the settings that it was tried with, and those that its programs are loaded for.
pub(super) fn suite((name, file): (&str, &str), objects: &[ObjectRecord]) -> Result<String, toml::ser::Error> {
    let (object, targets) = (&objects[0], &objects[1..]);
    let stem = |file: &str| file.strip_suffix(".bpf.o").unwrap_or(file).to_owned();
    let files = targets.iter().map(|target| target_file(target.base_name()));
    let mut text =
        toml::to_string(&SuiteText { name, objects: std::iter::once(file.to_owned()).chain(files).collect() })?;
    // The machine of a shape is among the shape's own settings, too.
    text.extend(object.machine.lines().into_iter().map(|line| line + "\n"));
    text += &crate::suite::loading_tables(&object.loading, &stem(file));
    for target in targets {
        let file = target_file(target.base_name());
        text += &crate::suite::loading_tables(&target.loading, &stem(file.strip_prefix(TARGETS).unwrap_or(&file)));
    }
    if let Some(shape) = &object.shape {
        text += "\n[[shape]]\n";
        text += &crate::suite::shape_table(shape, &stem(file));
    }
    Ok(text)
}
