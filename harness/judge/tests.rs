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
        if crate::verifier::Failure::read(&log).is_none() {
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
fn what_libbpf_says_has_its_cause() {
    let cases = [
        (
            "kernel BTF is missing at '/sys/kernel/btf/vmlinux', was CONFIG_DEBUG_INFO_BTF enabled?",
            Cause::MissingBtf,
            None,
        ),
        ("prog 'p': missing BPF prog type, check ELF section name 'socket1'", Cause::NeedsLoader, None),
        ("extern 'CONFIG_GONE' (strong): not resolved", Cause::KernelConfigMissing, Some("CONFIG_GONE")),
        ("prog 'p': failed to find kernel BTF type ID of 'gone': -ESRCH", Cause::MissingAttachTarget, Some("gone")),
        ("sched_gone is not found in vmlinux BTF", Cause::MissingAttachTarget, Some("sched_gone")),
        (
            "struct_ops init_kern: struct bpf_x is not found in kernel BTF",
            Cause::MissingAttachTarget,
            Some("struct bpf_x"),
        ),
        ("extern (func ksym) 'f': not found in kernel or module BTFs", Cause::MissingKfunc, Some("f")),
        ("extern (func ksym) 'f': func_proto [9] incompatible with vmlinux [8]", Cause::MissingKfunc, Some("f")),
        ("extern (var ksym) 'v': not found in kernel BTF", Cause::MissingKsym, Some("v")),
        ("extern 'v' (strong): not resolved", Cause::MissingKsym, Some("v")),
        ("map 'events': failed to create: -EINVAL", Cause::MissingMapType, None),
        ("map 'events': failed to create: -EPERM", Cause::Harness, None),
        ("prog 'p': relo #0: unrecognized CO-RE relocation <x> (13) at insn #1", Cause::ObjectTooNew, None),
        ("prog 'p': relo #0: field offset ambiguity: 8 != 16", Cause::UnresolvedRelocation, None),
        ("something new", Cause::Unrecognised, None),
    ];
    for (warning, cause, subject) in cases {
        let (found, evidence) = of_warning(warning);
        assert_eq!((found, evidence.line.as_str()), (cause, warning));
        if subject.is_some() {
            assert_eq!(evidence.subject.as_deref(), subject, "{warning}");
        }
    }
}

#[test]
fn relocation_is_about_a_type_if_the_kernel_has_none_of_that_name() {
    let log = "0: <invalid CO-RE relocation>\nfailed to resolve CO-RE relocation <byte_off> [6] struct inode___old.i_ctime (0:1 @ offset 4)\n";
    let outcome = outcome(Stage::Load, &[REFUSED]);
    let causes = [true, false].map(|has_inode| {
        let kernel = Kernel { has_type: Some(("inode", has_inode)) };
        cause_of(judge(&Case {
            outcome: &outcome,
            log,
            program: None,
            object: None,
            kernel: &kernel,
            poison: &|_| None,
            memory_mib: None,
        }))
    });
    assert_eq!(causes[0].0, Cause::MissingField);
    assert_eq!(causes[1].0, Cause::MissingType);
    assert_eq!(causes[0].1.subject.as_deref(), Some("struct inode___old.i_ctime"));
    let cut = "failed to resolve CO-RE relocation <byte_off> [6] struct a_very_long.nam...\n";
    assert_eq!(of_log(cut).1.subject.as_deref(), Some("struct a_very_long.nam"));
}

#[test]
fn poison_that_libbpf_did_not_rewrite_is_known() {
    let (cause, evidence) = of_log("363: (85) call unknown#195896080\ninvalid func unknown#195896080\n");
    assert_eq!((cause, evidence.source.map(|source| source.insn)), (Cause::UnresolvedRelocation, Some(363)));
    assert_eq!(of_log("1: (85) call unknown#2001000003\ninvalid func unknown#2001000003\n").0, Cause::MissingMapType);
    assert_eq!(of_log("1: (85) call unknown#2002000003\ninvalid func unknown#2002000003\n").0, Cause::MissingKfunc);
    // Not poison, whatever its size.
    assert_eq!(of_log("1: (85) call unknown#2003000000\ninvalid func unknown#2003000000\n").0, Cause::UnknownHelper);
    assert_eq!(of_log("1: (85) call unknown#195896081\ninvalid func unknown#195896081\n").0, Cause::UnknownHelper);
}

#[test]
fn helper_that_the_kernel_has_no_name_for_is_named() {
    let (cause, evidence) = of_log("1: (85) call unknown#169\ninvalid func unknown#169\n");
    assert_eq!((cause, evidence.subject.as_deref()), (Cause::UnknownHelper, Some("bpf_timer_init#169")));
    let (_, evidence) = of_log("1: (85) call unknown#9999\ninvalid func unknown#9999\n");
    assert_eq!(evidence.subject.as_deref(), Some("unknown#9999"));
}

/// What kernels from 7.x on write behind the complaint about a program of many subprograms: libbpf then does not see it any more.
fn many_subprograms(call: &str) -> String {
    let mut log = format!(
        "35: (85) call unknown#{call}\ninvalid func unknown#{call}\nverification time 9 usec\nstack depth max 0\n"
    );
    for number in 0..14 {
        let _ = writeln!(log, "subprog {number} (f{number}) static insns_self 1 insns_total 1 stack 0");
    }
    log + "processed 36 insns (limit 1000000) max_states_per_insn 0\n"
}

#[test]
fn poison_is_named_by_what_libbpf_put_there() {
    let mut tried = outcome(Stage::Load, &[REFUSED]);
    tried.left_out = vec![LeftOutMap {
        map: "events".into(),
        warning: "map 'events': failed to create: -EINVAL".into(),
        context: Vec::new(),
        untried: false,
    }];
    let judged = |call: &str, poison: Poison| {
        let log = many_subprograms(call);
        let at = |insn: u32| (insn == 35).then(|| poison.clone());
        let case = Case {
            outcome: &tried,
            log: &log,
            program: None,
            object: None,
            kernel: &UnknownKernel,
            poison: &at,
            memory_mib: None,
        };
        let diagnosis = judge(&case);
        (diagnosis.verdict, diagnosis.cause, diagnosis.evidence.and_then(|evidence| evidence.subject), diagnosis.reason)
    };
    let relocation =
        Poison::Relocation { kind: "byte_off".into(), spec: "struct task_struct.gone (0:1 @ offset 4)".into() };
    let reason = "failed to resolve CO-RE relocation <byte_off> struct task_struct.gone (0:1 @ offset 4)";
    let subject = |name: &str| Some(name.to_owned());
    assert_eq!(
        judged("195896080", relocation.clone()),
        (
            Verdict::RelocationFailed,
            Some(Cause::MissingField),
            subject("struct task_struct.gone"),
            Some(reason.to_owned())
        )
    );
    let (verdict, cause, named, reason) = judged("2001000001", Poison::Map("events".into()));
    assert_eq!((verdict, cause, named), (Verdict::MapCreationFailed, Some(Cause::MissingMapType), subject("events")));
    assert_eq!(reason.as_deref(), Some("map 'events': failed to create: -EINVAL"));
    let (verdict, cause, named, _) = judged("2002000001", Poison::Kfunc("bpf_gone".into()));
    assert_eq!((verdict, cause, named), (Verdict::RelocationFailed, Some(Cause::MissingKfunc), subject("bpf_gone")));
    // What stands there is of another kind than the call: nothing is named.
    let (_, cause, named, _) = judged("2002000001", relocation);
    assert_eq!((cause, named), (Some(Cause::MissingKfunc), None));
}

#[test]
fn poisoned_neighbour_in_an_explanation_is_no_evidence() {
    let log = "12: (61) r2 = *(u32 *)(r1 +0)\nR1 unbounded memory access, make sure to bounds check any such access\n\n\
               Verification failed: Memory Safety: Out-of-bounds access\n\nAt:\n  neighbour @ a.bpf.c:9:5\n  Instruction context:\n      \
               11 | (85) call unknown#195896080\n  >>> 12 | (61) r2 = *(u32 *)(r1 +0)\n\nprocessed 13 insns (limit 1000000)\n";
    let diagnosis = judged(&outcome(Stage::Load, &[REFUSED]), log);
    assert_eq!((diagnosis.verdict, diagnosis.cause), (Verdict::VerifierRejected, Some(Cause::MemoryUnbounded)));
}

#[test]
fn own_reason_of_a_program_comes_before_a_map_that_was_left_out() {
    let mut tried = outcome(Stage::Load, &["prog 'p': failed to find kernel BTF type ID of 'gone': -ESRCH"]);
    tried.left_out = vec![LeftOutMap {
        map: "events".into(),
        warning: "map 'events': failed to create: -EINVAL".into(),
        context: Vec::new(),
        untried: false,
    }];
    assert_eq!(judged(&tried, "").cause, Some(Cause::MissingAttachTarget));
    tried.warnings = vec!["prog 'p': missing BPF prog type, check ELF section name 'socket1'".into()];
    assert_eq!(judged(&tried, "").verdict, Verdict::HarnessLimit);
    tried.warnings = vec![REFUSED.into()];
    tried.type_known = Some(false);
    assert_eq!(judged(&tried, "").cause, Some(Cause::MissingProgramType));
    tried.type_known = Some(true);
    assert_eq!(judged(&tried, "").cause, Some(Cause::MissingAttachType));
}

#[test]
fn object_that_only_libbpf_refuses_is_a_limit_of_the_harness() {
    let verdict = |warning: &str| {
        let diagnosis = open_failure(&[warning.to_owned()], None);
        (diagnosis.verdict, diagnosis.cause)
    };
    let limit = (Verdict::HarnessLimit, Some(Cause::NeedsLoader));
    assert_eq!(verdict("sec 'xdp': program 'p' is static and not supported"), limit);
    assert_eq!(verdict("elf: legacy map definitions in 'maps' section are not supported by libbpf v1.0+"), limit);
    assert_eq!(verdict("prog 'p': bad map relo against 'events' in section 'maps/events'"), limit);
    assert_eq!(verdict("prog 'p': bad map relo against 'state' in section 'lirc_mode2/maps'"), limit);
    assert_eq!(verdict("map 'm': invalid pinning value 7."), limit);
    assert_eq!(verdict("failed to find BTF for extern 'f': -2"), limit);
    let broken = (Verdict::FailedToOpen, Some(Cause::ObjectBroken));
    assert_eq!(verdict("elf: 'x' is not a proper ELF object"), broken);
    assert_eq!(verdict("map 'm': invalid field #3."), broken);
    assert_eq!(verdict("prog 'p': bad map relo against 'x' in section 'odd'"), broken);
    // Without a word of what is in it nobody can say why it has no BTF.
    assert_eq!(verdict("BTF is required, but is missing or corrupted."), broken);
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
fn map_that_was_left_out_is_the_evidence() {
    let mut tried = outcome(Stage::Load, &[REFUSED]);
    let warning = "map 'events': failed to create: -EINVAL";
    tried.left_out = vec![LeftOutMap { map: "events".into(), warning: warning.into(), ..LeftOutMap::default() }];
    let log = "0: <invalid BPF map reference>\nBPF map 'events' is referenced but wasn't created\n";
    let diagnosis = judged(&tried, log);
    assert_eq!((diagnosis.verdict, diagnosis.reason.as_deref()), (Verdict::MapCreationFailed, Some(warning)));
    let (cause, evidence) = cause_of(diagnosis);
    assert_eq!((cause, evidence.line.as_str()), (Cause::MissingMapType, warning));
    assert_eq!(evidence.subject.as_deref(), Some("events"));
    let other = judged(&tried, "0: (95) exit\nR0 !read_ok\nprocessed 1 insns (limit 1000000)\n");
    assert_eq!((other.verdict, other.reason.as_deref()), (Verdict::VerifierRejected, Some("R0 !read_ok")));
    assert_eq!(other.cause, Some(Cause::MemoryOther));
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
fn silence_is_explained_by_the_probe() {
    let mut tried = outcome(Stage::Load, &[REFUSED]);
    assert_eq!(judged(&tried, "").verdict, Verdict::VerifierRejected);
    let cause = |type_known: bool, tried: &mut ProgramOutcome| {
        tried.type_known = Some(type_known);
        let diagnosis = judged(tried, "");
        (diagnosis.verdict, diagnosis.cause)
    };
    let unsupported = |cause| (Verdict::UnsupportedType, Some(cause));
    assert_eq!(cause(false, &mut tried), unsupported(Cause::MissingProgramType));
    assert_eq!(cause(true, &mut tried), unsupported(Cause::MissingAttachType));
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
fn every_warning_has_its_verdict() {
    let cases = [
        ("kernel BTF is missing at '/sys/kernel/btf/vmlinux', was CONFIG_DEBUG_INFO_BTF enabled?", Verdict::MissingBtf),
        ("prog 'p': missing BPF prog type, check ELF section name 'socket1'", Verdict::HarnessLimit),
        (
            "prog 'p': no BTF-based attach target is specified, use bpf_program__set_attach_target()",
            Verdict::HarnessLimit,
        ),
        ("struct_ops init_kern: struct bpf_x is not found in kernel BTF", Verdict::AttachTargetMissing),
        ("prog 'p': failed to find kernel BTF type ID of 'gone': -ESRCH", Verdict::AttachTargetMissing),
        ("map 'events': failed to create: -EINVAL", Verdict::MapCreationFailed),
        ("extern 'bpf_gone' (strong): not resolved", Verdict::RelocationFailed),
        ("extern (func ksym) 'f': not found in kernel or module BTFs", Verdict::RelocationFailed),
        ("prog 'p': relo #0: field offset ambiguity: 8 != 16", Verdict::RelocationFailed),
    ];
    for (warning, verdict) in cases {
        for stage in [Stage::Prepare, Stage::Load] {
            let diagnosis = judged(&outcome(stage, &[warning]), "");
            assert_eq!(diagnosis.verdict, verdict);
            assert!(diagnosis.reason.is_some_and(|reason| reason.starts_with(warning)), "{warning}");
        }
    }
}

#[test]
fn poison_that_was_reached_is_a_relocation_failure() {
    let log = "0: R1=ctx() R10=fp0\n0: <invalid CO-RE relocation>\nfailed to resolve CO-RE relocation <byte_off> [6] struct task_struct.gone (0:1 @ offset 4)\nprocessed 1 insns";
    let diagnosis = judged(&outcome(Stage::Load, &[REFUSED]), log);
    assert_eq!(diagnosis.verdict, Verdict::RelocationFailed);
    assert!(diagnosis.reason.is_some_and(|reason| reason.contains("struct task_struct.gone")));
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

#[test]
fn struct_ops_program_fails_for_its_own_map() {
    let unreferenced = "prog 'p': SEC(\"struct_ops\") program isn't referenced anywhere, did you forget to use it?";
    let mut tried = outcome(Stage::Load, &[unreferenced]);
    let left = |map: &str, warning: &str| LeftOutMap {
        map: map.into(),
        warning: warning.into(),
        context: Vec::new(),
        untried: false,
    };
    tried.left_out = vec![
        left("one", "struct_ops init_kern one: Cannot find member gone in kernel BTF"),
        left("other", "struct_ops init_kern: struct bpf_struct_ops_other_ops is not found in kernel BTF"),
    ];
    let cause = |maps: &[&str]| {
        let mut program = form::tests::program("struct_ops/p", "struct_ops", "");
        program.struct_ops = maps.iter().map(|map| (*map).to_owned()).collect();
        let case = Case {
            outcome: &tried,
            log: "",
            program: Some(&program),
            object: None,
            kernel: &UnknownKernel,
            poison: &|_| None,
            memory_mib: None,
        };
        judge(&case).cause
    };
    assert_eq!(cause(&["one"]), Some(Cause::MissingStructOpsMember));
    assert_eq!(cause(&["other"]), Some(Cause::MissingAttachTarget));
    assert_eq!(cause(&[]), Some(Cause::NeedsLoader));
}
