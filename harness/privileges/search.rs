//! [`least`]: the fewest capabilities with which each program of an object loads, and all of them together.
//!
//! More privileges never make a load fail, so that what is needed shows by taking away: a capability is needed if all the others are not
//! enough. Few sets have to be tried, and programs share them.

use std::collections::BTreeMap;

use crate::record::{LeastPrivileges, LoadingPrivileges, Need};

/// The capabilities that the kernel asks for when it loads BPF, the narrow ones first.
pub const CANDIDATES: [&str; 4] = ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_SYS_RESOURCE"];

/// What else a load may need: the capability before the narrow ones came, and those that reading addresses and files takes.
const WIDE: [&str; 4] = ["CAP_SYS_ADMIN", "CAP_SYSLOG", "CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE"];

/// The outcome of loading with some privileges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Whether each program loaded; in the order in which they were asked about.
    pub loaded: Vec<bool>,
    /// Whether the object loaded as a whole, as far as it does as root.
    pub whole: bool,
}

/// Loads with these privileges. `Ok(Err(...))` if no one can have them on this kernel: the capabilities that it does not know, and why.
pub type Oracle<'a, E> = dyn FnMut(&LoadingPrivileges) -> Result<Result<Trial, (Vec<String>, String)>, E> + 'a;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// For all programs together.
    pub object: LeastPrivileges,
    /// For each program.
    pub programs: Vec<LeastPrivileges>,
    /// Why no token was tried.
    pub no_token: Option<String>,
}

/// What is to load.
#[derive(Debug, Clone, Copy)]
enum Goal {
    Program(usize),
    Whole,
}

impl Goal {
    fn reached(self, trial: &Trial) -> bool {
        match self {
            Goal::Program(index) => trial.loaded.get(index) == Some(&true),
            Goal::Whole => trial.whole && trial.loaded.iter().all(|loaded| *loaded),
        }
    }
}

/// Sets that were tried.
struct Tried<'a, 'b, E> {
    oracle: &'a mut Oracle<'b, E>,
    known: BTreeMap<LoadingPrivileges, Trial>,
    /// Capabilities that the kernel does not have.
    missing: Vec<String>,
}

/// Why a search ended early.
enum Ended<E> {
    /// The oracle failed.
    Failed(E),
    /// No one can have such privileges, for this reason.
    Impossible(String),
}

/// Finds the least privileges for each of `programs` programs that load as root.
///
/// # Errors
/// Those of the oracle.
pub fn least<E>(programs: usize, oracle: &mut Oracle<'_, E>) -> Result<Found, E> {
    let mut tried = Tried { oracle, known: BTreeMap::new(), missing: Vec::new() };
    let needs = (0..programs).map(|program| tried.need(Goal::Program(program)));
    let needs: Vec<Need> = needs.collect::<Result<_, E>>()?;
    let object = tried.need_of_all(&needs)?;
    let token = match (tried.oracle)(&LoadingPrivileges::Token)? {
        Ok(trial) => Ok(trial),
        Err((_, reason)) => Err(reason),
    };
    let enough = |goal: Goal| token.as_ref().ok().map(|trial| goal.reached(trial));
    let of = |(program, needs): (usize, Need)| LeastPrivileges { needs, token: enough(Goal::Program(program)) };
    Ok(Found {
        object: LeastPrivileges { needs: object, token: enough(Goal::Whole) },
        programs: needs.into_iter().enumerate().map(of).collect(),
        no_token: token.as_ref().err().cloned(),
    })
}

impl<E> Tried<'_, '_, E> {
    fn need(&mut self, goal: Goal) -> Result<Need, E> {
        match self.search(goal) {
            Ok(need) => Ok(need),
            Err(Ended::Impossible(reason)) => Ok(Need::Unknown(reason)),
            Err(Ended::Failed(error)) => Err(error),
        }
    }

    /// For the object as a whole it is usually what its programs need.
    fn need_of_all(&mut self, programs: &[Need]) -> Result<Need, E> {
        let all: Vec<&str> = CANDIDATES.into_iter().chain(WIDE).collect();
        let wants = |name: &&str| programs.iter().any(|need| need.capabilities().iter().any(|known| known == name));
        let union: Vec<&str> = all.into_iter().filter(wants).collect();
        if programs.iter().all(|need| matches!(need, Need::Capabilities(_))) {
            match self.works(&union, Goal::Whole) {
                Ok(true) => return Ok(Need::Capabilities(owned(&union))),
                Ok(false) | Err(Ended::Impossible(_)) => {}
                Err(Ended::Failed(error)) => return Err(error),
            }
        }
        self.need(Goal::Whole)
    }

    fn search(&mut self, goal: Goal) -> Result<Need, Ended<E>> {
        if self.works(&[], goal)? {
            return Ok(Need::Capabilities(Vec::new()));
        }
        let mut enough = CANDIDATES.to_vec();
        if !self.works(&enough, goal)? {
            enough.extend(WIDE);
            if !self.works(&enough, goal)? {
                let all = self.trial(&LoadingPrivileges::AllCapabilities)?;
                return Ok(if goal.reached(&all) { Need::AllCapabilities } else { Need::Root });
            }
        }
        enough.retain(|name| !self.missing.iter().any(|missing| missing == name));
        let mut needed = Vec::new();
        for name in &enough {
            if !self.works(&without(&enough, name), goal)? {
                needed.push(*name);
            }
        }
        // Where one capability stands in for another neither is needed; then what is left over is taken away one by one.
        if !self.works(&needed, goal)? {
            needed = enough;
            // The wide ones go first.
            for name in WIDE.into_iter().chain(CANDIDATES) {
                let fewer = without(&needed, name);
                if fewer.len() < needed.len() && self.works(&fewer, goal)? {
                    needed = fewer;
                }
            }
        }
        Ok(Need::Capabilities(owned(&needed)))
    }

    fn works(&mut self, names: &[&str], goal: Goal) -> Result<bool, Ended<E>> {
        // A kernel that does not know some of them is tried once more without those.
        for _ in 0..2 {
            let known: Vec<&str> =
                names.iter().copied().filter(|name| !self.missing.iter().any(|missing| missing == name)).collect();
            let missing = self.missing.len();
            match self.trial(&LoadingPrivileges::Capabilities(owned(&known))) {
                Err(Ended::Impossible(_)) if self.missing.len() > missing => {}
                other => return other.map(|trial| goal.reached(&trial)),
            }
        }
        Err(Ended::Impossible("the kernel keeps reporting missing capabilities".to_owned()))
    }

    fn trial(&mut self, privileges: &LoadingPrivileges) -> Result<Trial, Ended<E>> {
        if let Some(known) = self.known.get(privileges) {
            return Ok(known.clone());
        }
        match (self.oracle)(privileges).map_err(Ended::Failed)? {
            Ok(trial) => {
                self.known.insert(privileges.clone(), trial.clone());
                Ok(trial)
            }
            Err((missing, reason)) => {
                self.missing.extend(missing);
                Err(Ended::Impossible(reason))
            }
        }
    }
}

fn without<'a>(names: &[&'a str], name: &str) -> Vec<&'a str> {
    names.iter().copied().filter(|known| *known != name).collect()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests;
