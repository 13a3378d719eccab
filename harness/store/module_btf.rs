//! [`pack`] and [`unpack`]: the BTF of a kernel's modules, as one file of its entry.
//!
//! A tar archive with `MODULE.btf` of each module, in zstd: some hundred modules have 2 to 10 MB of types, of which a fifth is left.

use std::io::{self, Read};
use std::path::Path;

use object::{Object, ObjectSection};

use super::kmod::ModuleTree;

/// How the modules of an archive are called.
const ENDING: &str = ".btf";
/// Higher ones save a tenth and take several times longer.
const LEVEL: i32 = 3;
/// The largest archive that is read; that of a full distribution kernel has 40 MB.
const LIMIT: u64 = 1 << 30;

/// The archive of all modules that have BTF; `None` if there is none.
pub(super) fn pack(tree: &ModuleTree) -> io::Result<Option<Vec<u8>>> {
    let files: Vec<(&str, &Path)> = tree.files().collect();
    let modules = read_all(&files);
    if modules.is_empty() {
        return Ok(None);
    }
    let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL)?);
    for (name, btf) in modules {
        let mut header = tar::Header::new_gnu();
        header.set_size(btf.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("{name}{ENDING}"), &*btf)?;
    }
    archive.into_inner()?.finish().map(Some)
}

/// The modules that have BTF, in their order. The kernel's lock is held here, so that these are threads of its own: one of a run's pool
/// that waits for the others would take up another kernel meanwhile, which may wait for this lock.
fn read_all(files: &[(&str, &Path)]) -> Vec<(String, Vec<u8>)> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let piece = files.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let start = |piece| scope.spawn(move || read_some(piece));
        // All are started before the first is waited for.
        let started: Vec<_> = files.chunks(piece).map(start).collect();
        started.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}

fn read_some(files: &[(&str, &Path)]) -> Vec<(String, Vec<u8>)> {
    let read = |(name, path): &(&str, &Path)| {
        // A module that cannot be read is no reason to do without the kernel: nothing loads it.
        let bytes = super::kmod::unpacked(path).ok()?;
        let elf = object::File::parse(&*bytes).ok()?;
        // With a base of its own it is of another build than the kernel, and says nothing by itself.
        let own_base = elf.section_by_name(".BTF.base").is_some();
        let btf = elf.section_by_name(".BTF").filter(|_| !own_base)?.data().ok()?.to_vec();
        (!btf.is_empty()).then(|| ((*name).to_owned(), btf))
    };
    files.iter().filter_map(read).collect()
}

/// The modules of an archive with their raw BTF, by name.
pub(super) fn unpack(archive: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let file = io::BufReader::new(std::fs::File::open(archive)?);
    let mut modules = Vec::new();
    for entry in tar::Archive::new(zstd::Decoder::with_buffer(file)?.take(LIMIT)).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut btf = Vec::new();
        entry.read_to_end(&mut btf)?;
        modules.push((name.strip_suffix(ENDING).unwrap_or(&name).to_owned(), btf));
    }
    Ok(modules)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::kmod::tests::module;
    use super::*;

    #[test]
    fn modules_with_btf_are_packed_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        // An ELF file with `.BTF` is a module as far as this goes.
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain/kernel_a.o");
        std::fs::copy(&fixture, folder.path().join("nf-tables.ko")).unwrap();
        std::fs::write(folder.path().join("without.ko"), module("")).unwrap();
        std::fs::write(folder.path().join("damaged.ko"), b"\x7fELF").unwrap();
        let tree = ModuleTree::read(Some(folder.path()), None).unwrap();
        let archive = folder.path().join("archive");
        std::fs::write(&archive, pack(&tree).unwrap().unwrap()).unwrap();
        let modules = unpack(&archive).unwrap();
        assert_eq!(modules.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["nf_tables"]);
        assert!(crate::object::btf::Btf::parse(&modules[0].1).is_ok());
        std::fs::write(&archive, &std::fs::read(&archive).unwrap()[..40]).unwrap();
        assert!(unpack(&archive).is_err());
    }

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
    fn modules_without_btf_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("without.ko"), module("")).unwrap();
        assert_eq!(pack(&ModuleTree::read(Some(folder.path()), None).unwrap()).unwrap(), None);
    }
}
