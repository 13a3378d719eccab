//! [`ModuleFiles`]: the module files of a kernel, kept beside it so that a guest can load any of them with what it depends on.
//!
//! They come with the kernel's package and are kept packed: archives drop old packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StoredKernel;
use super::kmod::{self, ModuleTree};
use super::module_info::ModuleInfo;
use crate::checksum;
use crate::nearest::nearest;

/// The directory in a kernel's entry.
pub(crate) const FOLDER: &str = "module-files";
/// The file in it that lists what is there.
const LIST: &str = "list.json";
/// Fast; what is not packed by the distribution gets a third of its size.
const LEVEL: i32 = 3;
/// More modules are not taken for what an object needs.
const MOST_MODULES: usize = 256;

/// The module files of a kernel.
#[derive(Debug, Clone, Default)]
pub struct ModuleFiles {
    folder: PathBuf,
    list: List,
}

/// A module whose dependencies are being looked at: its name, what is known about it, whether it may fail, and what is left to look at.
type Open<'a> = (&'a str, &'a Listed, bool, std::vec::IntoIter<(String, bool)>);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct List {
    modules: BTreeMap<String, Listed>,
    /// Names built into the image; empty where nothing lists them.
    built_in: BTreeSet<String>,
    /// Of which build they are, as far as sizes and times show it.
    #[serde(default)]
    stamp: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Listed {
    file: String,
    sha256: String,
    info: ModuleInfo,
}

/// A module that a guest loads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModuleFile {
    /// Its name, with `_` for `-`.
    pub name: String,
    /// The file, which may be packed.
    pub path: PathBuf,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// Whether it is one of several ways to have something: that a kernel refuses it proves nothing.
    pub optional: bool,
}

impl ModuleFile {
    /// The ELF file.
    ///
    /// # Errors
    /// It cannot be read or unpacked.
    pub fn unpacked(&self) -> io::Result<Vec<u8>> {
        kmod::unpacked(&self.path)
    }
}

/// What it takes to load some modules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvedModules {
    /// To be loaded, in this order.
    pub files: Vec<ModuleFile>,
    /// Built into the image.
    pub built_in: Vec<String>,
    /// Wanted or needed, and not there.
    pub missing: Vec<String>,
}

