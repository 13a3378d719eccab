//! [`KernelFacts`]: what a kernel says of itself once it is up, as far as BPF depends on it; and what it costs if something is missing.

use serde::{Deserialize, Serialize};

/// What is active in the guest. `None` and `false` mean that the kernel does not say or does not have it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFacts {
    /// `uname -r`.
    pub release: String,
    /// `uname -v`: which build of that release.
    pub version: String,
    /// `uname -m`.
    pub machine: String,
    /// The GNU build id in hex, from `/sys/kernel/notes`.
    pub build_id: Option<String>,
    /// Whether it shows its BTF.
    pub btf: bool,
    /// Whether it carries its config (`/proc/config.gz`).
    pub config_gz: bool,
    /// The active security modules in their order; `None` without securityfs.
    pub lsm: Option<Vec<String>>,
    /// The lockdown in force: `none`, `integrity` or `confidentiality`.
    pub lockdown: Option<String>,
    /// `net.core.bpf_jit_enable`.
    pub jit: Option<u32>,
    /// `net.core.bpf_jit_harden`.
    pub jit_harden: Option<u32>,
    /// `kernel.unprivileged_bpf_disabled`.
    pub unprivileged_bpf_disabled: Option<u32>,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: Option<i32>,
    /// What can be traced.
    pub tracing: TracingFacts,
    /// Whether the BPF file system is mounted.
    pub bpffs: bool,
    /// Whether cgroup v2 is mounted.
    pub cgroup2: bool,
    /// Bytes.
    pub page_size: u64,
    /// How many are online.
    pub cpus: u64,
}

/// What can be traced, as tracefs shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracingFacts {
    /// Whether there is a tracefs.
    pub tracefs: bool,
    /// Whether it takes kprobes (`kprobe_events`).
    pub kprobes: bool,
    /// Whether it takes uprobes (`uprobe_events`).
    pub uprobes: bool,
    /// Whether there is a function that ftrace can hook (`available_filter_functions`).
    pub functions: bool,
    /// Whether system calls have trace points.
    pub syscalls: bool,
}

impl KernelFacts {
    /// What is missing and what that costs; lowercase fragments. The guest itself reports what could not be mounted.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |is_missing: bool, text: &str| {
            if is_missing {
                notes.push(text.to_owned());
            }
        };
        let TracingFacts { tracefs, kprobes, uprobes, functions, syscalls } = self.tracing;
        note(
            self.lsm.as_ref().is_some_and(|active| active.iter().all(|name| name != "bpf")),
            "the BPF LSM is not active (`CONFIG_BPF_LSM`, or `lsm=` without `bpf`): LSM programs never run",
        );
        note(
            tracefs && !functions,
            "no function tracing (`CONFIG_FUNCTION_TRACER`, `CONFIG_DYNAMIC_FTRACE`): fentry, fexit and fmod_ret \
    programs cannot be attached",
        );
        note(tracefs && !kprobes, "no kprobes (`CONFIG_KPROBE_EVENTS`): kprobe programs load but cannot be attached");
        note(
            tracefs && !uprobes,
            "no uprobes (`CONFIG_UPROBE_EVENTS`): uprobe and USDT programs load but cannot be attached",
        );
        note(
            tracefs && !syscalls,
            "system calls have no tracepoints (`CONFIG_FTRACE_SYSCALLS`): `tracepoint/syscalls/...` programs cannot be \
    attached",
        );
        note(
            !matches!(self.jit, Some(1..)),
            "the BPF JIT is off (`CONFIG_BPF_JIT`, `net.core.bpf_jit_enable`): programs that call kernel functions are refused",
        );
        match self.lockdown.as_deref() {
            Some("integrity") => {
                note(true, "lockdown is `integrity`: `bpf_probe_write_user` and unsigned modules are refused");
            }
            Some("confidentiality") => note(
                true,
                "lockdown is `confidentiality`: kprobes, tracepoints and reads of kernel memory from programs are \
    refused",
            ),
            _ => {}
        }
        notes
    }

    /// What is active as pairs of a name and a value, for people.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let number = |number: Option<i64>| number.map_or("unknown".to_owned(), |number| number.to_string());
        let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let TracingFacts { tracefs, kprobes, uprobes, functions, syscalls } = self.tracing;
        let can = [
            ("tracefs", tracefs),
            ("kprobes", kprobes),
            ("uprobes", uprobes),
            ("functions", functions),
            ("system calls", syscalls),
        ];
        let can: Vec<&str> = can.into_iter().filter_map(|(name, there)| there.then_some(name)).collect();
        let unknown = || "unknown".to_owned();
        vec![
            ("release", self.release.clone()),
            ("version", format!("{} {}", self.version, self.machine)),
            ("build id", self.build_id.clone().unwrap_or_else(unknown)),
            ("BTF", yes(self.btf)),
            ("config inside", yes(self.config_gz)),
            ("security modules", self.lsm.as_ref().map_or_else(unknown, |names| names.join(", "))),
            ("lockdown", self.lockdown.clone().unwrap_or_else(|| "not built in".to_owned())),
            ("BPF JIT", number(self.jit.map(i64::from))),
            ("BPF JIT hardening", number(self.jit_harden.map(i64::from))),
            ("unprivileged BPF off", number(self.unprivileged_bpf_disabled.map(i64::from))),
            ("perf paranoia", number(self.perf_event_paranoid.map(i64::from))),
            ("tracing", if can.is_empty() { "none".to_owned() } else { can.join(", ") }),
            ("BPF file system", yes(self.bpffs)),
            ("cgroup v2", yes(self.cgroup2)),
            ("page size", self.page_size.to_string()),
            ("CPUs", self.cpus.to_string()),
        ]
    }
}

