//! What a program's form asks of a kernel, and the older form that does nearly the same: [`form`].

use crate::record::{Explanation, Subject};

/// Kinds of sections with what does nearly the same on kernels that do not have them.
const OLDER: &[(&str, &str)] = &[
    ("tp_btf", "`raw_tp` gets the same arguments (`ctx->args`); dereference them with `BPF_CORE_READ`"),
    ("fentry", "`kprobe` on the same function; dereference its arguments with `BPF_CORE_READ`"),
    ("fexit", "`kretprobe` on the same function for the return value; a `kprobe` must save the arguments"),
    ("fmod_ret", "a `kprobe` that calls `bpf_override_return` (needs `CONFIG_BPF_KPROBE_OVERRIDE`)"),
    ("fsession", "a pair of `fentry` and `fexit` on the same function"),
    ("lsm", "a `kprobe` on `security_NAME`, which sees the same calls but cannot deny them"),
    ("lsm_cgroup", "system-wide `lsm` (Linux 5.7 or later), with a check of the cgroup in the program"),
    ("iter", "none: read the data from `/proc` or `/sys`, or collect it with `raw_tp` and `kprobe` programs"),
    ("struct_ops", "none"),
    ("freplace", "a tail call into a map of type `prog_array`"),
    ("kprobe.multi", "a `kprobe` for each function (libbpf: `bpf_program__attach_kprobe`)"),
    ("kretprobe.multi", "a `kretprobe` for each function (libbpf: `bpf_program__attach_kprobe`)"),
    ("kprobe.session", "a pair of `kprobe` and `kretprobe`"),
    ("uprobe.multi", "a `uprobe` for each function (libbpf: `bpf_program__attach_uprobe_opts`)"),
    ("uretprobe.multi", "a `uretprobe` for each function (libbpf: `bpf_program__attach_uprobe_opts`)"),
    ("uprobe.session", "a pair of `uprobe` and `uretprobe`"),
    ("tcx", "`tc`, attached with `bpf_tc_attach`"),
    ("netkit", "`tc` on the device, attached with `bpf_tc_attach`"),
    ("netfilter", "`tc` or `cgroup_skb`"),
    ("xdp.frags", "`xdp`, which gets only packets of one page"),
    ("ksyscall", "a `kprobe` on the function of the system call"),
];

/// What does nearly the same on older kernels, as one sentence; `None` if nothing is known.
pub(super) fn older(section: &str) -> Option<String> {
    let kind = section.split('/').next()?;
    let older_form = |kind: &str| OLDER.iter().find(|(known, _)| *known == kind).map(|(_, older)| *older);
    if let Some(older) = older_form(kind) {
        return Some(format!("The older alternative to `{kind}`: {older}."));
    }
    let bare = kind.strip_suffix(".s")?;
    let next = older_form(bare).map_or_else(String::new, |older| format!(" (before that: {older})"));
    Some(format!("The older alternative to `{kind}`: `{bare}`, which must not sleep{next}."))
}

/// Explains a flag that a program is loaded with and that the kernel `failed` does not know.
pub fn load_flag(flag: &str, since: Option<&str>, section: &str, failed: &str) -> Explanation {
    let since = since.map_or_else(String::new, |since| format!(" (Linux {since} or later)"));
    let mut explanation = Explanation::rule(
        Subject::LoadFlag,
        flag,
        failed,
        format!("`{}` programs are loaded with `{flag}`, which {failed} does not support{since}", section),
    );
    let kind = section.split('/').next().unwrap_or(section);
    let plain = section.replacen(kind, kind.strip_suffix(".frags").or(kind.strip_suffix(".s")).unwrap_or(kind), 1);
    explanation.notes.push(format!(
        "libbpf sets the flag from the section name, and the loader cannot unset it. Write `SEC(\"{plain}\")` and let \
    the loader set the flag on kernels that support it; or keep two programs, `SEC(\"{section}\")` and \
    `SEC(\"{plain}\")`, and disable one of them (libbpf: `bpf_program__set_autoload`)."
    ));
    explanation.snippets = super::snippet::load_flag(flag);
    explanation
}
