//! [`LoadingPrivileges`]: with which privileges an object is loaded, and [`PrivilegesRecord`]: the least with which it loads.

use serde::{Deserialize, Serialize};

/// The kernel's capabilities, each at the place of its number.
pub const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The releases that brought the capabilities which not every kernel has.
const SINCE: [(&str, &str); 3] = [("CAP_PERFMON", "5.8"), ("CAP_BPF", "5.8"), ("CAP_CHECKPOINT_RESTORE", "5.9")];

/// The number of a capability.
pub fn capability_number(name: &str) -> Option<usize> {
    CAPABILITIES.iter().position(|known| *known == name)
}

/// The release that brought a capability, if not every kernel has it.
pub fn capability_since(name: &str) -> Option<&'static str> {
    SINCE.iter().find(|(known, _)| *known == name).map(|(_, since)| *since)
}

/// With which privileges an object is loaded, if not as root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LoadingPrivileges {
    /// By a user that is not root and has these capabilities, and no others.
    Capabilities(Vec<String>),
    /// By a user that is not root and has every capability.
    AllCapabilities,
    /// By the root of a user namespace of its own, with a BPF token that allows everything, and no capability outside of it.
    Token,
}

impl LoadingPrivileges {
    /// As a key of a suite.
    pub fn setting(&self) -> String {
        match self {
            LoadingPrivileges::Capabilities(names) => format!("capabilities = {names:?}"),
            LoadingPrivileges::AllCapabilities => "capabilities = [\"all\"]".to_owned(),
            LoadingPrivileges::Token => "token = true".to_owned(),
        }
    }
}

impl std::fmt::Display for LoadingPrivileges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LoadingPrivileges::Capabilities(names) if names.is_empty() => f.write_str("no capability"),
            LoadingPrivileges::Capabilities(names) => f.write_str(&names.join(" + ")),
            LoadingPrivileges::AllCapabilities => f.write_str("all capabilities"),
            LoadingPrivileges::Token => f.write_str("a BPF token"),
        }
    }
}

/// The least privileges with which an object and its programs load on a kernel, found by loading them with many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PrivilegesRecord {
    /// For all programs that root can load, together with the maps.
    pub object: LeastPrivileges,
    /// For each program alone, in the object's order.
    pub programs: Vec<ProgramPrivileges>,
    /// Why no BPF token was tried, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_token: Option<String>,
}

/// The least privileges with which a program loads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProgramPrivileges {
    /// The program.
    pub program: String,
    /// What it needs.
    #[serde(flatten)]
    pub least: LeastPrivileges,
}

/// The least privileges with which something loads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeastPrivileges {
    /// What is needed.
    pub needs: Need,
    /// Whether a BPF token is enough; `None` if none was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<bool>,
}

/// What is needed to load something.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// These capabilities; without any of them the load fails. None if any user can load it.
    Capabilities(Vec<String>),
    /// More capabilities than those that are tried one by one.
    AllCapabilities,
    /// To be root: all capabilities of another user are not enough.
    Root,
    /// Root cannot load it either, so that privileges make no difference.
    FailsAsRoot,
    /// It is not known, for this reason.
    Unknown(String),
}

impl Need {
    /// Whether it shows with which privileges something loads.
    pub fn is_known(&self) -> bool {
        !matches!(self, Need::FailsAsRoot | Need::Unknown(_))
    }

    /// The names of the capabilities, if it is about such.
    pub fn capabilities(&self) -> &[String] {
        if let Need::Capabilities(names) = self { names } else { &[] }
    }
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Need::Capabilities(names) if names.is_empty() => f.write_str("no capability"),
            Need::Capabilities(names) => f.write_str(&names.join(" + ")),
            Need::AllCapabilities => f.write_str("all capabilities"),
            Need::Root => f.write_str("root"),
            Need::FailsAsRoot => f.write_str("does not load as root"),
            Need::Unknown(reason) => write!(f, "unknown: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_kernels() {
        for (name, number) in [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21), ("CAP_SYS_RESOURCE", 24), ("CAP_BPF", 39)]
        {
            assert_eq!(capability_number(name), Some(number));
        }
        assert_eq!((capability_number("CAP_PERFMON"), capability_since("CAP_PERFMON")), (Some(38), Some("5.8")));
        assert_eq!((capability_number("cap_bpf"), capability_since("CAP_SYSLOG")), (None, None));
    }

    #[test]
    fn needs_are_told_in_words() {
        let need = |names: &[&str]| Need::Capabilities(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(need(&[]).to_string(), "no capability");
        assert_eq!(need(&["CAP_BPF", "CAP_PERFMON"]).to_string(), "CAP_BPF + CAP_PERFMON");
        let set = LoadingPrivileges::Capabilities(vec!["CAP_BPF".into()]);
        assert_eq!((set.setting(), set.to_string()), ("capabilities = [\"CAP_BPF\"]".to_owned(), "CAP_BPF".to_owned()));
    }
}
