//! Kernels of which only the types are known: columns of predictions beside columns of results, and never the one for the other.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Lab, kernel, need, programs};
use corematrix::record::{KernelState, PredictedOutcome, RunRecord, Verdict};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain").join(name)
}

/// A kernel that boots, an archive of two that do not, and one whose types stand in for an image that is not there.
fn lab(optional: bool) -> Lab {
    let lab = Lab::with_kernel("");
    let folder = lab.path("archive/distro/1/x86_64");
    fs::create_dir_all(&folder).unwrap();
    for (release, from) in [("1.0.0-9", "kernel_a.o"), ("2.0.0-1", "kernel_b.o")] {
        fs::copy(fixture(from), folder.join(format!("{release}.btf"))).unwrap();
    }
    fs::copy(fixture("kernel_between.o"), lab.path("between.btf")).unwrap();
    lab.manifest(&format!(
        r#"
        {}
        [kernel.distro]
        source = "btf"
        btf = "archive/distro/*/x86_64/*"
        [kernel.gone]
        source = "path"
        image = "nowhere"
        optional = {optional}
        [[kernel.gone.fallback]]
        source = "btf"
        btf = "between.btf"
        release = "1.5"
        "#,
        kernel().table
    ));
    lab
}

fn state<'r>(record: &'r RunRecord, name: &str) -> &'r KernelState {
    &record.kernels.iter().find(|kernel| kernel.name == name).unwrap().state
}

fn predicted(record: &RunRecord, kernel: &str) -> Vec<PredictedOutcome> {
    let cell = record.cells.iter().find(|cell| cell.kernel == kernel).unwrap();
    assert!(cell.programs.iter().all(|program| program.verdict == Verdict::NotRun));
    let prediction = cell.prediction.as_ref().unwrap();
    assert_eq!(prediction.relocations.len(), record.objects[0].relocations.len());
    prediction.programs.clone()
}

#[test]
fn predictions_are_columns_that_count_for_nothing() {
    need!("guests");
    let lab = lab(true);
    let object = fixture("object.o");
    let ended = lab.run(&[object.to_str().unwrap()]);
    let record = lab.report();
    let names: Vec<&str> = record.kernels.iter().map(|kernel| kernel.name.as_str()).collect();
    assert_eq!(names, [kernel().name, "distro-1.0.0-9", "distro-2.0.0-1", "gone"]);
    assert_eq!(*state(&record, kernel().name), KernelState::Ready);
    let KernelState::Predicted { release, reason: None, .. } = state(&record, "distro-2.0.0-1") else { panic!() };
    assert_eq!(release, "2.0.0-1");
    let KernelState::Predicted { release, reason: Some(reason), .. } = state(&record, "gone") else { panic!() };
    assert_eq!(release, "1.5");
    assert!(reason.contains("nowhere"), "{reason}");
    // The words are those of `corematrix predict` on the same types.
    let (old, new) = (predicted(&record, "distro-1.0.0-9"), predicted(&record, "distro-2.0.0-1"));
    assert_ne!(old, new);
    let predict =
        lab.tool("predict").arg(&object).arg("--json").arg("--btf").arg(lab.path("archive")).output().unwrap();
    let whole: serde_json::Value = serde_json::from_slice(&predict.stdout).unwrap();
    for (number, name) in ["distro-1.0.0-9", "distro-2.0.0-1"].into_iter().enumerate() {
        let same = &whole["kernels"][number]["objects"][0]["programs"];
        let own = record.cells.iter().find(|cell| cell.kernel == name).unwrap().prediction.as_ref().unwrap();
        assert_eq!(*same, serde_json::json!(own.programs));
    }
    // Two of four kernels are shown apart in the table, with a legend, and nothing of them is loaded.
    assert!(ended.stdout.contains("predicted from BTF alone"), "{}", ended.stdout);
    assert!(ended.stdout.contains("gone: only predicted (optional): "), "{}", ended.stdout);
    assert!(ended.stderr.contains("[gone] only predicted, from the BTF of 1.5: "), "{}", ended.stderr);

    // The code is that of the kernel which was booted, alone.
    let alone = lab.run(&["--kernel", kernel().name, object.to_str().unwrap()]);
    assert_eq!(alone.code, ended.code);
}

