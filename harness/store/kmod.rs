//! [`select`]: the modules a guest has to load for its data channel, in load order.
//!
//! Packages carry no `modules.dep` (it is made at installation), so the order comes from each module's own `depends=`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::module_info::ModuleInfo;
use crate::checksum;

/// The drivers of virtio-serial, the guest's data channel.
pub(crate) const WANTED: [&str; 2] = ["virtio_pci", "virtio_console"];

/// The largest module that is unpacked.
const MODULE_LIMIT: u64 = 256 << 20;
/// More modules are not taken for what a guest needs: a virtio port takes a handful, a file system some ten.
const MOST_MODULES: usize = 256;

/// What a kernel says about its own drivers.
#[derive(Debug, Default)]
pub(crate) struct ModuleTree {
    /// Module files by name, with `_` for `-`.
    files: BTreeMap<String, PathBuf>,
    /// Names built into the image.
    builtin: BTreeSet<String>,
    /// Whether there was anything that lists built-in drivers.
    pub knows_builtin: bool,
}

/// A module, unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// Its name, with `_` for `-`.
    pub name: String,
    /// The ELF file.
    pub bytes: Vec<u8>,
}

/// What [`select`] found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// To be loaded, in this order.
    pub modules: Vec<Module>,
    /// Wanted or needed, but neither built in nor there.
    pub missing: BTreeSet<String>,
}

impl ModuleTree {
    /// Reads a `lib/modules/RELEASE` directory and the kernel's config; either may be missing.
    pub fn read(folder: Option<&Path>, config: Option<&Path>) -> std::io::Result<ModuleTree> {
        let mut tree = ModuleTree::default();
        if let Some(folder) = folder {
            let builtin = folder.join("modules.builtin");
            if builtin.exists() {
                tree.knows_builtin = true;
                tree.builtin.extend(fs::read_to_string(builtin)?.lines().filter_map(module_name));
            }
            tree.collect(folder)?;
        }
        if let Some(config) = config {
            tree.knows_builtin = true;
            let text = String::from_utf8_lossy(&fs::read(config)?).into_owned();
            let option = |line: &str| text.lines().any(|set| set == line);
            if option("CONFIG_VIRTIO_PCI=y") {
                tree.builtin.insert("virtio_pci".to_owned());
            }
            if option("CONFIG_VIRTIO_CONSOLE=y") {
                tree.builtin.insert("virtio_console".to_owned());
            }
        }
        Ok(tree)
    }

    /// All modules by name, with their files.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.files.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// Changes with every module that is built again, as far as sizes and times show it.
    pub fn stamp(&self) -> io::Result<String> {
        let mut all = String::new();
        for (name, path) in &self.files {
            let found = fs::metadata(path)?;
            all += &format!("{name} {} {} {}\n", found.len(), found.mtime(), found.mtime_nsec());
        }
        Ok(checksum::of_bytes(all.as_bytes()))
    }

    /// The names that are built into the image.
    pub fn built_in(&self) -> &BTreeSet<String> {
        &self.builtin
    }

    /// Whether the drivers of the data channel are built in or among the modules.
    pub fn has_all(&self) -> bool {
        WANTED.iter().all(|&name| self.builtin.contains(name) || self.files.contains_key(name))
    }

    fn collect(&mut self, folder: &Path) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            // Symbolic links (`build`, `source`) lead out of the tree.
            if kind.is_dir() {
                self.collect(&entry.path())?;
            } else if kind.is_file()
                && let Some(name) = entry.file_name().to_str().and_then(module_name)
            {
                self.files.insert(name, entry.path());
            }
        }
        Ok(())
    }
}

/// `kernel/drivers/char/virtio-console.ko.xz` -> `virtio_console`; `None` if it is no module.
pub(crate) fn module_name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let stem = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().find_map(|ending| file.strip_suffix(ending))?;
    Some(stem.replace('-', "_"))
}

