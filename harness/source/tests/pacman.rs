//! Kernels from repositories of Arch's packages.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::site::{Signer, Site, gzip, tar};
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
        format!("/core/linux-{VERSION}-{ARCH}.pkg.tar.zst")
    }

    /// Puts the package of a kernel to its place; returns what a database says of it.
    fn add_kernel(&self, name: &str) -> String {
        let info = format!("pkgname = {name}\npkgver = {VERSION}\n");
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
        let file = self.file();
        let file_name = file.rsplit('/').next().unwrap();
        self.site.put(&file, package);
        format!(
            "%FILENAME%\n{file_name}\n\n%NAME%\nlinux\n\n%VERSION%\n{VERSION}\n\n%SHA256SUM%\n{sum}\n\n%ARCH%\n{ARCH}\n\n"
        )
    }

    fn put_database(&self, description: &str) {
        let name = format!("linux-{VERSION}/desc");
        self.site.put("/core/core.db", gzip(&tar(&[(&name, description.as_bytes())], true)));
    }

    fn fetch(&self, unsigned_index: bool) -> Result<StoredKernel, StoreError> {
        let _ = fs::remove_dir_all(self.own.path("store"));
        let place = KeyringPlace::Path(self.own.path("keys.gpg"));
        let source = Source::Repository(Repository {
            format: RepositoryFormat::Pacman,
            addresses: vec![RepositoryAddress::Base(self.site.url("/core/core.db"))],
            packages: vec!["linux".to_owned()],
            keys: Some(Keyring { places: vec![place], fingerprints: Vec::new() }),
            unsigned_index,
            build: None,
        });
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
