use super::super::kernel_view::SampleKernel;
use super::super::{judge, tests::outcome};
use super::*;
use crate::object::ProgramInfo;
use crate::protocol::Stage;

/// Linux 5.4, as far as these tests ask.
const LINUX_5_4: SampleKernel = SampleKernel {
    has: &[
        ("bpf_prog_type.BPF_PROG_TYPE_KPROBE", true),
        ("bpf_prog_type.BPF_PROG_TYPE_CGROUP_SOCK_ADDR", true),
        ("bpf_prog_type.BPF_PROG_TYPE_TRACING", false),
        ("bpf_prog_type.BPF_PROG_TYPE_STRUCT_OPS", false),
        ("bpf_prog_type.BPF_PROG_TYPE_LSM", false),
        ("bpf_attach_type.BPF_CGROUP_UNIX_CONNECT", false),
        ("bpf_attach_type.BPF_TRACE_KPROBE_MULTI", false),
        ("bpf_func_id.BPF_FUNC_for_each_map_elem", false),
        ("bpf_prog_aux.xdp_has_frags", false),
    ],
    ..SampleKernel::NOTHING
};

/// Linux 5.10.
const LINUX_5_10: SampleKernel = SampleKernel {
    has: &[
        ("bpf_prog_type.BPF_PROG_TYPE_TRACING", true),
        ("bpf_prog_type.BPF_PROG_TYPE_LSM", true),
        ("bpf_attach_type.BPF_TRACE_FENTRY", true),
        ("bpf_attach_type.BPF_TRACE_RAW_TP", true),
        ("bpf_attach_type.BPF_LSM_CGROUP", false),
        ("bpf_prog_aux.xdp_has_frags", false),
        ("bpf_prog_aux.sleepable", true),
        ("bpf_prog.sleepable", false),
    ],
    ..SampleKernel::NOTHING
};

pub(in super::super) fn program(section: &str, prog_type: &str, attach_type: &str) -> ProgramInfo {
    ProgramInfo {
        name: "p".to_owned(),
        section: section.to_owned(),
        prog_type: Some(prog_type.to_owned()),
        attach_type: (!attach_type.is_empty()).then(|| attach_type.to_owned()),
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
    }
}

fn judged(kernel: &SampleKernel, program: &ProgramInfo, stage: Stage, warning: &str, log: &str) -> Diagnosis {
    let mut outcome = outcome(stage, &[warning]);
    outcome.type_known = Some(true);
    judge(&Case {
        outcome: &outcome,
        log,
        program: Some(program),
        object: None,
        kernel,
        poison: &|_| None,
        memory_mib: None,
        machine: None,
        by_loader: false,
        own_types: None,
    })
}

fn summary(diagnosis: Diagnosis) -> (Verdict, Cause, String) {
    let subject = diagnosis.evidence.and_then(|evidence| evidence.subject).unwrap_or_default();
    (diagnosis.verdict, diagnosis.cause.expect("a cause"), subject)
}

#[test]
fn form_that_is_newer_comes_before_what_was_looked_for_in_vain() {
    let warning = "prog 'p': failed to find kernel BTF type ID of 'sched_switch': -ESRCH";
    let tp_btf = program("tp_btf/sched_switch", "tracing", "trace_raw_tp");
    let found = judged(&LINUX_5_4, &tp_btf, Stage::Load, warning, "");
    let reason = found.reason.clone().expect("a reason");
    assert_eq!(reason, "the kernel lacks `BPF_PROG_TYPE_TRACING`, which `tp_btf` programs need (Linux 5.5 or later)");
    let missing = |name: &str| (Verdict::UnsupportedType, Cause::MissingProgramType, name.to_owned());
    assert_eq!(summary(found), missing("BPF_PROG_TYPE_TRACING"));
    let missing_struct = "struct_ops init_kern: struct bpf_struct_ops_tcp_congestion_ops is not found in kernel BTF";
    let struct_ops = program("struct_ops/x", "struct_ops", "");
    let found = judged(&LINUX_5_4, &struct_ops, Stage::Prepare, missing_struct, "");
    assert_eq!(summary(found), missing("BPF_PROG_TYPE_STRUCT_OPS"));
    // A kernel that has the form lacks the target.
    let found = summary(judged(&LINUX_5_10, &tp_btf, Stage::Load, warning, ""));
    assert_eq!(found, (Verdict::AttachTargetMissing, Cause::MissingAttachTarget, "sched_switch".to_owned()));
    // Of a kernel without BTF no one knows.
    let found = summary(judged(&SampleKernel::default(), &tp_btf, Stage::Load, warning, ""));
    assert_eq!(found.1, Cause::MissingAttachTarget);
}

