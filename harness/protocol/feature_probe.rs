//! [`FeatureProbe`]: which BPF features a kernel has, found by asking it.
//!
//! What a kernel lists in its BTF it may still lack by its config, and what it does not list a back-port may have brought.
//! The guest asks with loads and maps of its own; the store keeps the answers, so each kernel is probed once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a kernel answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It has it: it took the map or the program, or complained of something else.
    Yes,
    /// It said that it does not have it.
    No,
    /// It is not known, such as where the kernel lacked memory or the libbpf linked in cannot ask.
    Unknown,
}

/// Features of one kernel. All names are lower-case and without the prefix of their enum, as libbpf prints them: `ringbuf`,
/// `kprobe`, `trace_fentry`; helpers are named as in `enum bpf_func_id`: `loop`. What is not listed was not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureProbe {
    /// Whether helpers were asked for of every program type.
    pub whole: bool,
    /// Map types.
    pub map_types: BTreeMap<String, Answer>,
    /// Program types.
    pub program_types: BTreeMap<String, Answer>,
    /// Attach types that a kernel checks when it loads a program.
    pub attach_types: BTreeMap<String, Answer>,
    /// Whether the kernel has a helper at all, for any type of program. One that no asked type may call is not listed.
    pub existing_helpers: BTreeMap<String, Answer>,
    /// Helpers by program type. Types that cannot be tried, such as `struct_ops` and `ext`, are left out.
    pub helpers: BTreeMap<String, BTreeMap<String, Answer>>,
}

/// What to ask a kernel for. Types and attach types are always asked for: they are few.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRequest {
    /// What there is to ask for.
    pub names: FeatureNames,
    /// Where programs can be tried that need a target.
    pub targets: ProbeTargets,
    /// The program types whose helpers are wanted; `None` for all, which takes seconds under emulation.
    pub helpers_of: Option<Vec<String>>,
}

/// Number and name of all features that are known about each kind, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureNames {
    /// Map types.
    pub map_types: Vec<(u32, String)>,
    /// Program types.
    pub program_types: Vec<(u32, String)>,
    /// Attach types.
    pub attach_types: Vec<(u32, String)>,
    /// Helpers.
    pub helpers: Vec<(u32, String)>,
}

/// Types of the kernel's BTF on which programs that need a target are tried; `None` where the kernel has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeTargets {
    /// A function that `fentry` programs attach to.
    pub function: Option<u32>,
    /// A hook of the security modules.
    pub hook: Option<u32>,
}

impl FeatureProbe {
    /// Whether nothing of what `helpers_of` asks for is missing; `None` asks for all.
    pub fn covers(&self, helpers_of: Option<&[String]>) -> bool {
        match helpers_of {
            None => self.whole,
            Some(wanted) => {
                let known = |name: &String| {
                    let absent = self.program_types.get(name).is_none_or(|answer| *answer == Answer::No);
                    absent || self.helpers.contains_key(name)
                };
                self.whole || (!self.program_types.is_empty() && wanted.iter().all(known))
            }
        }
    }

    /// Adds what another probe of the same kernel knows.
    pub fn add(&mut self, other: FeatureProbe) {
        self.whole |= other.whole;
        self.map_types.extend(other.map_types);
        self.program_types.extend(other.program_types);
        self.attach_types.extend(other.attach_types);
        self.existing_helpers.extend(other.existing_helpers);
        self.helpers.extend(other.helpers);
    }

    /// Whether programs of this type may call a helper. Of a type that the kernel does not have, none may.
    pub fn helper(&self, program_type: &str, helper: &str) -> Answer {
        match (self.program_types.get(program_type), self.helpers.get(program_type)) {
            (Some(Answer::No), _) => Answer::No,
            (_, Some(answers)) => answers.get(helper).copied().unwrap_or(Answer::Unknown),
            (_, None) => Answer::Unknown,
        }
    }

    /// Whether programs of any type may call a helper.
    pub fn helper_anywhere(&self, helper: &str) -> Answer {
        self.existing_helpers.get(helper).copied().unwrap_or(Answer::Unknown)
    }

    /// The program types whose programs may call a helper, in order.
    pub fn callers(&self, helper: &str) -> Vec<&str> {
        let may = |program_type: &&str| self.helper(program_type, helper) == Answer::Yes;
        self.helpers.keys().map(String::as_str).filter(may).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        let of = |name: &str| FeatureProbe {
            program_types: [("kprobe".to_owned(), Answer::Yes), ("netfilter".to_owned(), Answer::No)].into(),
            helpers: [(name.to_owned(), BTreeMap::new())].into(),
            ..Default::default()
        };
        let types = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<String>>();
        assert!(!FeatureProbe::default().covers(Some(&[])), "nothing was asked yet");
        let mut probe = of("kprobe");
        // Of a type that is not there no helper needs to be asked for; `socket` is none that libbpf knows.
        assert!(probe.covers(Some(&types(&["kprobe", "netfilter", "socket"]))));
        probe.program_types.insert("xdp".into(), Answer::Yes);
        assert!(!probe.covers(Some(&types(&["xdp"]))) && !probe.covers(None));
        probe.add(of("xdp"));
        assert!(probe.covers(Some(&types(&["xdp", "kprobe"]))) && !probe.covers(None));
        probe.add(FeatureProbe { whole: true, ..Default::default() });
        assert!(probe.covers(None));
    }

    #[test]
    fn a_type_that_the_kernel_lacks_calls_nothing() {
        let mut probe = FeatureProbe::default();
        assert_eq!((probe.helper("xdp", "loop"), probe.helper_anywhere("loop")), (Answer::Unknown, Answer::Unknown));
        probe.program_types.insert("netfilter".into(), Answer::No);
        assert_eq!(probe.helper("netfilter", "loop"), Answer::No);
        probe.helpers.insert("kprobe".into(), [("loop".to_owned(), Answer::Yes)].into());
        probe.existing_helpers.insert("loop".into(), Answer::Yes);
        assert_eq!((probe.helper_anywhere("loop"), probe.callers("loop")), (Answer::Yes, vec!["kprobe"]));
    }
}
