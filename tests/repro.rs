//! `corematrix repro` and `corematrix bundle`: a failure of a real run, seen again from the run, from its bundle on a machine that
//! knows nothing of it, and after things have changed.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use common::{Ended, Lab, Run, kernel, need, object};
use corematrix::bundle::Bundle;
use corematrix::record::json;

/// `corematrix repro` in a lab.
fn repro(lab: &Lab, args: &[&str]) -> Ended {
    let mut command = lab.tool("repro");
    command.args(args);
    Run::start(command, &lab.path("repro")).wait()
}

#[track_caller]
fn expect_output(ended: &Ended, texts: &[&str]) {
    for text in texts {
        assert!(ended.stdout.contains(text), "`{text}` is missing in:\n{}\n{}", ended.stdout, ended.stderr);
    }
}

#[test]
fn a_failure_is_seen_again_from_its_run_and_from_its_bundle() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let failing = lab.path("failing.bpf.o");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain/object.o"), &failing).unwrap();
    let suite = lab.path("suite.toml");
    fs::write(&suite, "name = \"s\"\nobjects = [\"failing.bpf.o\"]\n").unwrap();
    lab.run(&[suite.to_str().unwrap(), &object("five")]).expect(1);
    let run = lab.out().display().to_string();

    let ran = repro(&lab, &[&run, &format!("{}/failing/naive", kernel().name)]);
    ran.expect(1);
    expect_output(
        &ran,
        &[
            "failing/naive on 5.10 (",
            "  cause: ",
            "Registers before instruction ",
            "    R10 = fp0",
            "Path to the failure:",
            "reproduced: ",
        ],
    );
    assert!(!ran.stdout.contains("despite these differences"), "{}", ran.stdout);
    // A program that loads is as it was, too.
    expect_output(repro(&lab, &[&run, "5.10", "five", "two"]).expect(0), &["reproduced: ", "`two`: loaded"]);
    // Without a run.
    expect_output(repro(&lab, &["5.10", failing.to_str().unwrap()]).expect(1), &["failing/naive on 5.10 ("]);
    repro(&lab, &["5.10"]).expect(2).expect_said(&["`5.10` is neither a run nor a bundle", "hint: "]);

    // Only what failed has a bundle, and one made afterwards holds the same.
    let bundles: Vec<_> =
        fs::read_dir(lab.out().join("bundles")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(bundles, ["5.10-failing.cmxb"]);
    let bundle = lab.out().join("bundles/5.10-failing.cmxb");
    let again = lab.path("again.cmxb");
    let mut command = lab.tool("bundle");
    command.args([&run, "5.10", "failing", "-o", again.to_str().unwrap()]);
    Run::start(command, &lab.path("bundle")).wait().expect(0);
    let [first, second] = [&bundle, &again].map(|path| Bundle::open(path).unwrap());
    assert_eq!((&first.record, &first.object), (&second.record, &second.object));
    assert!(first.about.command.iter().any(|word| word.ends_with("suite.toml")), "{:?}", first.about.command);

    // Another machine: no manifest, no object, and only the kernel's files.
    let other = Lab::with_kernel("");
    fs::remove_file(other.path("kernels.toml")).unwrap();
    fs::remove_file(other.path("kernels.lock")).unwrap();
    let ran = repro(&other, &[bundle.to_str().unwrap()]);
    ran.expect(1);
    expect_output(&ran, &["failing/naive on 5.10 (", "reproduced: same verdict and cause as in the run of "]);
    other.expect_nothing_left();

    // An object that was changed is reported, and what became of it.
    fs::copy(object("five"), &failing).unwrap();
    let ran = repro(&lab, &[&run, "5.10", "failing", "one"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    let mut record = json::read(&lab.out().join("report.json")).unwrap();
    let five = record.objects.iter().position(|object| object.name == "five").unwrap();
    record.objects[five].sha256 = "0".repeat(64);
    record.cells[five].programs[0].verdict = corematrix::record::Verdict::VerifierRejected;
    std::fs::write(lab.out().join("report.json"), json::render(&record).unwrap()).unwrap();
    let ran = repro(&lab, &[&run, "5.10/five"]);
    ran.expect(4).expect_said(&["has changed since the run"]);
    expect_output(&ran, &["DOES NOT REPRODUCE", "differences:", "object (sha256): 0000000000000000 then, "]);
}

#[test]
fn a_shape_is_seen_again_with_its_settings_and_an_image_is_given_by_hand() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let source = format!("[kernel.mine]\nsource = \"path\"\nimage = {:?}\n", kernel().image());
    lab.manifest(&source);
    let suite = lab.path("suite.toml");
    let switches = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/suite/switches.bpf.o");
    fs::copy(switches, lab.path("switches.bpf.o")).unwrap();
    let shape = "[[shape]]\nobject = \"switches\"\nname = \"none\"\nmaps.counts.key_size = 600\n";
    fs::write(&suite, format!("name = \"s\"\nobjects = [\"switches.bpf.o\"]\n{shape}")).unwrap();
    lab.run(&[suite.to_str().unwrap()]).expect(1);
    let bundle = lab.out().join("bundles/mine-switches@none.cmxb");
    assert!(bundle.is_file());
    let bundle = bundle.to_str().unwrap();

    repro(&lab, &[bundle]).expect(2).expect_said(&[
        "is an image of the run's machine",
        "--kernel-path PATH",
        "sha256 of the image",
    ]);
    let image = kernel().image();
    let ran = repro(&lab, &[bundle, "--kernel-path", image.to_str().unwrap()]);
    ran.expect(1);
    expect_output(&ran, &["switches@none/", "map creation failed", "reproduced: "]);
}

#[test]
fn programs_are_loaded_for_those_of_another_object_again() {
    need!("guests", "programs");
    let lab = Lab::with_kernel("");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets/suite.toml");
    let suite = lab.path("suite.toml");
    for name in ["dispatcher", "filters"] {
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/targets/{name}.bpf.o"));
        fs::copy(built, lab.path(&format!("{name}.bpf.o"))).unwrap();
    }
    let text = fs::read_to_string(tests).unwrap().replace("../../target/targets/", "");
    fs::write(&suite, &text).unwrap();
    let suite = suite.to_str().unwrap();
    lab.run(&[suite]).expect(1);
    let run = lab.out().display().to_string();
    let loaded = ["reproduced: ", "`filter`: loaded"];
    expect_output(repro(&lab, &[&run, "5.10", "filters", "filter"]).expect(0), &loaded);
    // Both objects are in the suite, and the dispatcher is there for the filters only.
    expect_output(repro(&lab, &["5.10", suite, "filter"]).expect(0), &["`filter`: loaded"]);

    // Another machine has neither of the objects.
    let other = Lab::with_kernel("");
    fs::remove_file(other.path("kernels.toml")).unwrap();
    fs::remove_file(other.path("kernels.lock")).unwrap();
    let bundle = lab.out().join("bundles/5.10-filters.cmxb");
    let bundle = bundle.to_str().unwrap();
    expect_output(repro(&other, &[bundle, "filter"]).expect(0), &loaded);
    let ran = repro(&other, &[bundle, "of_broken"]);
    expect_output(&ran, &["target program `dispatcher/broken` does not load"]);
    other.expect_nothing_left();
}
