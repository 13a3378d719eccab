//! Privileges on real kernels: the least with which programs load, what is missing from those that a loader has, and BPF tokens.

#[path = "common/need.rs"]
mod need;

use std::path::Path;
use std::process::{Command, Output};

use corematrix::record::{Cause, CellRecord, LeastPrivileges, Need, RunRecord, Verdict};
use need::need;

const STORY: &str = "target/programs/privileges.bpf.o";
const KERNELS: [&str; 4] = ["5.10", "6.1", "6.12", "7.3"];

fn corematrix(words: &[&str], kernels: &[&str]) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    run.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).args(words);
    run.args(kernels.iter().flat_map(|kernel| ["--kernel", kernel]));
    run.output().expect("corematrix starts")
}

/// Runs the story with these options, and expects this exit code.
fn run(options: &[&str], kernels: &[&str], code: i32) -> RunRecord {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().display().to_string();
    let words = [&["run", STORY, "--out", &out], options].concat();
    let ended = corematrix(&words, kernels);
    assert_eq!(ended.status.code(), Some(code), "{}", String::from_utf8_lossy(&ended.stderr));
    corematrix::record::json::read(&folder.path().join("report.json")).expect("the report")
}

fn least<'a>(cell: &'a CellRecord, program: &str) -> &'a LeastPrivileges {
    let found = cell.privileges.as_ref().expect("it was looked for");
    &found.programs.iter().find(|one| one.program == program).expect("it is there").least
}

#[test]
fn programs_need_what_the_kernel_asks_for() {
    need!("guests", "programs");
    let record = run(&["--least-privileges"], &KERNELS, 0);
    for cell in &record.cells {
        let before_5_11 = cell.kernel == "5.10";
        let has_tokens = ["6.12", "7.3"].contains(&cell.kernel.as_str());
        let large: &[&str] = if before_5_11 { &["CAP_BPF", "CAP_SYS_RESOURCE"] } else { &["CAP_BPF"] };
        let expected: [(&str, &[&str]); 5] = [
            ("naive", &["CAP_BPF", "CAP_PERFMON"]),
            ("packet", &["CAP_BPF", "CAP_NET_ADMIN"]),
            ("filter", &["CAP_BPF"]),
            ("leaking", &["CAP_BPF", "CAP_PERFMON"]),
            ("large", large),
        ];
        for (program, names) in expected {
            let found = least(cell, program);
            let wanted = Need::Capabilities(names.iter().map(|name| (*name).to_owned()).collect());
            assert_eq!(found.needs, wanted, "{program} on {}", cell.kernel);
            assert_eq!(found.token, has_tokens.then_some(true), "{program} on {}", cell.kernel);
        }
        let found = cell.privileges.as_ref().expect("it was looked for");
        let all = if before_5_11 { 4 } else { 3 };
        assert_eq!(found.object.needs.capabilities().len(), all, "{}: {:?}", cell.kernel, found.object);
        assert_eq!(found.no_token.is_some(), !has_tokens, "{}: {:?}", cell.kernel, found.no_token);
    }
}

#[test]
fn what_is_missing_is_named_and_nobody_else_is_blamed() {
    need!("guests", "programs");
    let record = run(&["--capabilities", "bpf"], &["5.10", "7.3"], 1);
    for cell in &record.cells {
        for program in &cell.programs {
            let missing = match (program.name.as_str(), cell.kernel.as_str()) {
                ("naive" | "leaking", _) => Some("CAP_PERFMON"),
                ("packet", _) => Some("CAP_NET_ADMIN"),
                ("large", "5.10") => Some("CAP_SYS_RESOURCE"),
                _ => None,
            };
            let which = format!("{} on {}: {:?}", program.name, cell.kernel, program.reason);
            let subject = program.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref());
            let (verdict, cause) = match missing {
                Some(_) => (Verdict::NotPermitted, Some(Cause::MissingCapability)),
                None => (Verdict::Loaded, None),
            };
            assert_eq!((program.verdict, program.cause, subject), (verdict, cause, missing), "{which}");
            if let Some(missing) = missing {
                let begins = format!("needs {missing}, which its loader lacks: ");
                // The kernel's words, and nothing that is concluded from them.
                let said = program.evidence.as_ref().map(|evidence| evidence.line.as_str()).unwrap_or_default();
                assert!(said.contains("EPERM") || said.contains("leak"), "{which} {said}");
                assert!(program.reason.as_deref().unwrap_or_default().starts_with(&begins), "{which}");
            }
        }
    }
}

