//! [`Feature::since`]: the release of Linux that brought a program type or an attach type.

use super::Feature;

/// Program types that came after 4.16, by libbpf's name.
const PROGRAM_TYPES: &[(&str, &str)] = &[
    ("sk_msg", "4.17"),
    ("raw_tracepoint", "4.17"),
    ("cgroup_sock_addr", "4.17"),
    ("lwt_seg6local", "4.18"),
    ("lirc_mode2", "4.18"),
    ("sk_reuseport", "4.19"),
    ("flow_dissector", "4.20"),
    ("cgroup_sysctl", "5.2"),
    ("raw_tracepoint_writable", "5.2"),
    ("cgroup_sockopt", "5.3"),
    ("tracing", "5.5"),
    ("struct_ops", "5.6"),
    ("ext", "5.6"),
    ("lsm", "5.7"),
    ("sk_lookup", "5.9"),
    ("syscall", "5.14"),
    ("netfilter", "6.4"),
];

/// Attach types that came after 5.4, by libbpf's name.
const ATTACH_TYPES: &[(&str, &str)] = &[
    ("trace_raw_tp", "5.5"),
    ("trace_fentry", "5.5"),
    ("trace_fexit", "5.5"),
    ("modify_return", "5.7"),
    ("lsm_mac", "5.7"),
    ("trace_iter", "5.8"),
    ("cgroup_inet4_getpeername", "5.8"),
    ("cgroup_inet6_getpeername", "5.8"),
    ("cgroup_inet4_getsockname", "5.8"),
    ("cgroup_inet6_getsockname", "5.8"),
    ("xdp_devmap", "5.8"),
    ("cgroup_inet_sock_release", "5.9"),
    ("xdp_cpumap", "5.9"),
    ("sk_lookup", "5.9"),
    ("xdp", "5.9"),
    ("sk_skb_verdict", "5.13"),
    ("sk_reuseport_select", "5.14"),
    ("sk_reuseport_select_or_migrate", "5.14"),
    ("perf_event", "5.15"),
    ("trace_kprobe_multi", "5.18"),
    ("lsm_cgroup", "6.0"),
    ("netfilter", "6.4"),
    ("tcx_ingress", "6.6"),
    ("tcx_egress", "6.6"),
    ("trace_uprobe_multi", "6.6"),
    ("cgroup_unix_connect", "6.7"),
    ("cgroup_unix_sendmsg", "6.7"),
    ("cgroup_unix_recvmsg", "6.7"),
    ("cgroup_unix_getpeername", "6.7"),
    ("cgroup_unix_getsockname", "6.7"),
    ("netkit_primary", "6.7"),
    ("netkit_peer", "6.7"),
    ("trace_kprobe_session", "6.10"),
    ("trace_uprobe_session", "6.13"),
    ("trace_fsession", "7.0"),
];

impl Feature {
    /// The release of Linux that brought it, from any usual form of its name; `None` for what is older than the kernels that load
    /// CO-RE objects, for what is not in the table, and for helpers and maps, which the kernels' types list reliably.
    /// A distribution may have it earlier, by a back-port.
    pub fn since(self, name: &str) -> Option<&'static str> {
        let table = match self {
            Feature::ProgramType => PROGRAM_TYPES,
            Feature::AttachType => ATTACH_TYPES,
            Feature::Helper | Feature::MapType => return None,
        };
        let bare = self.bare(name);
        table.iter().find(|(known, _)| *known == bare).map(|(_, since)| *since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_names_what_libbpf_knows() {
        for (feature, table) in [(Feature::ProgramType, PROGRAM_TYPES), (Feature::AttachType, ATTACH_TYPES)] {
            let known = feature.known();
            for (name, _) in table {
                assert!(known.iter().any(|(_, known)| known == name), "{name}");
            }
        }
    }

    #[test]
    fn releases_are_found_by_any_form_of_a_name() {
        assert_eq!(Feature::ProgramType.since("BPF_PROG_TYPE_TRACING"), Some("5.5"));
        assert_eq!(Feature::AttachType.since("trace_iter"), Some("5.8"));
        assert_eq!(Feature::AttachType.since("cgroup_inet_ingress"), None);
        assert_eq!(Feature::Helper.since("loop"), None);
    }
}