/// A GNU build id as host and guest write it: in hex.
pub fn build_id_text(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A kernel that lacks nothing.
    pub(crate) fn whole() -> KernelFacts {
        KernelFacts {
            release: "6.1.0-50-cloud-amd64".to_owned(),
            version: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1".to_owned(),
            machine: "x86_64".to_owned(),
            build_id: Some("c0ffee".to_owned()),
            btf: true,
            config_gz: false,
            lsm: Some(vec!["capability".to_owned(), "bpf".to_owned()]),
            lockdown: Some("none".to_owned()),
            jit: Some(1),
            jit_harden: Some(0),
            unprivileged_bpf_disabled: Some(2),
            perf_event_paranoid: Some(3),
            tracing: TracingFacts { tracefs: true, kprobes: true, uprobes: true, functions: true, syscalls: true },
            bpffs: true,
            cgroup2: true,
            page_size: 4096,
            cpus: 1,
        }
    }

    #[test]
    fn what_is_missing_is_told_with_its_cost() {
        assert_eq!(whole().notes(), Vec::<String>::new());
        let limits_with = |change: &dyn Fn(&mut KernelFacts)| {
            let mut facts = whole();
            change(&mut facts);
            let notes = facts.notes();
            assert_eq!(notes.len(), 1, "{notes:?}");
            notes[0].clone()
        };
        assert!(limits_with(&|facts| facts.lsm = Some(vec!["landlock".to_owned()])).contains("LSM programs never run"));
        assert!(limits_with(&|facts| facts.tracing.functions = false).contains("fentry"));
        assert!(limits_with(&|facts| facts.tracing.kprobes = false).contains("CONFIG_KPROBE_EVENTS"));
        assert!(limits_with(&|facts| facts.jit = Some(0)).contains("JIT is off"));
        assert!(limits_with(&|facts| facts.jit = None).contains("JIT is off"));
        assert!(limits_with(&|facts| facts.lockdown = Some("integrity".to_owned())).contains("bpf_probe_write_user"));
        assert!(limits_with(&|facts| facts.lockdown = Some("confidentiality".to_owned())).contains("kprobes"));
    }

    #[test]
    fn what_is_not_known_is_no_lack() {
        // The guest has reported that it could not mount these.
        let unknown = KernelFacts { lsm: None, lockdown: None, tracing: TracingFacts::default(), ..whole() };
        assert_eq!(unknown.notes(), Vec::<String>::new());
    }

    #[test]
    fn rows_have_every_fact() {
        let rows: Vec<String> = whole().rows().iter().map(|(name, value)| format!("{name}: {value}")).collect();
        insta::assert_snapshot!(rows.join("\n"), @r"
        release: 6.1.0-50-cloud-amd64
        version: #1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 x86_64
        build id: c0ffee
        BTF: yes
        config inside: no
        security modules: capability, bpf
        lockdown: none
        BPF JIT: 1
        BPF JIT hardening: 0
        unprivileged BPF off: 2
        perf paranoia: 3
        tracing: tracefs, kprobes, uprobes, functions, system calls
        BPF file system: yes
        cgroup v2: yes
        page size: 4096
        CPUs: 1
        ");
    }
}
