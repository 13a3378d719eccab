//! Causes on real kernels: programs that have one, and programs that nearly have it and must not. `tests/causes/expected.toml` says which.

#[path = "common/need.rs"]
mod need;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use corematrix::record::Cause;
use serde::Deserialize;

use need::need;

const KERNELS: [&str; 4] = ["5.10", "6.1", "6.12", "7.3"];

/// A cause for all kernels, or one for each; `loaded` where there is none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Everywhere(String),
    ByKernel(BTreeMap<String, String>),
}

impl Expected {
    fn on(&self, kernel: &str) -> &str {
        match self {
            Expected::Everywhere(cause) => cause,
            Expected::ByKernel(causes) => causes.get(kernel).map_or("nothing", String::as_str),
        }
    }

    fn all(&self) -> Vec<&str> {
        match self {
            Expected::Everywhere(cause) => vec![cause],
            Expected::ByKernel(causes) => causes.values().map(String::as_str).collect(),
        }
    }
}

#[derive(Deserialize)]
struct Book {
    subjects: BTreeMap<String, String>,
    elsewhere: BTreeMap<String, String>,
    #[serde(flatten)]
    objects: BTreeMap<String, BTreeMap<String, Expected>>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn book() -> Book {
    let text = std::fs::read_to_string(root().join("tests/causes/expected.toml")).expect("the expectations");
    toml::from_str(&text).expect("expectations that can be read")
}

/// A cause as the record writes it.
fn name(cause: Cause) -> String {
    serde_json::to_value(cause).expect("serialises").as_str().expect("a string").to_owned()
}

#[test]
fn every_program_has_its_cause_on_every_kernel() {
    need!("guests", "programs");
    let book = book();
    let objects = root().join("target/causes");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    run.current_dir(root()).arg("run").arg(&objects).arg("--out").arg(folder.path());
    run.args(["tests/fixtures/objects/externs.bpf.o", "tests/fixtures/objects/statics.bpf.o"]);
    run.args(KERNELS.iter().flat_map(|kernel| ["--kernel", kernel]));
    let status = run.status().expect("corematrix starts");
    assert_eq!(status.code(), Some(1), "corematrix run ended with {status}");
    let record = corematrix::record::json::read(&folder.path().join("report.json")).expect("the report");
    let mut differences = Vec::new();
    let mut judged = BTreeSet::new();
    for cell in &record.cells {
        for program in &cell.programs {
            let which = format!("{}/{}", cell.object, program.name);
            let expected = book.objects.get(&cell.object).and_then(|programs| programs.get(&program.name));
            let Some(expected) = expected else {
                differences.push(format!("`{which}` is not in expected.toml"));
                continue;
            };
            judged.insert(which.clone());
            let found = program.cause.map_or_else(|| program.verdict.label().to_owned(), name);
            let kernel = &cell.kernel;
            if found != expected.on(kernel) {
                let reason = program.reason.as_deref().unwrap_or("no reason");
                differences.push(format!("{kernel} `{which}`: {found} instead of {}: {reason}", expected.on(kernel)));
            }
            let subject = program.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref());
            let wanted = book.subjects.get(&which).filter(|_| program.cause.is_some() && !found.starts_with("unknown"));
            if let Some(wanted) = wanted.filter(|wanted| subject != Some(wanted)) {
                differences.push(format!("{kernel} `{which}`: about {subject:?} instead of `{wanted}`"));
            }
        }
    }
    let listed = book.objects.iter().flat_map(|(object, all)| all.keys().map(move |name| format!("{object}/{name}")));
    differences.extend(listed.filter(|which| !judged.contains(which)).map(|which| format!("`{which}` was not judged")));
    assert!(differences.is_empty(), "{} differences:\n  {}", differences.len(), differences.join("\n  "));
}

