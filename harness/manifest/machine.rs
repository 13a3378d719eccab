//! The machine of a kernel's guests in `kernels.toml`: reading it, and the limits that suites and the command line have in common.

use super::profiles::Profiles;
use super::reader::{TableReader, TomlSection};
use crate::record::MachineSettings;

/// Keys of a kernel and of `[defaults]`.
pub(super) const KEYS: [&str; 2] = ["cpus", "numa"];
/// The key with the names of profiles.
pub(super) const PROFILE: &str = "profile";
/// More have no number that an interrupt can name without an IOMMU, which guests have none of.
const MOST_CPUS: i64 = 255;
/// What a kernel is built for at least.
const MOST_NODES: i64 = 64;

/// Checks a number of processors. The error is a fragment that follows the key's name, and a hint.
///
/// # Errors
/// No guest has so many.
pub fn cpus(number: i64) -> Result<u32, (String, String)> {
    bounded(number, MOST_CPUS, "a guest has at least one processor", "no machine that QEMU emulates here has more than")
}

/// Checks a number of NUMA nodes.
///
/// # Errors
/// No guest has so many.
pub fn numa_nodes(number: i64) -> Result<u32, (String, String)> {
    bounded(number, MOST_NODES, "a guest has at least one node", "a guest has no more than")
}

fn bounded(number: i64, most: i64, least_words: &str, most_words: &str) -> Result<u32, (String, String)> {
    match u32::try_from(number).ok().filter(|_| (1..=most).contains(&number)) {
        Some(number) => Ok(number),
        None if number < 1 => Err((format!("is {number}: {least_words}"), format!("write a number from 1 to {most}"))),
        None => Err((format!("is {number}: {most_words} {most}"), format!("write a number from 1 to {most}"))),
    }
}

/// Why the settings do not fit each other, and what to do.
pub fn contradiction(settings: &MachineSettings) -> Option<(String, String)> {
    let (cpus, nodes) = (settings.cpus.unwrap_or(1), settings.numa_nodes.unwrap_or(1));
    (nodes > cpus).then(|| {
        let plural = if cpus == 1 { "" } else { "s" };
        let message =
            format!("{nodes} NUMA nodes need at least {nodes} processors, but the guest has {cpus} processor{plural}");
        (message, format!("set `cpus` to {nodes} or more"))
    })
}

/// Reads the machine of a table; what it leaves out is that of `general`. Memory is no part of it: that is a limit.
pub(super) fn read<'t>(
    reader: &mut TableReader<'t>,
    section: &TomlSection<'t>,
    profiles: Option<&Profiles>,
    general: &MachineSettings,
) -> MachineSettings {
    let mut number = |key: &str, check: fn(i64) -> Result<u32, (String, String)>| {
        let (number, at) = reader.integer(section, key)?;
        match check(number) {
            Ok(number) => Some(number),
            Err((message, hint)) => {
                reader.problem(at.start, format!("{}: `{key}` {message}", section.title), Some(hint));
                None
            }
        }
    };
    let mut own =
        MachineSettings { cpus: number("cpus", cpus), numa_nodes: number("numa", numa_nodes), ..Default::default() };
    if let Some(profiles) = profiles {
        for (name, at) in reader.one_or_more(section, PROFILE) {
            match profiles.get(name) {
                Ok(profile) => own.profiles.push(profile.clone()),
                Err(error) => reader.problem(at.start, format!("{}: {error}", section.title), Some(error.hint)),
            }
        }
    }
    let settings = own.over(general);
    if let Some((message, hint)) = contradiction(&settings) {
        reader.problem(section.start, format!("{}: {message}", section.title), Some(hint));
    }
    settings
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    fn parse(text: &str) -> Result<MachineSettings, String> {
        let manifest = Manifest::parse(text, std::path::Path::new("/k/kernels.toml"));
        manifest.map(|manifest| manifest.kernels[0].machine.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_hold_unless_a_kernel_says_otherwise() {
        let machine = parse("[defaults]\ncpus = 4\n[kernel.x]\nsource = \"host\"\nnuma = 2\n").unwrap();
        assert_eq!((machine.cpus, machine.numa_nodes), (Some(4), Some(2)));
        assert!(parse("[kernel.x]\nsource = \"host\"\n").unwrap().is_empty());
    }

    #[test]
    fn impossible_machines_are_refused_before_anything_boots() {
        for (keys, said) in [
            ("cpus = 0", "`cpus` is 0: a guest has at least one processor"),
            ("cpus = 4096", "`cpus` is 4096: no machine that QEMU emulates here has more than 255"),
            ("cpus = \"8\"", "`cpus` must be a whole number, found string"),
            ("numa = -1", "`numa` is -1"),
            ("numa = 2", "2 NUMA nodes need at least 2 processors, but the guest has 1 processor"),
            ("cpus = 4\nnuma = 8", "8 NUMA nodes need at least 8 processors, but the guest has 4 processors"),
        ] {
            let error = parse(&format!("[kernel.x]\nsource = \"host\"\n{keys}\n")).unwrap_err();
            assert!(error.contains(said), "{keys}: {error}");
        }
    }
}
