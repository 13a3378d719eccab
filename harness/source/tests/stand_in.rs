//! [`Repository`]: stand-ins for `apt-get` and `apt-cache` that serve packages from a directory.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::source::archive::deb::tests::deb;
use crate::store::Programs;

const APT_GET: &str = r#"#!/bin/sh
cd_repo=$(dirname "$0")
shift 2
echo "apt-get $*" >> "$cd_repo/log"
if [ -e "$cd_repo/down" ]; then
    echo "E: Failed to fetch http://apt.example/debian/x  Could not resolve 'apt.example'" >&2
    exit 100
fi
case "$*" in
*update*)
    [ ! -e "$cd_repo/Packages.next" ] || mv "$cd_repo/Packages.next" "$cd_repo/Packages" ;;
*download*)
    for last; do :; done
    cp "$cd_repo/pool/$last.deb" . 2>/dev/null && exit 0
    echo "E: Failed to fetch http://apt.example/debian/pool/x.deb  404  Not Found [IP: 192.0.2.1 80]" >&2
    exit 100 ;;
esac
"#;

const APT_CACHE: &str = r#"#!/bin/sh
cd_repo=$(dirname "$0")
shift 2
case "$1" in
search) sed -n 's/^Package: //p' "$cd_repo/Packages" | grep -E "$3" | sed 's/$/ - a package/' ;;
show) shift; awk -v names=" $* " 'BEGIN { RS = ""; ORS = "\n\n" } index(names, " " $2 " ")' "$cd_repo/Packages" ;;
esac
"#;

/// A directory with a mirror and the programs that serve it.
pub struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    pub fn new() -> Repository {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("apt-get", APT_GET), ("apt-cache", APT_CACHE)] {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::create_dir(folder.path().join("pool")).unwrap();
        fs::create_dir(folder.path().join("etc")).unwrap();
        fs::write(folder.path().join("etc/sources.list"), "deb http://apt.example/debian sid main\n").unwrap();
        fs::write(folder.path().join("Packages"), "").unwrap();
        Repository { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a package into the pool and lists it.
    pub fn add(&self, name: &str, version: &str, files: &[(&str, &[u8])]) {
        let bytes = deb("data.tar.xz", files);
        fs::write(self.path(&format!("pool/{name}={version}.deb")), &bytes).unwrap();
        self.list("Packages", name, version, &checksum::of_bytes(&bytes));
    }

    /// Adds a kernel the way Debian packs them up to 6.18, with virtio as modules.
    pub fn add_kernel(&self, release: &str, version: &str) {
        let module = |depends: &str| crate::store::kmod::tests::module(depends);
        let (pci, console, other) = (module("virtio"), module("virtio,helper"), module(""));
        let files: [(String, &[u8]); 7] = [
            (format!("./boot/vmlinuz-{release}"), &image(release)),
            (format!("./boot/config-{release}"), b"CONFIG_BPF=y\nCONFIG_VIRTIO_PCI=m\n"),
            (format!("./lib/modules/{release}/modules.builtin"), b"kernel/x.ko\n"),
            (format!("./lib/modules/{release}/kernel/virtio.ko"), &other),
            (format!("./lib/modules/{release}/kernel/virtio_pci.ko"), &pci),
            (format!("./lib/modules/{release}/kernel/virtio_console.ko"), &console),
            (format!("./lib/modules/{release}/kernel/helper.ko"), &other),
        ];
        let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), *bytes)).collect();
        self.add(&format!("linux-image-{release}"), version, &files);
    }

    /// Lists a package, whether it is in the pool or not, in `Packages` or, from the next update on, `Packages.next`.
    pub fn list(&self, index: &str, name: &str, version: &str, sha256: &str) {
        let mut text = fs::read_to_string(self.path(index)).unwrap_or_default();
        text += &format!("Package: {name}\nVersion: {version}\nSHA256: {sha256}\n\n");
        fs::write(self.path(index), text).unwrap();
    }

    /// Takes the file of a package away; the index goes on to name it.
    pub fn lose(&self, name: &str, version: &str) {
        fs::remove_file(self.path(&format!("pool/{name}={version}.deb"))).unwrap();
    }

    /// The calls of `apt-get` that matched, since the beginning.
    pub fn calls(&self, word: &str) -> usize {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().filter(|line| line.contains(word)).count()
    }

    /// Opens the store that lies beside the mirror.
    pub fn store(&self) -> Store {
        let programs = Programs {
            apt_get: self.path("apt-get"),
            apt_cache: self.path("apt-cache"),
            apt_etc: self.path("etc"),
            virtme_ng: None,
            pythons: Vec::new(),
        };
        Store::open_with(&self.path("store"), programs).unwrap()
    }

    pub fn lock(&self) -> LockFile {
        LockFile::open(&self.path("kernels.lock")).unwrap()
    }

    pub fn entries(&self) -> usize {
        fs::read_dir(self.path("store/kernels")).unwrap().count()
    }
}

/// A kernel of suite sid whose package matches `glob`.
pub fn from_apt(glob: &str) -> KernelSpec {
    spec("6.1", Source::Apt { suites: vec!["sid".to_owned()], packages: vec![glob.to_owned()], archive: None })
}
