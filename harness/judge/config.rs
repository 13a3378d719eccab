//! What the kernel's config rules out: a helper, a program type, an attach target, a kfunc.

use super::part::{Absence, Part};
use super::{Case, Diagnosis, module, subject};
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

/// Program types that a kernel lists regardless of its config, each with the option that `bpf_types.h` puts it under.
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

/// The same diagnosis, unless the kernel's config or its release says why.
pub(super) fn unless_ruled_out(case: &Case<'_>, diagnosis: Diagnosis) -> Diagnosis {
    if let Some((option, what)) = ruled_out(case, &diagnosis) {
        return built_without(option, &what, diagnosis);
    }
    let Some((name, part, absence)) = missing_part(case, &diagnosis) else { return diagnosis };
    match absence {
        Absence::Off => built_without(part.option, &format!("`{name}`"), diagnosis),
        Absence::Module(module) if case.kernel.is_loaded(module) => diagnosis,
        Absence::Module(module) => module::not_loaded(case.kernel, &name, &[module.to_owned()], diagnosis),
        Absence::OtherRelease => {
            let said = diagnosis.reason.clone().unwrap_or_default();
            diagnosis.because(format!("{said}; {}", part.releases()))
        }
    }
}

/// The option is the cause.
fn built_without(option: &str, what: &str, diagnosis: Diagnosis) -> Diagnosis {
    let reason = format!("{what} needs `{option}`, but the kernel is built without it");
    let evidence = diagnosis.evidence.map(|evidence| evidence.about(option));
    Diagnosis { cause: Some(Cause::KernelConfigMissing), reason: Some(reason), evidence, ..diagnosis }
}

