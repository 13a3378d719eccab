//! [`Fixture`]: a repository of `.rpm` on loopback, and a store that fetches from it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::super::site::{Signer, Site, gzip};
use super::super::*;
use super::{ARCH, NEW, OLD};
use crate::manifest::{Keyring, KeyringPlace, Repository, RepositoryAddress, RepositoryFormat};
use crate::source::archive::rpm::tests::rpm as plain_rpm;

/// How a package is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    No,
    /// Its header is, which has the checksum of the payload.
    Header,
    /// The same as rpm 6 writes it.
    Text,
    /// Header and payload, as before rpm 4.14.
    All,
}

/// A header of tags: (tag, type, count, data).
fn header(tags: &[(u32, u32, u32, Vec<u8>)]) -> Vec<u8> {
    let (mut index, mut data) = (Vec::new(), Vec::new());
    for (tag, kind, count, bytes) in tags {
        for number in [*tag, *kind, data.len() as u32, *count] {
            index.extend(number.to_be_bytes());
        }
        data.extend(bytes);
    }
    let mut out = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
    out.extend((tags.len() as u32).to_be_bytes());
    out.extend((data.len() as u32).to_be_bytes());
    out.extend(index.iter().chain(&data));
    out
}

/// A package.
pub fn package(name: &str, version: &str, files: &[(&str, &[u8])], signer: &Signer, signed: Signed) -> Vec<u8> {
    let plain = plain_rpm(files);
    let payload = &plain[plain.windows(4).position(|four| four == [0x28, 0xb5, 0x2f, 0xfd]).unwrap()..];
    let text = |tag: u32, text: &str| (tag, 6, 1, format!("{text}\0").into_bytes());
    let (version, release) = version.split_once('-').unwrap();
    let mut tags = vec![text(1000, name), text(1001, version), text(1002, release), text(1022, ARCH)];
    if signed != Signed::All {
        tags.push((5092, 8, 1, format!("{}\0", checksum::of_bytes(payload)).into_bytes()));
    }
    let main = header(&tags);
    let of_header = signer.sign(&main);
    let signatures = header(&match signed {
        Signed::No => vec![(269, 6, 1, b"no signature\0".to_vec())],
        Signed::Header => vec![(268, 7, of_header.len() as u32, of_header)],
        Signed::Text => vec![(278, 8, 1, (BASE64_STANDARD.encode(of_header) + "\0").into_bytes())],
        Signed::All => {
            let of_all = signer.sign(&[&main[..], payload].concat());
            vec![(1002, 7, of_all.len() as u32, of_all)]
        }
    });
    let mut out = vec![0xed, 0xab, 0xee, 0xdb];
    out.resize(96, 0);
    out.extend(signatures);
    out.resize(out.len().next_multiple_of(8), 0);
    out.extend(main);
    out.extend(payload);
    out
}

/// A repository on loopback, and a store that fetches from it.
pub struct Fixture {
    pub site: Site,
    pub signer: Signer,
    pub signed: Signed,
    pub packages: Vec<(String, String, Vec<u8>)>,
    pub own: super::super::Fixture,
}

impl Fixture {
    pub fn new(signed: Signed) -> Fixture {
        let (own, signer) = (super::super::Fixture::new(), Signer::new());
        own.write("keys.asc", &signer.public());
        Fixture { site: Site::new(), signer, signed, packages: Vec::new(), own }
    }

    /// With two builds of a kernel.
    pub fn with_kernels(signed: Signed) -> Fixture {
        let mut fixture = Fixture::new(signed);
        fixture.add_kernel(OLD);
        fixture.add_kernel(NEW);
        fixture.publish();
        fixture
    }

    pub fn add(&mut self, name: &str, version: &str, files: &[(&str, &[u8])]) {
        let bytes = package(name, version, files, &self.signer, self.signed);
        self.packages.push((name.to_owned(), version.to_owned(), bytes));
    }