#[test]
fn predictions_alone_prove_nothing_and_a_needed_kernel_is_missing_all_the_same() {
    need!("guests", "programs");
    let lab = lab(false);
    let object = format!("{}/target/programs/tail-call.bpf.o", env!("CARGO_MANIFEST_DIR"));
    for kernels in
        [&["--kernel", "distro"][..], &["--kernel", "gone"], &["--kernel", "gone", "--kernel", kernel().name]]
    {
        let ended = lab.run(&[kernels, &[object.as_str()]].concat());
        assert_eq!(ended.code, Some(3), "{}", ended.stdout);
    }
    // A kernel that is requested by its BTF alone may be there.
    let ended = lab.run(&["--kernel", "distro", "--kernel", kernel().name, &object]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    // It cannot be booted for anything else.
    let shell = lab.tool("exec").args(["--kernel", "distro-none", "--", "true"]).output().unwrap();
    assert_eq!(shell.status.code(), Some(2));
    let exec = lab.tool("exec").args(["--kernel", "gone", "--", "true"]).output().unwrap();
    assert_eq!(exec.status.code(), Some(3), "{}", String::from_utf8_lossy(&exec.stdout));
}

#[test]
fn types_that_cannot_be_read_say_so() {
    need!("guests");
    let lab = lab(true);
    fs::write(lab.path("between.btf"), "no types").unwrap();
    let ended = lab.run(&["--kernel", "gone", &common::object("plain")]);
    assert_eq!(ended.code, Some(3));
    let record = lab.report();
    let KernelState::HarnessFailed { reason, .. } = state(&record, "gone") else { panic!("{:?}", record.kernels) };
    assert!(reason.contains("between.btf` cannot be used: "), "{reason}");
    fs::remove_file(lab.path("between.btf")).unwrap();
    lab.run(&["--kernel", "gone", &common::object("plain")]);
    let record = lab.report();
    let KernelState::Unavailable { reason, .. } = state(&record, "gone") else { panic!("{:?}", record.kernels) };
    assert!(reason.contains("nowhere") && reason.contains("; btf: "), "{reason}");
    // More files than a matrix has columns.
    for number in 0..70 {
        let file = format!("archive/distro/1/x86_64/3.0.0-{number}.btf");
        fs::copy(fixture("kernel_a.o"), lab.path(&file)).unwrap();
    }
    let ended = lab.run(&["--kernel", "distro", &common::object("plain")]);
    assert_eq!(ended.code, Some(2));
    let said = "kernel `distro`: its pattern matches 72 files, but a matrix takes at most 64";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

#[test]
fn the_same_kernel_by_its_types_and_booted_tell_the_same() {
    need!("guests", "programs");
    let lab = Lab::with_kernel("");
    fs::copy(kernel().stored.types().unwrap(), lab.path("own.btf")).unwrap();
    lab.manifest(&format!("{}\n[kernel.types]\nsource = \"btf\"\nbtf = \"own.btf\"\n", kernel().table));
    let names = [
        "inode-ctime",
        "kfunc-weak",
        "kfunc-strong",
        "iter-kmem-cache",
        "sched-ext",
        "hrtimer-state",
        "bpf-loop",
        "bloom-filter",
        "fsession",
        "framework-type",
    ];
    let objects: Vec<String> =
        names.iter().map(|name| format!("{}/target/programs/{name}.bpf.o", env!("CARGO_MANIFEST_DIR"))).collect();
    lab.run(&objects.iter().map(String::as_str).collect::<Vec<_>>());
    let record = lab.report();
    let mut kinds = std::collections::BTreeSet::new();
    for (o, name) in names.iter().enumerate() {
        let observed = programs(&record, kernel().name, name);
        for (p, observed) in observed.iter().enumerate() {
            let predicted = record.predicted(o, 1, p).unwrap();
            // What the verifier says types leave open.
            let is_open = observed.verdict == Verdict::VerifierRejected && predicted.resolves();
            let loads = observed.verdict == Verdict::Loaded || is_open;
            assert_eq!(loads, predicted.resolves(), "{name} {}: {predicted:?}, {}", observed.name, observed.verdict);
            assert_eq!(observed.predicted, None);
            let agrees = match predicted {
                PredictedOutcome::MissingTarget { .. } => observed.verdict == Verdict::AttachTargetMissing,
                PredictedOutcome::RejectedIfReached { .. } | PredictedOutcome::MissingKfunc { .. } => {
                    observed.verdict == Verdict::RelocationFailed
                }
                _ => true,
            };
            assert!(agrees, "{name} {}: {predicted:?}, {}", observed.name, observed.verdict);
            kinds.insert(predicted.label());
        }
    }
    assert!(kinds.len() >= 5, "{kinds:?}");
}
