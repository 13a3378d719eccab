//! [`Target`]: where a program is attached, by its type and section; and what the kernel lists of a target by name.

use std::fs;
use std::path::Path;

use libbpf_rs::libbpf_sys::*;

use super::binary::resolve;
use corematrix_protocol::user_space::InBinary;

use corematrix_protocol::attach::{AttachTo, TargetFacts, TargetKind};

/// Copies of a function that are named; more add nothing.
const MOST_COPIES: usize = 3;

/// Where a program is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Where its section says.
    Section,
    /// To packets of the loopback device, before the network stack.
    Xdp,
    /// To packets of the loopback device, for traffic control; whether to those that leave.
    Tc {
        /// Whether to packets that leave.
        egress: bool,
    },
    /// To packets of the loopback device, by a link of tcx and nothing else.
    Tcx,
    /// To a netkit device that is made for it.
    Netkit,
    /// To the guest's own cgroup.
    Cgroup,
    /// To the guest's own network namespace.
    NetNs,
    /// To a socket.
    Socket,
    /// To a group of sockets that share a port.
    ReusePort,
    /// To a map of sockets.
    SockMap,
    /// To a clock that ticks.
    PerfEvent,
    /// To packets that arrive, in netfilter.
    Netfilter,
    /// To a function of the program that it was loaded for.
    Program {
        /// That program.
        name: String,
        /// Whether it takes the place of the function.
        extends: bool,
    },
    /// To what a suite says.
    Declared(AttachTo),
    /// Nothing here could take it.
    Nowhere(String),
}

impl Target {
    /// The target of a program of this type, attach type and section.
    #[allow(non_upper_case_globals)]
    pub fn of(kind: bpf_prog_type, attach: bpf_attach_type, section: &str) -> Target {
        let nowhere = |reason: &str| Target::Nowhere(reason.to_owned());
        match kind {
            BPF_PROG_TYPE_KPROBE
            | BPF_PROG_TYPE_TRACEPOINT
            | BPF_PROG_TYPE_RAW_TRACEPOINT
            | BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE
            | BPF_PROG_TYPE_TRACING => of_section(section),
            BPF_PROG_TYPE_LSM if attach == BPF_LSM_CGROUP => Target::Cgroup,
            BPF_PROG_TYPE_LSM => of_section(section),
            BPF_PROG_TYPE_XDP if [BPF_XDP_DEVMAP, BPF_XDP_CPUMAP].contains(&attach) => {
                nowhere("it runs from a map of devices or processors, which its loader fills")
            }
            BPF_PROG_TYPE_XDP => Target::Xdp,
            BPF_PROG_TYPE_SCHED_CLS if [BPF_NETKIT_PRIMARY, BPF_NETKIT_PEER].contains(&attach) => Target::Netkit,
            BPF_PROG_TYPE_SCHED_CLS if is_tcx(section) => Target::Tcx,
            BPF_PROG_TYPE_SCHED_CLS => Target::Tc { egress: attach == BPF_TCX_EGRESS },
            BPF_PROG_TYPE_CGROUP_SKB
            | BPF_PROG_TYPE_CGROUP_SOCK
            | BPF_PROG_TYPE_CGROUP_SOCK_ADDR
            | BPF_PROG_TYPE_CGROUP_DEVICE
            | BPF_PROG_TYPE_CGROUP_SYSCTL
            | BPF_PROG_TYPE_CGROUP_SOCKOPT
            | BPF_PROG_TYPE_SOCK_OPS => Target::Cgroup,
            BPF_PROG_TYPE_SK_LOOKUP | BPF_PROG_TYPE_FLOW_DISSECTOR => Target::NetNs,
            BPF_PROG_TYPE_SOCKET_FILTER => Target::Socket,
            BPF_PROG_TYPE_SK_REUSEPORT => Target::ReusePort,
            BPF_PROG_TYPE_SK_SKB if attach == 0 => nowhere("its section does not say whether it parses or decides"),
            BPF_PROG_TYPE_SK_SKB | BPF_PROG_TYPE_SK_MSG => Target::SockMap,
            BPF_PROG_TYPE_PERF_EVENT => Target::PerfEvent,
            BPF_PROG_TYPE_NETFILTER => Target::Netfilter,
            BPF_PROG_TYPE_SYSCALL => nowhere("programs of its type are run, not attached"),
            BPF_PROG_TYPE_STRUCT_OPS => nowhere("no struct_ops map of the object points to it"),
            BPF_PROG_TYPE_EXT => nowhere("it replaces a function of another program, which no suite names"),
            BPF_PROG_TYPE_SCHED_ACT => nowhere("it is an action of a filter, which its loader chooses"),
            BPF_PROG_TYPE_LWT_IN | BPF_PROG_TYPE_LWT_OUT | BPF_PROG_TYPE_LWT_XMIT | BPF_PROG_TYPE_LWT_SEG6LOCAL => {
                nowhere("it belongs to a route, which its loader chooses")
            }
            BPF_PROG_TYPE_LIRC_MODE2 => nowhere("it needs an infrared receiver"),
            _ => nowhere("corematrix cannot attach programs of its type"),
        }
    }

