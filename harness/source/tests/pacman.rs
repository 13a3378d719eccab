//! Kernels from repositories of Arch's packages.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use std::io::Read;

use super::site::{Signer, Site, age_indexes, gzip, tar};
use super::*;
use crate::manifest::{Keyring, KeyringPlace, Repository, RepositoryAddress, RepositoryFormat};
use crate::need::{self, need};

const ARCH: &str = std::env::consts::ARCH;
const VERSION: &str = "6.15.2.arch1-1";
const RELEASE: &str = "6.15.2-arch1-1";

struct Fixture {
    site: Site,
    signer: Signer,
    own: super::Fixture,
}

impl Fixture {
    fn new() -> Fixture {
        let (own, signer) = (super::Fixture::new(), Signer::new());
        own.write("keys.gpg", &signer.public());
        Fixture { site: Site::new(), signer, own }
    }

    fn file(&self) -> String {
        Fixture::file_of(VERSION)
    }

    fn file_of(version: &str) -> String {
        format!("/core/linux-{version}-{ARCH}.pkg.tar.zst")
    }

    /// Puts the package of a kernel to its place; returns what a database says of it.
    fn add_kernel(&self, name: &str) -> String {
        self.add_build(name, VERSION)
    }

    fn add_build(&self, name: &str, version: &str) -> String {
        let info = format!("pkgname = {name}\npkgver = {version}\n");
        let files: [(&str, &[u8]); 3] = [
            (".PKGINFO", info.as_bytes()),
            (&format!("usr/lib/modules/{RELEASE}/vmlinuz"), &image(RELEASE)),
            (
                &format!("usr/lib/modules/{RELEASE}/modules.builtin"),
                b"kernel/virtio_pci.ko\nkernel/virtio_console.ko\n",
            ),
        ];
        let package = zstd::encode_all(&tar(&files, true)[..], 1).unwrap();
        let sum = checksum::of_bytes(&package);
        let file = Fixture::file_of(version);
        let file_name = file.rsplit('/').next().unwrap();
        self.site.put(&file, package);
        format!(
            "%FILENAME%\n{file_name}\n\n%NAME%\nlinux\n\n%VERSION%\n{version}\n\n%SHA256SUM%\n{sum}\n\n%ARCH%\n{ARCH}\n\n"
        )
    }

    fn put_database(&self, description: &str) {
        let name = format!("linux-{VERSION}/desc");
        self.site.put("/core/core.db", gzip(&tar(&[(&name, description.as_bytes())], true)));
    }

    fn fetch(&self, unsigned_index: bool) -> Result<StoredKernel, StoreError> {
        let _ = fs::remove_dir_all(self.own.path("store"));
        let source = Source::Repository(self.repository(unsigned_index));
        self.own.store().kernel(&spec("arch", source), &self.own.lock(), false, &quiet)
    }

    fn repository(&self, unsigned_index: bool) -> Repository {
        let place = KeyringPlace::Path(self.own.path("keys.gpg"));
        Repository {
            format: RepositoryFormat::Pacman,
            addresses: vec![RepositoryAddress::Base(self.site.url("/core/core.db"))],
            packages: vec!["linux".to_owned()],
            keys: Some(Keyring { places: vec![place], fingerprints: Vec::new() }),
            unsigned_index,
            build: None,
        }
    }

    /// The same without forgetting what the store has.
    fn fetch_again(&self) -> Result<StoredKernel, StoreError> {
        let source = Source::Repository(self.repository(true));
        self.own.store().kernel(&spec("arch", source), &self.own.lock(), false, &quiet)
    }

    fn reason(&self, unsigned_index: bool) -> String {
        self.fetch(unsigned_index).unwrap_err().to_string().replace(&self.site.url(""), "SITE")
    }
}

#[test]
fn a_kernel_of_arch_is_verified_and_pinned_wherever_its_signature_is() {
    need!("curl", "gpg", "gpgv");
    let fixture = Fixture::new();
    let description = fixture.add_kernel("linux");
    let signature = fixture.signer.sign(&fixture.site.get(&fixture.file()));
    // Beside the package, as Arch has it now.
    fixture.put_database(&description);
    fixture.site.put(&format!("{}.sig", fixture.file()), signature.clone());
    let kernel = fixture.fetch(true).unwrap();
    assert_eq!(kernel.identity.release, RELEASE);
    // Arch has the config in the image, and this one has none.
    assert!(matches!(&kernel.notes[..], [note] if note.contains("no kernel config")), "{:?}", kernel.notes);
    assert_eq!(kernel.source, format!("pacman: linux {VERSION}"));
    // In the database.
    fixture.site.remove(&format!("{}.sig", fixture.file()));
    fixture.put_database(&format!("{description}%PGPSIG%\n{}\n", BASE64_STANDARD.encode(signature)));
    assert_eq!(fixture.fetch(true).unwrap().identity, kernel.identity);
    // The database is signed.
    fixture.put_database(&description);
    fixture.site.put("/core/core.db.sig", fixture.signer.sign(&fixture.site.get("/core/core.db")));
    assert_eq!(fixture.fetch(false).unwrap().identity, kernel.identity);
}

