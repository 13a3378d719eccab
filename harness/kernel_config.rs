//! [`KernelConfig`]: the options that a kernel was built with.

use std::collections::HashMap;

/// Who wrote this made a whole config, in which an option that is not there is off. In one that `make savedefconfig` made, or in a
/// fragment, it may well be on.
pub(crate) const WHOLE: &str = "# Automatically generated file; DO NOT EDIT.";

/// A kernel's config, as far as it was read. Options are named without `CONFIG_`.
#[derive(Debug, Clone, Default)]
pub struct KernelConfig {
    /// `y`, `m`, `n` or a value.
    options: HashMap<String, String>,
    is_whole: bool,
}

impl KernelConfig {
    /// Reads a `.config` file.
    pub fn parse(text: &str) -> KernelConfig {
        let set = |line: &'_ str| {
            let (name, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        let unset = |line: &'_ str| {
            let name = line.strip_prefix("# CONFIG_")?.strip_suffix(" is not set")?;
            Some((name.to_owned(), "n".to_owned()))
        };
        let options = text.lines().filter_map(|line| set(line.trim_end()).or_else(|| unset(line.trim_end()))).collect();
        KernelConfig { options, is_whole: text.lines().take(10).any(|line| line.trim_end() == WHOLE) }
    }

    /// Whether the option is built in.
    pub fn has(&self, option: &str) -> bool {
        self.options.get(option).is_some_and(|value| value == "y")
    }

    /// Whether the option is surely not built in.
    pub fn lacks(&self, option: &str) -> bool {
        self.options.get(option).map_or(self.is_whole, |value| value != "y")
    }

    /// Whether the option is on, built in or as a module; `None` if the config does not say.
    pub fn is_on(&self, option: &str) -> Option<bool> {
        match self.options.get(option) {
            Some(value) => Some(value != "n"),
            None => self.is_whole.then_some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_config_says_that_an_option_is_off_by_leaving_it_out() {
        let part = KernelConfig::parse("CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n");
        let answers = ["A", "B", "C", "D"].map(|option| part.is_on(option));
        assert_eq!(answers, [Some(true), Some(true), Some(false), None]);
        assert!(part.has("A") && part.lacks("B") && part.lacks("C") && !part.lacks("D"));
        let whole = KernelConfig::parse("#\n# Automatically generated file; DO NOT EDIT.\nCONFIG_A=y\n");
        assert_eq!(whole.is_on("D"), Some(false));
        assert!(whole.lacks("D"));
    }
}