/// A probe looks for its target when it is attached: in the module that was loaded for it, and nowhere where modules are forbidden.
#[test]
fn probe_of_a_module_is_attached_where_the_module_may_be_loaded() {
    need!("guests", "programs");
    for (modules, is_loaded) in [("auto", true), ("none", false)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut run = Command::new(env!("CARGO_BIN_EXE_corematrix"));
        run.current_dir(root()).args(["run", "target/causes/modules.bpf.o", "--attach", "--modules", modules, "--out"]);
        run.arg(folder.path()).args(KERNELS.iter().flat_map(|kernel| ["--kernel", kernel]));
        let status = run.status().expect("corematrix starts");
        assert_eq!(status.code(), Some(1), "corematrix run ended with {status}");
        let record = corematrix::record::json::read(&folder.path().join("report.json")).expect("the report");
        for cell in &record.cells {
            let program = |name: &str| cell.programs.iter().find(|program| program.name == name).expect("it is there");
            let (in_module, nowhere) = (program("probe"), program("probe_of_nothing"));
            let loaded: Vec<&str> = cell.modules.iter().map(|module| module.name.as_str()).collect();
            assert_eq!(loaded.contains(&"nf_conntrack"), is_loaded, "{}: {loaded:?}", cell.kernel);
            if is_loaded {
                assert_eq!(
                    (in_module.cause, in_module.verdict.is_pass()),
                    (None, true),
                    "{}: {in_module:?}",
                    cell.kernel
                );
                let needed = loaded.iter().position(|name| *name == "nf_defrag_ipv4");
                assert!(needed < loaded.iter().position(|name| *name == "nf_conntrack"), "{loaded:?}");
            } else {
                assert_eq!(in_module.cause, Some(Cause::ModuleNotLoaded), "{}: {in_module:?}", cell.kernel);
                let reason = in_module.reason.as_deref().unwrap_or_default();
                assert!(
                    reason.starts_with("`nf_conntrack_in` is in kernel module nf_conntrack"),
                    "{}: {reason}",
                    cell.kernel
                );
                assert!(reason.ends_with("`modules` forbids it (`none`)"), "{}: {reason}", cell.kernel);
            }
            assert_eq!(nowhere.cause, Some(Cause::MissingAttachTarget), "{}: {nowhere:?}", cell.kernel);
            // What is resolved in a module is what the types of the module say.
            assert!(cell.relocations.iter().all(|relocation| relocation.predicted.is_none()), "{}", cell.kernel);
        }
    }
}

/// A library of the guest that lacks a probe is a fact; a section that names no probe is for the loader to fill in.
#[test]
fn usdt_probe_that_the_library_lacks_is_a_missing_target() {
    need!("guests", "programs");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut run = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    run.current_dir(root()).args(["run", "target/causes/usdt.bpf.o", "--attach", "--out"]).arg(folder.path());
    run.args(["--kernel", "5.10", "--kernel", "7.3"]);
    let status = run.status().expect("corematrix starts");
    assert_eq!(status.code(), Some(1), "corematrix run ended with {status}");
    let record = corematrix::record::json::read(&folder.path().join("report.json")).expect("the report");
    for cell in &record.cells {
        let program = |name: &str| cell.programs.iter().find(|program| program.name == name).expect("it is there");
        let missing = program("no_probe");
        assert_eq!(missing.cause, Some(Cause::MissingAttachTarget), "{}: {missing:?}", cell.kernel);
        let reason = missing.reason.as_deref().unwrap_or_default();
        assert!(reason.ends_with("has no USDT probe `corematrix:no_such_probe`"), "{}: {reason}", cell.kernel);
        assert_eq!(program("named_by_its_loader").cause, None, "{}", cell.kernel);
    }
}

#[test]
fn every_cause_has_a_program_or_a_place() {
    let book = book();
    let expected: BTreeSet<&str> = book.objects.values().flat_map(BTreeMap::values).flat_map(Expected::all).collect();
    let missing: Vec<String> = Cause::ALL
        .into_iter()
        .map(name)
        .filter(|cause| !expected.contains(cause.as_str()) && !book.elsewhere.contains_key(cause))
        .collect();
    assert!(missing.is_empty(), "no program has {missing:?}");
    let known: BTreeSet<String> = Cause::ALL.into_iter().map(name).collect();
    let unknown: Vec<&str> =
        expected.iter().copied().filter(|cause| *cause != "loaded" && !known.contains(*cause)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are no causes");
}
