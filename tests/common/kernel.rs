//! [`TestKernel`]: the real kernel that the tests run on, out of the user's store.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use corematrix::manifest::{Manifest, Source};
use corematrix::matrix::Places;
use corematrix::source::LockFile;
use corematrix::store::{Store, StoredKernel};
use corematrix::vm::Toolchain;

use super::{Lab, object};

/// Small, and the oldest that Debian has.
const NAME: &str = "5.10";

/// The real kernel that the tests run on.
pub struct TestKernel {
    /// Its name.
    pub name: &'static str,
    /// A manifest's table for it, to which lines can be added.
    pub table: String,
    /// The lock file that goes with it.
    pub lock: PathBuf,
    /// Its files in the store.
    pub stored: StoredKernel,
}

impl TestKernel {
    /// The store that has it.
    pub fn store(&self) -> &Path {
        self.stored.boot_image.ancestors().nth(3).unwrap()
    }

    /// Puts it into another store, in no time: the large files are links. Hard links would change the originals' time of change, by
    /// which the store knows that it need not verify them.
    pub fn copy_to(&self, store: &Path) {
        let from = self.stored.boot_image.parent().unwrap();
        let to = store.join("kernels").join(from.file_name().unwrap());
        let mut folders = vec![(from.to_owned(), to)];
        while let Some((from, to)) = folders.pop() {
            fs::create_dir_all(&to).unwrap();
            for entry in fs::read_dir(&from).unwrap().map(Result::unwrap) {
                let (path, to) = (entry.path(), to.join(entry.file_name()));
                let is_description = path.extension().is_some_and(|extension| extension == "json");
                if entry.file_type().unwrap().is_dir() {
                    folders.push((path, to));
                } else if is_description {
                    // It may be written again, and the original must not change by that.
                    fs::copy(&path, &to).unwrap();
                } else {
                    symlink(&path, &to).unwrap();
                }
            }
        }
        // What was found out about this machine is as true there.
        for name in ["kvm.json", "tools.json"] {
            let _ = fs::copy(self.store().join(name), store.join(name));
        }
    }

    /// Fetches its modules for file systems, once. Needs the network then.
    pub fn fetch_file_systems(&self) {
        static FETCHED: OnceLock<()> = OnceLock::new();
        FETCHED.get_or_init(|| {
            let project = Path::new(env!("CARGO_MANIFEST_DIR"));
            let manifest = Manifest::load(&project.join("kernels.toml")).unwrap();
            let (store, lock) = (
                Store::open(&Places::from_environment(None).unwrap().store).unwrap(),
                LockFile::open(&self.lock).unwrap(),
            );
            let spec = &manifest.select(&[self.name.to_owned()], &|_| None).unwrap()[0];
            let found = store.file_systems(spec, &self.stored, &lock, false, &drop).unwrap();
            assert!(found.missing.is_empty(), "{found:?}");
        });
    }

    /// The image as its package has it.
    pub fn image(&self) -> PathBuf {
        self.stored.boot_image.with_file_name("image")
    }
}

/// The test kernel. The first call fetches it if the store does not have it, and lets `corematrix` find out about KVM with it, so
/// that no test has to do that with a kernel that is broken on purpose.
pub fn kernel() -> &'static TestKernel {
    static KERNEL: OnceLock<TestKernel> = OnceLock::new();
    KERNEL.get_or_init(|| {
        let kernel = fetch();
        if Path::new("/dev/kvm").exists() && !is_decided(&kernel.store().join("kvm.json")) {
            let lab = Lab::of(&kernel, "");
            let _ = fs::remove_file(lab.store().join("kvm.json"));
            lab.run(&[&object("plain"), "--cold"]);
            // Without KVM nothing is found out.
            let _ = fs::copy(lab.store().join("kvm.json"), kernel.store().join("kvm.json"));
        }
        kernel
    })
}

/// Whether it is known if KVM works, for as long as the tests may take: a failure expires.
fn is_decided(file: &Path) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    let known: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let written = fs::metadata(file).and_then(|found| found.modified()).ok();
    let is_new = written.and_then(|time| time.elapsed().ok()).is_some_and(|ago| ago < Duration::from_secs(1800));
    match known.get("failure") {
        None => false,
        Some(failure) => failure.is_null() || failure.is_object() && is_new,
    }
}

/// `virtme-run` in the project, which a manifest elsewhere does not lead to; `None` where the PATH or the user has one.
pub fn virtme_run() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/virtme-run");
    (std::env::var_os("COREMATRIX_VIRTME_RUN").is_none() && here.is_file()).then_some(here)
}

fn fetch() -> TestKernel {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let get = || -> Result<TestKernel, Box<dyn std::error::Error>> {
        let manifest = Manifest::load(&project.join("kernels.toml"))?;
        let spec = &manifest.select(&[NAME.to_owned()], &|_| None)?[0];
        let Source::Apt { suites, packages, .. } = &spec.source else { return Err("it is not from apt".into()) };
        let places = Places::from_environment(None)?;
        let mut store = Store::open(&places.store)?;
        Toolchain::find(project, &places.tools, &store.root().join("tools.json"), Duration::from_secs(60))?;
        store.download_with(Toolchain::vng(project, &places.tools).ok_or("there is no virtme-ng")?);
        let lock = project.join("kernels.lock");
        let stored = store.kernel(spec, &LockFile::open(&lock)?, false, &drop)?;
        fs::metadata(&stored.boot_image)?;
        let table = format!("[kernel.\"{NAME}\"]\nsource = \"apt\"\nsuites = {suites:?}\npackages = {packages:?}\n");
        Ok(TestKernel { name: NAME, table, lock, stored })
    };
    get().unwrap_or_else(|error| {
        panic!(
            "the tests need QEMU, virtme-ng and kernel `{NAME}`: {error}\n\
             hint: `make setup` installs the programs, and `corematrix run tests/fixtures/objects --kernel {NAME}` fetches the \
             kernel, which needs the network once"
        )
    })
}