    /// The target in words, to follow "attached to".
    pub fn words(&self) -> String {
        let words = match self {
            Target::Section => "the target of its section",
            Target::Xdp | Target::Tc { .. } | Target::Tcx => "the loopback device",
            Target::Netkit => "a netkit device",
            Target::Cgroup => "the guest's cgroup",
            Target::NetNs => "the guest's network namespace",
            Target::Socket => "a socket",
            Target::ReusePort => "sockets that share a port",
            Target::SockMap => "a map of sockets",
            Target::PerfEvent => "a clock",
            Target::Netfilter => "netfilter",
            Target::Program { name, .. } => return format!("program `{name}`"),
            Target::Declared(declared) => return declared.to_string(),
            Target::Nowhere(_) => "nothing",
        };
        words.to_owned()
    }

    /// The section that names the target, if one does or could; `own` is that of the program.
    pub fn section(&self, own: &str) -> Option<String> {
        match self {
            Target::Section => Some(own.to_owned()),
            Target::Declared(AttachTo::Function(name)) => Some(format!("kprobe/{name}")),
            Target::Declared(AttachTo::Tracepoint { category, name }) => Some(format!("tp/{category}/{name}")),
            Target::Declared(AttachTo::RawTracepoint(name)) => Some(format!("raw_tp/{name}")),
            _ => None,
        }
    }
}

/// Whether a section asks for a link of tcx. `tc/ingress` gets the same attach type, and is attached in the older way as well.
pub fn is_tcx(section: &str) -> bool {
    section.starts_with("tcx/")
}

fn of_section(section: &str) -> Target {
    let Some((kind, rest)) = section.split_once('/').filter(|(_, rest)| !rest.is_empty()) else {
        return Target::Nowhere("its section names no target".to_owned());
    };
    if kind.starts_with("iter") && ["bpf_map_elem", "bpf_sk_storage_map", "cgroup"].contains(&rest) {
        return Target::Nowhere("its iterator goes over something that its loader chooses".to_owned());
    }
    match InBinary::of(section) {
        Some(InBinary { what: "", .. }) => Target::Nowhere("its section names a file and nothing in it".to_owned()),
        Some(InBinary { binary, .. }) if resolve(binary).is_none() => {
            Target::Nowhere(format!("the guest does not have `{binary}`"))
        }
        _ => Target::Section,
    }
}