/// The name that a program looked for in vain, the part of the kernel that it belongs to, and why the kernel does not have that.
fn missing_part(case: &Case<'_>, diagnosis: &Diagnosis) -> Option<(String, &'static Part, Absence)> {
    let subject = diagnosis.evidence.as_ref()?.subject.as_deref()?;
    let name = match diagnosis.cause? {
        Cause::MissingAttachTarget => {
            let attach_type = case.program.and_then(|program| program.attach_type.as_deref());
            let prefix = match case.program.and_then(|program| program.prog_type.as_deref()) {
                Some("lsm") => "bpf_lsm_",
                Some("tracing") if attach_type == Some("trace_iter") => "bpf_iter_",
                // No name of a tracepoint stands for a part.
                Some("tracing") if attach_type == Some("trace_raw_tp") => return None,
                _ => "",
            };
            let bare = subject.strip_prefix("struct ").unwrap_or(subject);
            format!("{prefix}{}", bare.strip_prefix("vmlinux:").unwrap_or(bare))
        }
        Cause::MissingKfunc | Cause::MissingKsym | Cause::MissingType => subject::type_name(subject).to_owned(),
        _ => return None,
    };
    let (part, absence) = Part::missing(&name, case.kernel)?;
    Some((name, part, absence))
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
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernel_view::SampleKernel;
    use super::super::{form, judge, tests::outcome};
    use super::*;
    use crate::protocol::Stage;

    const WITHOUT: SampleKernel = SampleKernel {
        has: &[("CONFIG_BPF_KPROBE_OVERRIDE", false), ("CONFIG_BPF_LSM", false)],
        ..SampleKernel::NOTHING
    };
    const WITH: SampleKernel = SampleKernel { has: &[("CONFIG_BPF_KPROBE_OVERRIDE", true)], ..SampleKernel::NOTHING };

    fn judged(kernel: &SampleKernel, prog_type: &str, warning: &str, log: &str) -> (Option<Cause>, String) {
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
            machine: None,
            by_loader: false,
            own_types: None,
        });
        (found.cause, found.reason.unwrap_or_default())
    }

    #[test]
    fn helper_that_the_config_rules_out_names_the_option() {
        let log = "0: (85) call bpf_override_return#58\nunknown func bpf_override_return#58\nprocessed 1 insns\n";
        let refused = "prog 'p': BPF program load failed: -EINVAL";
        let (cause, reason) = judged(&WITHOUT, "kprobe", refused, log);
        assert_eq!(cause, Some(Cause::KernelConfigMissing));
        let message = "`bpf_override_return` needs `CONFIG_BPF_KPROBE_OVERRIDE`, but the kernel is built without it";
        assert_eq!(reason, message);
        // Where the option is on, unknown, or not the reason, it is not named.
        assert_eq!(judged(&WITH, "kprobe", refused, log).0, Some(Cause::ForbiddenHelper));
        assert_eq!(judged(&SampleKernel::default(), "kprobe", refused, log).0, Some(Cause::ForbiddenHelper));
        assert_eq!(judged(&WITHOUT, "xdp", refused, log).0, Some(Cause::ForbiddenHelper));
    }

    #[test]
    fn lsm_hooks_of_a_kernel_without_bpf_lsm_are_no_missing_targets() {
        let warning = "prog 'p': failed to find kernel BTF type ID of 'file_open': -ESRCH";
        assert_eq!(judged(&WITHOUT, "lsm", warning, "").0, Some(Cause::KernelConfigMissing));
        assert_eq!(judged(&WITHOUT, "tracing", warning, "").0, Some(Cause::MissingAttachTarget));
    }
    #[test]
    fn part_of_a_kernel_that_is_built_without_it_names_the_option() {
        const OFF: &[(&str, bool)] = &[("CONFIG_HID_BPF", false), ("CONFIG_SCHED_CLASS_EXT", false)];
        const ON: &[(&str, bool)] = &[("CONFIG_HID_BPF", true), ("CONFIG_SCHED_CLASS_EXT", true)];
        let at = |has, release| SampleKernel { has, release: Some(release), ..SampleKernel::NOTHING };
        let config = Some(Cause::KernelConfigMissing);
        let target = Some(Cause::MissingAttachTarget);
        let hook = "prog 'p': failed to find kernel BTF type ID of 'hid_bpf_device_event': -ESRCH";
        let ops = "struct_ops init_kern: struct bpf_struct_ops_hid_bpf_ops is not found in kernel BTF";
        let kfunc = "extern (func ksym) 'scx_bpf_dsq_insert': not found in kernel or module BTFs";
        let (cause, reason) = judged(&at(OFF, (6, 6)), "tracing", hook, "");
        assert_eq!(cause, config);
        assert_eq!(reason, "`hid_bpf_device_event` needs `CONFIG_HID_BPF`, but the kernel is built without it");
        assert_eq!(judged(&at(OFF, (6, 12)), "struct_ops", ops, "").0, config);
        assert_eq!(judged(&at(OFF, (6, 12)), "struct_ops", kfunc, "").0, config);
        assert_eq!(judged(&at(ON, (6, 12)), "struct_ops", ops, "").0, target);
        // No option helps where the kernel is too old, or the hook is gone again.
        let (cause, reason) = judged(&at(OFF, (5, 10)), "tracing", hook, "");
        assert_eq!(cause, target);
        assert!(reason.ends_with("; it needs Linux 6.3 to 6.10 with `CONFIG_HID_BPF`"), "{reason}");
        assert_eq!(judged(&at(OFF, (6, 12)), "tracing", hook, "").0, target);
        assert_eq!(judged(&at(OFF, (6, 10)), "struct_ops", ops, "").0, target);
        // Nothing follows where the kernel is unknown, or for another name.
        assert_eq!(judged(&SampleKernel::default(), "struct_ops", ops, "").0, target);
        let other = "prog 'p': failed to find kernel BTF type ID of 'vfs_gone': -ESRCH";
        assert_eq!(judged(&at(OFF, (6, 6)), "tracing", other, ""), (target, other.to_owned()));
    }

    #[test]
    fn part_in_a_module_of_unknown_types_is_not_judged() {
        let kernel = |is_module| SampleKernel {
            has: match is_module {
                true => &[("CONFIG_NF_FLOW_TABLE", true), ("CONFIG_NF_FLOW_TABLE=m", true)],
                false => &[("CONFIG_NF_FLOW_TABLE", true)],
            },
            release: Some((7, 3)),
            ..SampleKernel::NOTHING
        };
        let warning = "extern (func ksym) 'bpf_xdp_flow_lookup': not found in kernel or module BTFs";
        let (cause, reason) = judged(&kernel(true), "xdp", warning, "");
        assert_eq!(cause, Some(Cause::ModuleNotLoaded));
        assert_eq!(reason, "bpf_xdp_flow_lookup is in kernel module nf_flow_table, which the guest has not loaded");
        assert_eq!(judged(&kernel(false), "xdp", warning, "").0, Some(Cause::MissingKfunc));
    }
}
