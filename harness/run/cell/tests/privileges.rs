//! Programs that fail without the privileges of root.

use super::*;
use crate::record::Cause;

fn refused(program: &str) -> GuestMessage {
    let GuestMessage::ProgramDone(outcome) = loads(program) else { unreachable!() };
    let warnings = vec![format!("prog '{program}': BPF program load failed: -EPERM")];
    GuestMessage::ProgramDone(ProgramOutcome { stage: Stage::Load, errno: 1, warnings, ..outcome })
}

fn prepared() -> GuestMessage {
    GuestMessage::Whole { prepared: true, warnings: Vec::new(), left_out: Vec::new() }
}

fn done() -> GuestMessage {
    GuestMessage::LoadDone { took_ms: 1 }
}

fn has(names: &[&str]) -> LoadingPrivileges {
    LoadingPrivileges::Capabilities(names.iter().map(|name| (*name).to_owned()).collect())
}

/// What a guest says of a search for what `b` needs: CAP_BPF and CAP_PERFMON. It ends with a token that no one can have.
fn search() -> Vec<GuestMessage> {
    // None; all four; without each of them; the two that are needed.
    let loaded = [false, true, false, false, true, true, true];
    let mut all: Vec<GuestMessage> = Vec::new();
    for loaded in loaded {
        all.extend([prepared(), begins("b"), if loaded { loads("b") } else { refused("b") }, done()]);
    }
    let no_token = GuestMessage::NoSuchPrivileges { missing: Vec::new(), reason: "no tokens".to_owned() };
    all.extend([no_token, done()]);
    all
}

#[test]
fn what_root_loads_lacks_a_capability() {
    let mut script = vec![
        prepared(),
        begins("a"),
        loads("a"),
        begins("b"),
        refused("b"),
        done(),
        prepared(),
        begins("b"),
        loads("b"),
        done(),
    ];
    script.extend(search());
    let (records, notes) = judge_with(vec![says(&script)], Some(has(&["CAP_BPF"])));
    assert_eq!((records[0].verdict, records[1].verdict), (Verdict::Loaded, Verdict::NotPermitted), "{notes:?}");
    assert_eq!(records[1].cause, Some(Cause::MissingCapability));
    assert_eq!(
        records[1].reason.as_deref(),
        Some("needs CAP_PERFMON, which its loader lacks: prog 'b': BPF program load failed: -EPERM")
    );
    let subject = records[1].evidence.as_ref().and_then(|evidence| evidence.subject.as_deref());
    assert_eq!(subject, Some("CAP_PERFMON"));
}

#[test]
fn what_root_cannot_load_fails_for_its_own_reason() {
    let mut own = refused("b");
    if let GuestMessage::ProgramDone(outcome) = &mut own {
        outcome.warnings = vec!["extern (func ksym) 'f': not found in kernel or module BTFs".to_owned()];
        outcome.stage = Stage::Prepare;
    }
    let script =
        [prepared(), begins("a"), loads("a"), begins("b"), refused("b"), done(), prepared(), begins("b"), own, done()];
    let (records, _) = judge_with(vec![says(&script)], Some(has(&[])));
    assert_eq!((records[1].verdict, records[1].cause), (Verdict::RelocationFailed, Some(Cause::MissingKfunc)));
}

#[test]
fn a_search_without_an_end_costs_the_name_and_not_the_verdict() {
    let first = [
        prepared(),
        begins("a"),
        loads("a"),
        begins("b"),
        refused("b"),
        done(),
        prepared(),
        begins("b"),
        loads("b"),
        done(),
    ];
    let silent = || says(&[prepared()]);
    let (records, notes) = judge_with(vec![says(&first), silent()], Some(has(&["CAP_BPF"])));
    assert_eq!((records[1].verdict, records[1].cause), (Verdict::NotPermitted, Some(Cause::MissingCapability)));
    let reason = records[1].reason.as_deref().unwrap_or_default();
    assert!(reason.starts_with("loads as root, but not with CAP_BPF: "), "{reason}");
    assert!(notes.iter().any(|note| note.starts_with("the least privileges are unknown: ")), "{notes:?}");
}

#[test]
fn privileges_that_nobody_can_have_are_no_fault_of_the_object() {
    let reason = "this kernel has no CAP_BPF, which needs Linux 5.8 or later (its last one is CAP_AUDIT_READ)";
    let refusal = GuestMessage::NoSuchPrivileges { missing: vec!["CAP_BPF".to_owned()], reason: reason.to_owned() };
    let (records, _) = judge_with(vec![says(&[refusal, done()])], Some(has(&["CAP_BPF"])));
    for record in records {
        assert_eq!((record.verdict, record.cause), (Verdict::HarnessLimit, Some(Cause::PrivilegesNotAvailable)));
        assert_eq!(record.reason.as_deref(), Some(reason));
    }
}
