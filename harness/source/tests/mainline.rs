//! Mainline kernels from a server on loopback that is laid out as the archive of mainline builds.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use super::site::Signer;
use super::*;
use crate::manifest::{Keyring, KeyringPlace};
use crate::need::{self, need};
use crate::source::archive::deb::tests::deb;
use crate::source::download::tests::{Asked, Server};

type Shelf = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A page that links to these names.
fn page(names: &[&str]) -> Vec<u8> {
    let links = names.iter().map(|name| format!("<a href=\"{name}\">{name}</a>\n"));
    format!("<a href=\"../\">up</a>\n{}", links.collect::<String>()).into_bytes()
}

/// Puts a version on the shelf: image, modules with the config, and headers, which no one needs.
fn add(shelf: &Shelf, version: &str, folder: &str) {
    let number = version.trim_start_matches('v');
    let release = format!("{number}-generic");
    let name = |part: &str| format!("linux-{part}-{release}_{number}.2026_amd64.deb");
    let kernel = image(&release);
    let packages = [
        (name("image-unsigned"), deb("data.tar.zst", &[(&format!("./boot/vmlinuz-{release}"), &kernel)])),
        (
            name("modules"),
            deb(
                "data.tar",
                &[
                    (&format!("./boot/config-{release}"), b"CONFIG_VIRTIO_PCI=y\n"),
                    (&format!("./lib/modules/{release}/modules.builtin"), b"kernel/x.ko\n"),
                ],
            ),
        ),
        (name("headers"), b"not asked for".to_vec()),
    ];
    let mut all = shelf.lock().unwrap();
    let at = format!("/mainline/{version}{folder}");
    let mut sums = String::new();
    let mut names: Vec<&str> = vec!["CHECKSUMS"];
    for (name, bytes) in &packages {
        sums += &format!("{}  {name}\n", checksum::of_bytes(bytes));
        all.insert(format!("{at}/{name}"), bytes.clone());
        names.push(name);
    }
    all.insert(format!("{at}/CHECKSUMS"), sums.into_bytes());
    all.insert(format!("{at}/"), page(&names));
    let versions: Vec<String> =
        all.keys().filter_map(|path| path.split('/').nth(2)).map(|it| format!("{it}/")).collect();
    let versions: Vec<&str> = versions.iter().map(String::as_str).filter(|it| *it != "/").collect();
    all.insert("/mainline/".to_owned(), page(&versions));
}

fn serve(shelf: &Shelf) -> Server {
    let shelf = Arc::clone(shelf);
    Server::start(move |asked: &Asked, _, stream: &mut TcpStream| {
        let found = shelf.lock().unwrap().get(&asked.path).cloned();
        let (status, body) = found.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
        let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&body);
    })
}

struct Archive {
    fixture: Fixture,
    shelf: Shelf,
    server: Server,
}

impl Archive {
    fn new() -> Archive {
        let shelf = Shelf::default();
        for version in ["v6.6", "v6.6.9", "v6.6.10", "v6.6.11-rc1", "v6.60"] {
            add(&shelf, version, "/amd64");
        }
        let server = serve(&shelf);
        Archive { fixture: Fixture::new(), shelf, server }
    }

    fn spec(&self, version: &str) -> KernelSpec {
        let mirror = Some(format!("{}/mainline/", self.server.address));
        spec("6.6", Source::Mainline { version: version.to_owned(), mirror, keys: None })
    }

    fn fetch(&self, version: &str) -> Result<StoredKernel, StoreError> {
        self.fixture.store().kernel(&self.spec(version), &self.fixture.lock(), false, &quiet)
    }

    fn pinned(&self) -> Option<String> {
        self.fixture.lock().kernel("6.6").unwrap().version
    }
}

#[test]
fn newest_point_release_is_taken_and_stays_until_it_is_updated() {
    need!("curl");
    let archive = Archive::new();
    let kernel = archive.fetch("v6.6.*").unwrap();
    assert_eq!((kernel.identity.release.as_str(), archive.pinned().as_deref()), ("6.6.10-generic", Some("v6.6.10")));
    assert!(kernel.config.is_some());
    add(&archive.shelf, "v6.6.12", "/amd64");
    assert_eq!(archive.fetch("v6.6.*").unwrap(), kernel, "it is pinned");
    let spec = archive.spec("v6.6.*");
    let builds = archive.fixture.store().builds(&spec, &archive.fixture.lock(), false, &quiet).unwrap();
    let names: Vec<&str> = builds.iter().map(|build| build.spec.name.as_str()).collect();
    assert_eq!(names, ["6.6@6.6", "6.6@6.6.9", "6.6@6.6.10", "6.6@6.6.12"]);
    // Another machine gets the same.
    fs::remove_dir_all(archive.fixture.path("store")).unwrap();
    let again = archive.fetch("v6.6.*").unwrap();
    assert_eq!(again.identity, kernel.identity);

    let (store, lock) = (archive.fixture.store(), archive.fixture.lock());
    let spec = archive.spec("v6.6.*");
    let newest = store.newest_version(&spec, &lock, &quiet).unwrap();
    assert_eq!(newest, Some(("v6.6.10".to_owned(), "v6.6.12".to_owned())));
    assert_eq!(store.newest_kernel(&spec, &lock, &quiet).unwrap().identity.release, "6.6.12-generic");
    assert_eq!(archive.pinned().as_deref(), Some("v6.6.12"));
    let paths: Vec<String> = archive.server.asked().into_iter().map(|asked| asked.path).collect();
    assert!(!paths.iter().any(|path| path.contains("headers")), "{paths:?}");
}

