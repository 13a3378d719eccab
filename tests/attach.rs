//! What can be attached on real kernels and what cannot, and who is blamed for a guest that is lost over it. Needs virtme-ng, QEMU and
//! the kernels.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Lab, kernel, need, object, programs, verdicts};
use corematrix::record::AttachOutcome;
use corematrix::record::Cause;
use corematrix::record::Verdict;
use corematrix::record::{ProgramRecord, RunRecord};

use AttachOutcome::{Attached, Failed, NotPossible};
use Verdict::{AttachFailed, HarnessError, HarnessLimit, KernelCrashed, Loaded, RunFailed, TimedOut};

const PROGRAM_FAILED: i32 = 1;

/// Programs of `kinds` that are no different on any kernel.
const FATES: [(&str, AttachOutcome); 29] = [
    ("probe", Attached),
    ("probe_return", Attached),
    ("probe_gone", Failed),
    ("probe_forbidden", Failed),
    ("probe_nothing", NotPossible),
    ("system_call", Attached),
    ("event", Attached),
    ("event_gone", Failed),
    ("raw_event", Attached),
    ("raw_event_gone", Failed),
    ("function_entry", Attached),
    ("function_exit", Attached),
    ("security", Attached),
    ("walk", Attached),
    ("walk_map", NotPossible),
    ("user", NotPossible),
    ("packet", Attached),
    ("packet_of_map", NotPossible),
    ("group", Attached),
    ("group_connect", Attached),
    ("group_device", Attached),
    ("group_socket", Attached),
    ("lookup", Attached),
    ("dissector", Attached),
    ("filter", Attached),
    ("shared_port", Attached),
    ("message", Attached),
    ("clock", Attached),
    ("route", NotPossible),
];

fn fixture() -> String {
    format!("{}/tests/fixtures/attach/kinds.bpf.o", env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn of<'a>(record: &'a RunRecord, kernel: &str, program: &str) -> &'a ProgramRecord {
    programs(record, kernel, "kinds").iter().find(|known| known.name == program).unwrap()
}

fn expect_fates(record: &RunRecord, kernel: &str) {
    let mut wrong = Vec::new();
    for (name, fate) in FATES {
        let program = of(record, kernel, name);
        let outcome = program.attach.as_ref().map(|attach| attach.outcome);
        let verdict = if fate == Failed { AttachFailed } else { Loaded };
        if outcome != Some(fate) || program.verdict != verdict {
            wrong.push(format!("{name}: {} {:?}, {:?}", program.verdict, program.attach, program.reason));
        }
    }
    assert!(wrong.is_empty(), "on {kernel}:\n{}", wrong.join("\n"));
    let missing = Some(Cause::MissingAttachTarget);
    for name in ["probe_gone", "probe_forbidden", "event_gone", "raw_event_gone"] {
        let program = of(record, kernel, name);
        let missing = if name == "probe_forbidden" { Some(Cause::ForbiddenAttachTarget) } else { missing };
        assert_eq!(program.cause, missing, "{name} on {kernel}: {:?}", program.evidence);
        assert!(program.evidence.as_ref().is_some_and(|evidence| evidence.subject.is_some()), "{name} on {kernel}");
        assert!(program.errno.is_some() && program.loaded.is_some(), "{name} on {kernel}");
    }
    let reason = |name| of(record, kernel, name).reason.as_deref().unwrap();
    let gone = "neither this kernel nor a loaded module has the symbol `corematrix_no_such_function`";
    assert!(reason("probe_gone").starts_with(gone), "{}", reason("probe_gone"));
    assert!(reason("probe_forbidden").contains("refuses to attach"), "{}", reason("probe_forbidden"));
}

#[test]
fn every_sort_of_program_is_attached_or_says_why_not() {
    need!("guests");
    let lab = Lab::with_kernel("");
    lab.run(&[&fixture(), "--attach"]).expect(PROGRAM_FAILED);
    let record = lab.report();
    expect_fates(&record, kernel().name);
    // Its queueing discipline is a module, which a store that has had the kernel for long may not have.
    let control = of(&record, kernel().name, "control").attach.as_ref().unwrap();
    let is_loaded = record.cells[0].modules.iter().any(|module| module.name == "sch_ingress");
    assert_eq!(control.outcome, if is_loaded { Attached } else { NotPossible }, "{control:?}");
    lab.expect_nothing_left();
}

#[test]
fn a_new_kernel_attaches_as_much_and_traffic_control_by_a_link() {
    need!("guests");
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    command.current_dir(root).args(["run", &fixture(), "--attach", "--kernel", "6.12", "--out"]).arg(folder.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(PROGRAM_FAILED), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("attach = attach failed") && table.contains("Of those loaded: "), "{table}");
    let record = corematrix::record::json::read(&folder.path().join("report.json")).unwrap();
    expect_fates(&record, "6.12");
    let control = of(&record, "6.12", "control").attach.as_ref().unwrap();
    assert_eq!((control.outcome, control.to.as_str()), (Attached, "the loopback device"));
}

