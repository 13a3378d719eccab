//! [`module_target`]: what a program attaches to, by the names that modules have for it.

/// A name that may be in a module.
pub(super) struct Name {
    pub(super) name: String,
    /// Whether it is that of a function, which a module's symbols show as well as its types.
    pub(super) is_function: bool,
}

impl Name {
    pub(super) fn function(name: impl Into<String>) -> Name {
        Name { name: name.into(), is_function: true }
    }

    pub(super) fn of_type(name: impl Into<String>) -> Name {
        Name { name: name.into(), is_function: false }
    }
}

/// What a program attaches to, as modules have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleTarget {
    /// What kernels call it; one of these does.
    pub names: Vec<String>,
    /// The module that the object itself names.
    pub module: Option<String>,
}

/// What a program of this section attaches to, if a module may have it. What is only looked for when it is attached counts if `attached`.
pub fn module_target(section: &str, attached: bool) -> Option<ModuleTarget> {
    let (kind, target) = section.trim_start_matches('?').split_once('/')?;
    let kind = kind.strip_suffix(".s").unwrap_or(kind);
    let looked_for_at_load =
        matches!(kind, "fentry" | "fexit" | "fmod_ret" | "fsession" | "tp_btf" | "lsm" | "lsm_cgroup" | "iter");
    if !looked_for_at_load && !attached {
        return None;
    }
    let names = |names: Vec<Name>| names.into_iter().map(|name| name.name).collect();
    match kind {
        "kprobe" | "kretprobe" | "kprobe.multi" | "kretprobe.multi" | "kprobe.session" | "fprobe" => {
            let name = target.split('+').next().unwrap_or(target);
            let of_one = !name.contains(['*', '?']);
            of_one.then(|| ModuleTarget { names: vec![name.to_owned()], module: None })
        }
        "raw_tp" | "raw_tracepoint" | "tp" | "tracepoint" => {
            // `xfs/xfs_file_open`: what is before is no module, though it is often called so.
            let name = target.rsplit(['/', ':']).next().unwrap_or(target);
            Some(ModuleTarget { names: tracepoint_names(name), module: None })
        }
        "freplace" => None,
        _ if looked_for_at_load => {
            let (module, name) = target.split_once(':').map_or((None, target), |(module, name)| (Some(module), name));
            let module = module.filter(|module| *module != "vmlinux").map(|module| module.replace('-', "_"));
            Some(ModuleTarget { names: names(target_names(Some(section), name)), module })
        }
        _ => None,
    }
}

/// What modules call a tracepoint: by its type, or where they have none by the function that calls its probes.
pub fn tracepoint_names(name: &str) -> Vec<String> {
    vec![format!("btf_trace_{name}"), format!("__traceiter_{name}")]
}

/// What the kernel's BTF calls a target, by the section of the program.
pub(super) fn target_names(section: Option<&str>, name: &str) -> Vec<Name> {
    let function = || Name::function(name);
    let hook = || Name::function(format!("bpf_lsm_{name}"));
    let iterator = || Name::function(format!("bpf_iter_{name}"));
    let event = || Name::of_type(format!("btf_trace_{name}"));
    // Of a module without types, the function that calls the probes of the tracepoint.
    let caller = || Name::function(format!("__traceiter_{name}"));
    let of_section = section.and_then(|section| section.split_once('/')).map(|(kind, _)| kind.trim_start_matches('?'));
    match of_section.map(|kind| kind.strip_suffix(".s").unwrap_or(kind)) {
        Some("fentry" | "fexit" | "fmod_ret" | "freplace") => vec![function()],
        Some("tp_btf") => vec![event(), caller()],
        Some("lsm" | "lsm_cgroup") => vec![hook()],
        Some("iter") => vec![iterator()],
        _ => vec![function(), hook(), iterator(), event(), Name::of_type(format!("bpf_struct_ops_{name}"))],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sections_name_what_modules_may_have() {
        let names = |section: &str, attached| module_target(section, attached).map(|target| target.names);
        assert_eq!(names("fentry/xfs_file_open", false).unwrap(), ["xfs_file_open"]);
        assert_eq!(
            names("tp_btf/xfs_file_fsync", false).unwrap(),
            ["btf_trace_xfs_file_fsync", "__traceiter_xfs_file_fsync"]
        );
        assert_eq!(names("kprobe/nf_conntrack_in+0x4", true).unwrap(), ["nf_conntrack_in"]);
        assert_eq!(names("tp/xfs/xfs_file_fsync", true).unwrap()[0], "btf_trace_xfs_file_fsync");
        assert_eq!(names("?lsm.s/file_open", false).unwrap(), ["bpf_lsm_file_open"]);
        for section in ["kprobe/vfs_read", "tp/xfs/xfs_file_fsync", "xdp", "freplace/f"] {
            assert_eq!(names(section, false), None, "{section}");
        }
        assert_eq!(names("kprobe.multi/xfs_*", true), None, "one of several functions proves nothing");
        let named = module_target("fentry/nf-conntrack:nf_conntrack_in", false).unwrap();
        assert_eq!((named.names, named.module), (vec!["nf_conntrack_in".to_owned()], Some("nf_conntrack".to_owned())));
    }
}
