//! [`Profiles`]: named settings of a machine, those that are built in and those of `kernels.toml`.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::reader::{TableReader, TomlSection};
use crate::nearest::nearest;
use crate::record::MachineProfile;

/// The profiles that are part of the executable.
const BUILT_IN: &str = include_str!("../../images/profiles.toml");
/// Keys of a profile.
pub(super) const KEYS: [&str; 3] = ["about", "sysctls", "boot"];
/// The table that holds them.
pub(super) const SECTION: &str = "profile";
/// Letters of a value; what a kernel takes is shorter.
const LONGEST_VALUE: usize = 256;

/// Named settings of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profiles(Vec<MachineProfile>);

/// There is no profile of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown profile `{}`", .name.escape_debug())]
pub struct UnknownProfile {
    /// The name.
    pub name: String,
    /// What the user can do.
    pub hint: String,
}

impl Profiles {
    /// Those that are built in.
    pub fn built_in() -> Profiles {
        let parsed = DeTable::parse(BUILT_IN);
        let mut reader = TableReader::new(BUILT_IN);
        let mut profiles = Profiles(Vec::new());
        if let Ok(document) = &parsed {
            let root = TomlSection { title: String::new(), start: 0, table: document.get_ref() };
            profiles.read(&mut reader, &root);
        }
        debug_assert_eq!(reader.into_problems(), Vec::<Problem>::new());
        profiles
    }

    /// These alone.
    pub fn of(profiles: Vec<MachineProfile>) -> Profiles {
        Profiles(profiles)
    }

    /// All of them, by name.
    pub fn all(&self) -> &[MachineProfile] {
        &self.0
    }

    /// The one of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&self, name: &str) -> Result<&MachineProfile, UnknownProfile> {
        self.0.iter().find(|profile| profile.name == name).ok_or_else(|| {
            let names = || self.0.iter().map(|profile| profile.name.as_str());
            let near = nearest(name, names(), 3);
            let hint = match near.is_empty() {
                true => format!("the profiles are {}", quoted(&names().collect::<Vec<_>>())),
                false => format!("did you mean {}?", quoted(&near)),
            };
            UnknownProfile { name: name.to_owned(), hint }
        })
    }

    /// Adds the profiles of a file; one of a known name takes its place.
    pub(super) fn read<'t>(&mut self, reader: &mut TableReader<'t>, root: &TomlSection<'t>) {
        let Some(section) = reader.table(root, SECTION) else { return };
        for (name, value) in section.table.iter() {
            let (name, start): (&str, usize) = (name.get_ref(), name.span().start);
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
                let hint = "use letters, digits, `-`, `_` and `.`".to_owned();
                reader.problem(start, format!("`{}` is not a valid profile name", name.escape_debug()), Some(hint));
                continue;
            }
            let Some(table) = value.get_ref().as_table() else {
                let message = format!("`profile.{name}` must be a table, found {}", value.get_ref().type_str());
                reader.problem(start, message, Some(format!("write `[profile.{name}]` on a line of its own")));
                continue;
            };
            let section = TomlSection { title: format!("profile `{name}`"), start, table };
            let profile = read_one(reader, &section, name);
            self.0.retain(|known| known.name != name);
            self.0.push(profile);
        }
        self.0.sort_by(|one, other| one.name.cmp(&other.name));
    }
}

impl Default for Profiles {
    fn default() -> Self {
        Profiles::built_in()
    }
}

/// The profile as a table of `kernels.toml`.
pub fn profile_table(profile: &MachineProfile) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut table = format!("[profile.{}]\n", quoted(&profile.name));
    if !profile.sysctls.is_empty() {
        let pair = |(name, value): (&String, &String)| format!("{} = {}", quoted(name), quoted(value));
        table += &format!("sysctls = {{ {} }}\n", profile.sysctls.iter().map(pair).collect::<Vec<_>>().join(", "));
    }
    if !profile.boot.is_empty() {
        table += &format!("boot = [{}]\n", profile.boot.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "));
    }
    table
}

fn read_one<'t>(reader: &mut TableReader<'t>, section: &TomlSection<'t>, name: &str) -> MachineProfile {
    reader.refuse_unknown(section, &KEYS);
    let about = reader.string(section, "about").map(|(text, _)| text.to_owned()).unwrap_or_default();
    let mut profile =
        MachineProfile { name: name.to_owned(), about, sysctls: BTreeMap::new(), boot: reader.words(section, "boot") };
    if let Some((key, value)) = section.table.get_key_value("sysctls") {
        let Some(table) = value.get_ref().as_table() else {
            let message = format!("{}: `sysctls` must be a table", section.title);
            let hint = "write `sysctls = { \"net.core.bpf_jit_harden\" = 2 }`".to_owned();
            reader.problem(key.span().start, message, Some(hint));
            return profile;
        };
        for (sysctl, value) in table.iter() {
            let (sysctl, at): (&str, usize) = (sysctl.get_ref(), sysctl.span().start);
            match (check_sysctl(sysctl), text_of(value.get_ref())) {
                (Ok(()), Some(text)) => {
                    profile.sysctls.insert(sysctl.to_owned(), text);
                }
                (Err((problem, hint)), _) => {
                    let message = format!("{}: sysctl `{}` {problem}", section.title, sysctl.escape_debug());
                    reader.problem(at, message, Some(hint));
                }
                (Ok(()), None) => {
                    let message =
                        format!("{}: the value of sysctl `{sysctl}` must be an integer or a string", section.title);
                    reader.problem(at, message, Some(format!("write `\"{sysctl}\" = 1`")));
                }
            }
        }
    }
    if profile.sysctls.is_empty() && profile.boot.is_empty() {
        let hint = "add `sysctls = { \"NAME\" = VALUE }` or `boot = [\"WORD\"]`".to_owned();
        reader.problem(section.start, format!("{}: it sets neither `sysctls` nor `boot`", section.title), Some(hint));
    }
    profile
}