/// Runs an object of `tests/fixtures/attach` on an old and on newer kernels, and gives the record.
fn on_kernels(object: &str, kernels: &[&str], attach: bool) -> RunRecord {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_corematrix"));
    command.current_dir(root).args(["run", &format!("tests/fixtures/attach/{object}.bpf.o")]);
    command.args(kernels.iter().flat_map(|kernel| ["--kernel", kernel]));
    if attach {
        command.arg("--attach");
    }
    let output = command.arg("--out").arg(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(PROGRAM_FAILED), "{}", String::from_utf8_lossy(&output.stderr));
    corematrix::record::json::read(&folder.path().join("report.json")).unwrap()
}

/// Verdict, cause and subject of a program on the kernels of a record.
fn fates<'a>(record: &'a RunRecord, object: &str, program: &str) -> Vec<(Verdict, Option<Cause>, &'a str)> {
    let fate = |kernel: &'a corematrix::record::KernelRecord| {
        let all = programs(record, &kernel.name, object);
        let found = all.iter().find(|known| known.name == program).unwrap();
        let subject = found.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref());
        (found.verdict, found.cause, subject.unwrap_or_default())
    };
    record.kernels.iter().map(fate).collect()
}

#[test]
fn form_of_attaching_that_a_kernel_lacks_is_never_ok() {
    need!("guests");
    let ok = (Loaded, None, "");
    let no_type = |verdict, name| (verdict, Some(Cause::MissingAttachType), name);
    let no_option = |verdict, name| (verdict, Some(Cause::KernelConfigMissing), name);
    let missing = |name| (AttachFailed, Some(Cause::MissingAttachTarget), name);
    let forbidden = (Verdict::VerifierRejected, Some(Cause::ForbiddenAttachTarget), "vfs_write");
    let unsupported = Verdict::UnsupportedType;
    let record = on_kernels("forms", &["5.10", "6.1", "6.12"], true);
    let expected = [
        ("link_in", [no_type(AttachFailed, "BPF_TCX_INGRESS"), no_type(AttachFailed, "BPF_TCX_INGRESS"), ok]),
        ("link_or_filter", [ok; 3]),
        ("of_pair", [no_type(unsupported, "BPF_NETKIT_PRIMARY"), no_type(unsupported, "BPF_NETKIT_PRIMARY"), ok]),
        ("of_peer", [no_type(unsupported, "BPF_NETKIT_PEER"), no_type(unsupported, "BPF_NETKIT_PEER"), ok]),
        ("many", [no_type(AttachFailed, "BPF_TRACE_KPROBE_MULTI"), no_option(AttachFailed, "CONFIG_FPROBE"), ok]),
        (
            "both_ends",
            [no_type(AttachFailed, "BPF_TRACE_KPROBE_SESSION"), no_type(AttachFailed, "BPF_TRACE_KPROBE_SESSION"), ok],
        ),
        (
            "none_of_many",
            [
                no_type(AttachFailed, "BPF_TRACE_KPROBE_MULTI"),
                no_option(AttachFailed, "CONFIG_FPROBE"),
                missing("corematrix_no_such_*"),
            ],
        ),
        ("in_library", [ok; 3]),
        ("not_in_library", [missing("corematrix_no_such_function"); 3]),
        ("no_library", [ok; 3]),
        ("no_call", [missing("corematrix_no_such_call"); 3]),
        ("unchangeable", [forbidden; 3]),
        ("sleepless", [forbidden; 3]),
    ];
    for (program, fate) in expected {
        assert_eq!(fates(&record, "forms", program), fate, "{program}");
    }
    let attached = |program: &str| {
        let all = programs(&record, "6.12", "forms");
        all.iter().find(|known| known.name == program).and_then(|known| known.attach.as_ref()).unwrap().clone()
    };
    assert_eq!((attached("of_peer").outcome, attached("of_peer").to.as_str()), (Attached, "a netkit device"));
    assert_eq!(attached("in_library").outcome, Attached);
    let words = attached("no_library").words();
    assert!(words.contains("the guest does not have `libcorematrix.so.9`"), "{words}");
}

