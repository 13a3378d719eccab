//! Loads this package's own object on two kernels and asserts on the record.

use std::path::{Path, PathBuf};
use std::process::Command;

use corematrix::matrix::{Matrix, Options, Places, Project};
use corematrix::record::{RunRecord, exit_code};

/// The kernels of the repository. A project of your own has its own `kernels.toml`.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../kernels.toml");

fn compile(folder: &Path) -> PathBuf {
    let object = folder.join("task_state.bpf.o");
    let mut clang = Command::new("clang");
    // Debian has the kernel's headers of an architecture in a directory that clang does not look in for BPF.
    clang.args([
        "-target",
        "bpf",
        "-g",
        "-O2",
        "-c",
        "-I/usr/include/x86_64-linux-gnu",
        corematrix_example::SOURCE,
        "-o",
    ]);
    assert!(clang.arg(&object).status().expect("clang runs").success());
    object
}

fn run(folder: &Path) -> RunRecord {
    let project = Project::load(Path::new(MANIFEST), &Places::from_environment(None).expect("a store"))
        .expect("the manifest is right");
    let matrix = Matrix::new(&project, Options::default());
    let kernels = ["5.10", "6.12"].map(str::to_owned);
    let work = matrix.plan(&kernels, &[compile(folder)]).expect("the object is right");
    matrix.run(&work, &folder.join("report"), &mut |event| eprintln!("{event:?}")).expect("the run begins")
}

#[test]
fn state_is_read_on_kernels_before_and_after_its_field_was_renamed() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("report")).expect("a folder");
    let record = run(folder.path());
    assert_eq!(exit_code::of(&record), exit_code::GOOD, "{:#?}", record.cells);
    let kernels: Vec<&str> = record.kernels.iter().map(|kernel| kernel.name.as_str()).collect();
    assert_eq!(kernels, ["5.10", "6.12"]);
    for (kernel, has_new_name) in [(0, false), (1, true)] {
        let cell = record.cell(0, kernel);
        assert!(cell.programs.iter().all(|program| program.verdict.is_pass()), "{:#?}", cell.programs);
        let guards: Vec<Option<bool>> = cell.coverage.guards.iter().map(|guard| guard.resolved).collect();
        assert_eq!(guards, [Some(has_new_name)]);
    }
}
