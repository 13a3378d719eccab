//! [`ModuleChoice`]: the kernel modules that guests load, by the user's word.

use std::path::{Path, PathBuf};

/// Which modules guests load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleChoice {
    /// Whether those are loaded that an object needs.
    pub automatic: bool,
    /// Loaded for every object.
    pub named: Vec<NamedModule>,
}

/// A module that the user names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedModule {
    /// One of the kernel's own, with `_` for `-`.
    OfKernel(String),
    /// A file.
    File(PathBuf),
}

impl Default for ModuleChoice {
    fn default() -> ModuleChoice {
        ModuleChoice { automatic: true, named: Vec::new() }
    }
}

impl ModuleChoice {
    /// What two suites say: all that either names, and nothing automatic where one forbids it.
    pub fn and(mut self, other: ModuleChoice) -> ModuleChoice {
        self.automatic &= other.automatic;
        for module in other.named {
            if !self.named.contains(&module) {
                self.named.push(module);
            }
        }
        self
    }

    /// The words that [`ModuleChoice::of`] reads it from in any directory; none where it is the default.
    pub fn words(&self) -> Vec<String> {
        let word = |module: &NamedModule| match module {
            NamedModule::OfKernel(name) => name.clone(),
            NamedModule::File(path) => {
                std::path::absolute(path).unwrap_or_else(|_| path.clone()).to_string_lossy().into_owned()
            }
        };
        match self.automatic {
            true => self.named.iter().map(word).collect(),
            false => vec!["none".to_owned()],
        }
    }

    /// Reads `auto`, `none`, names and paths; relative paths start at `folder`.
    ///
    /// # Errors
    /// What is no name of a module, or does not go together; as a lowercase fragment.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a str>, folder: &Path) -> Result<ModuleChoice, String> {
        let words: Vec<&str> = words.into_iter().collect();
        let forbids = words.contains(&"none");
        if forbids && words.len() > 1 {
            return Err("`none` cannot be combined with module names: it forbids all modules".to_owned());
        }
        let mut named = Vec::new();
        for word in words.iter().filter(|word| !matches!(**word, "auto" | "none")) {
            let is_file =
                word.contains('/') || [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().any(|end| word.ends_with(end));
            let is_name =
                !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            let module = match (is_file, is_name) {
                (true, _) => NamedModule::File(folder.join(word)),
                (false, true) => NamedModule::OfKernel(word.replace('-', "_")),
                (false, false) => return Err(format!("`{word}` is not a module name")),
            };
            if !named.contains(&module) {
                named.push(module);
            }
        }
        Ok(ModuleChoice { automatic: !forbids, named })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Manifest, Source};
    use super::*;

    #[test]
    fn words_name_modules_and_files() {
        let of = |words: &[&str]| ModuleChoice::of(words.iter().copied(), Path::new("/p"));
        let named = [NamedModule::OfKernel("nf_conntrack".to_owned()), NamedModule::File("/p/./my.ko".into())];
        let choice = of(&["nf-conntrack", "./my.ko", "nf_conntrack"]).unwrap();
        assert_eq!(choice, ModuleChoice { automatic: true, named: named.into() });
        assert_eq!(of(&["auto"]).unwrap(), ModuleChoice::default());
        for words in [&["none"][..], &["nf_conntrack", "/p/my.ko"], &[]] {
            assert_eq!(of(words).unwrap().words(), words);
        }
        assert!(!of(&["none"]).unwrap().automatic);
        assert!(of(&["none", "xfs"]).unwrap_err().contains("cannot be combined"));
        assert!(of(&["x y"]).is_err() && of(&[""]).is_err());
    }

    #[test]
    fn kernels_name_modules_in_a_list_and_those_of_files_their_folder() {
        let text = "[matrix]\ndefault = [\"a\"]\n[kernel.a]\nsource = \"host\"\nmodules = [\"xfs\"]\n\
                    [kernel.b]\nsource = \"path\"\nimage = \"i\"\nmodules = \"m\"\n\
                    [kernel.c]\nsource = \"path\"\nimage = \"i\"\nmodules = [\"none\"]\n";
        let manifest = Manifest::parse(text, Path::new("/p/kernels.toml")).unwrap();
        let of = |name: &str| manifest.kernels.iter().find(|kernel| kernel.name == name).unwrap();
        assert_eq!(of("a").modules.as_ref().unwrap().named, [NamedModule::OfKernel("xfs".to_owned())]);
        assert_eq!(of("b").modules, None);
        assert!(matches!(&of("b").source, Source::Path { modules: Some(folder), .. } if folder == Path::new("/p/m")));
        assert!(!of("c").modules.as_ref().unwrap().automatic);
        assert!(matches!(&of("c").source, Source::Path { modules: None, .. }));
        let wrong = text.replace("[\"none\"]", "[\"none\", \"xfs\"]");
        let error = Manifest::parse(&wrong, Path::new("/p/kernels.toml")).unwrap_err().to_string();
        assert!(error.contains("`modules`: `none` cannot be combined with module names"), "{error}");
    }
}
