//! The texts of a bundle that make it a project of its own: `kernels.toml` with its one kernel, and `suite.toml` with its one object.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::manifest::{KernelSpec, Source};
use crate::record::ShapeRecord;
use crate::suite::Expectation;

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
    image: Option<PathBuf>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    append: &'a [String],
    memory: String,
    boot_timeout: String,
    program_timeout: String,
}

/// A manifest that declares only this kernel. Of an image on this machine it does not say where it is.
pub(super) fn manifest(spec: &KernelSpec) -> Result<String, toml::ser::Error> {
    let mut declared = Declared {
        source: "path",
        suites: None,
        packages: None,
        version: None,
        image: None,
        append: &spec.append,
        memory: format!("{}MiB", spec.memory_mib),
        boot_timeout: humantime::format_duration(spec.boot_timeout).to_string(),
        program_timeout: humantime::format_duration(spec.program_timeout).to_string(),
    };
    match &spec.source {
        Source::Apt { suites, packages } => {
            (declared.source, declared.suites, declared.packages) = ("apt", Some(&suites[..]), Some(&packages[..]));
        }
        Source::Mainline { version } => (declared.source, declared.version) = ("mainline", Some(version.as_str())),
        Source::Path { .. } => declared.image = Some(ELSEWHERE.into()),
    }
    let name = spec.name.as_str();
    toml::to_string(&ManifestText { matrix: Matrix { default: [name] }, kernel: BTreeMap::from([(name, declared)]) })
}

#[derive(Serialize)]
struct SuiteText<'a> {
    name: &'a str,
    objects: [&'a str; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    expect: Vec<Expected<'a>>,
}

#[derive(Serialize)]
struct Expected<'a> {
    object: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    kernel: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<crate::verdict::Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<crate::cause::Cause>,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<&'a str>,
}

/// A suite with only this object: the settings it was tried with, and what is expected of it.
pub(super) fn suite(
    (name, file): (&str, &str),
    shape: Option<&ShapeRecord>,
    expectations: &[&Expectation],
) -> Result<String, toml::ser::Error> {
    let expect = expectations.iter().map(|known| Expected {
        object: &known.object,
        program: known.program.as_deref(),
        kernel: &known.kernels,
        verdict: known.verdict,
        cause: known.cause,
        reason: &known.reason,
        link: known.link.as_deref(),
        expires: known.expires.as_deref(),
    });
    let mut text = toml::to_string(&SuiteText { name, objects: [file], expect: expect.collect() })?;
    if let Some(shape) = shape {
        text += "\n[[shape]]\n";
        text += &shape.table(file.strip_suffix(".bpf.o").unwrap_or(file));
    }
    Ok(text)
}