#[test]
fn attach_types_count_only_where_the_kernel_checks_them() {
    let refused = "prog 'p': BPF program load failed: -EINVAL";
    let connect = program("cgroup/connect_unix", "cgroup_sock_addr", "cgroup_unix_connect");
    let missing = |name: &str| (Verdict::UnsupportedType, Cause::MissingAttachType, name.to_owned());
    assert_eq!(summary(judged(&LINUX_5_4, &connect, Stage::Load, refused, "")), missing("BPF_CGROUP_UNIX_CONNECT"));
    let per_cgroup = program("lsm_cgroup/socket_bind", "lsm", "lsm_cgroup");
    assert_eq!(summary(judged(&LINUX_5_10, &per_cgroup, Stage::Load, refused, "")), missing("BPF_LSM_CGROUP"));
    // It loads a kprobe of any attach type: something else is wrong with it.
    let multi = program("kprobe.multi/x", "kprobe", "trace_kprobe_multi");
    let map = "map 'events': failed to create: -EINVAL";
    assert_eq!(judged(&LINUX_5_4, &multi, Stage::Prepare, map, "").verdict, Verdict::MapCreationFailed);
    // What the verifier complains of, the kernel's checks of the form let pass.
    let log = "0: (95) exit\nR0 !read_ok\nprocessed 1 insns (limit 1000000)\n";
    assert_eq!(judged(&LINUX_5_4, &connect, Stage::Load, refused, log).cause, Some(Cause::MemoryOther));
}

#[test]
fn load_flags_are_known_by_what_the_kernel_keeps_of_them() {
    let refused = "prog 'p': BPF program load failed: -EINVAL";
    let subject = |kernel: &SampleKernel, section: &str, prog_type: &str, attach_type: &str| {
        summary(judged(kernel, &program(section, prog_type, attach_type), Stage::Load, refused, "")).2
    };
    assert_eq!(subject(&LINUX_5_10, "xdp.frags/devmap", "xdp", "xdp_devmap"), "BPF_F_XDP_HAS_FRAGS");
    assert_eq!(subject(&LINUX_5_10, "xdp", "xdp", "xdp"), "");
    assert_eq!(subject(&LINUX_5_10, "fentry.s/vfs_read", "tracing", "trace_fentry"), "");
    // Of the attach type nothing is known there.
    const NONE_SLEEPS: SampleKernel = SampleKernel {
        has: &[("bpf_prog_aux.sleepable", false), ("bpf_prog.sleepable", false)],
        ..SampleKernel::NOTHING
    };
    assert_eq!(subject(&NONE_SLEEPS, "fentry.s/vfs_read", "tracing", "trace_fentry"), "BPF_F_SLEEPABLE");
    assert_eq!(subject(&NONE_SLEEPS, "fentry/vfs_read", "tracing", "trace_fentry"), "BPF_TRACE_FENTRY");
}

#[test]
fn address_of_a_function_is_named_where_the_kernel_takes_none() {
    let kprobe = program("kprobe/x", "kprobe", "");
    let log = "unrecognized bpf_ld_imm64 insn\nprocessed 0 insns (limit 1000000)\n";
    let refused = "prog 'p': BPF program load failed: -EINVAL";
    let found = judged(&LINUX_5_4, &kprobe, Stage::Load, refused, log);
    assert_eq!(found.cause, Some(Cause::UnsupportedCallForm));
    assert!(found.reason.is_some_and(|reason| reason.contains("BPF_PSEUDO_FUNC") && reason.contains("5.13")));
    let found = judged(&LINUX_5_10, &kprobe, Stage::Load, refused, log);
    assert_eq!(found.cause, Some(Cause::UnsupportedInstruction));
}
