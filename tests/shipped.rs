//! Real objects that no one here wrote, out of a Debian package, on every default kernel.

#[path = "common/evidence.rs"]
mod evidence;
#[path = "common/need.rs"]
mod need;

use std::path::Path;
use std::process::Command;

use corematrix::record::{KernelState, RunRecord};

use need::need;

#[test]
fn shipped_tools_have_a_record_of_every_relocation_and_a_cause_of_every_failure() {
    need!("guests");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let status = Command::new(env!("CARGO_BIN_EXE_corematrix"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .args(["run", "programs/libbpf-tools.toml", "--out"])
        .arg(folder.path())
        .status()
        .expect("corematrix starts");
    // Tools bring alternatives, of which some must fail.
    assert_eq!(status.code(), Some(1), "corematrix run ended with {status}");
    let record: RunRecord = corematrix::record::json::read(&folder.path().join("report.json")).expect("the report");
    let ready = |index: &usize| record.kernels[*index].state == KernelState::Ready;
    let kernels: Vec<usize> = (0..record.kernels.len()).filter(ready).collect();
    let needed = record.kernels.iter().filter(|kernel| !kernel.optional).count();
    assert!(kernels.len() >= needed, "{} kernels were judged, and {needed} are needed", kernels.len());
    assert!(record.objects.len() >= 10, "{} objects were found", record.objects.len());
    let mut missing = evidence::missing_records(&record, &kernels);
    missing.extend(evidence::missing_causes(&record, &kernels));
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
