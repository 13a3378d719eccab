//! Suites on a real kernel: shapes are set, prove the sides that they switch on, and alternatives excuse what fails beside them.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Lab, need, verdicts};
use corematrix::coverage::{ProofLevel, Unit, on_kernel};
use corematrix::record::Service;
use corematrix::record::Verdict::{AttachTargetMissing, Loaded};
use corematrix::record::{GuardKind, Liveness};

const SUITE: &str = r#"
    [[alternatives]]
    name = "read"
    programs = ["fentry_read", "kprobe_read"]
    [[alternatives]]
    name = "lost or found"
    programs = ["nowhere", "raw_switch"]
    [[shape]]
    object = "switches"
    name = "loud"
    set.verbose = true
    set.mode = "MODE_FAST"
    maps.counts.max_entries = 1
"#;

/// A lab with a suite of the object `switches`.
fn lab(rest: &str) -> Lab {
    let lab = Lab::with_kernel("");
    let object = format!("{}/tests/fixtures/suite/switches.bpf.o", env!("CARGO_MANIFEST_DIR"));
    fs::write(lab.path("s.toml"), format!("name = \"s\"\nobjects = [{object:?}]\n{rest}")).unwrap();
    lab
}

#[test]
fn shapes_prove_what_they_switch_on_and_alternatives_excuse() {
    need!("guests");
    let lab = lab(SUITE);
    let suite = lab.path("s.toml").display().to_string();
    let ended = lab.run(&[&suite]);
    ended.expect(0);
    for text in ["switches@loud", "lost or found, lost or found@loud: raw_switch on 5.10"] {
        assert!(ended.stdout.contains(text), "{}", ended.stdout);
    }
    let report = lab.report();
    for object in ["switches", "switches@loud"] {
        assert_eq!(verdicts(&report, "5.10", object), [Loaded, Loaded, AttachTargetMissing, Loaded]);
    }
    assert_eq!(report.alternatives.len(), 4);
    assert!(report.alternatives.iter().all(|group| group.declared));
    assert_eq!(report.service(&report.alternatives[0], 0), Service::By(0));
    assert_eq!(report.service(&report.alternatives[2], 0), Service::By(1));
    assert_eq!(report.excuse(0, 0, 2).as_deref(), Some("`raw_switch` works instead (lost or found)"));

    let guards = &report.objects[0].coverage.guards;
    assert_eq!(guards, &report.objects[1].coverage.guards);
    let guard = |name: &str| {
        let found = guards.iter().position(|guard| {
            (guard.kind, guard.asked.as_str(), guard.function.as_str()) == (GuardKind::Rodata, name, "fentry_read")
        });
        found.unwrap()
    };
    for name in ["verbose", "mode"] {
        let resolved = |object| on_kernel(&report, object, 0, guard(name), 0, ProofLevel::Resolved);
        assert_eq!((resolved(0), resolved(1)), (Some(false), Some(true)), "{name}");
        let verified = |object| report.cell(object, 0).coverage.guards[guard(name)].verified;
        assert_eq!(verified(0), [Liveness::Dead, Liveness::Live], "{name}");
        // The other side has no code of its own, and what leads to it is left too.
        assert_eq!(verified(1), [Liveness::Live, Liveness::Unknown], "{name}");
    }
    let units = Unit::all(&report);
    assert_eq!((units.len(), units[0].rows.as_slice()), (1, &[0, 1][..]));
    let alone = Unit { object: 0, rows: vec![0] };
    assert!(units[0].count(&report, ProofLevel::Verified) > alone.count(&report, ProofLevel::Verified));
    lab.expect_nothing_left();
}

#[test]
fn too_little_coverage_fails_the_run() {
    need!("guests");
    let lab = lab("minimum-coverage = 99\n[[optional]]\nprogram = \"nowhere\"\nreason = \"made up\"\n[[shape]]\n\
                   object = \"switches\"\nname = \"s\"\nset.limit = 1\n");
    let suite = lab.path("s.toml").display().to_string();
    let ended = lab.run(&[&suite, "--fail-unproven"]);
    ended.expect(1).expect_said(&["the suite's minimum-coverage requires 99%", "verified on no kernel"]);
}