#[test]
fn form_that_a_kernel_lacks_is_a_danger_where_only_loading_was_asked_for() {
    need!("guests");
    let record = on_kernels("forms", &["5.10"], false);
    let fate = |program| fates(&record, "forms", program)[0];
    for (program, name) in [("link_in", "BPF_TCX_INGRESS"), ("many", "BPF_TRACE_KPROBE_MULTI")] {
        assert_eq!(fate(program).0, Loaded, "{program}");
        let danger = record.cells[0].dangers.iter().find(|danger| danger.function == program).expect(program);
        assert!(danger.to_string().contains(&format!("no attach type `{name}`")), "{danger}");
    }
    assert!(!record.cells[0].dangers.iter().any(|danger| danger.function == "link_or_filter"));
    assert_eq!(fate("link_or_filter").0, Loaded);
    let of_flag = |name| (Some(Cause::MissingAttachType), name);
    let cause = |program| (fate(program).1, fate(program).2);
    assert_eq!(cause("fragments"), of_flag("BPF_F_XDP_HAS_FRAGS"));
    assert_eq!(cause("sleeping_probe"), of_flag("BPF_F_SLEEPABLE"));
    assert_eq!(cause("unix_connect"), of_flag("BPF_CGROUP_UNIX_CONNECT"));
    assert_eq!(cause("infrared"), (Some(Cause::KernelConfigMissing), "CONFIG_BPF_LIRC_MODE2"));
}

#[test]
fn argument_that_is_another_one_is_a_danger_where_the_program_loads() {
    need!("guests");
    let record = on_kernels("arguments", &["5.10", "6.1", "6.12"], false);
    let dangers: Vec<Vec<String>> = record
        .cells
        .iter()
        .map(|cell| cell.dangers.iter().map(|danger| format!("{}: {danger}", danger.function)).collect())
        .collect();
    let other = "of_another_kind: `tcp_close` has `struct sock *sk` as argument 1 in the kernel, `struct file *sk` in the \
    object";
    let flags = "`bpf_lsm_path_rename` has `unsigned int flags` as argument 5 in the kernel, `int ret` in the object";
    let before = format!("result_as_before: {flags}");
    let moved = "unlink_as_before: `vfs_unlink` has `struct inode *dir` as argument 2 in the kernel, `struct dentry \
    *dentry` in the object";
    let now = "flags_as_now: `bpf_lsm_path_rename` has the return value, `int`, as argument 5 in the kernel, `unsigned \
    f` in the object";
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    let all = |lines: &[&str]| sorted(lines.iter().map(|line| (*line).to_owned()).collect());
    assert_eq!(sorted(dangers[0].clone()), all(&[other, now]));
    let returned = format!("result_returned: {flags}");
    assert_eq!(sorted(dangers[1].clone()), all(&[other, &before, &returned, moved]));
    assert_eq!(sorted(dangers[2].clone()), all(&[other, &before, moved]));
    // 6.12 knows which values the hook may return.
    let refused = programs(&record, "6.12", "arguments").iter().find(|known| known.name == "result_returned").unwrap();
    assert_eq!(refused.cause, Some(Cause::ContextArgumentChanged));
    assert!(refused.reason.as_deref().is_some_and(|reason| reason.starts_with(flags)), "{:?}", refused.reason);
}

#[test]
fn nothing_is_attached_unless_asked() {
    need!("guests");
    let lab = Lab::with_kernel("");
    lab.run(&[&object("five")]).expect(0);
    assert!(programs(&lab.report(), kernel().name, "five").iter().all(|program| program.attach.is_none()));
}

#[test]
fn a_guest_that_is_lost_over_attaching_is_blamed_on_the_program() {
    need!("guests");
    let faults = ["attach-hang@two", "attach-panic@three", "attach-die@four"];
    let append = faults.map(|fault| format!("\"corematrix.fault={fault}\"")).join(", ");
    let lab = Lab::with_kernel(&format!("append = [{append}]\nprogram-timeout = \"1s\""));
    lab.run(&[&object("five"), "--attach"]).expect(PROGRAM_FAILED);
    let report = lab.report();
    let name = kernel().name;
    assert_eq!(verdicts(&report, name, "five"), [Loaded, TimedOut, KernelCrashed, HarnessError, Loaded]);
    let reason = |p: usize| programs(&report, name, "five")[p].reason.as_deref().unwrap();
    assert!(reason(1).contains("while attaching `two`"), "{}", reason(1));
    assert!(reason(3).contains("while attaching the program"), "{}", reason(3));
    assert!(
        report.cells[0].notes.iter().any(|note| note.contains("while attaching `three`")),
        "{:?}",
        report.cells[0].notes
    );
    lab.expect_nothing_left();
}