/// Finds [`WANTED`] and everything they depend on.
///
/// # Errors
/// A module file that cannot be read or understood: its name and the reason.
pub(crate) fn select(tree: &ModuleTree) -> Result<Selection, (String, String)> {
    select_of(tree, &WANTED)
}

/// Finds the modules of these names and everything they depend on.
///
/// # Errors
/// As [`select`].
pub(crate) fn select_of(tree: &ModuleTree, wanted: &[&str]) -> Result<Selection, (String, String)> {
    let mut selection = Selection::default();
    let mut seen = BTreeSet::new();
    for name in wanted {
        visit(tree, name, &mut seen, &mut selection)?;
    }
    Ok(selection)
}

/// Depth first, so that dependencies come before what needs them; `seen` ends loops.
fn visit(
    tree: &ModuleTree,
    name: &str,
    seen: &mut BTreeSet<String>,
    selection: &mut Selection,
) -> Result<(), (String, String)> {
    let mut open = Vec::new();
    let mut next = Some(name.to_owned());
    loop {
        if let Some(name) = next.take()
            && !tree.builtin.contains(&name)
            && seen.insert(name.clone())
        {
            match tree.files.get(&name) {
                None => {
                    selection.missing.insert(name);
                }
                Some(_) if seen.len() > MOST_MODULES => {
                    return Err((name, format!("more than {MOST_MODULES} modules depend on each other")));
                }
                Some(path) => {
                    let failed = |reason: String| (name.clone(), reason);
                    let bytes = unpacked(path).map_err(|error| failed(error.to_string()))?;
                    let info = ModuleInfo::read(&bytes).map_err(|error| failed(error.to_string()))?;
                    let dependencies = info.depends;
                    open.push((Module { name, bytes }, dependencies.into_iter()));
                }
            }
        }
        let Some((_, dependencies)) = open.last_mut() else { return Ok(()) };
        next = dependencies.next();
        if next.is_none() {
            selection.modules.extend(open.pop().map(|(module, _)| module));
        }
    }
}

