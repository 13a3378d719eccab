use super::*;
use crate::protocol::attach::{AttachTry, TargetFacts};
use crate::record::Cause;
use crate::record::ObjectProgram;

/// A kernel that has all attach types but one, and is built with all options but one.
struct Kernel {
    no_attach_type: &'static str,
    no_option: &'static str,
}

impl KernelView for Kernel {
    fn has_type(&self, _: &str) -> Option<bool> {
        None
    }

    fn has_enumerator(&self, in_enum: &str, name: &str) -> Option<bool> {
        (in_enum == "bpf_attach_type").then_some(name != self.no_attach_type)
    }

    fn has_member(&self, _: &str, _: &str) -> Option<bool> {
        None
    }

    fn has_function(&self, _: &str) -> Option<bool> {
        None
    }

    fn config(&self, option: &str) -> Option<bool> {
        Some(option != self.no_option)
    }

    fn modules_with(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

const NEW: Kernel = Kernel { no_attach_type: "", no_option: "" };

fn program(section: &str, prog_type: &str, attach_type: Option<&str>) -> ProgramInfo {
    ProgramInfo {
        name: "p".into(),
        section: section.into(),
        prog_type: Some(prog_type.into()),
        attach_type: attach_type.map(str::to_owned),
        insns: 2,
        core_relocations: 0,
        optional: false,
        helpers: Vec::new(),
        new_instructions: Vec::new(),
        maps: Vec::new(),
        externs: Vec::new(),
        data: Vec::new(),
        is_static: false,
        struct_ops: Vec::new(),
    }
}

fn judged(program: &ProgramInfo, tried: Option<AttachTry>, kernel: &Kernel) -> ProgramRecord {
    let planned = ObjectProgram { name: "p".into(), section: program.section.clone() };
    let mut record = ProgramRecord::not_run(&planned, "");
    (record.verdict, record.reason) = (Verdict::Loaded, None);
    // A guest that has nothing to attach it to cannot prove the opposite.
    let tried = tried.unwrap_or_else(|| AttachTry::NotPossible { reason: "there is nothing to attach to".into() });
    attached(
        Some(program),
        &AttachFacts { to: "something".into(), tried, took_us: 1 },
        (kernel, &MachineRecord::default()),
        &mut record,
    );
    record
}

fn failed(errno: i32, said: &str) -> Option<AttachTry> {
    Some(AttachTry::Failed { errno, warnings: vec![said.to_owned()], target: None::<TargetFacts> })
}

fn subject(record: &ProgramRecord) -> &str {
    record.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref()).unwrap_or_default()
}

#[test]
fn form_that_the_kernel_lacks_is_never_ok() {
    let tcx = program("tcx/egress", "sched_cls", Some("tcx_egress"));
    let old = Kernel { no_attach_type: "BPF_TCX_EGRESS", ..NEW };
    let record = judged(&tcx, None, &old);
    assert_eq!((record.verdict, record.cause), (Verdict::UnsupportedType, Some(Cause::MissingAttachType)));
    assert_eq!(subject(&record), "BPF_TCX_EGRESS");
    assert!(record.reason.unwrap().contains("`BPF_TCX_EGRESS` (Linux 6.6 or later)"));

    let record = judged(&tcx, failed(libc::EINVAL, "prog 'p': failed to attach to tcx: -EINVAL"), &old);
    assert_eq!((record.verdict, record.cause), (Verdict::AttachFailed, Some(Cause::MissingAttachType)));
    let evidence = record.evidence.unwrap();
    assert_eq!(evidence.line, "prog 'p': failed to attach to tcx: -EINVAL");
    assert_eq!(evidence.subject.as_deref(), Some("BPF_TCX_EGRESS"));

    assert_eq!(judged(&tcx, None, &NEW).verdict, Verdict::Loaded);
    let record = judged(&tcx, failed(libc::EBUSY, "prog 'p': failed"), &NEW);
    assert_eq!((record.verdict, record.cause), (Verdict::AttachFailed, Some(Cause::Unrecognised)));
}

#[test]
fn what_was_attached_outweighs_what_the_types_list() {
    let tcx = program("tcx/egress", "sched_cls", Some("tcx_egress"));
    let record = judged(&tcx, Some(AttachTry::Attached), &Kernel { no_attach_type: "BPF_TCX_EGRESS", ..NEW });
    assert_eq!((record.verdict, record.cause), (Verdict::Loaded, None));
}

#[test]
fn older_forms_of_the_same_are_left_alone() {
    let cases = [
        ("tc/egress", "sched_cls", "tcx_egress", "BPF_TCX_EGRESS"),
        ("xdp", "xdp", "xdp", "BPF_XDP"),
        ("sk_reuseport", "sk_reuseport", "sk_reuseport_select", "BPF_SK_REUSEPORT_SELECT"),
    ];
    for (section, kind, attach_type, missing) in cases {
        let record =
            judged(&program(section, kind, Some(attach_type)), None, &Kernel { no_attach_type: missing, ..NEW });
        assert_eq!(record.verdict, Verdict::Loaded, "{section}");
    }
    let migrate = program("sk_reuseport/migrate", "sk_reuseport", Some("sk_reuseport_select_or_migrate"));
    let old = Kernel { no_attach_type: "BPF_SK_REUSEPORT_SELECT_OR_MIGRATE", ..NEW };
    assert_eq!(judged(&migrate, None, &old).verdict, Verdict::UnsupportedType);
}

#[test]
fn option_that_the_kernel_lacks_is_the_cause() {
    let multi = program("kprobe.multi/vfs_read", "kprobe", Some("trace_kprobe_multi"));
    let without = Kernel { no_option: "CONFIG_FPROBE", ..NEW };
    let record = judged(&multi, failed(libc::EOPNOTSUPP, "prog 'p': failed to attach: -EOPNOTSUPP"), &without);
    assert_eq!((record.verdict, record.cause), (Verdict::AttachFailed, Some(Cause::KernelConfigMissing)));
    assert_eq!(subject(&record), "CONFIG_FPROBE");
    assert!(record.reason.unwrap().contains("built without `CONFIG_FPROBE`"));
    // A plain probe needs another one.
    let plain = program("kprobe/vfs_read", "kprobe", None);
    assert_eq!(judged(&plain, None, &without).verdict, Verdict::Loaded);
    let record = judged(&plain, None, &Kernel { no_option: "CONFIG_KPROBE_EVENTS", ..NEW });
    assert_eq!((record.verdict, record.cause), (Verdict::UnsupportedType, Some(Cause::KernelConfigMissing)));
    // The attach type comes first: an older kernel has neither.
    let older = Kernel { no_attach_type: "BPF_TRACE_KPROBE_MULTI", no_option: "CONFIG_FPROBE" };
    assert_eq!(judged(&multi, None, &older).cause, Some(Cause::MissingAttachType));
}

#[test]
fn nothing_is_said_where_nobody_can_tell() {
    let multi = program("kprobe.multi/vfs_read", "kprobe", Some("trace_kprobe_multi"));
    assert!(never_attaches(&multi, &crate::judge::UnknownKernel).is_none());
    let died = judged(&multi, Some(AttachTry::Died { signal: 11 }), &Kernel { no_option: "CONFIG_FPROBE", ..NEW });
    assert_eq!(died.verdict, Verdict::HarnessError);
}
