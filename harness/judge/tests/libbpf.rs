//! What libbpf says.

use super::*;

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
    assert_eq!(verdict("prog 'global_fn': bad call relo against 'static_fn' in section 'other'"), limit);
    assert_ne!(verdict("prog 'p': bad call relo against 'table' in section '.data'"), limit);
    let broken = (Verdict::FailedToOpen, Some(Cause::ObjectBroken));
    assert_eq!(verdict("elf: 'x' is not a proper ELF object"), broken);
    assert_eq!(verdict("map 'm': invalid field #3."), broken);
    assert_eq!(verdict("prog 'p': bad map relo against 'x' in section 'odd'"), broken);
    // Without any text about its contents, the reason for the missing BTF is not known.
    assert_eq!(verdict("BTF is required, but is missing or corrupted."), broken);
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
            machine: None,
            by_loader: false,
            own_types: None,
        };
        judge(&case).cause
    };
    assert_eq!(cause(&["one"]), Some(Cause::MissingStructOpsMember));
    assert_eq!(cause(&["other"]), Some(Cause::MissingAttachTarget));
    assert_eq!(cause(&[]), Some(Cause::NeedsLoader));
}