#[test]
fn programs_run_by_what_the_guest_does_and_the_kernel_counts_it() {
    need!("guests");
    let lab = Lab::with_kernel("append = [\"corematrix.fault=exercise-hang@event_gone\"]\nprogram-timeout = \"2s\"");
    lab.run(&[&fixture(), "--exercise"]).expect(PROGRAM_FAILED);
    let record = lab.report();
    let ran = |name: &str| of(&record, kernel().name, name).exercise.as_ref().unwrap_or_else(|| panic!("{name}"));
    for name in [
        "probe",
        "probe_return",
        "system_call",
        "event",
        "raw_event",
        "function_entry",
        "function_exit",
        "security",
        "walk",
        "packet",
        "group",
        "group_connect",
        "group_device",
        "lookup",
        "filter",
        "clock",
    ] {
        let exercise = ran(name);
        assert!(exercise.ran() && exercise.runs > Some(0), "{name}: {exercise:?}");
    }
    let during = |name: &str, trigger: &str| ran(name).triggers.iter().any(|one| one.trigger == trigger);
    assert!(during("event", "fork") && during("security", "file") && during("group_connect", "tcp"));
    assert!(during("walk", "its iterator") && during("packet", "udp"));
    // Its queueing discipline is a module. What cannot be attached is run all the same where the kernel runs programs by themselves.
    let control = ran("control");
    let is_loaded = record.cells[0].modules.iter().any(|module| module.name == "sch_ingress");
    let is_tried = control.test_run.as_ref().is_some_and(|test| test.returned == Some(0));
    assert!(if is_loaded { control.runs > Some(0) } else { is_tried }, "{control:?}");
    assert!(!ran("probe_nothing").ran() && !ran("user").ran());
    let hung = of(&record, kernel().name, "event_gone");
    let reason = hung.reason.as_deref().unwrap();
    assert!(hung.verdict == TimedOut && reason.contains("while exercising `event_gone`"), "{reason}");
    lab.expect_nothing_left();
}

const SUITE: &str = r#"
    [[program]]
    program = "probe_nothing"
    attach.function = "vfs_read"
    triggers = ["file"]
    [[program]]
    program = "user"
    attach = { binary = "libc.so.6", function = "fork" }
    triggers = ["fork"]
    [[program]]
    program = "packet"
    attach.interface = "lo"
    triggers = ["udp"]
    test-run = { input = "000000000001 000000000002 0800 4500", repeat = 5, returns = 2 }
    [[program]]
    program = "control"
    test-run.returns = 1
    [[program]]
    program = "group"
    attach.cgroup = "mine"
    triggers = ["tcp"]
    [[program]]
    program = "raw_event"
    triggers = ["udp"]
    command = ["/init", "--version"]
    [[program]]
    program = "event"
    command = ["/bin/true"]
    [[program]]
    program = "group_device"
    attach.cgroup = "mine"
    triggers = ["sleep"]
"#;

#[test]
fn what_a_suite_says_of_a_program_is_done_and_proven() {
    need!("guests");
    let lab = Lab::with_kernel("");
    std::fs::write(lab.path("s.toml"), format!("name = \"s\"\nobjects = [{:?}]\n{SUITE}", fixture())).unwrap();
    lab.run(&[&lab.path("s.toml").display().to_string()]).expect(PROGRAM_FAILED);
    let record = lab.report();
    let name = kernel().name;
    for (program, to, trigger) in [
        ("probe_nothing", "`vfs_read`", "file"),
        ("user", "`fork` of `libc.so.6`", "fork"),
        ("packet", "interface `lo`", "udp"),
        ("group", "cgroup `mine`", "tcp"),
        ("raw_event", "the target of its section", "/init --version"),
    ] {
        let program_record = of(&record, name, program);
        let (attach, exercise) = (program_record.attach.as_ref().unwrap(), program_record.exercise.as_ref().unwrap());
        assert_eq!((program_record.verdict, attach.outcome, attach.to.as_str()), (Loaded, Attached, to), "{program}");
        assert!(exercise.triggers.iter().any(|one| one.trigger == trigger && one.runs > 0), "{program}: {exercise:?}");
    }
    let tested = of(&record, name, "packet").exercise.as_ref().unwrap();
    assert!(tested.test_run.is_some_and(|test| test.returned == Some(2)), "{tested:?}");
    assert!(tested.runs > tested.triggers.iter().map(|one| one.runs + 4).max(), "{tested:?}");
    // Anything that was requested and did not happen is reported.
    let failed = |program: &str| {
        let program_record = of(&record, name, program);
        (program_record.verdict, program_record.cause.unwrap(), program_record.reason.as_deref().unwrap())
    };
    let wrong = "it returned 0 in the test run, not 1";
    assert_eq!(failed("control"), (RunFailed, Cause::WrongResult, wrong));
    assert!(of(&record, name, "control").attach.is_none());
    assert_eq!(failed("group_device"), (RunFailed, Cause::NeverRan, "it did not run during `sleep`"));
    let (verdict, _, reason) = failed("event");
    assert!(verdict == HarnessLimit && reason.contains("the guest has no `/bin/true`, only"), "{reason}");
    // Of the others no one said anything.
    assert!(of(&record, name, "probe").attach.is_none());
    lab.expect_nothing_left();
}
