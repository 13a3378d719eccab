//! Kernels from packages that are named by their files.

use std::io::Write;

use super::*;
use crate::manifest::{FileLocation, PackageFile};
use crate::need::{self, need};
use crate::source::archive::deb::tests::deb;
use crate::source::archive::rpm::tests::rpm;
use crate::source::download::tests::Server;

impl Fixture {
    fn package(&self, name: &str, bytes: &[u8]) -> PackageFile {
        PackageFile { place: FileLocation::Path(self.write(name, bytes)), sha256: None }
    }

    fn packages(&self, files: Vec<PackageFile>, offline: bool) -> Result<StoredKernel, StoreError> {
        self.store().kernel(&spec("mine", Source::Package { files }), &self.lock(), offline, &quiet)
    }
}

fn split_deb() -> (Vec<u8>, Vec<u8>) {
    let image = deb("data.tar.zst", &[("./boot/vmlinuz-6.6.0-9-generic", &image("6.6.0-9-generic"))]);
    let config = b"CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\n";
    (image, deb("data.tar.xz", &[("./boot/config-6.6.0-9-generic", config), ("./usr/share/doc/x", b"no")]))
}

#[test]
fn packages_on_this_machine_are_put_together_and_not_pinned() {
    let fixture = Fixture::new();
    let (image, modules) = split_deb();
    let files = vec![fixture.package("image.deb", &image), fixture.package("modules.deb", &modules)];
    let kernel = fixture.packages(files.clone(), true).unwrap();
    assert_eq!(kernel.identity.release, "6.6.0-9-generic");
    assert_eq!(kernel.source, "package: image.deb, modules.deb");
    assert!(kernel.config.is_some() && kernel.notes.is_empty(), "{:?}", kernel.notes);
    assert_eq!(fixture.packages(files, true).unwrap().boot_image, kernel.boot_image);
    assert!(!fixture.lock_path().exists(), "the user's own packages are not pinned");
}

#[test]
fn an_rpm_serves_as_well() {
    let fixture = Fixture::new();
    let package = rpm(&[
        ("./lib/modules/6.8.5-301.fc40.x86_64/vmlinuz", &image("6.8.5-301.fc40.x86_64")),
        ("./lib/modules/6.8.5-301.fc40.x86_64/config", b"CONFIG_VIRTIO_PCI=y\n"),
    ]);
    let kernel = fixture.packages(vec![fixture.package("kernel-core.rpm", &package)], true).unwrap();
    assert_eq!(kernel.identity.release, "6.8.5-301.fc40.x86_64");
    assert!(kernel.config.is_some());
}

#[test]
fn packages_on_a_server_are_pinned_and_fetched_once() {
    need!("curl");
    let fixture = Fixture::new();
    let (image, modules) = split_deb();
    let sums = [checksum::of_bytes(&image), checksum::of_bytes(&modules)];
    let server = Server::start(move |asked, _, stream| {
        let body = if asked.path == "/image.deb" { &image } else { &modules };
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).unwrap();
    });
    let file = |name: &str, sum: &str| PackageFile {
        place: FileLocation::Url(format!("{}/{name}", server.address)),
        sha256: Some(sum.to_owned()),
    };
    let files = vec![file("image.deb", &sums[0]), file("modules.deb", &sums[1])];
    assert!(matches!(fixture.packages(files.clone(), true), Err(StoreError::Offline { .. })));
    let kernel = fixture.packages(files.clone(), false).unwrap();
    assert_eq!(fixture.packages(files.clone(), true).unwrap(), kernel);
    assert_eq!(server.asked().len(), 2);
    let lock = fs::read_to_string(fixture.lock_path()).unwrap();
    assert!(lock.contains("source = \"package\"") && !lock.contains("127.0.0.1"), "{lock}");
    assert_eq!(fs::read_dir(fixture.store().downloads()).unwrap().count(), 0, "nothing is left of the download");

    let wrong = vec![file("image.deb", &sums[1])];
    let error = fixture.packages(wrong, false).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[test]
fn what_is_no_kernel_is_told() {
    let fixture = Fixture::new();
    let error = |files| fixture.packages(files, true).unwrap_err();
    let (image, modules) = split_deb();
    let mut wrong = fixture.package("image.deb", &image);
    wrong.sha256 = Some("ab".repeat(32));
    let gone = PackageFile { place: FileLocation::Path(fixture.path("gone.deb")), sha256: None };
    let all = [
        error(vec![wrong]),
        error(vec![gone]),
        error(vec![fixture.package("modules.deb", &modules)]),
        error(vec![fixture.package("damaged.deb", &image[..200])]),
        error(vec![fixture.package("hostile.deb", &deb("data.tar", &[("../../boot/vmlinuz-1", b"x")]))]),
        error(vec![fixture.package("damaged.rpm", b"hello")]),
        error(vec![fixture.package("arm.deb", &deb("data.tar", &[("./boot/vmlinuz-6.6.0-arm64", b"MZ no x86")]))]),
    ];
    let folder = fixture.folder.path().display().to_string();
    let text: Vec<String> = all.iter().map(|error| error.to_string().replace(&folder, "DIR")).collect();
    insta::assert_snapshot!(text.join("\n").replace(&checksum::of_bytes(&image), "SUM"));
    assert!(all.iter().all(|error| error.hint().is_some()));
}
