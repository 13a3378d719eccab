//! [`arrange`]: has a guest set what a cell's machine needs beyond its boot; [`shortcoming`]: what the machine is not like all the same.

use std::collections::BTreeMap;
use std::time::Duration;

use super::kernel::KernelContext;
use super::session::prepare_limit;
use crate::bytes::in_words;
use crate::judge::errno;
use crate::plan::CellMachine;
use crate::protocol::machine::{MachineFacts, SysctlFact};
use crate::protocol::{GuestMessage, HostMessage};
use crate::record::{MachineRecord, MachineSettings};
use crate::vm::{GuestLink, GuestLoss, GuestShape};

/// Sets the sysctls and asks what the machine is like.
///
/// # Errors
/// Why the guest is lost.
pub(super) fn arrange(
    machine: &mut dyn GuestLink,
    sysctls: &BTreeMap<String, String>,
    limit: Duration,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<MachineFacts, GuestLoss> {
    machine.send(&HostMessage::Arrange { sysctls: sysctls.clone() }, &[], limit, stop)?;
    match machine.receive(limit, stop)? {
        (GuestMessage::Arranged(facts), _) => Ok(facts),
        (other, _) => {
            Err(GuestLoss::Harness(format!("the guest sent {} instead of its machine properties", other.name())))
        }
    }
}

/// Arranges a guest as the kernel's table and the command line want it.
///
/// # Errors
/// Why it is not like that.
pub(super) fn arranged(machine: &mut dyn GuestLink, context: &KernelContext<'_>) -> Result<(), String> {
    let wanted = CellMachine::of(context.spec, &MachineSettings::default());
    if wanted.is_plain() {
        return Ok(());
    }
    let (limit, stop) = (prepare_limit(&context.deadlines), context.run.stop);
    let facts = arrange(machine, &wanted.sysctls, limit, &|| stop.at_once()).map_err(|loss| loss.to_string())?;
    shortcoming(&wanted, machine.shape(), Some(&facts)).map_or(Ok(()), Err)
}

/// Why no object can be judged as if on the machine that was wanted. That is the fault of no object.
pub(super) fn shortcoming(wanted: &CellMachine, shape: &GuestShape, facts: Option<&MachineFacts>) -> Option<String> {
    if shape.cpus != wanted.cpus || shape.numa_nodes != wanted.numa_nodes {
        let machine = format!("{}, {}", counted(wanted.cpus, "processor"), counted(wanted.numa_nodes, "NUMA node"));
        return Some(format!("no guest with {machine} could be started"));
    }
    if shape.memory_mib < wanted.memory_mib {
        return Some(format!("no guest with {} could be started", in_words(wanted.memory_mib.saturating_mul(1 << 20))));
    }
    if let Some(word) = wanted.boot.iter().find(|word| !shape.append.contains(word)) {
        return Some(format!("no guest could be booted with `{word}`"));
    }
    let facts = facts?;
    if let Some(online) = facts.online_cpus.filter(|online| *online < wanted.cpus) {
        let limit = facts.possible_cpus.filter(|possible| *possible < wanted.cpus);
        let why = limit.map_or_else(String::new, |possible| format!(": it is built for {possible} (CONFIG_NR_CPUS)"));
        return Some(format!("the kernel runs {online} of {}{why}", counted(wanted.cpus, "processor")));
    }
    match facts.numa_nodes {
        _ if wanted.numa_nodes == 1 => {}
        None => return Some("the kernel has no NUMA (CONFIG_NUMA)".to_owned()),
        Some(nodes) if nodes != wanted.numa_nodes => {
            return Some(format!("the kernel sees {nodes} of {}", counted(wanted.numa_nodes, "NUMA node")));
        }
        Some(_) => {}
    }
    if let Some(level) = last(&wanted.boot, "lockdown=") {
        match facts.lockdown.as_deref() {
            Some(found) if found == level => {}
            Some(found) => {
                return Some(format!("`lockdown={level}` had no effect: the active lockdown mode is `{found}`"));
            }
            None => {
                return Some(format!(
                    "`lockdown={level}` had no effect: the kernel has no lockdown (CONFIG_SECURITY_LOCKDOWN_LSM)"
                ));
            }
        }
    }
    if let (Some(order), Some(active)) = (last(&wanted.boot, "lsm="), &facts.lsm) {
        let has = |list: &str| list.split(',').any(|name| name == "bpf");
        if !has(order) && has(active) {
            return Some(format!("`lsm={order}` had no effect: the active security modules are `{active}`"));
        }
    }
    facts.sysctls.iter().find_map(|fact| not_taken(fact, wanted.sysctls.get(&fact.name)?))
}

/// The value of the last word with this beginning, which is the one that the kernel obeys.
fn last<'a>(words: &'a [String], prefix: &str) -> Option<&'a str> {
    words.iter().rev().find_map(|word| word.strip_prefix(prefix))
}