/// The ELF file of a module.
pub(crate) fn unpacked(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let mut reader: Box<dyn Read> = match path.extension().and_then(|ending| ending.to_str()) {
        Some("xz") => Box::new(liblzma::read::XzDecoder::new(file)),
        Some("zst") => Box::new(zstd::Decoder::new(file)?),
        Some("gz") => Box::new(flate2::read::GzDecoder::new(file)),
        _ => Box::new(file),
    };
    let mut bytes = Vec::new();
    reader.by_ref().take(MODULE_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MODULE_LIMIT {
        return Err(std::io::Error::other(format!("it is larger than {MODULE_LIMIT} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A minimal ELF with the given `.modinfo`.
    pub(crate) fn module(depends: &str) -> Vec<u8> {
        module_with(&format!("license=GPL\0depends={depends}\0name=x"))
    }

    /// The same with all that it says of itself.
    pub(crate) fn module_with(info: &str) -> Vec<u8> {
        let info = format!("{info}\0").into_bytes();
        let names = b"\0.modinfo\0.shstrtab\0";
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\x3e\0\x01\0\0\0".to_vec();
        for word in [0u64, 0, (64 + info.len() + names.len()) as u64] {
            elf.extend(word.to_le_bytes());
        }
        elf.extend(0u32.to_le_bytes());
        for half in [64u16, 0, 0, 64, 3, 2] {
            elf.extend(half.to_le_bytes());
        }
        elf.extend(&info);
        elf.extend(names);
        elf.extend([0; 64]);
        for (name, kind, offset, size) in
            [(1u32, 1u32, 64, info.len() as u64), (10, 3, 64 + info.len() as u64, names.len() as u64)]
        {
            elf.extend(name.to_le_bytes());
            elf.extend(kind.to_le_bytes());
            for word in [0, 0, offset, size, 0, 1, 0] {
                elf.extend(word.to_le_bytes());
            }
        }
        elf
    }

    #[test]
    fn long_chain_of_modules_is_an_error_and_no_overflow() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..2000 {
            fs::write(folder.path().join(format!("m{number}.ko")), module(&format!("m{}", number + 1))).unwrap();
        }
        let tree = ModuleTree::read(Some(folder.path()), None).unwrap();
        let (_, reason) = select_of(&tree, &["m0"]).unwrap_err();
        assert!(reason.contains("modules depend on each other"), "{reason}");
        let names: Vec<String> =
            select_of(&tree, &["m1990"]).unwrap().modules.into_iter().map(|one| one.name).collect();
        assert_eq!(names.first().map(String::as_str), Some("m1999"), "dependencies come first");
        assert_eq!(names.len(), 10);
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        liblzma::read::XzEncoder::new(bytes, 1).read_to_end(&mut out).unwrap();
        out
    }

    fn names(selection: &Selection) -> Vec<&str> {
        selection.modules.iter().map(|module| module.name.as_str()).collect()
    }

    #[test]
    fn dependencies_come_first_whatever_the_packing() {
        let folder = tempfile::tempdir().unwrap();
        let virtio = folder.path().join("kernel/drivers/virtio");
        fs::create_dir_all(&virtio).unwrap();
        fs::write(virtio.join("virtio-console.ko"), module("virtio_ring,virtio")).unwrap();
        fs::write(virtio.join("virtio_pci.ko.xz"), xz(&module("virtio-ring,virtio,virtio_pci_modern_dev"))).unwrap();
        fs::write(virtio.join("virtio_ring.ko.zst"), zstd::encode_all(&module("virtio")[..], 1).unwrap()).unwrap();
        fs::write(virtio.join("virtio_pci_modern_dev.ko"), module("")).unwrap();
        let mut gz = Vec::new();
        flate2::read::GzEncoder::new(&module("virtio_ring")[..], flate2::Compression::fast())
            .read_to_end(&mut gz)
            .unwrap();
        fs::write(virtio.join("virtio.ko.gz"), gz).unwrap();
        fs::write(virtio.join("unrelated.ko"), b"not an ELF").unwrap();

        let selection = select(&ModuleTree::read(Some(folder.path()), None).unwrap()).unwrap();
        // `virtio` and `virtio_ring` name each other: a loop, which must end.
        assert_eq!(
            names(&selection),
            ["virtio", "virtio_ring", "virtio_pci_modern_dev", "virtio_pci", "virtio_console"]
        );
        assert!(selection.missing.is_empty());
        assert_eq!(selection.modules[0].bytes, module("virtio_ring"), "stored unpacked");
    }

    #[test]
    fn what_is_built_in_is_not_loaded() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("modules.builtin"),
            "kernel/drivers/virtio/virtio.ko\nkernel/drivers/virtio/virtio-pci.ko\n",
        )
        .unwrap();
        fs::write(folder.path().join("virtio_console.ko"), module("virtio")).unwrap();
        let tree = ModuleTree::read(Some(folder.path()), None).unwrap();
        assert!(tree.has_all());
        assert_eq!(names(&select(&tree).unwrap()), ["virtio_console"]);

        let config = folder.path().join("config");
        fs::write(&config, "CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\n").unwrap();
        let tree = ModuleTree::read(None, Some(&config)).unwrap();
        assert!(tree.has_all());
        assert_eq!(select(&tree).unwrap(), Selection::default());
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("virtio_pci.ko"), module("virtio_ring")).unwrap();
        let selection = select(&ModuleTree::read(Some(folder.path()), None).unwrap()).unwrap();
        assert_eq!(selection.missing, ["virtio_console".to_owned(), "virtio_ring".to_owned()].into());
    }

    #[test]
    fn a_damaged_module_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("virtio_pci.ko.xz"), &xz(&module(""))[..20]).unwrap();
        let error = select(&ModuleTree::read(Some(folder.path()), None).unwrap()).unwrap_err();
        assert_eq!(error.0, "virtio_pci");
    }
}
