//! [`Part`]: what a kernel has only if it is built with an option: attach targets, struct_ops types, kfuncs and their types.

use super::KernelView;

/// A release of Linux, such as 6.12.
type Release = (u32, u32);

/// Names that come and go with an option. A module has them if the option can be one.
pub(super) struct Part {
    /// The option.
    pub option: &'static str,
    /// The module that has the names where the option is `m`; `None` if they are never in one.
    pub module: Option<&'static str>,
    /// The first release with these names.
    pub since: Release,
    /// The first release without them.
    until: Option<Release>,
    /// Names of functions and types; `*` stands for any end.
    names: &'static [&'static str],
}

/// Why a kernel does not have a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Absence {
    /// It is built without the option.
    Off,
    /// The option is a module.
    Module(&'static str),
    /// It is older than the part, or the part is gone again: no option helps.
    OtherRelease,
}

const fn always(option: &'static str, since: Release, names: &'static [&'static str]) -> Part {
    Part { option, module: None, since, until: None, names }
}

const fn in_module(
    (option, module): (&'static str, &'static str),
    since: Release,
    names: &'static [&'static str],
) -> Part {
    Part { option, module: Some(module), since, until: None, names }
}

/// What Linux has of this kind. A name that two rows match belongs to the first.
const PARTS: &[Part] = &[
    always("CONFIG_BPF_LSM", (5, 7), &["bpf_lsm_*"]),
    // HID-BPF attached by fmod_ret before it took struct_ops.
    Part {
        option: "CONFIG_HID_BPF",
        module: None,
        since: (6, 3),
        until: Some((6, 11)),
        names: &["hid_bpf_device_event", "hid_bpf_rdesc_fixup", "hid_bpf_attach_prog"],
    },
    always("CONFIG_HID_BPF", (6, 11), &["hid_bpf_ops", "hid_bpf_try_input_report"]),
    always("CONFIG_HID_BPF", (6, 3), &["hid_bpf_*"]),
    always("CONFIG_SCHED_CLASS_EXT", (6, 12), &["sched_ext_*", "scx_*"]),
    always("CONFIG_NET_SCH_BPF", (6, 16), &["Qdisc_ops", "bpf_qdisc_*"]),
    always("CONFIG_INET", (5, 6), &["tcp_congestion_ops"]),
    always("CONFIG_IPV6", (5, 8), &["bpf_iter_ipv6_route"]),
    always("CONFIG_DMA_SHARED_BUFFER", (6, 17), &["bpf_iter_dmabuf*"]),
    always("CONFIG_KEYS", (6, 1), &["bpf_lookup_user_key", "bpf_lookup_system_key", "bpf_key_put"]),
    always("CONFIG_SYSTEM_DATA_VERIFICATION", (6, 1), &["bpf_verify_pkcs7_signature"]),
    always("CONFIG_FS_VERITY", (6, 8), &["bpf_get_fsverity_digest"]),
    always("CONFIG_CRYPTO", (6, 10), &["bpf_crypto_*"]),
    always("CONFIG_XFRM", (6, 8), &["bpf_xdp_get_xfrm_state", "bpf_xdp_xfrm_state_release"]),
    in_module(("CONFIG_NF_NAT", "nf_nat"), (6, 1), &["bpf_ct_set_nat_info"]),
    in_module(("CONFIG_NF_CONNTRACK", "nf_conntrack"), (5, 18), &["bpf_ct_*", "bpf_skb_ct_*", "bpf_xdp_ct_*"]),
    in_module(("CONFIG_NF_FLOW_TABLE", "nf_flow_table"), (6, 11), &["bpf_xdp_flow_lookup"]),
    in_module(("CONFIG_XFRM_INTERFACE", "xfrm_interface"), (6, 2), &["bpf_skb_get_xfrm_info", "bpf_skb_set_xfrm_info"]),
    in_module(("CONFIG_NET_FOU", "fou"), (6, 4), &["bpf_skb_get_fou_encap", "bpf_skb_set_fou_encap"]),
    in_module(("CONFIG_TCP_CONG_CUBIC", "tcp_cubic"), (5, 13), &["cubictcp_*"]),
    in_module(("CONFIG_TCP_CONG_DCTCP", "tcp_dctcp"), (5, 13), &["dctcp_*"]),
    in_module(("CONFIG_TCP_CONG_BBR", "tcp_bbr"), (5, 13), &["bbr_*"]),
];

impl Part {
    /// The part with a name, and why the kernel does not have it; `None` if its release or config does not say.
    pub(super) fn missing(name: &str, kernel: &dyn KernelView) -> Option<(&'static Part, Absence)> {
        let part = PARTS.iter().find(|part| part.has(name))?;
        let absence = match kernel.release() {
            Some(release) if release < part.since => Some(Absence::OtherRelease),
            Some(release) if part.until.is_some_and(|until| release >= until) => Some(Absence::OtherRelease),
            // Whether an option would help is not known.
            None if part.until.is_some() => None,
            _ => match (kernel.config(part.option), part.module) {
                (Some(false), _) => Some(Absence::Off),
                (Some(true), Some(module)) if kernel.is_module(part.option) => Some(Absence::Module(module)),
                _ => None,
            },
        }?;
        Some((part, absence))
    }

    /// Which releases have it, and with which option: `it needs Linux 6.3 to 6.10 with `CONFIG_HID_BPF``.
    pub(super) fn releases(&self) -> String {
        let ((major, minor), option) = (self.since, self.option);
        match self.until {
            Some((end, before)) => {
                let last = before.saturating_sub(1);
                format!("it needs Linux {major}.{minor} to {end}.{last} with `{option}`")
            }
            None => format!("it needs Linux {major}.{minor} or later with `{option}`"),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| match known.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => *known == name,
        })
    }
}
