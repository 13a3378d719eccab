//! Which programs may call a helper, as the kernel's sources say and its types do not: [`notes`].

/// Helpers that may sleep, by their bare names.
const SLEEPABLE: [&str; 4] = ["copy_from_user", "copy_from_user_task", "ima_inode_hash", "ima_file_hash"];

/// Kinds of sections that have a sleepable form.
const CAN_SLEEP: [&str; 9] =
    ["fentry", "fexit", "fmod_ret", "fsession", "lsm", "iter", "uprobe", "uretprobe", "struct_ops"];

/// Helpers, by their bare names, with where they may be called.
const ALLOWED: [(&str, &str); 4] = [
    (
        "d_path",
        "The kernel lets these call it: `fentry`, `fexit` and `fmod_ret` on `security_file_permission`, \
         `security_inode_getattr`, `security_file_open`, `security_path_truncate`, `vfs_truncate`, `vfs_fallocate`, \
         `dentry_open`, `vfs_getattr` and `filp_close`; LSM hooks that may sleep; iterators. No `kprobe` and no other \
         function. Elsewhere walk `path->dentry->d_parent` by `BPF_CORE_READ`.",
    ),
    (
        "get_attach_cookie",
        "These may call it: `kprobe`, `uprobe`, tracepoint and perf event programs since Linux 5.15; `fentry`, `fexit` \
    and `fmod_ret` since 5.19; `raw_tp` and `tp_btf` since 6.10.",
    ),
    (
        "override_return",
        "Only a `kprobe` may call it, on a function that the kernel marks for error injection, if \
    `CONFIG_BPF_KPROBE_OVERRIDE` is set. `fmod_ret` changes the return value of such a function without it (Linux 5.7 \
    or later).",
    ),
    ("set_retval", "Only cgroup and `lsm_cgroup` programs may call it."),
];

/// Whether a helper, by its bare name, is for programs that may sleep only.
pub fn is_sleepable(helper: &str) -> bool {
    SLEEPABLE.contains(&helper)
}

/// What is to know of a helper that a program of this section may not call.
pub(super) fn notes(helper: &str, section: Option<&str>) -> Vec<String> {
    let mut notes = Vec::new();
    let kind = section.and_then(|section| section.split('/').next()).unwrap_or_default();
    if is_sleepable(helper) && !kind.ends_with(".s") {
        let sleepable = section
            .filter(|_| CAN_SLEEP.contains(&kind))
            .map(|section| section.replacen(kind, &format!("{kind}.s"), 1));
        notes.push(match sleepable {
            Some(sleepable) => format!(
                "It may sleep, so only sleepable programs can call it: write `SEC(\"{sleepable}\")`. The kernel \
    accepts sleepable programs only on system calls and other functions marked for error injection, and on most LSM \
    hooks. Elsewhere, `bpf_probe_read_user` reads memory that is already resident."
            ),
            None => "It may sleep, so only sleepable programs can call it, such as `fentry.s`, `lsm.s` or `uprobe.s`; \
    this kind of program cannot be sleepable. `bpf_probe_read_user` reads memory that is already resident."
                .to_owned(),
        });
    }
    notes.extend(ALLOWED.iter().find(|(known, _)| *known == helper).map(|(_, allowed)| (*allowed).to_owned()));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleepable_helpers_get_the_section_to_write() {
        let lines = notes("copy_from_user", Some("fentry/__x64_sys_execve"));
        assert!(lines[0].contains("`SEC(\"fentry.s/__x64_sys_execve\")`"), "{lines:?}");
        assert!(notes("copy_from_user", Some("kprobe/x"))[0].contains("cannot be sleepable"));
        assert!(notes("copy_from_user", Some("lsm.s/file_open")).is_empty());
        assert!(notes("probe_read", Some("fentry/x")).is_empty());
        assert!(notes("d_path", Some("fentry/vfs_open"))[0].contains("`filp_close`"));
    }
}
