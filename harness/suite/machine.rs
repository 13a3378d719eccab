//! [`WrittenMachine`]: the machine of a suite's objects, or of one of their shapes, as it is written.

use serde::Deserialize;
use toml::Spanned;

use super::error::Mistake;
use crate::manifest::{Profiles, machine, quantity};
use crate::record::MachineSettings;

/// Keys of a machine, in suites and in their shapes.
pub(super) const KEYS: [&str; 4] = ["cpus", "memory", "numa", "profile"];

/// A name or a list of names.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "the name of a profile, or a list of names")]
pub(super) enum Names {
    One(String),
    Several(Vec<String>),
}

/// The machine as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct WrittenMachine<'a> {
    pub cpus: Option<&'a Spanned<i64>>,
    pub memory: Option<&'a Spanned<String>>,
    pub numa: Option<&'a Spanned<i64>>,
    pub profile: Option<&'a Spanned<Names>>,
}

impl WrittenMachine<'_> {
    /// Checks the numbers, and looks the profiles up. `Err` has the place in the file if it is known.
    pub fn checked(self, profiles: &Profiles) -> Result<MachineSettings, (Option<usize>, Mistake)> {
        let number = |written: Option<&Spanned<i64>>, key: &str, check: fn(i64) -> Result<u32, (String, String)>| {
            let checked = written.map(|written| {
                check(*written.get_ref()).map_err(|(message, hint)| {
                    (Some(written.span().start), Mistake::new(format!("`{key}` {message}")).hint(hint))
                })
            });
            checked.transpose()
        };
        let mut settings = MachineSettings {
            cpus: number(self.cpus, "cpus", machine::cpus)?,
            numa_nodes: number(self.numa, "numa", machine::numa_nodes)?,
            ..MachineSettings::default()
        };
        if let Some(memory) = self.memory {
            let mib = quantity::memory_mib(memory.get_ref()).map_err(|message| {
                let mistake = Mistake::new(format!("`memory` {message}")).hint("write it like `512MiB` or `1GiB`");
                (Some(memory.span().start), mistake)
            })?;
            settings.memory_mib = Some(mib);
        }
        if let Some(profile) = self.profile {
            let names = match profile.get_ref() {
                Names::One(name) => std::slice::from_ref(name),
                Names::Several(names) => names,
            };
            for name in names {
                let found = profiles.get(name);
                let wrong = |error: crate::manifest::UnknownProfile| {
                    let hint = error.hint.clone();
                    (Some(profile.span().start), Mistake::new(error.to_string()).hint(hint))
                };
                settings.profiles.push(found.map_err(wrong)?.clone());
            }
        }
        // Only what says both can contradict itself: the rest is the kernel's.
        if settings.cpus.is_some()
            && let Some((message, hint)) = machine::contradiction(&settings)
        {
            return Err((self.numa.map(|numa| numa.span().start), Mistake::new(message).hint(hint)));
        }
        Ok(settings)
    }
}