/// The value of a sysctl as the kernel takes it.
fn text_of(value: &DeValue<'_>) -> Option<String> {
    let text = match value {
        DeValue::Integer(number) => number.to_string(),
        DeValue::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let is_plain = !text.is_empty() && text.len() <= LONGEST_VALUE && !text.contains(char::is_control);
    is_plain.then_some(text)
}

/// Checks that a name is that of a file below `/proc/sys`.
fn check_sysctl(name: &str) -> Result<(), (String, String)> {
    let hint = || "write it as `sysctl` does: `net.core.bpf_jit_harden`".to_owned();
    if name.starts_with('/') || name.starts_with("proc.") {
        return Err(("is a path, not a sysctl name".to_owned(), hint()));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@".contains(c);
    let separator = if name.contains('/') { '/' } else { '.' };
    let parts: Vec<&str> = name.split(separator).collect();
    if parts.len() < 2 || !name.chars().all(plain) || parts.iter().any(|part| part.is_empty() || *part == "..") {
        return Err(("is not a valid sysctl name".to_owned(), hint()));
    }
    Ok(())
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    const KERNEL: &str = "[kernel.x]\nsource = \"host\"\n";

    fn problems(text: &str) -> String {
        let error = Manifest::parse(&format!("{KERNEL}{text}"), std::path::Path::new("/k/kernels.toml")).unwrap_err();
        error.to_string() + &error.hint().unwrap_or_default()
    }

    #[test]
    fn built_in_profiles_are_sound_and_say_what_they_are_for() {
        let profiles = Profiles::built_in();
        assert!(profiles.all().len() > 10);
        assert!(profiles.all().iter().all(|profile| !profile.about.is_empty()));
        assert_eq!(profiles.get("no-jit").unwrap().sysctls["net.core.bpf_jit_enable"], "0");
        let unknown = profiles.get("lockdown-integrty").unwrap_err();
        assert_eq!(unknown.to_string(), "unknown profile `lockdown-integrty`");
        assert!(unknown.hint.starts_with("did you mean `lockdown-integrity`"), "{}", unknown.hint);
        assert!(profiles.get("xyzzy").unwrap_err().hint.starts_with("the profiles are `hardened`"));
    }

    #[test]
    fn profiles_of_the_manifest_stand_beside_the_built_in_ones_and_before_them() {
        let text = format!(
            "{KERNEL}profile = [\"mine\", \"no-jit\"]\n[profile.mine]\nsysctls = {{ \"kernel.kptr_restrict\" = 1 }}\nboot = [\"a=b\"]\n\
             [profile.no-jit]\nsysctls = {{ \"net.core.bpf_jit_enable\" = \"1\" }}\n"
        );
        let manifest = Manifest::parse(&text, std::path::Path::new("/k/kernels.toml")).unwrap();
        let machine = &manifest.kernels[0].machine;
        assert_eq!(machine.profile_names(), ["mine", "no-jit"]);
        assert_eq!(machine.sysctls()["net.core.bpf_jit_enable"], "1");
        assert_eq!(machine.boot(), ["a=b"]);
        // What is written for a bundle is read as the same.
        let again = format!("{KERNEL}{}", profile_table(&machine.profiles[0]));
        let read = Manifest::parse(&again, std::path::Path::new("/k/kernels.toml")).unwrap();
        assert_eq!(read.profiles.get("mine").unwrap(), &machine.profiles[0]);
    }

    #[test]
    fn wrong_profiles_are_named_with_what_is_wrong() {
        for (text, said) in [
            ("profile = \"lockdown\"\n", "unknown profile `lockdown`"),
            ("[profile.a]\n", "it sets neither `sysctls` nor `boot`"),
            ("[profile.a]\nsysctls = { \"kptr\" = 1 }\n", "is not a valid sysctl name"),
            ("[profile.a]\nsysctls = { \"a/../b\" = 1 }\n", "is not a valid sysctl name"),
            ("[profile.a]\nsysctls = { \"/proc/sys/a\" = 1 }\n", "is a path, not a sysctl name"),
            ("[profile.a]\nsysctls = { \"kernel.x\" = true }\n", "must be an integer or a string"),
            ("[profile.a]\nsysctls = [1]\n", "must be a table"),
            ("[profile.a]\nboot = [\"a b\"]\n", "more than one word"),
            ("[profile.a]\nbot = [\"a\"]\n", "did you mean `boot`?"),
            ("[profile.\"a b\"]\nboot = [\"a\"]\n", "is not a valid profile name"),
        ] {
            let found = problems(text);
            assert!(found.contains(said), "{text}: {found}");
        }
    }
}
