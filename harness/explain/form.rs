//! What a program's form asks of a kernel, and the older form that does nearly the same: [`form`].

use crate::record::{Explanation, Subject};

/// Kinds of sections with what does nearly the same on kernels that do not have them.
const OLDER: &[(&str, &str)] = &[
    ("tp_btf", "`raw_tp` gets the same arguments (`ctx->args`); read what they point to by `BPF_CORE_READ`"),
    ("fentry", "`kprobe` on the same function; read what its arguments point to by `BPF_CORE_READ`"),
    ("fexit", "`kretprobe` on the same function sees what it returns; its arguments have to be kept by a `kprobe`"),
    ("fmod_ret", "a `kprobe` that calls `bpf_override_return`, where `CONFIG_BPF_KPROBE_OVERRIDE` is on"),
    ("fsession", "a pair of `fentry` and `fexit` on the same function"),
    ("lsm", "a `kprobe` on `security_NAME` sees the same calls, and cannot deny them"),
    ("lsm_cgroup", "`lsm` for the whole system (from 5.7), with the cgroup checked in the program"),
    ("iter", "none: read what the kernel shows in `/proc` or `/sys`, or collect it by `raw_tp` and `kprobe`"),
    ("struct_ops", "none"),
    ("freplace", "a tail call into a map of type `prog_array`"),
    ("kprobe.multi", "a `kprobe` for each function (libbpf: `bpf_program__attach_kprobe`)"),
    ("kretprobe.multi", "a `kretprobe` for each function (libbpf: `bpf_program__attach_kprobe`)"),
    ("kprobe.session", "a pair of `kprobe` and `kretprobe`"),
    ("uprobe.multi", "an `uprobe` for each function (libbpf: `bpf_program__attach_uprobe_opts`)"),
    ("uretprobe.multi", "an `uretprobe` for each function (libbpf: `bpf_program__attach_uprobe_opts`)"),
    ("uprobe.session", "a pair of `uprobe` and `uretprobe`"),
    ("tcx", "`tc`, attached by `bpf_tc_attach`"),
    ("netkit", "`tc` on the device, attached by `bpf_tc_attach`"),
    ("netfilter", "`tc` or `cgroup_skb`"),
    ("xdp.frags", "`xdp`, which gets packets of one page only"),
    ("ksyscall", "a `kprobe` on the function of the system call"),
];

/// What does nearly the same on older kernels, as one sentence; `None` if nothing is known.
pub(super) fn older(section: &str) -> Option<String> {
    let kind = section.split('/').next()?;
    let older_form = |kind: &str| OLDER.iter().find(|(known, _)| *known == kind).map(|(_, older)| *older);
    if let Some(older) = older_form(kind) {
        return Some(format!("The older form of `{kind}`: {older}."));
    }
    let bare = kind.strip_suffix(".s")?;
    let next = older_form(bare).map_or_else(String::new, |older| format!(" (older than that: {older})"));
    Some(format!("The older form of `{kind}`: `{bare}`, which may not sleep{next}."))
}

/// Explains a flag that a program is loaded with and that the kernel `failed` does not know.
pub fn load_flag(flag: &str, since: Option<&str>, section: &str, failed: &str) -> Explanation {
    let since = since.map_or_else(String::new, |since| format!(": Linux knows it from {since}"));
    let mut explanation = Explanation::rule(
        Subject::LoadFlag,
        flag,
        failed,
        format!("`{}` programs are loaded with `{flag}`, which {failed} does not know{since}", section),
    );
    let kind = section.split('/').next().unwrap_or(section);
    let plain = section.replacen(kind, kind.strip_suffix(".frags").or(kind.strip_suffix(".s")).unwrap_or(kind), 1);
    explanation.notes.push(format!(
        "libbpf sets the flag by the section's name, whatever the loader says. Write `SEC(\"{plain}\")` and let the loader set it \
         where the kernel knows it; or keep a pair of programs, `SEC(\"{section}\")` and `SEC(\"{plain}\")`, and switch one of \
         them off (libbpf: `bpf_program__set_autoload`)."
    ));
    explanation.snippets = super::snippet::load_flag(flag);
    explanation
}
