//! What the section of a program asks of a kernel besides its program type: an attach type, flags to load it with, config options.

use super::KernelView;
use super::config::PROGRAM_TYPES;
use crate::feature::Feature;
use crate::object::ProgramInfo;

/// Attach types without which kernels attach the same program all the same, by netlink or a socket option.
const OLDER_FORM: [&str; 2] = ["xdp", "sk_reuseport_select"];
/// Sections that libbpf gives the attach type of tcx, and that are attached as filters of `clsact` as well.
const CLASSIC: [&str; 2] = ["tc/ingress", "tc/egress"];

/// Attach types that a kernel lists regardless of its config, and the option without which it refuses every attachment of them.
const OPTION_OF_ATTACH_TYPE: &[(&str, &str)] = &[
    ("trace_kprobe_multi", "CONFIG_FPROBE"),
    ("trace_kprobe_session", "CONFIG_FPROBE"),
    ("trace_uprobe_multi", "CONFIG_UPROBES"),
    ("trace_uprobe_session", "CONFIG_UPROBES"),
    ("netkit_primary", "CONFIG_NETKIT"),
    ("netkit_peer", "CONFIG_NETKIT"),
];

/// Sections of probes, and the option without which the kernel has no events for them.
const OPTION_OF_SECTION: &[(&str, &str)] = &[
    ("kprobe", "CONFIG_KPROBE_EVENTS"),
    ("kretprobe", "CONFIG_KPROBE_EVENTS"),
    ("ksyscall", "CONFIG_KPROBE_EVENTS"),
    ("kretsyscall", "CONFIG_KPROBE_EVENTS"),
    ("uprobe", "CONFIG_UPROBE_EVENTS"),
    ("uprobe.s", "CONFIG_UPROBE_EVENTS"),
    ("uretprobe", "CONFIG_UPROBE_EVENTS"),
    ("uretprobe.s", "CONFIG_UPROBE_EVENTS"),
];

/// A flag that libbpf loads a program with because of its section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LoadFlag {
    /// Its name.
    pub(super) name: &'static str,
    /// The first version of Linux that has it.
    pub(super) since: &'static str,
    /// Members that a kernel with the flag has, one of them: the flag itself is in no BTF.
    members: &'static [(&'static str, &'static str)],
}

const SLEEPABLE: LoadFlag = LoadFlag {
    name: "BPF_F_SLEEPABLE",
    since: "5.10",
    members: &[("bpf_prog_aux", "sleepable"), ("bpf_prog", "sleepable")],
};
const XDP_HAS_FRAGS: LoadFlag =
    LoadFlag { name: "BPF_F_XDP_HAS_FRAGS", since: "5.18", members: &[("bpf_prog_aux", "xdp_has_frags")] };

impl LoadFlag {
    /// The flags of a section.
    pub(super) fn of(section: &str) -> Vec<LoadFlag> {
        let kind = kind(section);
        let frags = kind == "xdp.frags";
        let sleepable = kind == "syscall" || kind.ends_with(".s");
        [(frags, XDP_HAS_FRAGS), (sleepable, SLEEPABLE)]
            .into_iter()
            .filter(|(has, _)| *has)
            .map(|(_, flag)| flag)
            .collect()
    }

    /// Whether the kernel has it.
    pub(super) fn is_known(self, kernel: &dyn KernelView) -> Option<bool> {
        let answers = self.members.iter().map(|(in_struct, member)| kernel.has_member(in_struct, member));
        answers.reduce(|one, other| match (one, other) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        })?
    }
}

/// The kernel's name of the attach type that the section needs, such as `BPF_TCX_EGRESS`.
pub(super) fn attach_type(program: &ProgramInfo) -> Option<String> {
    let bare = program.attach_type.as_deref()?;
    let is_needed = !OLDER_FORM.contains(&bare) && !CLASSIC.contains(&program.section.as_str());
    is_needed.then(|| Feature::AttachType.enumerator(bare))
}

/// Whether the kernel has the attach type that the section needs; `None` if there is none or that is not known.
pub(super) fn has_attach_type(program: &ProgramInfo, kernel: &dyn KernelView) -> Option<bool> {
    kernel.has_enumerator(Feature::AttachType.listing().0, &attach_type(program)?)
}

/// `, which Linux has from 6.6`, if the release is known.
pub(super) fn since(program: &ProgramInfo) -> String {
    let since = program.attach_type.as_deref().and_then(|bare| Feature::AttachType.since(bare));
    since.map_or_else(String::new, |since| format!(" (Linux {since} or later)"))
}

/// The option that the kernel is built without, and without which it lists the program's type and cannot load it.
pub(super) fn option_of_type(program: &ProgramInfo, kernel: &dyn KernelView) -> Option<&'static str> {
    let bare = program.prog_type.as_deref()?;
    let option = of(PROGRAM_TYPES, bare)?;
    (kernel.config(option) == Some(false)).then_some(option)
}

/// The option that the kernel is built without, and without which it cannot attach what it has loaded.
pub(super) fn option_of_attach(program: &ProgramInfo, kernel: &dyn KernelView) -> Option<&'static str> {
    let by_type = program.attach_type.as_deref().and_then(|bare| {
        // `cgroup_bpf_prog_attach` is a stub without it.
        let of_cgroup = bare.starts_with("cgroup_").then_some("CONFIG_CGROUP_BPF");
        of(OPTION_OF_ATTACH_TYPE, bare).or(of_cgroup)
    });
    let option = by_type.or_else(|| of(OPTION_OF_SECTION, kind(&program.section)))?;
    (kernel.config(option) == Some(false)).then_some(option)
}

fn of(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == name).map(|(_, option)| *option)
}

/// `kprobe.multi` of `kprobe.multi/vfs_read`.
pub(super) fn kind(section: &str) -> &str {
    section.split_once('/').map_or(section, |(kind, _)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_that_libbpf_knows() {
        let known = |feature: Feature, name: &str| feature.known().iter().any(|(_, known)| known == name);
        for (name, _) in OPTION_OF_ATTACH_TYPE {
            assert!(known(Feature::AttachType, name), "{name}");
        }
        for (name, _) in PROGRAM_TYPES {
            assert!(known(Feature::ProgramType, name), "{name}");
        }
    }

    #[test]
    fn flags_are_those_that_libbpf_gives_to_a_section() {
        let names = |section| LoadFlag::of(section).iter().map(|flag| flag.name).collect::<Vec<_>>();
        assert_eq!(names("fentry.s/vfs_read"), ["BPF_F_SLEEPABLE"]);
        assert_eq!(names("uprobe.multi.s//bin/sh:main"), ["BPF_F_SLEEPABLE"]);
        assert_eq!(names("syscall"), ["BPF_F_SLEEPABLE"]);
        assert_eq!(names("xdp.frags/cpumap"), ["BPF_F_XDP_HAS_FRAGS"]);
        for section in ["xdp", "xdp/devmap", "fentry/a.s", "kprobe.session/vfs_read", "ksyscall/openat"] {
            assert!(names(section).is_empty(), "{section}");
        }
    }
}
