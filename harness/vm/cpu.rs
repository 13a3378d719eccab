//! [`Cpu`]: what a guest that runs on the host's CPU depends on.

use std::fs;

/// Fields of `/proc/cpuinfo` that make one CPU another one. The name alone does not: clouds sell one name with different sets of
/// features, and a microcode update takes features away.
const FIELDS: [&str; 7] = ["vendor_id", "cpu family", "model", "model name", "stepping", "microcode", "flags"];

/// Whether a CPU can run guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Virtualisation {
    /// It can, by this module of the kernel.
    Module(&'static str),
    /// It is a virtual one, to which its host gives no virtualisation of its own.
    NotNested,
    /// It cannot, or the firmware does not let it.
    Absent,
}

/// One CPU of this machine, as text that differs where a guest could notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cpu(String);

impl Cpu {
    /// The first CPU of this machine: a guest has one.
    pub fn of_host() -> Cpu {
        Cpu::parse(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
    }

    /// What it says of one of [`FIELDS`], such as `AuthenticAMD` of `vendor_id`.
    pub fn field(&self, name: &str) -> &str {
        self.0.split("; ").find_map(|part| part.strip_prefix(name)?.strip_prefix(' ')).unwrap_or("unknown")
    }

    /// What it says of running guests.
    pub fn virtualisation(&self) -> Virtualisation {
        let has = |flag: &str| self.field("flags").split(' ').any(|word| word == flag);
        match (has("vmx"), has("svm"), has("hypervisor")) {
            (true, _, _) => Virtualisation::Module("kvm_intel"),
            (_, true, _) => Virtualisation::Module("kvm_amd"),
            (_, _, true) => Virtualisation::NotNested,
            _ => Virtualisation::Absent,
        }
    }

    pub fn parse(cpuinfo: &str) -> Cpu {
        let first = cpuinfo.lines().take_while(|line| !line.trim().is_empty());
        let pairs: Vec<(&str, &str)> =
            first.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim())).collect();
        let value = |field: &&str| pairs.iter().find(|(name, _)| name == field).map_or("unknown", |(_, value)| *value);
        let parts: Vec<String> = FIELDS.iter().map(|field| format!("{field} {}", value(field))).collect();
        Cpu(parts.join("; "))
    }
}

impl std::fmt::Display for Cpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPUINFO: &str = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC\n\
                           stepping\t: 1\nmicrocode\t: 0xa0011d5\ncpu MHz\t\t: 2649.998\nflags\t\t: fpu sse avx512f\n\n\
                           processor\t: 1\nvendor_id\t: GenuineIntel\nmodel name\t: another\n";

    #[test]
    fn what_a_guest_could_notice_makes_another_cpu() {
        let cpu = Cpu::parse(CPUINFO);
        assert_eq!(
            cpu.to_string(),
            "vendor_id AuthenticAMD; cpu family 25; model 1; model name AMD EPYC; stepping 1; microcode 0xa0011d5; \
             flags fpu sse avx512f"
        );
        for (from, to) in [
            ("AuthenticAMD", "HygonGenuine"),
            ("cpu family\t: 25", "cpu family\t: 26"),
            ("model\t\t: 1", "model\t\t: 17"),
            ("stepping\t: 1", "stepping\t: 2"),
            ("0xa0011d5", "0xa0011d6"),
            // The same name with fewer features.
            (" avx512f", ""),
        ] {
            assert_ne!(Cpu::parse(&CPUINFO.replacen(from, to, 1)), cpu, "{from} -> {to}");
        }
    }

    #[test]
    fn what_stands_in_the_way_of_kvm_is_told_by_flags() {
        let with = |flags: &str| Cpu::parse(&CPUINFO.replace("fpu sse avx512f", flags)).virtualisation();
        assert_eq!(with("fpu vmx"), Virtualisation::Module("kvm_intel"));
        // In a guest to which the host gives it.
        assert_eq!(with("fpu svm hypervisor"), Virtualisation::Module("kvm_amd"));
        assert_eq!(with("fpu hypervisor"), Virtualisation::NotNested);
        assert_eq!(with("fpu svm_lock"), Virtualisation::Absent);
        assert_eq!(Cpu::parse("").virtualisation(), Virtualisation::Absent);
        assert_eq!(Cpu::parse(CPUINFO).field("vendor_id"), "AuthenticAMD");
        assert_eq!((Cpu::parse(CPUINFO).field("model"), Cpu::parse("").field("vendor_id")), ("1", "unknown"));
    }

    #[test]
    fn clock_rates_and_other_processors_do_not() {
        let cpu = Cpu::parse(CPUINFO);
        assert_eq!(Cpu::parse(&CPUINFO.replace("2649.998", "1500.000")), cpu);
        assert_eq!(Cpu::parse(&CPUINFO.replace("another", "yet another")), cpu);
        assert!(Cpu::parse("").to_string().ends_with("flags unknown"));
    }
}
