//! What the kernel's config rules out: a helper, a program type, an attach target.

use super::{Case, Diagnosis};
use crate::feature::Feature;
use crate::record::Cause;

/// Helpers by number, each with the option without which the kernel refuses it to programs of these types. From
/// `bpf_tracing_func_proto`, `tc_cls_act_func_proto`, `cg_skb_func_proto` and `lwt_seg6local_func_proto`.
const HELPERS: &[(u32, &str, &[&str])] = &[
    (58, "CONFIG_BPF_KPROBE_OVERRIDE", &["kprobe"]),
    (66, "CONFIG_XFRM", &["sched_cls", "sched_act"]),
    (74, "CONFIG_IPV6_SEG6_BPF", &["lwt_seg6local"]),
    (75, "CONFIG_IPV6_SEG6_BPF", &["lwt_seg6local"]),
    (76, "CONFIG_IPV6_SEG6_BPF", &["lwt_seg6local"]),
    (79, "CONFIG_SOCK_CGROUP_DATA", &["sched_cls", "sched_act", "cgroup_skb"]),
    (83, "CONFIG_SOCK_CGROUP_DATA", &["sched_cls", "sched_act", "cgroup_skb"]),
    (128, "CONFIG_SOCK_CGROUP_DATA", &["cgroup_skb"]),
    (129, "CONFIG_SOCK_CGROUP_DATA", &["cgroup_skb"]),
    (151, "CONFIG_CGROUP_NET_CLASSID", &["sched_cls", "sched_act"]),
];

/// Program types that a kernel lists whatever its config is, each with the option that `bpf_types.h` puts it under.
pub(super) const PROGRAM_TYPES: &[(&str, &str)] = &[
    ("cgroup_skb", "CONFIG_CGROUP_BPF"),
    ("cgroup_sock", "CONFIG_CGROUP_BPF"),
    ("cgroup_sock_addr", "CONFIG_CGROUP_BPF"),
    ("cgroup_device", "CONFIG_CGROUP_BPF"),
    ("cgroup_sysctl", "CONFIG_CGROUP_BPF"),
    ("cgroup_sockopt", "CONFIG_CGROUP_BPF"),
    ("kprobe", "CONFIG_BPF_EVENTS"),
    ("tracepoint", "CONFIG_BPF_EVENTS"),
    ("perf_event", "CONFIG_BPF_EVENTS"),
    ("raw_tracepoint", "CONFIG_BPF_EVENTS"),
    ("raw_tracepoint_writable", "CONFIG_BPF_EVENTS"),
    ("tracing", "CONFIG_BPF_EVENTS"),
    ("lirc_mode2", "CONFIG_BPF_LIRC_MODE2"),
    ("sk_reuseport", "CONFIG_INET"),
    ("sk_lookup", "CONFIG_INET"),
    ("struct_ops", "CONFIG_BPF_JIT"),
    ("ext", "CONFIG_BPF_JIT"),
    ("lsm", "CONFIG_BPF_LSM"),
    ("netfilter", "CONFIG_NETFILTER_BPF_LINK"),
];

/// The same diagnosis, unless the kernel's config says why: then the option is the cause.
pub(super) fn unless_ruled_out(case: &Case<'_>, diagnosis: Diagnosis) -> Diagnosis {
    let Some((option, what)) = ruled_out(case, &diagnosis) else { return diagnosis };
    let reason = format!("{what} needs `{option}`, which the kernel is built without");
    let evidence = diagnosis.evidence.map(|evidence| evidence.about(option));
    Diagnosis { cause: Some(Cause::KernelConfigMissing), reason: Some(reason), evidence, ..diagnosis }
}

