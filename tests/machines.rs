//! Other machines than the kernel's own, on real kernels: processors, NUMA nodes, sysctls and kernel parameters. What they do to the stories of
//! class M is in `programs/stories.toml`.

#![allow(clippy::unwrap_used)]

#[path = "stories/book.rs"]
#[allow(dead_code)]
mod book;
mod common;
#[path = "stories/fact.rs"]
#[allow(dead_code)]
mod fact;

use std::path::Path;
use std::process::Command;

use book::{Book, Class};
use common::{Lab, need};
use corematrix::record::Verdict;
use corematrix::record::{Cause, ChangedBy, RunRecord};

/// The oldest and the newest.
const KERNELS: [&str; 4] = ["--kernel", "5.10", "--kernel", "7.3"];
const TASK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/programs/task-state.bpf.o");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(args: &[&str], code: i32) -> (RunRecord, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    command.current_dir(root()).arg("run").args(args).arg("--out").arg(folder.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    (corematrix::record::json::read(&folder.path().join("report.json")).unwrap(), said)
}

#[test]
fn stories_of_machines_end_as_they_are_told() {
    need!("guests", "programs");
    let args: Vec<&str> = std::iter::once("programs/machines.toml").chain(KERNELS).collect();
    let (record, said) = run(&args, 1);
    let mut differences = Vec::new();
    let mut judged = 0;
    for story in Book::read(root()).story.iter().filter(|story| story.class == Class::M) {
        for cell in &record.cells {
            let Some(rest) = cell.object.strip_prefix(&story.object) else { continue };
            for program in &cell.programs {
                let expected = rest.strip_prefix('@').map(|shape| &story.machine[shape][&program.name]);
                let verdict = expected.map_or(Verdict::Loaded, |expected| expected.verdict);
                let dangers = cell.dangers.iter().filter(|danger| danger.programs.contains(&program.name));
                let told: Vec<String> =
                    program.reason.iter().cloned().chain(dangers.map(|danger| danger.words.clone())).collect();
                let because = expected.and_then(|expected| expected.because.as_deref());
                let is_told = because.is_none_or(|because| told.iter().any(|told| told.contains(because)));
                if program.verdict != verdict || !is_told {
                    let which = format!("{} {}/{}", cell.kernel, cell.object, program.name);
                    differences.push(format!("{which}: {} {told:?}", program.verdict));
                }
                judged += 1;
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n  {}", differences.len(), differences.join("\n  "));
    assert_eq!(judged, 36);
    // The setting is named as the cause where it was the setting.
    let cause = |object: &str, program: &str| {
        let cell = record.cells.iter().find(|cell| cell.object == object).unwrap();
        cell.programs.iter().find(|one| one.name == program).unwrap().cause
    };
    for object in ["jit-constants@hardened", "jit-constants@interpreted", "lockdown-read@locked"] {
        assert_eq!(cause(object, "naive"), Some(Cause::MachineSetting), "{object}");
    }
    assert_eq!(cause("processor-loop@eight", "naive"), Some(Cause::ComplexityLimit));
    let wrong = record.machine_changes().into_iter().filter(|change| change.what == ChangedBy::WrongData);
    assert_eq!(wrong.map(|change| change.program).collect::<Vec<_>>(), ["naive", "naive"]);
    assert!(said.contains("Effects of machine settings"), "{said}");
    let machine =
        record.cells.iter().find(|cell| cell.object == "processor-loop@eight").unwrap().machine.clone().unwrap();
    assert_eq!(machine.cpus, 8);
}

#[test]
fn machines_have_snapshots_of_their_own_and_what_a_kernel_lacks_is_nobodys_failure() {
    need!("guests", "programs");
    let lab = Lab::with_kernel(
        "[profile.odd]\nsysctls = { \"kernel.no_such_thing\" = 1 }\n[profile.wrong]\nsysctls = { \"net.core.bpf_jit_harden\" = 7 }\n",
    );
    let args = [TASK, "--cpus", "1,4", "--numa", "1", "--profile", "odd", "--profile", "wrong", "--jobs", "1"];
    let ended = lab.run(&args);
    let report = lab.report();
    assert_eq!(report.objects.len(), 4, "{}", ended.stderr);
    let cell = |name: &str| report.cells.iter().find(|cell| cell.object == name).unwrap();
    assert_eq!(cell("task-state@cpus-4").machine.as_ref().unwrap().cpus, 4);
    for (name, said) in [
        ("task-state@odd", "the kernel has no sysctl `kernel.no_such_thing`"),
        ("task-state@wrong", "sysctl `net.core.bpf_jit_harden` rejects `7`"),
    ] {
        for program in &cell(name).programs {
            assert_eq!(program.verdict, Verdict::HarnessLimit, "{program:?}");
            assert_eq!(program.cause, Some(Cause::MachineUnavailable));
            assert!(program.reason.as_ref().unwrap().starts_with(said), "{program:?}");
        }
    }
    // One for a processor, one for four; sysctls need none of their own.
    assert_eq!(lab.snapshots().len(), 2);
    assert!(ended.stdout.contains("changes nothing"), "{}", ended.stdout);

    // Two nodes share the memory, and are restored from it.
    for started in ["booted", "restored"] {
        let ended = lab.run(&[TASK, "--cpus", "4", "--numa", "2"]);
        let report = lab.report();
        let machine = report.cells[0].machine.clone().unwrap();
        assert_eq!((machine.cpus, machine.numa_nodes), (4, 2), "{started}: {}", ended.stderr);
        assert_eq!(report.kernels[0].hello_ms.is_empty(), started == "restored");
    }
    // A guest that boots for all objects is replaced before another machine.
    lab.run(&[TASK, "--cold", "--profile", "jit-harden-2"]);
    let report = lab.report();
    let harden = |at: usize| report.cells[at].machine.clone().unwrap().sysctls;
    assert!(harden(0).is_empty() && harden(1)["net.core.bpf_jit_harden"] == "2");
    lab.expect_nothing_left();
}

#[test]
fn impossible_machines_are_refused_before_anything_boots() {
    let lab = Lab::new();
    lab.manifest("[kernel.x]\nsource = \"host\"\n");
    let object = format!("{}/tests/fixtures/suite/switches.bpf.o", env!("CARGO_MANIFEST_DIR"));
    for ([option, value], said) in [
        (["--cpus", "4096"], "no machine that QEMU emulates here has more than 255"),
        (["--cpus", "0"], "a guest has at least one processor"),
        (["--memory", "1GB"], "not a whole number of `MiB` or `GiB`"),
        (["--numa", "2"], "2 NUMA nodes need at least 2 processors"),
        (["--profile", "jit-hardn-2"], "did you mean `jit-harden-2`"),
    ] {
        let ended = lab.run(&[&object, option, value]);
        assert_eq!(ended.code, Some(2), "{value}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{value}: {}", ended.stderr);
    }
}