#[test]
fn version_that_is_named_is_taken_and_checked() {
    need!("curl");
    let archive = Archive::new();
    assert_eq!(archive.fetch("v6.6.9").unwrap().identity.release, "6.6.9-generic");
    assert_eq!(
        archive.fixture.store().newest_version(&archive.spec("v6.6.9"), &archive.fixture.lock(), &quiet).unwrap(),
        None
    );
    // One that was packed again is another kernel.
    fs::remove_dir_all(archive.fixture.path("store")).unwrap();
    let mut all = archive.shelf.lock().unwrap();
    let name = "linux-image-unsigned-6.6.9-generic_6.6.9.2026_amd64.deb";
    let path = format!("/mainline/v6.6.9/amd64/{name}");
    let changed = deb("data.tar", &[("./boot/vmlinuz-6.6.9-generic", &image("6.6.99-generic"))]);
    let sum = checksum::of_bytes(&changed);
    all.insert(path, changed);
    drop(all);
    let error = archive.fetch("v6.6.9").unwrap_err();
    assert!(error.to_string().contains("its sha256 is `"), "{error}");
    let mut all = archive.shelf.lock().unwrap();
    all.insert("/mainline/v6.6.9/amd64/CHECKSUMS".to_owned(), format!("{sum}  {name}\n").into_bytes());
    drop(all);
    let error = archive.fetch("v6.6.9").unwrap_err();
    assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
}

#[test]
fn old_versions_have_the_packages_of_all_machines_in_one_folder() {
    need!("curl");
    let archive = Archive::new();
    add(&archive.shelf, "v5.4", "");
    assert_eq!(archive.fetch("v5.4").unwrap().identity.release, "5.4-generic");
}

#[test]
fn what_keeps_it_away_is_told() {
    need!("curl");
    let archive = Archive::new();
    for version in ["v6.7", "v6.7.*"] {
        let error = archive.fetch(version).unwrap_err();
        assert!(error.is_unavailable());
        let expected = format!("kernel `6.6` is unavailable: the mainline archive has no `{version}`");
        assert_eq!(error.to_string(), expected);
    }
    let store = archive.fixture.store();
    let error = store.kernel(&archive.spec("v6.6"), &archive.fixture.lock(), true, &quiet).unwrap_err();
    assert_eq!(error.to_string(), "kernel `6.6` is not stored, and the run is offline");
}

#[test]
fn checksums_count_if_the_right_key_signed_them() {
    need!("curl", "gpg", "gpgv");
    let archive = Archive::new();
    let (right, wrong) = (Signer::new(), Signer::new());
    archive.fixture.write("keys.asc", &right.public());
    let keys = Keyring { places: vec![KeyringPlace::Path(archive.fixture.path("keys.asc"))], fingerprints: Vec::new() };
    let Source::Mainline { version, mirror, .. } = archive.spec("v6.6.9").source else { panic!("another source") };
    let spec = spec("6.6", Source::Mainline { version, mirror, keys: Some(keys) });
    let fetch = || {
        let _ = fs::remove_dir_all(archive.fixture.path("store"));
        archive.fixture.store().kernel(&spec, &archive.fixture.lock(), false, &quiet)
    };
    let notes = |kernel: StoredKernel| {
        kernel.notes.iter().filter(|note| note.contains("checksums")).cloned().collect::<Vec<_>>()
    };
    let unsigned = notes(fetch().unwrap());
    assert_eq!(unsigned, ["the archive has no signature of its checksums: only https protects it"]);
    let sums = archive.shelf.lock().unwrap()["/mainline/v6.6.9/amd64/CHECKSUMS"].clone();
    let sign = |signer: &Signer, bytes: &[u8]| {
        let path = "/mainline/v6.6.9/amd64/CHECKSUMS.gpg".to_owned();
        archive.shelf.lock().unwrap().insert(path, signer.sign(bytes));
    };
    sign(&right, &sums);
    assert_eq!(notes(fetch().unwrap()), [""; 0]);
    for (signer, bytes) in [(&wrong, &sums[..]), (&right, b"other sums")] {
        sign(signer, bytes);
        let error = fetch().unwrap_err();
        assert!(error.is_unavailable() && error.reason().contains("are not trusted"), "{error}");
    }
}
