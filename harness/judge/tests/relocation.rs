//! Relocations, and the instructions that libbpf poisons for them.

use super::*;

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
            machine: None,
            by_loader: false,
            own_types: None,
        }))
    });
    assert_eq!(causes[0].0, Cause::MissingField);
    assert_eq!(causes[1].0, Cause::MissingType);
    assert_eq!(causes[0].1.subject.as_deref(), Some("struct inode___old.i_ctime"));
    let cut = "failed to resolve CO-RE relocation <byte_off> [6] struct a_very_long.nam...\n";
    assert_eq!(of_log(cut).1.subject.as_deref(), Some("struct a_very_long.nam"));
}

#[test]
fn helper_that_the_kernel_has_no_name_for_is_named() {
    let (cause, evidence) = of_log("1: (85) call unknown#169\ninvalid func unknown#169\n");
    assert_eq!((cause, evidence.subject.as_deref()), (Cause::UnknownHelper, Some("bpf_timer_init#169")));
    let (_, evidence) = of_log("1: (85) call unknown#9999\ninvalid func unknown#9999\n");
    assert_eq!(evidence.subject.as_deref(), Some("unknown#9999"));
}

#[test]
fn poison_that_libbpf_did_not_rewrite_is_known() {
    let (cause, evidence) = of_log("363: (85) call unknown#195896080\ninvalid func unknown#195896080\n");
    assert_eq!((cause, evidence.source.map(|source| source.insn)), (Cause::UnresolvedRelocation, Some(363)));
    assert_eq!(of_log("1: (85) call unknown#2001000003\ninvalid func unknown#2001000003\n").0, Cause::MissingMapType);
    assert_eq!(of_log("1: (85) call unknown#2002000003\ninvalid func unknown#2002000003\n").0, Cause::MissingKfunc);
    // Not poison, regardless of its size.
    assert_eq!(of_log("1: (85) call unknown#2003000000\ninvalid func unknown#2003000000\n").0, Cause::UnknownHelper);
    assert_eq!(of_log("1: (85) call unknown#195896081\ninvalid func unknown#195896081\n").0, Cause::UnknownHelper);
}

/// What kernels from 7.x on write behind the complaint about a program of many subprograms: libbpf then no longer sees it.
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
            machine: None,
            by_loader: false,
            own_types: None,
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
fn poison_that_was_reached_is_a_relocation_failure() {
    let log = "0: R1=ctx() R10=fp0\n0: <invalid CO-RE relocation>\nfailed to resolve CO-RE relocation <byte_off> [6] struct task_struct.gone (0:1 @ offset 4)\nprocessed 1 insns";
    let diagnosis = judged(&outcome(Stage::Load, &[REFUSED]), log);
    assert_eq!(diagnosis.verdict, Verdict::RelocationFailed);
    assert!(diagnosis.reason.is_some_and(|reason| reason.contains("struct task_struct.gone")));
}