#[test]
fn a_token_is_enough_where_kernels_have_them() {
    need!("guests", "programs");
    let record = run(&["--token"], &["6.1", "6.12"], 3);
    for (cell, has_tokens) in record.cells.iter().zip([false, true]) {
        for program in &cell.programs {
            let expected = match has_tokens {
                true => (Verdict::Loaded, None),
                false => (Verdict::HarnessLimit, Some(Cause::PrivilegesNotAvailable)),
            };
            let which = format!("{} on {}: {:?}", program.name, cell.kernel, program.reason);
            assert_eq!((program.verdict, program.cause), expected, "{which}");
        }
    }
    let reason = record.cells[0].programs[0].reason.as_deref();
    assert_eq!(reason, Some("this kernel has no BPF tokens (Linux 6.9 or later)"));
}

/// What fails as root fails for its own reason, with any privileges.
#[test]
fn a_failure_of_root_is_not_due_to_privileges() {
    need!("guests", "programs");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().display().to_string();
    let words = ["run", "target/programs/task-state.bpf.o", "--capabilities", "none", "--out", &out];
    let ended = corematrix(&words, &["6.12"]);
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
    let record = corematrix::record::json::read(&folder.path().join("report.json")).expect("the report");
    let program = |name: &str| record.cells[0].programs.iter().find(|program| program.name == name).expect("is there");
    assert_eq!(program("naive").cause, Some(Cause::MissingField), "{:?}", program("naive").reason);
    assert_eq!(program("guarded").cause, Some(Cause::MissingCapability), "{:?}", program("guarded").reason);
}

#[test]
fn the_command_tells_each_program_and_mistakes() {
    need!("guests", "programs");
    let ended = corematrix(&["privileges", STORY], &["6.12"]);
    let text = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(0), "{text}");
    for line in [
        "naive: needs CAP_BPF + CAP_PERFMON on 6.12; a token suffices on 6.12",
        "whole object: needs CAP_BPF + CAP_PERFMON + CAP_NET_ADMIN on 6.12; a token suffices on 6.12",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let ended = corematrix(&["run", STORY, "--capabilities", "CAP_BFP"], &["6.12"]);
    let text = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{text}");
    assert!(text.contains("unknown capability `CAP_BFP`") && text.contains("did you mean `CAP_BPF`?"), "{text}");
}

/// A suite has the object once more, with fewer privileges.
#[test]
fn shapes_have_privileges_of_their_own() {
    need!("guests", "programs");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let suite = folder.path().join("suite.toml");
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join(STORY);
    let text = format!(
        "name = \"s\"\nobjects = [{object:?}]\n\
         [[shape]]\nobject = \"privileges\"\nname = \"service\"\ncapabilities = [\"CAP_BPF\", \"CAP_PERFMON\"]\n\
         [[shape]]\nobject = \"privileges\"\nname = \"container\"\ntoken = true\n"
    );
    std::fs::write(&suite, text).expect("writes");
    let (suite, out) = (suite.display().to_string(), folder.path().join("out").display().to_string());
    let ended = corematrix(&["run", &suite, "--out", &out], &["6.12"]);
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
    let record = corematrix::record::json::read(&Path::new(&out).join("report.json")).expect("the report");
    let names: Vec<&str> = record.objects.iter().map(|object| object.name.as_str()).collect();
    assert_eq!(names, ["privileges", "privileges@service", "privileges@container"]);
    let failed = |cell: usize| -> Vec<&str> {
        let all = record.cells[cell].programs.iter();
        all.filter(|program| program.verdict != Verdict::Loaded).map(|program| program.name.as_str()).collect()
    };
    assert_eq!((failed(0), failed(1), failed(2)), (vec![], vec!["packet"], vec![]));
    let bundles = std::fs::read_dir(Path::new(&out).join("bundles")).expect("a bundle of what failed");
    let bundle = bundles.flatten().next().expect("a bundle of what failed").path().display().to_string();
    let again = corematrix(&["repro", &bundle, "packet"], &[]);
    let text = String::from_utf8_lossy(&again.stdout);
    assert_eq!(again.status.code(), Some(1), "{text}");
    assert!(text.contains("reproduced: same verdict and cause"), "{text}");
}