/// The option that is off, and what needs it.
fn ruled_out(case: &Case<'_>, diagnosis: &Diagnosis) -> Option<(&'static str, String)> {
    let prog_type = case.program?.prog_type.as_deref()?;
    let subject = diagnosis.evidence.as_ref()?.subject.as_deref();
    let is_off = |option: &str| case.kernel.config(option) == Some(false);
    match diagnosis.cause? {
        Cause::UnknownHelper | Cause::ForbiddenHelper => {
            let number: u32 = subject?.split_once('#')?.1.parse().ok()?;
            let (_, option, _) =
                HELPERS.iter().find(|(known, _, types)| *known == number && types.contains(&prog_type))?;
            let known = Feature::Helper.known().into_iter().find(|(known, _)| *known == number);
            let name = known.map_or_else(|| format!("helper {number}"), |(_, name)| format!("`bpf_{name}`"));
            is_off(option).then_some((*option, name))
        }
        Cause::MissingProgramType => {
            // A kernel that does not list the type is older than it.
            let enumerator = Feature::ProgramType.enumerator(prog_type);
            let listed = case.kernel.has_enumerator(Feature::ProgramType.listing().0, &enumerator) == Some(true);
            let (_, option) = PROGRAM_TYPES.iter().find(|(known, _)| *known == prog_type)?;
            (listed && is_off(option)).then(|| (*option, format!("`{enumerator}`")))
        }
        Cause::MissingAttachTarget if prog_type == "lsm" => {
            is_off("CONFIG_BPF_LSM").then(|| ("CONFIG_BPF_LSM", "an `lsm` program".to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernel_view::ToldKernel;
    use super::super::{form, judge, tests::outcome};
    use super::*;
    use crate::protocol::Stage;

    const WITHOUT: ToldKernel =
        ToldKernel { has: &[("CONFIG_BPF_KPROBE_OVERRIDE", false), ("CONFIG_BPF_LSM", false)], ..ToldKernel::NOTHING };
    const WITH: ToldKernel = ToldKernel { has: &[("CONFIG_BPF_KPROBE_OVERRIDE", true)], ..ToldKernel::NOTHING };

    fn judged(kernel: &ToldKernel, prog_type: &str, warning: &str, log: &str) -> (Option<Cause>, String) {
        let program = form::tests::program("kprobe/x", prog_type, "");
        let outcome = outcome(Stage::Load, &[warning]);
        let found = judge(&Case {
            outcome: &outcome,
            log,
            program: Some(&program),
            object: None,
            kernel,
            poison: &|_| None,
            memory_mib: None,
        });
        (found.cause, found.reason.unwrap_or_default())
    }

    #[test]
    fn helper_that_the_config_rules_out_names_the_option() {
        let log = "0: (85) call bpf_override_return#58\nunknown func bpf_override_return#58\nprocessed 1 insns\n";
        let refused = "prog 'p': BPF program load failed: -EINVAL";
        let (cause, reason) = judged(&WITHOUT, "kprobe", refused, log);
        assert_eq!(cause, Some(Cause::KernelConfigMissing));
        let told = "`bpf_override_return` needs `CONFIG_BPF_KPROBE_OVERRIDE`, which the kernel is built without";
        assert_eq!(reason, told);
        // Where the option is on, unknown, or not the reason, it is not named.
        assert_eq!(judged(&WITH, "kprobe", refused, log).0, Some(Cause::ForbiddenHelper));
        assert_eq!(judged(&ToldKernel::default(), "kprobe", refused, log).0, Some(Cause::ForbiddenHelper));
        assert_eq!(judged(&WITHOUT, "xdp", refused, log).0, Some(Cause::ForbiddenHelper));
    }

    #[test]
    fn lsm_hooks_of_a_kernel_without_bpf_lsm_are_no_missing_targets() {
        let warning = "prog 'p': failed to find kernel BTF type ID of 'file_open': -ESRCH";
        assert_eq!(judged(&WITHOUT, "lsm", warning, "").0, Some(Cause::KernelConfigMissing));
        assert_eq!(judged(&WITHOUT, "tracing", warning, "").0, Some(Cause::MissingAttachTarget));
    }
}