/// Keeps the modules of a tree in `folder`, which is made.
pub(crate) fn keep(tree: &ModuleTree, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let files: Vec<(&str, &Path)> = tree.files().collect();
    let keep_one = |(name, path): &(&str, &Path)| {
        // One that cannot be read is not there.
        let bytes = kmod::unpacked(path).ok()?;
        let info = ModuleInfo::read(&bytes).ok()?;
        let original = path.extension().and_then(|ending| ending.to_str()).filter(|ending| *ending != "ko");
        let file = format!("{name}.ko.{}", original.unwrap_or("zst"));
        let packed = match original {
            Some(_) => fs::read(path),
            None => zstd::encode_all(&*bytes, LEVEL),
        };
        let kept = packed.and_then(|packed| {
            fs::write(folder.join(&file), &packed)?;
            Ok(checksum::of_bytes(&packed))
        });
        Some(kept.map(|sha256| ((*name).to_owned(), Listed { file, sha256, info })))
    };
    // The kernel's lock is held: separate threads, as for what modules have.
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let piece = files.len().div_ceil(threads).max(1);
    let kept: Vec<io::Result<(String, Listed)>> = std::thread::scope(|scope| {
        let start = |piece: &'_ [_]| {
            let piece = piece.to_vec();
            scope.spawn(move || piece.iter().filter_map(keep_one).collect::<Vec<_>>())
        };
        let started: Vec<_> = files.chunks(piece).map(start).collect();
        started.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    let modules = kept.into_iter().collect::<io::Result<_>>()?;
    let list = List { modules, built_in: tree.built_in().clone(), stamp: Some(tree.stamp()?) };
    // Last: a directory without it is not whole.
    fs::write(folder.join(LIST), serde_json::to_vec(&list)?)
}

impl StoredKernel {
    /// The kernel's module files; `None` if the store does not have them.
    pub fn module_files(&self) -> Option<ModuleFiles> {
        ModuleFiles::read(&self.boot_image.with_file_name(FOLDER))
    }
}

impl ModuleFiles {
    fn read(folder: &Path) -> Option<ModuleFiles> {
        let list = serde_json::from_slice(&fs::read(folder.join(LIST)).ok()?).ok()?;
        Some(ModuleFiles { folder: folder.to_owned(), list })
    }

    /// Whether they are those of a tree as it is now.
    pub(crate) fn are_of(&self, tree: &ModuleTree) -> bool {
        self.list.stamp.is_some() && tree.stamp().ok() == self.list.stamp
    }

    /// Whether there is a module of this name.
    pub fn has(&self, name: &str) -> bool {
        self.list.modules.contains_key(name)
    }

    /// Whether it is known what is built into the image.
    pub fn knows_built_in(&self) -> bool {
        !self.list.built_in.is_empty()
    }

    /// The modules and built-in names that are most like one that is unknown.
    pub fn like(&self, name: &str) -> Vec<String> {
        let known = self.list.modules.keys().chain(&self.list.built_in).map(String::as_str);
        nearest(name, known, 3).into_iter().map(str::to_owned).collect()
    }

    /// The modules of these names and all that they depend on, each after what it needs.
    pub fn resolve(&self, wanted: &[String]) -> ResolvedModules {
        let mut resolved = ResolvedModules::default();
        let mut seen = BTreeSet::new();
        for name in wanted {
            let name = name.replace('-', "_");
            match self.list.modules.contains_key(&name) {
                false if self.list.built_in.contains(&name) => resolved.built_in.push(name),
                _ => self.visit(&name, &mut seen, &mut resolved),
            }
        }
        resolved
    }

    /// What else a module of these needs, which may be one of the user's own, each after what it needs.
    pub fn needed_by(&self, info: &ModuleInfo) -> ResolvedModules {
        let mut resolved = ResolvedModules::default();
        let mut seen = BTreeSet::new();
        for name in &info.depends {
            if !self.list.built_in.contains(name) {
                self.visit(name, &mut seen, &mut resolved);
            }
        }
        resolved
    }

    /// Depth first, so that dependencies come first; `seen` ends loops.
    fn visit(&self, name: &str, seen: &mut BTreeSet<String>, resolved: &mut ResolvedModules) {
        let mut open: Vec<Open<'_>> = Vec::new();
        let mut next = Some((name.to_owned(), false));
        loop {
            if let Some((name, optional)) = next.take()
                && !self.list.built_in.contains(&name)
                && seen.insert(name.clone())
            {
                match self.list.modules.get_key_value(&name) {
                    Some((name, listed)) if seen.len() <= MOST_MODULES => {
                        let optional = optional || open.last().is_some_and(|(.., above, _)| *above);
                        open.push((name, listed, optional, self.before(&listed.info).into_iter()));
                    }
                    _ if !optional => resolved.missing.push(name),
                    _ => {}
                }
            }
            let Some((.., above)) = open.last_mut() else { return };
            next = above.next();
            if next.is_none()
                && let Some((name, listed, optional, _)) = open.pop()
            {
                let path = self.folder.join(&listed.file);
                resolved.files.push(ModuleFile {
                    name: name.to_owned(),
                    path,
                    sha256: listed.sha256.clone(),
                    optional,
                });
            }
        }
    }

    /// What has to be loaded before a module, and whether it may fail: as modprobe, all that has the name or the alias of a soft
    /// dependency is tried. A guest has no modprobe that the kernel could call for it.
    fn before(&self, info: &ModuleInfo) -> Vec<(String, bool)> {
        let mut before = Vec::new();
        for soft in &info.before {
            let named = |(name, listed): &(&String, &Listed)| *name == soft || listed.info.aliases.contains(soft);
            before.extend(self.list.modules.iter().filter(named).map(|(name, _)| (name.clone(), true)));
        }
        before.extend(info.depends.iter().map(|name| (name.clone(), false)));
        before
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::kmod::tests::module_with;
    use super::*;

    fn kept(modules: &[(&str, &str)]) -> (tempfile::TempDir, ModuleFiles) {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir(&tree).unwrap();
        for (name, info) in modules {
            fs::write(tree.join(format!("{name}.ko")), module_with(info)).unwrap();
        }
        fs::write(tree.join("modules.builtin"), "kernel/net/ipv4/tcp_cubic.ko\n").unwrap();
        let files = folder.path().join("files");
        keep(&ModuleTree::read(Some(&tree), None).unwrap(), &files).unwrap();
        let files = ModuleFiles::read(&files).unwrap();
        (folder, files)
    }

    fn names(resolved: &ResolvedModules) -> Vec<(&str, bool)> {
        resolved.files.iter().map(|file| (file.name.as_str(), file.optional)).collect()
    }

    #[test]
    fn modules_come_after_what_they_need() {
        let (_folder, files) = kept(&[
            ("nf-conntrack", "depends=nf_defrag,libcrc32c"),
            ("nf_defrag", "depends="),
            ("libcrc32c", "softdep=pre: crc32c"),
            ("crc32c_generic", "alias=crypto-crc32c\0alias=crc32c"),
            ("crc32c-intel", "alias=crypto-crc32c\0alias=crc32c"),
            ("loop_a", "depends=loop_b"),
            ("loop_b", "depends=loop_a,gone"),
        ]);
        let found = files.resolve(&["nf-conntrack".to_owned(), "tcp_cubic".to_owned()]);
        let expected = [("nf_defrag", false), ("crc32c_generic", true), ("crc32c_intel", true)];
        assert_eq!(names(&found), [&expected[..], &[("libcrc32c", false), ("nf_conntrack", false)]].concat());
        assert_eq!((found.built_in, found.missing), (vec!["tcp_cubic".to_owned()], Vec::new()));
        assert!(kmod::unpacked(&found.files[0].path).unwrap().starts_with(b"\x7fELF"));
        let found = files.resolve(&["loop_a".to_owned()]);
        assert_eq!(names(&found), [("loop_b", false), ("loop_a", false)]);
        assert_eq!(found.missing, ["gone"]);
        assert_eq!(files.like("nf_conntrak"), ["nf_conntrack"]);
    }
}