    /// A kernel as Red Hat packs it since 9.2.
    pub fn add_kernel(&mut self, version: &str) {
        let release = format!("{version}.{ARCH}");
        let path = |name: &str| format!("./lib/modules/{release}/{name}");
        let module = |depends: &str| crate::store::kmod::tests::module(depends);
        self.add(
            "kernel-core",
            version,
            &[
                (&path("vmlinuz"), &image(&release)),
                (&path("config"), b"CONFIG_BPF=y\nCONFIG_VIRTIO_PCI=m\n"),
                (&path("modules.builtin"), b"kernel/x.ko\n"),
            ],
        );
        self.add(
            "kernel-modules-core",
            version,
            &[
                (&path("kernel/virtio.ko"), &module("")),
                (&path("kernel/virtio_pci.ko"), &module("virtio")),
                (&path("kernel/virtio_console.ko"), &module("virtio")),
            ],
        );
        self.add("kernel-modules", version, &[(&path("kernel/other.ko"), &module(""))]);
        self.add("kernel", version, &[]);
    }

    pub fn publish(&self) {
        self.publish_as("/os", |xml| ("primary.xml.gz", gzip(xml)));
    }

    /// Writes packages and index to a directory of the site.
    pub fn publish_as(&self, base: &str, pack: impl Fn(&[u8]) -> (&'static str, Vec<u8>)) {
        let mut xml = format!("<?xml version=\"1.0\"?><metadata packages=\"{}\">", self.packages.len());
        for (name, version, bytes) in &self.packages {
            let (location, sum) = (format!("Packages/{name}-{version}.{ARCH}.rpm"), checksum::of_bytes(bytes));
            let (plain, release) = version.split_once('-').unwrap();
            xml += &format!(
                "<package type=\"rpm\"><name>{name}</name><arch>{ARCH}</arch><version epoch=\"0\" ver=\"{plain}\" \
                 rel=\"{release}\"/><checksum type=\"sha256\" pkgid=\"YES\">{sum}</checksum><location href=\"{location}\"/>\
                 <format><rpm:license>GPL</rpm:license><rpm:provides><rpm:entry name=\"a\"/></rpm:provides></format></package>"
            );
            self.site.put(&format!("{base}/{location}"), bytes.clone());
        }
        let (name, packed) = pack((xml + "</metadata>").as_bytes());
        self.put_index(base, name, &packed);
    }

    pub fn put_index(&self, base: &str, name: &str, packed: &[u8]) {
        let sum = checksum::of_bytes(packed);
        self.site.put(&format!("{base}/repodata/{name}"), packed);
        let repomd = format!(
            "<repomd><data type=\"filelists\"><checksum type=\"sha256\">00</checksum><location href=\"no\"/></data>\
             <data type=\"primary\"><checksum type=\"sha256\">{sum}</checksum><open-checksum type=\"sha256\">00</open-checksum>\
             <location href=\"repodata/{name}\"/></data></repomd>"
        );
        self.site.put(&format!("{base}/repodata/repomd.xml.asc"), self.signer.sign(repomd.as_bytes()));
        self.site.put(&format!("{base}/repodata/repomd.xml"), repomd);
    }

    pub fn repository(&self) -> Repository {
        Repository {
            format: RepositoryFormat::Rpm,
            addresses: vec![RepositoryAddress::Base(self.site.url("/os"))],
            packages: vec!["kernel-core".to_owned()],
            keys: Some(Keyring {
                places: vec![KeyringPlace::Path(self.own.path("keys.asc"))],
                fingerprints: Vec::new(),
            }),
            unsigned_index: false,
            build: None,
        }
    }

    pub fn fetch(&self, repository: &Repository) -> Result<StoredKernel, StoreError> {
        let spec = spec("el9", Source::Repository(repository.clone()));
        self.own.store().kernel(&spec, &self.own.lock(), false, &quiet)
    }

    /// Why the repository is not available.
    pub fn reason(&self, repository: &Repository) -> String {
        let error = self.fetch(repository).unwrap_err();
        error.to_string().replace(&self.site.url(""), "SITE")
    }

    pub fn forget(&self) {
        let _ = fs::remove_dir_all(self.own.path("store"));
        let _ = fs::remove_file(self.own.lock_path());
    }
}
