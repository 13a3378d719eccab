//! Kernel modules that the user gives: of another kernel, changed, unsigned, without what they need. Each is reported in the kernel's words or before
//! a guest is booted, and never held against the object. Needs `make programs`, virtme-ng, QEMU and the kernels.

#[path = "common/need.rs"]
mod need;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use corematrix::matrix::Places;
use corematrix::record::{Cause, CellRecord, RunRecord};
use corematrix::store::Store;

use need::need;
use serde_json::Value;

const SIGNED: &[u8] = b"~Module signature appended~\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the object that needs xfs, with more arguments.
fn run(arguments: &[&str]) -> RunRecord {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run_to(folder.path(), arguments)
}

fn run_to(folder: &Path, arguments: &[&str]) -> RunRecord {
    run_of("target/causes/modules.bpf.o", folder, arguments)
}

fn run_of(object: &str, folder: &Path, arguments: &[&str]) -> RunRecord {
    let mut run = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    run.current_dir(root()).args(["run", object, "--out"]).arg(folder).args(arguments);
    // A manifest elsewhere does not lead to the project's virtme-ng.
    let virtme_run = root().join(".venv/bin/virtme-run");
    if std::env::var_os("COREMATRIX_VIRTME_RUN").is_none() && virtme_run.is_file() {
        run.env("COREMATRIX_VIRTME_RUN", virtme_run);
    }
    let output = run.output().expect("corematrix starts");
    let said = String::from_utf8_lossy(&output.stderr);
    corematrix::record::json::read(&folder.join("report.json")).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn corematrix(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_corematrix")).current_dir(root()).args(arguments).output();
    let output = output.expect("corematrix starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn fate<'r>(cell: &'r CellRecord, program: &str) -> (Option<Cause>, &'r str) {
    let found = cell.programs.iter().find(|one| one.name == program).expect("it is there");
    (found.cause, found.reason.as_deref().unwrap_or_default())
}

/// The module xfs of 6.1 without its signature, which the run before has fetched if the store did not have it.
fn unsigned_xfs() -> Vec<u8> {
    let record = run(&["--kernel", "6.1"]);
    assert!(record.cells[0].modules.iter().any(|module| module.name == "xfs"), "{:?}", record.cells[0]);
    let store = Store::open(&Places::from_environment(None).expect("a store").store).expect("the store");
    let release = &record.kernels[0].identity.as_ref().expect("6.1 booted").release;
    let (_, kernel) =
        store.kernels().into_iter().find(|(_, kernel)| kernel.identity.release == *release).expect("6.1 is stored");
    let resolved = kernel.module_files().expect("its modules are kept").resolve(&["xfs".to_owned()]);
    let mut module = resolved.files.last().expect("xfs is there").unpacked().expect("it can be read");
    let signed = module.strip_suffix(SIGNED).expect("Debian signs its modules").len();
    let length = u32::from_be_bytes(module[signed - 4..signed].try_into().expect("four bytes"));
    module.truncate(signed - 12 - length as usize);
    module
}

/// The place of a section in an ELF file.
fn section(elf: &[u8], name: &str) -> usize {
    use object::{Object, ObjectSection};
    let file = object::File::parse(elf).expect("an ELF file");
    let range = file.section_by_name(name).and_then(|section| section.file_range()).expect("the section");
    usize::try_from(range.0).expect("it fits")
}

fn written(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let file = folder.join(name).join("xfs.ko");
    fs::create_dir_all(folder.join(name)).expect("a folder");
    fs::write(&file, bytes).expect("writes");
    file.display().to_string()
}

/// A manifest like ours in which 6.1 takes only signed modules.
fn strict(folder: &Path) -> PathBuf {
    let text = fs::read_to_string(root().join("kernels.toml")).expect("kernels.toml");
    let strict = text.replace("[kernel.\"6.1\"]\n", "[kernel.\"6.1\"]\nappend = [\"module.sig_enforce=1\"]\n");
    assert_ne!(text, strict);
    fs::write(folder.join("kernels.toml"), strict).expect("writes");
    fs::copy(root().join("kernels.lock"), folder.join("kernels.lock")).expect("copies");
    folder.join("kernels.toml")
}

#[test]
fn module_of_the_user_is_loaded_or_its_refusal_is_told() {
    need!("guests", "programs");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let module = unsigned_xfs();
    let plain = written(folder.path(), "plain", &module);
    // Its own kernel takes it; another one is not even booted with it.
    let report = folder.path().join("report");
    let record = run_to(&report, &["--kernel", "6.1", "--kernel", "6.12", "--modules", &plain]);
    assert_eq!(record.kernels[0].modules, [plain.as_str()]);
    assert_eq!(fate(&record.cells[0], "type"), (None, ""));
    for program in ["type", "probe_of_nothing"] {
        let (cause, reason) = fate(&record.cells[1], program);
        assert_eq!(cause, Some(Cause::ModuleNotLoaded), "{reason}");
        assert!(reason.contains("it is built for 6.1.") && reason.contains("this kernel is 6.12."), "{reason}");
    }
    // A bundle has the module with it.
    let bundle = folder.path().join("cell.cmxb");
    let (report, bundle) = (report.to_str().expect("UTF-8"), bundle.to_str().expect("UTF-8"));
    corematrix(&["bundle", report, "6.1", "modules", "-o", bundle]);
    fs::remove_dir_all(folder.path().join("plain")).expect("it was there");
    let said = corematrix(&["repro", bundle, "type"]);
    assert!(said.contains("reproduced: ") && said.contains("`type`: loaded"), "{said}");
    let plain = written(folder.path(), "plain", &module);
    // A kernel that takes only signed modules.
    let manifest = strict(folder.path()).display().to_string();
    let record = run(&["--manifest", &manifest, "--kernel", "6.1", "--modules", &plain]);
    expect_refused(
        &record,
        "it accepts only modules signed with a trusted key: Loading of unsigned module is rejected",
    );
    // BTF of another build.
    let mut changed = module.clone();
    let types = section(&module, ".BTF") + 24;
    changed[types..types + 40].fill(0xff);
    let changed = written(folder.path(), "changed", &changed);
    let record = run(&["--kernel", "6.1", "--modules", &changed]);
    expect_refused(&record, "failed to validate module [xfs] BTF: -22");
    assert!(fate(&record.cells[0], "type").1.contains("xfs, which loaded, but its types were refused: "));
    // A file that is not there, and one that is no module.
    for (file, words) in [("gone.ko", "No such file"), ("manifest.ko", "it is not a kernel module")] {
        let path = folder.path().join(file);
        if file == "manifest.ko" {
            fs::write(&path, "[kernel]\n").expect("writes");
        }
        let record = run(&["--kernel", "6.1", "--modules", &path.display().to_string()]);
        let (cause, reason) = fate(&record.cells[0], "probe_of_nothing");
        assert!(cause == Some(Cause::ModuleNotLoaded) && reason.contains(words), "{reason}");
    }
    // A dependency that no one has.
    let at = module.windows(17).position(|bytes| bytes == b"depends=libcrc32c").expect("it needs libcrc32c");
    let mut alone = module;
    alone[at + 16] = b'x';
    let alone = written(folder.path(), "alone", &alone);
    let record = run(&["--kernel", "6.1", "--modules", &alone]);
    let (cause, reason) = fate(&record.cells[0], "type");
    assert_eq!(cause, Some(Cause::ModuleNotLoaded), "{reason}");
    assert!(reason.contains("it needs `libcrc32x`"), "{reason}");
}

/// The module is a finding, what needs it is not judged, and what does not is.
fn expect_refused(record: &RunRecord, words: &str) {
    let cell = &record.cells[0];
    let refused: Vec<&str> = cell.refused_modules().filter_map(|module| module.refused.as_deref()).collect();
    assert!(refused.len() == 1 && refused[0].contains(words), "{refused:?}");
    let (cause, reason) = fate(cell, "type");
    assert_eq!(cause, Some(Cause::ModuleNotLoaded), "{reason}");
    assert!(reason.contains(words), "{reason}");
    assert_eq!(fate(cell, "function"), (None, ""), "nf_conntrack has no part in it");
}

/// A program that calls a function of a module runs, and the function answers: there is no such connection.
#[test]
fn function_of_a_module_answers_a_program_that_runs() {
    need!("guests", "programs");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let suite = folder.path().join("conntrack.toml");
    let object = root().join("target/causes/conntrack.bpf.o");
    // A packet of TCP. 2 is ENOENT.
    let packet = "0000000000000000000000000800450000280001000040060000c0a80001c0a80002";
    let text = format!(
        "name = \"conntrack\"\nobjects = [{:?}]\n[[program]]\nprogram = \"conntrack/of_packet\"\n\
         test-run = {{ input = \"{packet}\", repeat = 3, returns = 2 }}\n",
        object.display().to_string()
    );
    fs::write(&suite, text).expect("writes");
    let mut run = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    run.current_dir(root()).arg("run").arg(&suite).args(["--kernel", "6.1", "--out"]).arg(folder.path().join("out"));
    let output = run.output().expect("corematrix starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let record = corematrix::record::json::read(&folder.path().join("out/report.json"));
    let record = record.unwrap_or_else(|error| panic!("{error}: {said}"));
    let program = record.cells[0].programs.iter().find(|one| one.name == "of_packet").expect("it is there");
    assert_eq!((program.cause, program.verdict.is_pass()), (None, true), "{program:?}");
    let ran = program.exercise.as_ref().and_then(|exercise| exercise.test_run.as_ref()).expect("a test run");
    assert_eq!(ran.returned, Some(2), "{ran:?}");
}

/// What a command that boots nothing says of the kernels of the store, as JSON.
fn asked(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_corematrix")).current_dir(root()).args(arguments).output();
    let output = output.expect("corematrix starts");
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Without a boot the types of modules count as well, and where they are not known nothing is missing.
#[test]
fn types_of_modules_count_where_nothing_is_booted() {
    need!("guests", "programs");
    let record = run(&["--kernel", "6.1", "--kernel", "6.12", "--kernel", "6.19"]);
    let object = "target/programs/xfs-groups.bpf.o";
    let predicted = asked(&["predict", object, "--json"]);
    let of = |release: &str| {
        let kernels = predicted["kernels"].as_array().expect("kernels").iter();
        kernels.clone().find(|kernel| kernel["release"] == release).expect("it is in the store").clone()
    };
    let release = |at: usize| record.kernels[at].identity.as_ref().expect("it booted").release.clone();
    let [old, new, unknown] = [0, 1, 2].map(|at| of(&release(at))["objects"][0].clone());
    let outcome = |cell: &Value, program: usize| cell["programs"][program]["outcome"].clone();
    // By name: `guarded`, `naive`.
    let names = predicted["objects"][0]["programs"].as_array().expect("programs");
    let place = |name: &str| names.iter().position(|one| one == name).expect("it is there");
    assert_eq!((outcome(&old, place("naive")), &old["modules"][0]), ("resolves".into(), &"xfs".into()), "{old}");
    assert_eq!(outcome(&new, place("naive")), "rejected_if_reached", "{new}");
    assert_eq!(outcome(&new, place("guarded")), "absent_and_guarded", "{new}");
    let reason = unknown["programs"][0]["reason"].as_str().expect("a reason");
    assert_eq!(outcome(&unknown, place("naive")), "unknown", "{unknown}");
    assert!(reason.contains("is in kernel module xfs on") && reason.contains("are unknown"), "{reason}");
    // The same by name.
    let found = asked(&["btf", "find", "xfs_mount.m_perag_tree", "--json"]);
    let on = |name: &str| {
        let kernels = found["kernels"].as_array().expect("kernels").iter();
        kernels.clone().find(|kernel| kernel["kernel"] == name).expect("it is in the store").clone()
    };
    assert_eq!(on("6.1")["found"][0]["module"], "xfs");
    assert_eq!((on("6.12")["unknown"].clone(), on("6.12")["found"].clone()), (Value::Null, serde_json::json!([])));
    assert!(on("6.19")["unknown"].as_str().is_some_and(|said| said.starts_with("in module xfs on ")));
    let linted = asked(&["lint", object, "--json"]);
    let findings: Vec<&Value> = linted["objects"][0]["findings"].as_array().expect("findings").iter().collect();
    let says =
        |words: &str| findings.iter().any(|one| one["message"].as_str().is_some_and(|said| said.contains(words)));
    assert!(says("of kernel module xfs is read without a guard and is missing on "), "{findings:?}");
    assert!(says("`struct xfs_mount___first` is not judged on "), "{findings:?}");
}

#[test]
fn name_that_no_module_has_is_told_with_those_like_it() {
    need!("guests", "programs");
    let record = run(&["--kernel", "6.1", "--modules", "nf_conntrak"]);
    let (cause, reason) = fate(&record.cells[0], "probe_of_nothing");
    assert_eq!(cause, Some(Cause::ModuleNotLoaded), "{reason}");
    assert!(reason.contains("no module `nf_conntrak`") && reason.contains("`nf_conntrack`"), "{reason}");
}

/// A loader that names the target, as those of tools for several file systems do.
#[test]
fn target_that_a_loader_names_is_found_in_a_module_or_missing_for_its_program_alone() {
    need!("guests", "programs");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let object = root().join("target/causes/module-targets.bpf.o");
    let suite = folder.path().join("suite.toml");
    let text = format!(
        "name = \"targets\"\nobjects = [{object:?}]\n[[program]]\nprogram = \"module-targets/btrfs\"\ntarget = \
         \"xfs_file_read_iter\"\n[[program]]\nprogram = \"module-targets/nfs\"\ntarget = \"gone_function\"\n"
    );
    fs::write(&suite, text).expect("writes");
    let suite = suite.to_str().expect("UTF-8");
    let record = run_of(suite, &folder.path().join("report"), &["--kernel", "5.10", "--kernel", "6.1"]);
    let (old, new) = (&record.cells[0], &record.cells[1]);
    assert_eq!(fate(new, "btrfs"), (None, ""));
    assert!(new.modules.iter().any(|module| module.name == "xfs"), "{:?}", new.modules);
    // 5.10 has no BTF of modules, so that no program can be loaded for a function of one.
    for (cell, program) in [(old, "btrfs"), (old, "nfs"), (new, "nfs")] {
        let (cause, reason) = fate(cell, program);
        assert_eq!(cause, Some(Cause::MissingAttachTarget), "{program} on {}: {reason}", cell.kernel);
    }
    for cell in [old, new] {
        assert_eq!(fate(cell, "kvm_raw"), (None, ""), "{}", cell.kernel);
    }
}
