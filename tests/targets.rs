//! Programs that are loaded for functions of other programs (`freplace`, and `fentry` of a BPF program), on real kernels.

#[path = "common/need.rs"]
mod need;

use std::path::Path;
use std::process::{Command, Output};

use corematrix::record::{AttachOutcome, Cause, ProgramRecord, RunRecord, Verdict};
use need::need;

fn corematrix(words: &[&str]) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    run.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).args(words).output().expect("corematrix starts")
}

fn run(words: &[&str]) -> (RunRecord, Output) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().display().to_string();
    let ended = corematrix(&[&["run", "--out", &out], words].concat());
    let record = corematrix::record::json::read(&folder.path().join("report.json"));
    (record.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&ended.stderr))), ended)
}

fn program<'a>(record: &'a RunRecord, kernel: &str, object: &str, name: &str) -> &'a ProgramRecord {
    let cell = record.cells.iter().find(|cell| cell.kernel == kernel && cell.object == object).expect("the cell");
    cell.programs.iter().find(|program| program.name == name).expect("the program")
}

#[test]
fn programs_are_loaded_for_functions_of_others_and_attached() {
    need!("guests", "programs");
    let (record, ended) =
        run(&["tests/targets/suite.toml", "--attach", "--kernel", "5.10", "--kernel", "6.12", "--kernel", "7.3"]);
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
    for kernel in ["5.10", "6.12", "7.3"] {
        let of = |name: &str| program(&record, kernel, "filters", name);
        for name in ["filter", "named", "watch", "of_own"] {
            let found = of(name);
            assert_eq!(found.verdict, Verdict::Loaded, "{name} on {kernel}: {:?}", found.reason);
            let attached = found.attach.as_ref().map(|attach| attach.outcome);
            assert_eq!(attached, Some(AttachOutcome::Attached), "{name} on {kernel}: {:?}", found.attach);
        }
        // The function is not there, and the kernel is not to blame.
        let found = of("nowhere");
        let what = (found.verdict, found.cause);
        assert_eq!(what, (Verdict::AttachTargetMissing, Some(Cause::MissingAttachTarget)), "{:?}", found.reason);
        // Its target fails, which is reported of the target alone.
        let found = of("of_broken");
        let what = (found.verdict, found.cause);
        assert_eq!(what, (Verdict::HarnessLimit, Some(Cause::TargetNotLoaded)), "{:?}", found.reason);
        let reason = found.reason.as_deref().unwrap_or_default();
        assert!(reason.starts_with("target program `dispatcher/broken` does not load: "), "{reason}");
        assert_eq!(program(&record, kernel, "dispatcher", "broken").verdict, Verdict::VerifierRejected);
        // No one says of which program it replaces a function.
        let found = of("unnamed");
        assert_eq!((found.verdict, found.cause), (Verdict::HarnessLimit, Some(Cause::NeedsLoader)), "{kernel}");
        let reason = found.reason.as_deref().unwrap_or_default();
        assert!(reason.contains("`target = \"OBJECT:PROGRAM\"`"), "{reason}");
    }
}

#[test]
fn targets_that_are_not_there_are_refused() {
    need!("programs");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let objects = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/targets/*.bpf.o");
    let refused = |lines: &str| {
        let path = folder.path().join("suite.toml");
        let text =
            format!("name = \"s\"\nobjects = [{objects:?}]\n[[program]]\nprogram = \"filters/filter\"\n{lines}\n");
        std::fs::write(&path, text).expect("writes");
        let ended = corematrix(&["list", "programs", &path.display().to_string()]);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(2), "{said}");
        said
    };
    for (lines, message) in [
        ("type = \"ext\"\ntarget = \"dispatchr:dispatch\"", "unknown object `dispatchr`"),
        ("type = \"ext\"\ntarget = \"dispatcher:dispach\"", "object `dispatcher` has no program `dispach`"),
        ("type = \"ext\"\ntarget = \"filter\"", "`filter` cannot be its own target"),
        ("type = \"ext\"\ntarget = \"base\"", "which function of `filters/base` does `filter` replace?"),
        ("target = \"dispatcher:dispatch\"", "has no load-time target"),
        ("type = \"ext\"\ntarget-function = \"place0\"", "`target-function` is set, but no `target` program"),
    ] {
        let said = refused(lines);
        assert!(said.contains(message), "{message}: {said}");
    }
}
