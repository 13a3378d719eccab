//! [`KernelSelector`]: a selector by itself, as expectations of suites have it.

use super::asked_builds::{AskedBuilds, split_builds};
use super::builds::{Builds, MARK, split_name};
use super::condition::{Condition, compared_release, latest, parse};
use super::selector::SelectorError;

/// A selector by itself: it chooses among the kernels of a run, which may have none for it.
#[derive(Debug, Clone)]
pub struct KernelSelector {
    /// As it is written.
    pub text: String,
    conditions: Vec<Condition>,
    /// The build that is meant, if one is.
    build: Option<String>,
}

impl KernelSelector {
    /// Reads a selector as [`Manifest::select`](super::Manifest::select) takes them. What it says of a kernel it says of all its builds; it may name one.
    ///
    /// # Errors
    /// [`SelectorError::Malformed`].
    pub fn parse(text: &str) -> Result<KernelSelector, SelectorError> {
        let malformed = |reason| SelectorError::Malformed { selector: text.to_owned(), reason };
        let (base, builds) = split_builds(text).map_err(malformed)?;
        let build = match builds {
            AskedBuilds::Unsaid | AskedBuilds::Several(Builds::All) => None,
            AskedBuilds::One(build) => Some(build),
            AskedBuilds::Several(builds @ Builds::Last(_)) => {
                let reason = format!("`{MARK}{builds}` selects builds for a run, but here they are already selected");
                return Err(malformed(reason));
            }
        };
        Ok(KernelSelector { text: text.to_owned(), conditions: parse(base, text)?, build })
    }

    /// Whether it chooses the kernel `name` out of `names`. Ranges compare `release`, which the kernel is known to have, else the number in
    /// its name, as [`Manifest::select`](super::Manifest::select).
    pub fn chooses(&self, name: &str, release: Option<&str>, names: &[&str]) -> bool {
        let is_build = self.build.as_deref().is_none_or(|build| split_name(name).1 == Some(build));
        let compared = || compared_release(name, release, None);
        let meets = |condition: &Condition| condition.is_met_by(name, &compared, &|| latest(names.iter().copied()));
        is_build && self.conditions.iter().all(meets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_kernel_is_said_of_its_builds() {
        let names = ["6.1", "el-8@4.18.0-477.el8", "el-8@4.18.0-553.el8", "mine"];
        let chosen = |text: &str| {
            let selector = KernelSelector::parse(text).unwrap();
            names.into_iter().filter(|name| selector.chooses(name, None, &names)).collect::<Vec<_>>()
        };
        for text in ["el:8", "el-8", "el:8@all", "4.18", "<5.0", "el-*"] {
            assert_eq!(chosen(text), names[1..3], "{text}");
        }
        assert_eq!(chosen("el:8@4.18.0-553.el8"), names[2..3]);
        assert_eq!((chosen("latest"), chosen("6.1")), (names[..1].to_vec(), names[..1].to_vec()));
        // A kernel is in a range by its release, regardless of its name.
        let mine = |text: &str, release| KernelSelector::parse(text).unwrap().chooses("mine", release, &names);
        assert!(mine(">=6.1", Some("6.12.90-acme")) && !mine("<6.1", Some("6.12.90-acme")));
        assert!(!mine(">=6.1", None) && !mine("6.12", Some("6.12.90-acme")) && !mine("latest", Some("9.9")));
        assert!(KernelSelector::parse(">6.1.170").unwrap().chooses("6.1", Some("6.1.176-1"), &names));
        assert!(KernelSelector::parse("el:8@last:5").unwrap_err().to_string().contains("already selected"));
    }
}
