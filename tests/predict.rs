//! `corematrix predict`: predictions, as users see them, and against what a real kernel did.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/evidence.rs"]
#[allow(dead_code)]
mod evidence;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Lab, kernel, need, programs};
use corematrix::record::Verdict;
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain").join(name)
}

/// An archive of three kernels of one distribution.
fn archive(lab: &Lab) -> PathBuf {
    let folder = lab.path("archive/distro/1/x86_64");
    fs::create_dir_all(&folder).unwrap();
    for (release, from) in [("1.0.0-9", "kernel_a.o"), ("1.0.0-10", "kernel_between.o"), ("2.0.0-1", "kernel_b.o")] {
        fs::copy(fixture(from), folder.join(format!("{release}.btf"))).unwrap();
    }
    lab.path("archive")
}

fn predict(lab: &Lab, args: &[&Path]) -> (Option<i32>, String, String) {
    lab.manifest(&kernel().table);
    let output = lab.tool("predict").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn an_archive_is_predicted_from_kernel_to_kernel() {
    let lab = Lab::new();
    let archive = archive(&lab);
    let (code, said, _) = predict(&lab, &[&fixture("object.o"), Path::new("--btf"), &archive]);
    insta::assert_snapshot!(said);
    assert_eq!(code, Some(1));
    // The second time from the kept index.
    let again = predict(&lab, &[&fixture("object.o"), Path::new("--btf"), &archive]);
    assert_eq!(again.1, said);

    let newest = archive.join("distro/1/x86_64/2.*");
    let (_, said, _) = predict(&lab, &[&fixture("object.o"), Path::new("--btf"), &newest, Path::new("--json")]);
    let whole: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(whole["predicted"], true);
    assert_eq!(whole["kernels"].as_array().unwrap().len(), 1);
    assert_eq!(whole["kernels"][0]["release"], "2.0.0-1");
}

#[test]
fn what_cannot_be_read_is_said_and_is_no_success() {
    let lab = Lab::new();
    let archive = archive(&lab);
    fs::write(archive.join("distro/1/x86_64/3.0.0-1.btf"), "no types").unwrap();
    let (code, said, _) = predict(&lab, &[&fixture("object.o"), Path::new("--btf"), &archive]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("not predicted for `3.0.0-1` of distro/1/x86_64: BTF in `"), "{said}");
    let (code, _, said) = predict(&lab, &[&fixture("object.o"), Path::new("--btf"), &lab.path("nowhere")]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("nowhere` cannot be read") && said.contains("hint: name raw BTF"), "{said}");
}

#[test]
fn a_real_kernel_does_what_its_types_say() {
    need!("guests", "programs");
    let lab = Lab::with_kernel("");
    let names = ["inode-ctime", "kfunc-weak", "kfunc-strong", "iter-kmem-cache", "sched-ext", "hrtimer-state"];
    let objects: Vec<String> =
        names.iter().map(|name| format!("{}/target/programs/{name}.bpf.o", env!("CARGO_MANIFEST_DIR"))).collect();
    let paths: Vec<&Path> = objects.iter().map(Path::new).chain([Path::new("--json")]).collect();
    let (_, said, failed) = predict(&lab, &paths);
    assert_eq!(failed, "");
    let predicted: Value = serde_json::from_str(&said).unwrap();
    lab.run(&objects.iter().map(String::as_str).collect::<Vec<_>>());
    let record = lab.report();
    let cells = predicted["kernels"][0]["objects"].as_array().unwrap();
    let mut compared = 0;
    for (object, cell) in predicted["objects"].as_array().unwrap().iter().zip(cells) {
        let observed = programs(&record, kernel().name, object["name"].as_str().unwrap());
        for (predicted, observed) in cell["programs"].as_array().unwrap().iter().zip(observed) {
            let expected = match predicted["outcome"].as_str().unwrap() {
                "resolves" | "absent_and_guarded" => Verdict::Loaded,
                "missing_target" => Verdict::AttachTargetMissing,
                _ => Verdict::RelocationFailed,
            };
            assert_eq!(observed.verdict, expected, "{} {}: {predicted}", object["name"], observed.name);
            compared += 1;
        }
    }
    assert!(compared >= 12, "{compared} programs");
    assert_eq!(evidence::missing_records(&record, &[0]), Vec::<String>::new());
}
