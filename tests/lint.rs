//! `corematrix lint`, as users, editors and hooks see it.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Lab, kernel, need};
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// An archive of two kernels.
fn archive(lab: &Lab) -> PathBuf {
    let folder = lab.path("archive/distro/1/x86_64");
    fs::create_dir_all(&folder).unwrap();
    for (release, from) in [("1.0.0-9", "explain/kernel_a.o"), ("2.0.0-1", "explain/kernel_b.o")] {
        fs::copy(fixture(from), folder.join(format!("{release}.btf"))).unwrap();
    }
    lab.path("archive")
}

fn lint(lab: &Lab, args: &[&str]) -> (Option<i32>, String, String) {
    lab.manifest(&kernel().table);
    let output = lab.tool("lint").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn findings_are_written_as_compilers_write_theirs() {
    let lab = Lab::new();
    let (archive, guards) = (archive(&lab), fixture("lint/guards.o"));
    let (archive, guards) = (archive.to_str().unwrap(), guards.to_str().unwrap());
    let (code, said, failed) = lint(&lab, &[guards, "--btf", archive]);
    assert_eq!(failed, "");
    let said = said.replace(concat!(env!("CARGO_MANIFEST_DIR"), "/"), "");
    insta::assert_snapshot!(said);
    assert_eq!(code, Some(1));

    // Without its one warning it passes: notes do not count.
    for allowed in ["misspelled-guard", "misspelled-guard:guards.c", "misspelled-guard:guards.c:71"] {
        let (code, said, _) = lint(&lab, &[guards, "--btf", archive, "--allow", allowed]);
        assert_eq!(code, Some(0), "{allowed}: {said}");
        assert!(!said.contains("misspelled-guard") && said.contains("0 warnings"), "{allowed}: {said}");
    }
    let (code, said, _) = lint(&lab, &[guards, "--btf", archive, "--allow", "misspelled-guard:other.c"]);
    assert_eq!(code, Some(1), "{said}");

    let (code, said, _) = lint(&lab, &[guards, "--btf", archive, "--json"]);
    assert_eq!(code, Some(1));
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["kernels"][1]["release"], "2.0.0-1");
    let findings = report["objects"][0]["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["rule"] == "misspelled-guard").unwrap();
    assert_eq!((&found["source"]["line"], &found["kernels"]), (&71.into(), &serde_json::json!([0, 1])));
}

#[test]
fn what_is_wrong_with_the_command_line_or_a_kernel_is_told() {
    let lab = Lab::new();
    let archive = archive(&lab);
    let object = fixture("lint/guards.o");
    let object = object.to_str().unwrap();
    let (code, _, said) = lint(&lab, &[object, "--allow", "misspeled-guard"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("did you mean `misspelled-guard`?"), "{said}");
    let (code, said, _) = lint(&lab, &["--rules"]);
    assert_eq!(code, Some(0));
    assert_eq!(said.lines().count(), 17, "{said}");

    fs::write(archive.join("distro/1/x86_64/3.0.0-1.btf"), "no types").unwrap();
    let archive = archive.to_str().unwrap();
    let (code, said, _) = lint(&lab, &[object, "--btf", archive, "--allow", "misspelled-guard"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("kernel `3.0.0-1` is skipped: BTF in `"), "{said}");
    // What is known to be wrong outweighs what is not known.
    let (code, said, _) = lint(&lab, &[object, "--btf", archive]);
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn objects_without_a_fault_are_clean() {
    need!("programs");
    let lab = Lab::new();
    // Objects of the stories that are right on every kernel.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/programs");
    let archive = archive(&lab);
    for name in ["sched-ext", "tail-call", "user-ringbuf"] {
        let object = folder.join(format!("{name}.bpf.o"));
        let (code, said, _) = lint(&lab, &[object.to_str().unwrap(), "--btf", archive.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{name}: {said}");
    }
}