/// Why a sysctl is not what it should be.
fn not_taken(fact: &SysctlFact, wanted: &str) -> Option<String> {
    let SysctlFact { name, value, errno } = fact;
    match (errno, value) {
        (&libc::ENOENT, None) => Some(format!("the kernel has no sysctl `{name}`")),
        (0, None) => None,
        (0, Some(value)) if value.split_whitespace().eq(wanted.split_whitespace()) => None,
        (0, Some(value)) => Some(format!("sysctl `{name}` was set to `{wanted}`, but its value is now `{value}`")),
        // What has the value already need not be set: some cannot be set again.
        (_, Some(value)) if value.split_whitespace().eq(wanted.split_whitespace()) => None,
        (errno, _) => Some(format!("sysctl `{name}` rejects `{wanted}`: {}", errno::words(*errno))),
    }
}

/// What the record says of the machine.
pub(super) fn record(wanted: &CellMachine, shape: &GuestShape, facts: Option<&MachineFacts>) -> MachineRecord {
    let values = facts.into_iter().flat_map(|facts| &facts.sysctls);
    let lockdown = facts.and_then(|facts| facts.lockdown.clone()).filter(|level| level != "none");
    MachineRecord {
        cpus: shape.cpus,
        memory_mib: shape.memory_mib,
        numa_nodes: shape.numa_nodes,
        profiles: wanted.profiles.clone(),
        boot: wanted.boot.iter().filter(|word| shape.append.contains(word)).cloned().collect(),
        sysctls: values.filter_map(|fact| Some((fact.name.clone(), fact.value.clone()?))).collect(),
        lockdown,
    }
}

fn counted(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn wanted() -> CellMachine {
        CellMachine {
            cpus: 8,
            memory_mib: 512,
            numa_nodes: 2,
            profiles: vec!["x".to_owned()],
            boot: ["lockdown=integrity", "lsm=yama"].map(str::to_owned).to_vec(),
            sysctls: BTreeMap::from([("a.b".to_owned(), "1 2".to_owned())]),
        }
    }

    fn shape() -> GuestShape {
        GuestShape { memory_mib: 512, cpus: 8, numa_nodes: 2, append: wanted().boot, modules: Vec::new() }
    }

    fn facts() -> MachineFacts {
        MachineFacts {
            possible_cpus: Some(8),
            online_cpus: Some(8),
            numa_nodes: Some(2),
            lockdown: Some("integrity".to_owned()),
            lsm: Some("capability,yama".to_owned()),
            sysctls: vec![SysctlFact { name: "a.b".to_owned(), value: Some("1\t2".to_owned()), errno: 0 }],
        }
    }

    fn said(change: impl FnOnce(&mut MachineFacts)) -> String {
        let mut changed = facts();
        change(&mut changed);
        shortcoming(&wanted(), &shape(), Some(&changed)).unwrap_or_default()
    }

    #[test]
    fn machine_that_is_as_wanted_has_no_shortcoming() {
        assert_eq!(said(|_| ()), "");
        let record = record(&wanted(), &shape(), Some(&facts()));
        assert_eq!((record.cpus, record.lockdown.as_deref(), record.boot.len()), (8, Some("integrity"), 2));
        assert_eq!(record.sysctls["a.b"], "1\t2");
    }

    #[test]
    fn what_the_machine_lacks_is_named() {
        let sysctl = |value: Option<&str>, errno| {
            let value = value.map(str::to_owned);
            said(|facts| facts.sysctls[0] = SysctlFact { name: "a.b".to_owned(), value, errno })
        };
        assert_eq!(sysctl(None, libc::ENOENT), "the kernel has no sysctl `a.b`");
        assert_eq!(sysctl(Some("0"), 0), "sysctl `a.b` was set to `1 2`, but its value is now `0`");
        assert!(sysctl(Some("0"), libc::EINVAL).starts_with("sysctl `a.b` rejects `1 2`: Invalid argument"));
        // One that cannot be set again has the value.
        assert_eq!(sysctl(Some("1 2"), libc::EPERM), "");
        let runs = said(|facts| (facts.online_cpus, facts.possible_cpus) = (Some(4), Some(4)));
        assert_eq!(runs, "the kernel runs 4 of 8 processors: it is built for 4 (CONFIG_NR_CPUS)");
        assert_eq!(said(|facts| facts.numa_nodes = None), "the kernel has no NUMA (CONFIG_NUMA)");
        assert_eq!(said(|facts| facts.numa_nodes = Some(1)), "the kernel sees 1 of 2 NUMA nodes");
        assert!(said(|facts| facts.lockdown = Some("none".to_owned())).contains("the active lockdown mode is `none`"));
        assert!(said(|facts| facts.lockdown = None).contains("the kernel has no lockdown"));
        assert!(said(|facts| facts.lsm = Some("yama,bpf".to_owned())).contains("`yama,bpf`"));
    }

    #[test]
    fn guest_of_another_shape_judges_nothing() {
        let plain = GuestShape { cpus: 1, numa_nodes: 1, ..shape() };
        let said = shortcoming(&wanted(), &plain, None).unwrap();
        assert_eq!(said, "no guest with 8 processors, 2 NUMA nodes could be started");
        let small = GuestShape { memory_mib: 256, ..shape() };
        assert_eq!(shortcoming(&wanted(), &small, None).unwrap(), "no guest with 512 MiB could be started");
        let without = GuestShape { append: Vec::new(), ..shape() };
        assert_eq!(
            shortcoming(&wanted(), &without, None).unwrap(),
            "no guest could be booted with `lockdown=integrity`"
        );
    }
}
