use super::super::{Case, UnknownKernel, judge};
use super::*;
use crate::protocol::{ProgramOutcome, Stage};

fn refused(warnings: &[&str], log: &str, section: &str) -> (Verdict, Cause, Option<String>) {
    let outcome = ProgramOutcome {
        program: "p".into(),
        stage: Stage::Load,
        errno: 22,
        warnings: warnings.iter().map(|warning| (*warning).to_owned()).collect(),
        left_out: Vec::new(),
        loaded: None,
        type_known: Some(true),
        took_ms: 1,
    };
    let program = ProgramInfo {
        name: "p".into(),
        section: section.into(),
        prog_type: Some("tracing".into()),
        attach_type: None,
        insns: 2,
        core_relocations: 0,
        helpers: Vec::new(),
        new_instructions: Vec::new(),
        optional: false,
        maps: Vec::new(),
        externs: Vec::new(),
        data: Vec::new(),
        is_static: false,
        struct_ops: Vec::new(),
    };
    let case = Case {
        outcome: &outcome,
        log,
        program: Some(&program),
        object: None,
        kernel: &UnknownKernel,
        poison: &|_| None,
        memory_mib: None,
        machine: None,
        by_loader: false,
        own_types: None,
    };
    let diagnosis = judge(&case);
    let subject = diagnosis.evidence.and_then(|evidence| evidence.subject);
    (diagnosis.verdict, diagnosis.cause.unwrap(), subject)
}

/// The cause and the subject of what the verifier says of a program for `fentry/vfs_read`.
fn refusal(line: &str) -> (Cause, String) {
    let log = format!("{line}\nprocessed 0 insns (limit 1000000) max_states_per_insn 0\n");
    let (verdict, cause, subject) = refused(&["prog 'p': BPF program load failed: -EINVAL"], &log, "fentry/vfs_read");
    assert_eq!(verdict, Verdict::VerifierRejected);
    (cause, subject.unwrap_or_default())
}

#[test]
fn target_that_is_there_is_not_missing() {
    let cases = [
        ("vfs_read is not sleepable", "vfs_read"),
        ("vfs_read() is not modifiable", "vfs_read"),
        ("attach_btf_id 71 points to disabled hook bpf_lsm_getprocattr", "bpf_lsm_getprocattr"),
        ("can't modify return codes of BPF programs", "vfs_read"),
        ("Attaching fexit/fmod_ret to __noreturn functions is rejected.", "vfs_read"),
        ("Attaching fexit/fsession/fmod_ret to __noreturn function 'do_exit' is rejected.", "do_exit"),
        ("Attaching tracing programs to function 'migrate_disable' is rejected.", "migrate_disable"),
        ("The function vfs_splice has 13 arguments. Too many.", "vfs_splice"),
        ("The function vfs_x arg2 type STRUCT is unsupported.", "vfs_x"),
        ("The function vfs_x return type STRUCT is unsupported.", "vfs_x"),
        ("The function vfs_x with variable args is unsupported.", "vfs_x"),
        ("The function vfs_x has malformed void argument.", "vfs_x"),
        ("attach to unsupported member owner of struct tcp_congestion_ops", "tcp_congestion_ops.owner"),
        ("Cannot replace static functions", "vfs_read"),
    ];
    for (line, subject) in cases {
        assert_eq!(refusal(line), (Cause::ForbiddenAttachTarget, subject.to_owned()), "{line}");
    }
}

#[test]
fn target_that_is_not_there_is_missing() {
    let cases = [
        ("attach_btf_id 71 is not a function", "vfs_read"),
        ("attach_btf_id 71 points to wrong type name bpf_lsm_gone", "vfs_read"),
        ("The address of function vfs_gone cannot be found", "vfs_gone"),
        ("Subprog gone doesn't exist", "gone"),
    ];
    for (line, subject) in cases {
        assert_eq!(refusal(line), (Cause::MissingAttachTarget, subject.to_owned()), "{line}");
    }
}

#[test]
fn form_that_a_kernel_does_not_have_is_neither() {
    for line in [
        "Only fentry/fexit/fmod_ret and lsm programs can be sleepable",
        "Only fentry/fexit/fmod_ret, lsm, and kprobe/uprobe programs can be sleepable",
        "Program of this type cannot be sleepable",
    ] {
        assert_eq!(refusal(line), (Cause::MissingAttachType, "BPF_F_SLEEPABLE".to_owned()), "{line}");
    }
    assert_eq!(refusal("JIT does not support fsession").0, Cause::MissingAttachType);
    // Near misses: about calls, not about the target.
    assert_eq!(refusal("JIT does not support calling kernel function").0, Cause::UnsupportedCallForm);
    assert_ne!(refusal("kernel function bpf_x is sleepable but the program is not").0, Cause::ForbiddenAttachTarget);
}

#[test]
fn struct_ops_program_that_no_map_points_to_needs_its_loader() {
    let warning = "prog 'p': SEC(\"struct_ops\") program isn't referenced anywhere, did you forget to use it?";
    let (verdict, cause, _) = refused(&[warning], "", "struct_ops/none");
    assert_eq!((verdict, cause), (Verdict::HarnessLimit, Cause::NeedsLoader));
}
