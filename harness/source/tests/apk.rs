//! Kernels from repositories of Alpine's `.apk`.

use std::io::Read;
use std::process::Command;

use sha1::{Digest, Sha1};

use super::site::{Site, age_indexes, gzip, output, tar};
use super::*;
use crate::manifest::{Keyring, KeyringPlace, Repository, RepositoryAddress, RepositoryFormat};
use crate::need::{self, need};

const ARCH: &str = std::env::consts::ARCH;
const VERSION: &str = "6.12.31-r0";
const RELEASE: &str = "6.12.31-0-virt";

/// A repository on loopback, the key that signs it, and a store that fetches from it.
struct Fixture {
    site: Site,
    own: super::Fixture,
}

impl Fixture {
    fn new() -> Fixture {
        let fixture = Fixture { site: Site::new(), own: super::Fixture::new() };
        for name in ["right", "wrong"] {
            let key = fixture.own.path(name);
            output(Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048"), b"");
            let public = output(Command::new("openssl").args(["rsa", "-pubout", "-in"]).arg(&key), b"");
            fixture.own.write(&format!("{name}.rsa.pub"), &public);
        }
        fixture
    }

    fn sign(&self, key: &str, digest: &str, bytes: &[u8]) -> Vec<u8> {
        let signature = output(Command::new("openssl").args(["dgst", digest, "-sign"]).arg(self.own.path(key)), bytes);
        let name = if digest == "-sha1" { ".SIGN.RSA.x@example.org.rsa.pub" } else { ".SIGN.RSA256.x.rsa.pub" };
        gzip(&tar(&[(name, &signature)], false))
    }

    /// Puts a package of a kernel, in its segments, to its place; returns what an index says of it.
    fn add_kernel(&self, info: &str, key: &str) -> (String, Vec<u8>) {
        self.add_build(VERSION, info, key)
    }

    fn add_build(&self, version: &str, info: &str, key: &str) -> (String, Vec<u8>) {
        let files: [(&str, &[u8]); 3] = [
            ("boot/vmlinuz-virt", &image(RELEASE)),
            (&format!("boot/config-{RELEASE}"), b"CONFIG_BPF=y\n"),
            (&format!("lib/modules/{RELEASE}/modules.builtin"), b"kernel/virtio_pci.ko\nkernel/virtio_console.ko\n"),
        ];
        let data = gzip(&tar(&files, true));
        let info = format!("{info}datahash = {}\n", checksum::of_bytes(&data));
        let control = gzip(&tar(&[(".PKGINFO", info.as_bytes())], false));
        let package = [self.sign(key, "-sha1", &control), control.clone(), data].concat();
        self.site.put(&format!("/main/{ARCH}/linux-virt-{version}.apk"), package.clone());
        let sum = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, Sha1::digest(&control));
        (format!("C:Q1{sum}\nP:linux-virt\nV:{version}\nA:{ARCH}\nS:1\n\nC:Q1xx\nP:other\nV:1\nA:{ARCH}\n\n"), package)
    }

    fn put_index(&self, text: &str, key: &str, digest: &str) {
        let packed = gzip(&tar(&[("DESCRIPTION", b"v3.22"), ("APKINDEX", text.as_bytes())], true));
        let signed = [self.sign(key, digest, &packed), packed].concat();
        self.site.put(&format!("/main/{ARCH}/APKINDEX.tar.gz"), signed);
    }

    fn fetch(&self) -> Result<StoredKernel, StoreError> {
        let _ = fs::remove_dir_all(self.own.path("store"));
        self.fetch_again()
    }

    /// The same without forgetting what the store has.
    fn fetch_again(&self) -> Result<StoredKernel, StoreError> {
        let place = KeyringPlace::Path(self.own.path("right.rsa.pub"));
        let source = Source::Repository(Repository {
            format: RepositoryFormat::Apk,
            addresses: vec![RepositoryAddress::Base(self.site.url("/main/"))],
            packages: vec!["linux-virt".to_owned()],
            keys: Some(Keyring { places: vec![place], fingerprints: Vec::new() }),
            unsigned_index: false,
            build: None,
        });
        self.own.store().kernel(&spec("alpine", source), &self.own.lock(), false, &quiet)
    }
}

fn info() -> String {
    format!("# made\npkgname = linux-virt\npkgver = {VERSION}\n")
}

#[test]
fn a_kernel_of_alpine_is_verified_and_pinned() {
    need!("curl", "openssl");
    let fixture = Fixture::new();
    let (index, _) = fixture.add_kernel(&info(), "right");
    for digest in ["-sha1", "-sha256"] {
        fixture.put_index(&index, "right", digest);
        let kernel = fixture.fetch().unwrap();
        assert_eq!(kernel.identity.release, RELEASE);
        assert_eq!(kernel.source, format!("apk: linux-virt {VERSION}"));
        assert!(kernel.config.is_some() && kernel.modules.is_empty() && kernel.notes.is_empty(), "{kernel:?}");
    }
    // The control segment does not distinguish builds, but the file is pinned.
    let (index, _) = fixture.add_kernel(&(info() + "builddate = 2\n"), "right");
    fixture.put_index(&index, "right", "-sha1");
    assert!(matches!(fixture.fetch(), Err(StoreError::Mismatch { .. })));
}