/// What there is of the target of a section that could not be attached; `None` if nothing is known about targets of its sort.
pub fn facts(section: &str, errno: i32) -> Option<TargetFacts> {
    if let Some(InBinary { binary, what, usdt }) = InBinary::of(section) {
        let kind = if usdt { TargetKind::UserProbe } else { TargetKind::UserFunction };
        let file = resolve(binary)?.to_string_lossy().into_owned();
        // libbpf has read the file's symbols or notes, and this is how it says that none of them is meant.
        let exists = errno != libc::ENOENT;
        return Some(TargetFacts { kind, name: what.to_owned(), exists, copies: Vec::new(), file: Some(file) });
    }
    let (kind, name) = section.split_once('/')?;
    match kind {
        "ksyscall" | "kretsyscall" => {
            let stands_for = ["__x64_sys_", "__se_sys_", "sys_"].map(|prefix| format!("{prefix}{name}"));
            let stands_for: Vec<&str> = stands_for.iter().map(String::as_str).collect();
            Some(of_symbols(TargetKind::SystemCall, name, &stands_for, &symbols()))
        }
        "kprobe" | "kretprobe" | "kprobe.multi" | "kretprobe.multi" | "kprobe.session" | "fentry" | "fentry.s"
        | "fexit" | "fexit.s" | "fmod_ret" | "fmod_ret.s" | "fsession" | "fsession.s" => {
            let name = name.split('+').next()?;
            Some(match name.contains(['*', '?']) {
                true => of_pattern(name, &symbols()),
                false => of_symbols(TargetKind::Function, name, &[name], &symbols()),
            })
        }
        "raw_tp" | "raw_tracepoint" | "raw_tp.w" | "raw_tracepoint.w" => {
            let stands_for = ["__tracepoint_", "__traceiter_"].map(|prefix| format!("{prefix}{name}"));
            Some(of_symbols(TargetKind::RawTracepoint, name, &[&stands_for[0], &stands_for[1]], &symbols()))
        }
        "tp" | "tracepoint" => {
            let events = Path::new("/sys/kernel/tracing/events");
            let listed = events.is_dir().then(|| events.join(name).is_dir());
            let kind = TargetKind::Tracepoint;
            listed.map(|exists| TargetFacts { kind, name: name.to_owned(), exists, copies: Vec::new(), file: None })
        }
        _ => None,
    }
}

fn symbols() -> String {
    fs::read_to_string("/proc/kallsyms").unwrap_or_default()
}

/// Looks for the symbols that stand for a target. Lines are `address type name`, with the module behind a tab.
fn of_symbols(kind: TargetKind, target: &str, wanted: &[&str], symbols: &str) -> TargetFacts {
    let names = || symbols.lines().filter_map(|line| line.split_ascii_whitespace().nth(2));
    let is_copy = |name: &&str| name.strip_prefix(target).is_some_and(|rest| rest.starts_with('.'));
    TargetFacts {
        kind,
        name: target.to_owned(),
        exists: names().any(|name| wanted.contains(&name)),
        copies: names().filter(is_copy).take(MOST_COPIES).map(str::to_owned).collect(),
        file: None,
    }
}

/// Looks for symbols of functions that a pattern matches.
fn of_pattern(pattern: &str, symbols: &str) -> TargetFacts {
    let functions = symbols.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        words.next().filter(|kind| ["t", "T", "w", "W"].contains(kind)).and(words.next())
    });
    let exists = functions.into_iter().any(|name| matches(pattern.as_bytes(), name.as_bytes()));
    TargetFacts { kind: TargetKind::Functions, name: pattern.to_owned(), exists, copies: Vec::new(), file: None }
}