#[test]
fn what_nobody_or_somebody_else_signed_is_refused() {
    need!("curl", "gpg", "gpgv");
    let fixture = Fixture::new();
    let other = Signer::new();
    let description = fixture.add_kernel("linux");
    fixture.put_database(&description);
    let mut reasons = vec![fixture.reason(false), fixture.reason(true)];
    fixture.site.put(&format!("{}.sig", fixture.file()), other.sign(&fixture.site.get(&fixture.file())));
    reasons.push(fixture.reason(true));
    fixture.site.put("/core/core.db.sig", other.sign(&fixture.site.get("/core/core.db")));
    reasons.push(fixture.reason(true));
    fixture.site.remove("/core/core.db.sig");
    let description = fixture.add_kernel("bash");
    fixture.put_database(&description);
    reasons.push(fixture.reason(true));
    fixture.put_database(&"x".repeat(2 << 20));
    reasons.push(fixture.reason(true));
    insta::assert_snapshot!(reasons.join("\n").replace(ARCH, "ARCH"));
}

#[test]
fn a_stale_database_gives_way_to_a_fresh_one_and_what_vanished_is_told() {
    need!("curl", "gpg", "gpgv");
    let fixture = Fixture::new();
    let (old, new) = ("6.15.2.arch1-1", "6.15.3.arch1-1");
    let publish = |version: &str| {
        fixture.put_database(&fixture.add_build("linux", version));
        let file = Fixture::file_of(version);
        fixture.site.put(&format!("{file}.sig"), fixture.signer.sign(&fixture.site.get(&file)));
    };
    publish(old);
    fixture.fetch_again().unwrap();
    // The mirror has moved on: what the index in the store names is gone, as is what is pinned. Arch keeps one build.
    fixture.site.remove(&Fixture::file_of(old));
    publish(new);
    fs::remove_dir_all(fixture.own.path("store/kernels")).unwrap();
    age_indexes(&fixture.own.path("store"));
    let kernel = fixture.fetch_again().unwrap();
    assert_eq!(kernel.source, format!("pacman: linux {new}"));
    assert_eq!(kernel.notes[0], format!("pinned {old} is gone from the repository; using {new}"));
    fixture.site.remove(&Fixture::file_of(new));
    let _ = fs::remove_file(fixture.own.lock_path());
    let reason = fixture.reason(true);
    assert_eq!(reason, format!("kernel `arch` is unavailable: listed but not available: `linux` {new}"));
}

#[test]
fn a_server_that_leads_elsewhere_is_followed_and_a_bomb_is_not_unpacked() {
    need!("curl", "gpg", "gpgv");
    let fixture = Fixture::new();
    let description = fixture.add_kernel("linux");
    let (file, site) = (fixture.file(), &fixture.site);
    fixture.put_database(&description);
    for (path, place) in [("/core/core.db", "/else/core.db"), (&file, "/else/package")] {
        site.put(place, site.get(path));
        if path == file {
            site.put(&format!("{file}.sig"), fixture.signer.sign(&site.get(path)));
        }
        site.put(path, format!("-> {}", site.url(place)));
    }
    assert_eq!(fixture.fetch(true).unwrap().identity.release, RELEASE);
    // A gigabyte in front of the description.
    let mut bomb = Vec::new();
    let mut packer = flate2::write::GzEncoder::new(&mut bomb, flate2::Compression::fast());
    let mut header = tar::Header::new_gnu();
    header.set_path(format!("linux-{VERSION}/desc")).unwrap();
    header.set_size(1 << 30);
    header.set_mode(0o644);
    header.set_cksum();
    std::io::Write::write_all(&mut packer, header.as_bytes()).unwrap();
    std::io::copy(&mut std::io::repeat(b'x').take(1 << 30), &mut packer).unwrap();
    packer.finish().unwrap();
    site.put("/core/core.db", bomb);
    let reason = fixture.reason(true);
    assert!(reason.contains("too long a description"), "{reason}");
}