#[test]
fn what_is_not_signed_by_the_right_key_is_refused() {
    need!("curl", "openssl");
    let fixture = Fixture::new();
    let (index, package) = fixture.add_kernel(&info(), "right");
    let mut reasons = Vec::new();
    let mut expect = || {
        let error = fixture.fetch().unwrap_err();
        reasons.push(error.to_string().replace(&fixture.site.url(""), "SITE"));
        error.is_unavailable()
    };
    fixture.put_index(&index, "wrong", "-sha1");
    assert!(expect());
    let path = format!("/main/{ARCH}/APKINDEX.tar.gz");
    fixture.site.put(&path, gzip(&tar(&[("APKINDEX", index.as_bytes())], true)));
    assert!(expect());
    fixture.site.put(&path, "<html>");
    assert!(expect());
    fixture.site.remove(&path);
    assert!(expect());
    fixture.put_index(&index, "right", "-sha1");
    // Other data behind the same control segment, another control segment, another package of the same one.
    let place = format!("/main/{ARCH}/linux-virt-{VERSION}.apk");
    let mut changed = package.clone();
    let last = changed.len() - 20;
    changed[last] ^= 1;
    fixture.site.put(&place, changed);
    assert!(!expect());
    fixture.add_kernel(&(info() + "builddate = 2\n"), "right");
    assert!(!expect());
    let (index, _) = fixture.add_kernel("pkgname = bash\npkgver = 1\n", "right");
    fixture.put_index(&index, "right", "-sha1");
    assert!(!expect());
    fixture.site.put(&place, "<html>");
    assert!(!expect());
    fixture.site.remove(&place);
    assert!(expect());
    insta::assert_snapshot!(reasons.join("\n"));
}

#[test]
fn an_index_without_end_is_refused() {
    need!("curl", "openssl");
    let fixture = Fixture::new();
    fixture.put_index(&format!("P:{}", "x".repeat(3 << 20)), "right", "-sha1");
    let error = fixture.fetch().unwrap_err().to_string();
    assert!(error.contains("a line is too long"), "{error}");
}

#[test]
fn a_stale_index_gives_way_to_a_fresh_one() {
    need!("curl", "openssl");
    let fixture = Fixture::new();
    let publish = |version: &str| {
        let info = format!("pkgname = linux-virt\npkgver = {version}\n");
        let (index, _) = fixture.add_build(version, &info, "right");
        fixture.put_index(&index, "right", "-sha1");
    };
    publish(VERSION);
    fixture.fetch_again().unwrap();
    // The mirror has moved on: what the index in the store names is gone, as is what is pinned. Alpine keeps one build.
    fixture.site.remove(&format!("/main/{ARCH}/linux-virt-{VERSION}.apk"));
    publish("6.12.32-r0");
    fs::remove_dir_all(fixture.own.path("store/kernels")).unwrap();
    age_indexes(&fixture.own.path("store"));
    let kernel = fixture.fetch_again().unwrap();
    assert_eq!(kernel.source, "apk: linux-virt 6.12.32-r0");
    assert_eq!(kernel.notes, [format!("pinned {VERSION} is gone from the repository; using 6.12.32-r0")]);
}

#[test]
fn a_server_that_leads_elsewhere_is_followed_and_a_bomb_is_not_unpacked() {
    need!("curl", "openssl");
    let (fixture, index_path) = (Fixture::new(), format!("/main/{ARCH}/APKINDEX.tar.gz"));
    let (index, _) = fixture.add_kernel(&info(), "right");
    fixture.put_index(&index, "right", "-sha256");
    let site = &fixture.site;
    for path in [index_path.clone(), format!("/main/{ARCH}/linux-virt-{VERSION}.apk")] {
        let place = format!("/else{path}");
        site.put(&place, site.get(&path));
        site.put(&path, format!("-> {}", site.url(&place)));
    }
    assert_eq!(fixture.fetch().unwrap().identity.release, RELEASE);
    // A gigabyte where the signature of the index should be.
    let mut bomb = Vec::new();
    let mut packer = flate2::write::GzEncoder::new(&mut bomb, flate2::Compression::fast());
    std::io::copy(&mut std::io::repeat(0).take(1 << 30), &mut packer).unwrap();
    packer.finish().unwrap();
    site.put(&index_path, bomb);
    let error = fixture.fetch().unwrap_err();
    assert!(error.is_unavailable() && error.reason().contains("it unpacks to more than 16 MiB"), "{error}");
}
