//! What is known about the modules of a kernel: [`StoredKernel::module_types`], [`StoredKernel::module_functions`].
//!
//! They show what is in a module, so that no one takes it for missing.

use std::io;
use std::path::Path;

use super::error::{IoContext, StoreError};
use super::kmod::{self, ModuleTree};
use super::{StoredKernel, module_btf, module_functions};

/// The BTF of all modules, in an entry.
pub(crate) const TYPES: &str = "modules.btf.tar.zst";
/// The functions of those that have no BTF, in an entry.
pub(crate) const FUNCTIONS: &str = "modules.functions.zst";
/// An empty file in an entry: the archive no longer has modules for this kernel.
pub(crate) const GONE: &str = "modules.gone";
/// What modules have, as files of an entry.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub types: Option<Vec<u8>>,
    pub functions: Option<Vec<u8>>,
}

/// What one module has.
enum ModuleContent {
    Types(Vec<u8>),
    Functions(Vec<String>),
}

/// What all modules have.
pub(crate) fn pack(tree: &ModuleTree) -> io::Result<Packed> {
    let files: Vec<(&str, &Path)> = tree.files().collect();
    let (mut types, mut functions) = (Vec::new(), Vec::new());
    for (name, content) in read_all(&files) {
        match content {
            ModuleContent::Types(btf) => types.push((name, btf)),
            ModuleContent::Functions(names) => functions.push((name, names)),
        }
    }
    Ok(Packed { types: module_btf::pack(types)?, functions: module_functions::pack(&functions)? })
}

/// What the modules have, in their order. The kernel's lock is held here, so that these are separate threads: one of a run's pool that
/// waits for the others would take up another kernel meanwhile, which may wait for this lock.
fn read_all(files: &[(&str, &Path)]) -> Vec<(String, ModuleContent)> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let piece = files.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let start = |piece| scope.spawn(move || read_some(piece));
        // All are started before the first is waited for.
        let started: Vec<_> = files.chunks(piece).map(start).collect();
        started.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}

fn read_some(files: &[(&str, &Path)]) -> Vec<(String, ModuleContent)> {
    let read = |(name, path): &(&str, &Path)| {
        // A module that cannot be read is no reason not to use the kernel: nothing loads it.
        let bytes = kmod::unpacked(path).ok()?;
        let elf = object::File::parse(&*bytes).ok()?;
        let content = match module_btf::of_module(&elf) {
            Some(btf) => ModuleContent::Types(btf),
            None => ModuleContent::Functions(module_functions::of_module(&elf)),
        };
        Some(((*name).to_owned(), content))
    };
    files.iter().filter_map(read).collect()
}

/// The raw BTF of a module file, which may be packed; `None` if it has none or cannot be read.
pub fn types_of_module(file: &Path) -> Option<Vec<u8>> {
    let bytes = kmod::unpacked(file).ok()?;
    module_btf::of_module(&object::File::parse(&*bytes).ok()?)
}

impl StoredKernel {
    /// The kernel's modules with their raw BTF, which goes on where that of vmlinux ends.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn module_types(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        match &self.module_btf {
            Some(archive) => module_btf::unpack(archive).during("read", archive),
            None => Ok(Vec::new()),
        }
    }

    /// The kernel's modules that have no BTF, with the functions that they define.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn module_functions(&self) -> Result<Vec<(String, Vec<String>)>, StoreError> {
        match &self.module_symbols {
            Some(list) => module_functions::unpack(list).during("read", list),
            None => Ok(Vec::new()),
        }
    }

    /// Whether the archive that the kernel came from has its modules no more.
    pub fn modules_are_gone(&self) -> bool {
        self.boot_image.with_file_name(GONE).exists()
    }

    /// Whether anything is known about its modules.
    pub(crate) fn has_modules(&self) -> bool {
        self.module_btf.is_some() || self.module_symbols.is_some()
    }

    /// With what was learned of its modules after it was stored.
    pub(crate) fn with_learned(mut self, folder: &Path) -> StoredKernel {
        let learned = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        self.module_btf = self.module_btf.or_else(|| learned(TYPES));
        self.module_symbols = self.module_symbols.or_else(|| learned(FUNCTIONS));
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::kmod::tests::module;
    use super::*;

    /// Who reads modules holds the kernel's lock, and must not take up other work of a run meanwhile: that may wait for the lock, too.
    #[test]
    fn no_other_work_of_a_pool_is_done_meanwhile() {
        use std::cell::Cell;
        use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
        thread_local! {
            static HAS_LOCK: Cell<bool> = const { Cell::new(false) };
        }
        let folder = tempfile::tempdir().unwrap();
        for number in 0..500 {
            let mut bytes = module("");
            bytes.resize(100_000, 0);
            std::fs::write(folder.path().join(format!("m{number}.ko")), bytes).unwrap();
        }
        let tree = ModuleTree::read(Some(folder.path()), None).unwrap();
        let (stolen, filled) = (AtomicU32::new(0), AtomicBool::new(false));
        let (stolen_ref, filled_ref) = (&stolen, &filled);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        // One worker has much to do, one reads modules, and one helps both.
        pool.scope(|scope| {
            scope.spawn(move |scope| {
                for _ in 0..5000 {
                    scope.spawn(move |_| {
                        stolen_ref.fetch_add(HAS_LOCK.get().into(), Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_micros(100));
                    });
                }
                filled_ref.store(true, Ordering::SeqCst);
            });
            scope.spawn(|_| {
                while !filled.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                HAS_LOCK.set(true);
                for _ in 0..5 {
                    pack(&tree).unwrap();
                }
                HAS_LOCK.set(false);
            });
        });
        assert_eq!(stolen.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn modules_tell_types_or_else_functions() {
        let folder = tempfile::tempdir().unwrap();
        // An ELF file with `.BTF` is a module as far as this goes.
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain/kernel_a.o");
        std::fs::copy(&fixture, folder.path().join("nf-tables.ko")).unwrap();
        std::fs::write(folder.path().join("without.ko"), module("")).unwrap();
        std::fs::write(folder.path().join("damaged.ko"), b"\x7fELF").unwrap();
        let packed = pack(&ModuleTree::read(Some(folder.path()), None).unwrap()).unwrap();
        let (types, functions) = (folder.path().join("types"), folder.path().join("functions"));
        std::fs::write(&types, packed.types.unwrap()).unwrap();
        std::fs::write(&functions, packed.functions.unwrap()).unwrap();
        let modules = module_btf::unpack(&types).unwrap();
        assert_eq!(modules.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["nf_tables"]);
        assert!(crate::object::btf::Btf::parse(&modules[0].1).is_ok());
        assert_eq!(module_functions::unpack(&functions).unwrap(), [("without".to_owned(), Vec::new())]);
        std::fs::write(&types, &std::fs::read(&types).unwrap()[..40]).unwrap();
        assert!(module_btf::unpack(&types).is_err());
    }
}
