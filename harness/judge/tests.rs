mod libbpf;
mod relocation;

use std::fmt::Write;
use std::path::Path;

use super::*;
use crate::protocol::LeftOutMap;

/// A kernel of which some things are known.
#[derive(Default)]
struct Kernel {
    has_type: Option<(&'static str, bool)>,
}

impl KernelView for Kernel {
    fn has_type(&self, name: &str) -> Option<bool> {
        self.has_type.filter(|(known, _)| *known == name).map(|(_, answer)| answer)
    }

    fn has_enumerator(&self, _: &str, _: &str) -> Option<bool> {
        None
    }

    fn has_member(&self, _: &str, _: &str) -> Option<bool> {
        None
    }

    fn has_function(&self, _: &str) -> Option<bool> {
        None
    }

    fn config(&self, _: &str) -> Option<bool> {
        None
    }

    fn modules_with(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

pub(super) fn outcome(stage: Stage, warnings: &[&str]) -> ProgramOutcome {
    ProgramOutcome {
        program: "p".into(),
        stage,
        errno: 22,
        warnings: warnings.iter().map(|warning| (*warning).to_owned()).collect(),
        left_out: Vec::new(),
        loaded: None,
        type_known: None,
        took_ms: 1,
    }
}

const REFUSED: &str = "prog 'p': BPF program load failed: -EINVAL";

/// Judges an outcome on a kernel of which nothing is known.
fn judged(outcome: &ProgramOutcome, log: &str) -> Diagnosis {
    judge(&Case {
        outcome,
        log,
        program: None,
        object: None,
        kernel: &UnknownKernel,
        poison: &|_| None,
        memory_mib: None,
        machine: None,
        by_loader: false,
        own_types: None,
    })
}

/// Judges a refusal by the verifier in a guest whose machine is like this.
pub(super) fn refused(machine: Option<&MachineRecord>, log: &str, errno: i32) -> Diagnosis {
    let outcome = ProgramOutcome { errno, ..outcome(Stage::Load, &[REFUSED]) };
    judge(&Case {
        outcome: &outcome,
        log,
        program: None,
        object: None,
        kernel: &UnknownKernel,
        poison: &|_| None,
        memory_mib: None,
        machine,
        by_loader: false,
        own_types: None,
    })
}

fn cause_of(diagnosis: Diagnosis) -> (Cause, Evidence) {
    (diagnosis.cause.expect("a cause"), diagnosis.evidence.expect("evidence"))
}

fn of_log(log: &str) -> (Cause, Evidence) {
    cause_of(judged(&outcome(Stage::Load, &[REFUSED]), log))
}

fn of_warning(warning: &str) -> (Cause, Evidence) {
    cause_of(judged(&outcome(Stage::Prepare, &[warning]), ""))
}

/// The cause of every log of a kernel that was kept, one a line.
fn table(kernel: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/verifier").join(kernel);
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("fixtures").map(|entry| entry.expect("one").path()).collect();
    paths.sort();
    let mut text = String::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
        let name = path.file_stem().expect("a name").to_string_lossy();
        let log = std::fs::read_to_string(path).expect("a log");
        if crate::verifier::VerifierFailure::read(&log).is_none() {
            let _ = writeln!(text, "{name}: loads");
            continue;
        }
        let (cause, evidence) = of_log(&log);
        assert_ne!(cause, Cause::Unrecognised, "{kernel} {name}: {}", evidence.line);
        let subject = evidence.subject.map(|subject| format!(" [{subject}]")).unwrap_or_default();
        let _ = writeln!(text, "{name}: {cause}{subject}: {}", evidence.line);
    }
    text
}

#[test]
fn causes_on_5_10() {
    insta::assert_snapshot!(table("5.10"));
}

#[test]
fn causes_on_6_1() {
    insta::assert_snapshot!(table("6.1"));
}

#[test]
fn causes_on_6_12() {
    insta::assert_snapshot!(table("6.12"));
}

#[test]
fn causes_on_7_3() {
    insta::assert_snapshot!(table("7.3"));
}

#[test]
fn texts_that_no_kernel_here_gives() {
    let cases = [
        ("back-edge from insn 8 to 2", Cause::ComplexityLimit),
        ("missing btf func_info", Cause::UnsupportedCallForm),
        ("invalid size of register fill", Cause::MemoryStack),
        ("R9 invalid mem access 'inv'", Cause::MemoryOther),
        ("callbacks are not allowed in non-JITed programs", Cause::UnsupportedCallForm),
        ("BPF_EXIT instruction in main prog would lead to reference leak", Cause::MemoryLeak),
        ("the verifier of tomorrow says no", Cause::Unrecognised),
        ("map 'm' has to have BTF in order to use bpf_wq", Cause::MapWithoutBtf),
        ("map 'm' has no valid bpf_timer", Cause::MemoryOther),
        ("tracing progs cannot use bpf_spin_lock yet", Cause::ForbiddenMap),
        ("Sleepable programs can only use array, hash, and ringbuf maps", Cause::ForbiddenMap),
        ("map_type 5 is no map", Cause::Unrecognised),
        ("sleepable helper bpf_copy_from_user#148 in non-sleepable prog", Cause::ForbiddenHelper),
        ("sleepable helper bpf_copy_from_user#148 in rcu_read_lock region", Cause::MemoryOther),
        ("Cannot access kernel 'struct x' from non-GPL compatible program", Cause::Licence),
        ("tail_calls are not allowed when call stack of previous frames is 320 bytes. Too large", Cause::MemoryStack),
        ("tail_calls are not allowed in programs with bpf-to-bpf calls", Cause::UnsupportedCallForm),
        ("Global function f() return value not void or scalar. Only those are supported.", Cause::UnsupportedCallForm),
        ("At bpf_set_retval the register R1 has smin=5 smax=5 should have been in [-4095, 0]", Cause::ReturnValue),
        ("At program exit the register R0 has unknown scalar value should have been in [0, 1]", Cause::ReturnValue),
        ("pseudo btf_id 0 in ldimm64 isn't KIND_VAR.", Cause::MissingKsym),
        ("pseudo btf_id 7 in ldimm64 isn't KIND_VAR.", Cause::UnsupportedInstruction),
        ("1 bpf_preempt_enable is missing", Cause::MemoryLeak),
        ("liveness analysis exceeded complexity limit (100 calls)", Cause::ComplexityLimit),
    ];
    for (line, cause) in cases {
        assert_eq!(of_log(&format!("7: (95) exit\n{line}\nprocessed 8 insns (limit 1000000)\n")).0, cause, "{line}");
    }
}

#[test]
fn argument_of_bpf_set_retval_is_a_return_value() {
    let log = |called: &str| format!("1: (85) call {called}\nR1 is not a scalar\nprocessed 2 insns (limit 1000000)\n");
    assert_eq!(of_log(&log("bpf_set_retval#187")).0, Cause::ReturnValue);
    assert_eq!(of_log(&log("bpf_other#9")).0, Cause::MemoryOther);
}

#[test]
fn pointer_to_a_global_function_has_one_cause_on_every_kernel() {
    let log = |said: &str| format!("8: (85) call pc+4\n{said}\nprocessed 9 insns (limit 1000000)\n");
    for said in [
        "Arg#0 type PTR in by_ptr() is not supported yet.",
        "R1 type=tcp_sock expected=fp\nCaller passes invalid args into func#1 ('by_ptr')",
        "R1 type=tcp_sock_or_null expected=fp\nCaller passes invalid args into func#1 ('by_ptr')",
    ] {
        let (cause, evidence) = of_log(&log(said));
        assert_eq!((cause, evidence.subject.as_deref()), (Cause::UnsupportedCallForm, Some("by_ptr")), "{said}");
    }
    // The same complaint about a helper.
    assert_eq!(of_log("8: (85) call bpf_x#1\nR1 type=tcp_sock_or_null expected=fp\n").0, Cause::MemoryNull);
}

#[test]
fn kfunc_is_named_without_the_kernels_id() {
    let of = |said: &str| of_log(&format!("4: (85) call bpf_task_from_pid#56803\n{said}\n")).1.subject;
    let name = Some("bpf_task_from_pid".to_owned());
    assert_eq!(of("calling kernel function bpf_task_from_pid is not allowed"), name);
    assert_eq!(of("calling kernel function bpf_task_from_pid#56803 is not allowed"), name);
    assert_eq!(of("cannot call kernel function from non-GPL compatible program"), name);
    assert_eq!(of("program must be sleepable to call sleepable kfunc bpf_task_from_pid"), name);
    let helper = of_log(
        "4: (85) call bpf_ktime_get_ns#5\ncannot call GPL-restricted function from non-GPL compatible program\n",
    );
    assert_eq!((helper.0, helper.1.subject.as_deref()), (Cause::Licence, Some("bpf_ktime_get_ns#5")));
}

#[test]
fn noise_is_no_cause() {
    let log = "arg#0 type is not a struct\nUnrecognized arg#0 type PTR\nprocessed 0 insns (limit 1000000)\n";
    assert_eq!(of_log(log).0, Cause::Unrecognised);
    let quiet = outcome(Stage::Load, &["Error loading .BTF into kernel: -22. BTF is optional, ignoring.", REFUSED]);
    assert_eq!(judged(&quiet, "0: (95) exit\nR0 !read_ok\n").cause, Some(Cause::MemoryOther));
    let (cause, evidence) = cause_of(judged(&quiet, ""));
    assert_eq!((cause, evidence.line.as_str()), (Cause::Unrecognised, REFUSED));
}

#[test]
fn same_failure_everywhere_is_no_fact_about_kernels() {
    let missing = |subject| Some((Cause::MissingField, Some(subject)));
    assert!(same_everywhere([missing("struct a.b"), missing("struct a.b")]));
    assert!(!same_everywhere([missing("struct a.b"), missing("struct a.c")]));
    assert!(!same_everywhere([missing("struct a.b"), None]));
    assert!(!same_everywhere([missing("struct a.b")]));
    assert!(!same_everywhere([Some((Cause::Harness, None)); 3]));
    let helper = |subject| Some((Cause::UnknownHelper, Some(subject)));
    assert!(same_everywhere([helper("unknown#181"), helper("bpf_loop#181")]));
}

#[test]
fn statistics_of_new_kernels_are_not_the_reason() {
    let log = "1: (79) r1 = *(u64 *)(r0 +0)\nR0 invalid mem access 'scalar'\nverification time 87 usec\nstack depth 8\n\
               stack depth max 8\nprocessed 2 insns (limit 1000000) max_states_per_insn 0\n\n";
    let diagnosis = judged(&outcome(Stage::Load, &[REFUSED]), log);
    assert_eq!(diagnosis.reason.as_deref(), Some("R0 invalid mem access 'scalar'"));
}

#[test]
fn what_is_not_recognised_blames_nobody() {
    let verdict = |stage, words: &str| judged(&outcome(stage, &[words]), "").verdict;
    assert_eq!(verdict(Stage::Prepare, "something new"), Verdict::HarnessError);
    assert_eq!(verdict(Stage::Died, "libbpf died of signal 11"), Verdict::HarnessError);
}