/// Whether a name matches a pattern of `*` and `?`, as libbpf's `glob_match` does.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut of, mut star) = (0, 0, None);
    while of < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[of] => (at, of) = (at + 1, of + 1),
            // The last star takes one byte more.
            _ => match star {
                Some((back, taken)) => {
                    star = Some((back, taken + 1));
                    (at, of) = (back + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere(target: &Target) -> bool {
        matches!(target, Target::Nowhere(_))
    }

    #[test]
    fn sections_with_a_target_are_attached_by_libbpf() {
        for section in ["kprobe/vfs_read", "tracepoint/sched/sched_switch", "iter/task", "uprobe//proc/self/exe:main"] {
            assert_eq!(Target::of(BPF_PROG_TYPE_KPROBE, 0, section), Target::Section, "{section}");
        }
        for section in [
            "kprobe",
            "kprobe/",
            "uprobe",
            "iter/bpf_map_elem",
            "iter.s/cgroup",
            "uprobe//no/such:main",
            "uprobe//proc/self/exe",
            "usdt/no-such-library.so.1:a:b",
        ] {
            assert!(nowhere(&Target::of(BPF_PROG_TYPE_TRACING, 0, section)), "{section}");
        }
    }

    #[test]
    fn every_type_has_a_target_or_a_reason() {
        assert_eq!(Target::of(BPF_PROG_TYPE_XDP, BPF_XDP, "xdp"), Target::Xdp);
        assert!(nowhere(&Target::of(BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP, "xdp/devmap")));
        assert_eq!(Target::of(BPF_PROG_TYPE_SCHED_CLS, 0, "tc"), Target::Tc { egress: false });
        assert_eq!(Target::of(BPF_PROG_TYPE_SCHED_CLS, BPF_TCX_EGRESS, "tc/egress"), Target::Tc { egress: true });
        // The attach type of tcx alone does not decide, since libbpf gives it to `tc/egress` as well.
        assert_eq!(Target::of(BPF_PROG_TYPE_SCHED_CLS, BPF_TCX_EGRESS, "tcx/egress"), Target::Tcx);
        assert_eq!(Target::of(BPF_PROG_TYPE_SCHED_CLS, BPF_NETKIT_PEER, "netkit/peer"), Target::Netkit);
        assert_eq!(Target::of(BPF_PROG_TYPE_LSM, BPF_LSM_CGROUP, "lsm_cgroup/socket_bind"), Target::Cgroup);
        assert_eq!(Target::of(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "lsm/file_open"), Target::Section);
        assert!(nowhere(&Target::of(BPF_PROG_TYPE_SYSCALL, 0, "syscall")) && nowhere(&Target::of(9999, 0, "new")));
    }

    #[test]
    fn symbols_tell_whether_a_function_is_there() {
        let symbols = "0000 t vfs_read\n0000 T copied.isra.0\n0000 t copied.cold\n0000 t in_module\t[nfs]\n\
                       0000 D __tracepoint_tick\n0000 t vfs_readv\n";
        let looked_up = |name| {
            let facts = of_symbols(TargetKind::Function, name, &[name], symbols);
            (facts.exists, facts.copies)
        };
        assert_eq!(looked_up("vfs_read"), (true, vec![]));
        assert_eq!(looked_up("vfs_rea"), (false, vec![]));
        assert_eq!(looked_up("in_module"), (true, vec![]));
        assert_eq!(looked_up("copied"), (false, vec!["copied.isra.0".to_owned(), "copied.cold".to_owned()]));
        assert!(of_symbols(TargetKind::RawTracepoint, "tick", &["__tracepoint_tick"], symbols).exists);
    }

    #[test]
    fn patterns_match_functions_alone() {
        let symbols = "0000 t vfs_read\n0000 T vfs_readv\n0000 D vfs_data\n";
        let exists = |pattern| of_pattern(pattern, symbols).exists;
        for pattern in ["vfs_rea*", "*", "v?s_*d", "vfs_read", "*readv", "***v*"] {
            assert!(exists(pattern), "{pattern}");
        }
        for pattern in ["vfs_write*", "vfs_da*", "vfs_rea", "?", "", "*x*"] {
            assert!(!exists(pattern), "{pattern}");
        }
    }

    #[test]
    fn what_is_not_in_a_binary_is_told_by_the_errno() {
        let found = |section, errno| facts(section, errno).map(|facts| (facts.kind, facts.name, facts.exists));
        let gone = found("uprobe//proc/self/exe:gone+0x4", libc::ENOENT);
        assert_eq!(gone, Some((TargetKind::UserFunction, "gone".to_owned(), false)));
        let probe = found("usdt//proc/self/exe:a:b", libc::EINVAL);
        assert_eq!(probe, Some((TargetKind::UserProbe, "a:b".to_owned(), true)));
        assert_eq!(found("uprobe//no/such/file:main", libc::ENOENT), None);
    }
}
