//! Kernels from repositories of `.rpm` that can be as bad as they get.

mod repository;

use std::io::Read;

use self::repository::{Fixture, Signed, package};
use super::site::{Signer, Site, age_indexes, gzip};
use super::*;
use crate::manifest::{Keyring, KeyringPlace, Repository, RepositoryAddress};
use crate::need::{self, need};

const ARCH: &str = std::env::consts::ARCH;
const OLD: &str = "5.14.0-70.el9";
const NEW: &str = "5.14.0-427.el9";

#[test]
fn a_split_kernel_is_verified_pinned_and_fetched_once() {
    need!("curl", "gpg", "gpgv");
    for signed in [Signed::Header, Signed::Text, Signed::All] {
        let fixture = Fixture::with_kernels(signed);
        let kernel = fixture.fetch(&fixture.repository()).unwrap();
        assert_eq!(kernel.identity.release, format!("{NEW}.{ARCH}"));
        assert_eq!(kernel.source, format!("rpm: kernel-core {NEW}"));
        assert_eq!((kernel.modules.len(), kernel.notes.len()), (3, 0));
        assert!(kernel.config.is_some() && kernel.btf.is_some());
        let pinned = fixture.own.lock().kernel("el9").unwrap();
        let names: Vec<&str> = pinned.packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["kernel-core", "kernel-modules-core", "kernel-modules"]);
        let text = fs::read_to_string(fixture.own.lock_path()).unwrap();
        assert!(text.contains("source = \"rpm\"") && !text.contains("127.0.0.1") && !text.contains("suite"), "{text}");

        let requests = fixture.site.asked("");
        assert_eq!(fixture.fetch(&fixture.repository()).unwrap(), kernel);
        assert_eq!(fixture.site.asked(""), requests, "the network is not touched again");
        fs::remove_dir_all(fixture.own.path("store")).unwrap();
        assert_eq!(fixture.fetch(&fixture.repository()).unwrap().identity, kernel.identity);
        assert_eq!(fs::read_to_string(fixture.own.lock_path()).unwrap(), text);
    }
}

#[test]
fn every_packing_of_an_index_is_read_and_point_releases_are_chosen() {
    need!("curl", "gpg", "gpgv");
    let mut fixture = Fixture::with_kernels(Signed::Header);
    let xz = |xml: &[u8]| {
        let mut packed = Vec::new();
        liblzma::read::XzEncoder::new(xml, 1).read_to_end(&mut packed).unwrap();
        ("primary.xml.xz", packed)
    };
    fixture.publish_as("/xz", xz);
    fixture.publish_as("/zst", |xml| ("primary.xml.zst", zstd::encode_all(xml, 1).unwrap()));
    for base in ["/xz", "/zst"] {
        fixture.forget();
        let addresses = vec![RepositoryAddress::Base(fixture.site.url(base))];
        let packages = vec!["kernel-core-5.14.0-70.*".to_owned()];
        let kernel = fixture.fetch(&Repository { addresses, packages, ..fixture.repository() }).unwrap();
        assert_eq!(kernel.identity.release, format!("{OLD}.{ARCH}"));
    }
    // What is pinned stays, and is outdated once there is a newer one.
    let repository = fixture.repository();
    let spec = spec("el9", Source::Repository(repository.clone()));
    fixture.forget();
    fixture.fetch(&repository).unwrap();
    fixture.add_kernel("5.14.0-503.el9");
    fixture.publish();
    assert_eq!(fixture.fetch(&repository).unwrap().identity.release, format!("{NEW}.{ARCH}"));
    age_indexes(&fixture.own.path("store"));
    let (store, lock) = (fixture.own.store(), fixture.own.lock());
    let versions = store.newest_version(&spec, &lock, &quiet).unwrap();
    assert_eq!(versions, Some((NEW.to_owned(), "5.14.0-503.el9".to_owned())));
    let offers = store.offers(std::slice::from_ref(&spec), &lock, false, &quiet).unwrap();
    let versions: Vec<&str> = offers.iter().map(|offer| offer.version.as_str()).collect();
    assert_eq!(versions, [OLD, NEW, "5.14.0-503.el9"]);
    let builds = store.builds(&spec, &lock, false, &quiet).unwrap();
    let names: Vec<&str> = builds.iter().map(|build| build.spec.name.as_str()).collect();
    assert_eq!(names, [format!("el9@{OLD}"), format!("el9@{NEW}"), "el9@5.14.0-503.el9".to_owned()]);
    let by_release = store.kernel(&spec.build(&format!("{OLD}.{ARCH}")).unwrap(), &lock, false, &quiet).unwrap();
    assert_eq!(by_release.identity.release, format!("{OLD}.{ARCH}"));
    let oldest = store.kernel(&offers[0].spec, &lock, false, &quiet).unwrap();
    assert_eq!(oldest.identity.release, format!("{OLD}.{ARCH}"));
    assert_eq!(store.newest_kernel(&spec, &lock, &quiet).unwrap().identity.release, format!("5.14.0-503.el9.{ARCH}"));
}

#[test]
fn an_index_that_is_not_whole_or_not_signed_is_refused() {
    need!("curl", "gpg", "gpgv");
    let fixture = Fixture::with_kernels(Signed::Header);
    let repository = fixture.repository();
    let mut reasons = Vec::new();
    let mut expect = |change: &dyn Fn(&Site), repository: &Repository| {
        fixture.publish();
        fixture.forget();
        change(&fixture.site);
        assert!(fixture.fetch(repository).unwrap_err().is_unavailable());
        reasons.push(fixture.reason(repository));
    };
    let repomd = "/os/repodata/repomd.xml";
    let other = Signer::new();
    expect(&|site| site.put(&format!("{repomd}.asc"), other.sign(&site.get(repomd))), &repository);
    expect(&|site| site.put(repomd, [site.get(repomd), b" ".to_vec()].concat()), &repository);
    expect(&|site| site.put(&format!("{repomd}.asc"), "<html>"), &repository);
    expect(&|site| site.remove(&format!("{repomd}.asc")), &repository);
    expect(&|site| site.put("/os/repodata/primary.xml.gz", gzip(b"<metadata/>")), &repository);
    expect(&|site| site.remove("/os/repodata/primary.xml.gz"), &repository);
    expect(&|site| site.remove(repomd), &repository);
    let keys = |fingerprints: Vec<String>| {
        Some(Keyring { places: vec![KeyringPlace::Path(fixture.own.path("keys.asc"))], fingerprints })
    };
    let other_key = Repository { keys: keys(vec!["ab".repeat(20)]), ..repository.clone() };
    expect(&|_| {}, &other_key);
    fixture.own.write("none.asc", b"<html>");
    let place = KeyringPlace::Path(fixture.own.path("none.asc"));
    expect(
        &|_| {},
        &Repository { keys: Some(Keyring { places: vec![place], fingerprints: Vec::new() }), ..repository.clone() },
    );
    insta::assert_snapshot!(reasons.join("\n"));
}

#[test]
fn a_package_that_is_not_what_it_should_be_is_refused() {
    need!("curl", "gpg", "gpgv");
    let mut fixture = Fixture::with_kernels(Signed::Header);
    let path = format!("/os/Packages/kernel-core-{NEW}.{ARCH}.rpm");
    let repository = fixture.repository();
    let mut reasons = Vec::new();
    // Another file than the index names.
    let whole = fixture.site.get(&path);
    fixture.site.put(&path, [&whole[..], b"x"].concat());
    let error = fixture.fetch(&repository).unwrap_err();
    assert!(!error.is_unavailable());
    reasons.push(error.to_string().split("its sha256").next().unwrap().replace(&fixture.site.url(""), "SITE"));
    // An index that names it, and a package that is signed by someone else, whose payload was changed, or that is another one.
    let other = Signer::new();
    let files: [(&str, &[u8]); 1] = [("./lib/modules/x/vmlinuz", b"x")];
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    let mut cut = whole.clone();
    cut.truncate(150);
    let (header, all) = (Signed::Header, Signed::All);
    for bytes in [
        package("kernel-core", NEW, &files, &other, header),
        package("kernel-core", NEW, &files, &other, all),
        package("kernel-core", OLD, &files, &fixture.signer, header),
        package("bash", NEW, &files, &fixture.signer, header),
        changed,
        cut,
        b"<html>".to_vec(),
    ] {
        fixture.forget();
        fixture.packages.iter_mut().find(|(name, version, _)| name == "kernel-core" && version == NEW).unwrap().2 =
            bytes;
        fixture.publish();
        reasons.push(fixture.fetch(&repository).unwrap_err().to_string());
    }
    insta::assert_snapshot!(reasons.join("\n"));
}

#[test]
fn unsigned_packages_need_a_signed_index_and_the_other_way_round() {
    need!("curl", "gpg", "gpgv");
    for (signed, index_is_signed, is_taken) in [
        (Signed::No, true, true),
        (Signed::Header, false, true),
        (Signed::All, false, true),
        (Signed::No, false, false),
    ] {
        let fixture = Fixture::with_kernels(signed);
        if !index_is_signed {
            fixture.site.remove("/os/repodata/repomd.xml.asc");
        }
        let repository = Repository { unsigned_index: true, ..fixture.repository() };
        let result = fixture.fetch(&repository);
        assert_eq!(result.is_ok(), is_taken, "{signed:?} {index_is_signed}: {result:?}");
        if !is_taken {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("neither the package nor the index"), "{error}");
            let trusted = Repository { keys: None, ..repository };
            assert!(fixture.fetch(&trusted).is_ok());
        }
    }
}

#[test]
fn a_package_that_is_gone_gives_way_to_the_next() {
    need!("curl", "gpg", "gpgv");
    let fixture = Fixture::with_kernels(Signed::Header);
    let repository = fixture.repository();
    fixture.fetch(&repository).unwrap();
    let path = format!("/os/Packages/kernel-core-{NEW}.{ARCH}.rpm");
    fixture.site.remove(&path);
    fs::remove_dir_all(fixture.own.path("store")).unwrap();
    let kernel = fixture.fetch(&repository).unwrap();
    assert_eq!(kernel.identity.release, format!("{OLD}.{ARCH}"));
    let gone = format!("`kernel-core` {NEW}");
    assert_eq!(
        kernel.notes,
        [format!("pinned {NEW} is gone from the repository; using {OLD}"), format!("listed but not available: {gone}"),]
    );
    fixture.forget();
    fs::write(fixture.own.lock_path(), "version = 1\nwhen-gone = \"stop\"\n").unwrap();
    fixture.fetch(&repository).unwrap();
    fixture.site.remove(&format!("/os/Packages/kernel-core-{OLD}.{ARCH}.rpm"));
    fs::remove_dir_all(fixture.own.path("store")).unwrap();
    assert!(matches!(fixture.fetch(&repository), Err(StoreError::Gone { .. })));
    fixture.forget();
    let reason = fixture.reason(&repository);
    assert!(
        reason.contains("listed but not available: `kernel-core` 5.14.0-427.el9, `kernel-core` 5.14.0-70"),
        "{reason}"
    );
}

#[test]
fn mirrors_stand_in_for_each_other_and_metalinks_say_what_the_index_is() {
    need!("curl", "gpg", "gpgv");
    let fixture = Fixture::with_kernels(Signed::Header);
    fixture.publish_as("/whole", |xml| ("primary.xml.gz", gzip(xml)));
    fixture.publish_as("/stale", |xml| ("primary.xml.gz", gzip(xml)));
    fixture.site.put("/stale/repodata/primary.xml.gz", gzip(b"<metadata/>"));
    let (site, repository) = (&fixture.site, fixture.repository());
    let with = |address: RepositoryAddress| Repository { addresses: vec![address], ..repository.clone() };
    let expect_kernel = |repository: &Repository| {
        fixture.forget();
        assert_eq!(fixture.fetch(repository).unwrap().identity.release, format!("{NEW}.{ARCH}"));
    };
    // The list is elsewhere, the first mirror is down, the second has half of a new index, and the third has lost the packages.
    let list = format!(
        "# mirrors\nhttp://127.0.0.1:1/os\n{}\n{}/\n{}\n",
        site.url("/stale"),
        site.url("/whole"),
        site.url("/os")
    );
    site.put("/mirrors", list);
    site.put("/list", format!("-> {}", site.url("/mirrors")));
    site.remove(&format!("/whole/Packages/kernel-core-{NEW}.{ARCH}.rpm"));
    expect_kernel(&with(RepositoryAddress::MirrorList(site.url("/list"))));

    let metalink = |sum: &str| {
        format!(
            "<metalink><files><file name=\"repomd.xml\"><verification><hash type=\"sha256\">{sum}</hash></verification>\
             <resources><url preference=\"100\">{}/repodata/repomd.xml</url><url preference=\"9\">{}/repodata/repomd.xml</url>\
             </resources></file></files></metalink>",
            site.url("/stale"),
            site.url("/os")
        )
    };
    site.put("/metalink", metalink(&checksum::of_bytes(&site.get("/os/repodata/repomd.xml"))));
    let unsigned = Repository { unsigned_index: true, ..with(RepositoryAddress::Metalink(site.url("/metalink"))) };
    site.remove("/os/repodata/repomd.xml.asc");
    expect_kernel(&unsigned);
    site.put("/metalink", metalink(&"ab".repeat(32)));
    fixture.forget();
    let reason = fixture.reason(&unsigned);
    assert!(reason.contains("it does not match the metalink"), "{reason}");
    site.put("/empty", "# nothing\n");
    let reason = fixture.reason(&with(RepositoryAddress::MirrorList(site.url("/empty"))));
    assert!(reason.contains("contains no mirrors"), "{reason}");
}

#[test]
fn bombs_and_names_that_lead_elsewhere_are_refused() {
    need!("curl", "gpg", "gpgv");
    let fixture = Fixture::with_kernels(Signed::Header);
    let repository = fixture.repository();
    let bomb = zstd::encode_all(b"<metadata><package><name>".chain(std::io::repeat(b'x').take(1 << 30)), 1).unwrap();
    fixture.put_index("/os", "primary.xml.zst", &bomb);
    let error = fixture.fetch(&repository).unwrap_err().to_string();
    assert!(error.contains("more than 1048576 bytes"), "{error}");
    for href in ["../../../etc/passwd", "http://other.example/x.rpm", "/x.rpm"] {
        fixture.forget();
        let sum = "0".repeat(64);
        let xml = format!(
            "<metadata><package type=\"rpm\"><name>kernel-core</name><arch>{ARCH}</arch><version epoch=\"0\" ver=\"1\" rel=\"2\"/>\
             <checksum type=\"sha256\">{sum}</checksum><location href=\"{href}\"/></package></metadata>"
        );
        fixture.put_index("/os", "primary.xml.gz", &gzip(xml.as_bytes()));
        let error = fixture.fetch(&repository).unwrap_err().to_string();
        assert!(error.contains("outside the repository"), "{error}");
    }
}

#[test]
fn keys_on_a_server_are_right_by_their_fingerprints() {
    need!("curl", "gpg", "gpgv");
    let fixture = Fixture::with_kernels(Signed::Header);
    let other = Signer::new();
    fixture.site.put("/keys", [other.public(), fixture.signer.public()].concat());
    let place = KeyringPlace::Url(fixture.site.url("/keys"));
    let keys = |fingerprint: String| Keyring { places: vec![place.clone()], fingerprints: vec![fingerprint] };
    let wrong = keys(other.fingerprint().to_ascii_lowercase());
    let reason = fixture.reason(&Repository { keys: Some(wrong), ..fixture.repository() });
    assert!(reason.contains("a key that `fingerprints` does not list"), "{reason}");
    let right = keys(fixture.signer.fingerprint().to_ascii_lowercase());
    assert!(fixture.fetch(&Repository { keys: Some(right), ..fixture.repository() }).is_ok());
}

#[test]
fn modules_that_no_guest_needs_are_fetched_when_they_are_asked_for() {
    need!("curl", "gpg", "gpgv");
    let mut fixture = Fixture::new(Signed::Header);
    let path = |name: &str| format!("./lib/modules/{NEW}.{ARCH}/{name}");
    let built_in = b"kernel/virtio_pci.ko\nkernel/virtio_console.ko\n";
    let image = image(&format!("{NEW}.{ARCH}"));
    fixture.add("kernel-core", NEW, &[(&path("vmlinuz"), &image), (&path("modules.builtin"), built_in)]);
    fixture.add("kernel-modules", NEW, &[(&path("kernel/other.ko"), &crate::store::kmod::tests::module(""))]);
    fixture.publish();
    let spec = spec("el9", Source::Repository(fixture.repository()));
    let kernel = fixture.fetch(&fixture.repository()).unwrap();
    assert_eq!(fixture.site.asked("Packages/kernel-modules"), 0);
    let (store, lock) = (fixture.own.store(), fixture.own.lock());
    for _ in 0..2 {
        store.learn_modules(&spec, &kernel, &lock, false, &quiet).unwrap();
        assert_eq!(fixture.site.asked("Packages/kernel-modules"), 1);
    }
}

#[test]
fn packages_of_the_same_name_in_two_archives_are_two() {
    need!("curl", "gpg", "gpgv");
    let (fixture, other) = (Fixture::with_kernels(Signed::Header), Fixture::with_kernels(Signed::Header));
    let spec = KernelSpec {
        fallbacks: vec![Source::Repository(other.repository())],
        ..spec("el9", Source::Repository(fixture.repository()))
    };
    let fetch = || fixture.own.store().kernel(&spec, &fixture.own.lock(), false, &quiet);
    let pinned = || fixture.own.lock().kernel("el9").unwrap().packages.remove(0);
    fetch().unwrap();
    let first = pinned();
    assert_eq!((first.version.as_str(), first.architecture.as_str(), first.archive.len()), (NEW, ARCH, 12));
    // The other archive has other packages of the same names and versions. They are not those that are pinned, and no forgery.
    let repomd = fixture.site.get("/os/repodata/repomd.xml");
    fixture.site.remove("/os/repodata/repomd.xml");
    fs::remove_dir_all(fixture.own.path("store")).unwrap();
    let kernel = fetch().unwrap();
    assert!(kernel.notes.iter().any(|note| note.contains("repomd.xml")), "{:?}", kernel.notes);
    let second = pinned();
    assert_eq!((&second.name, &second.version), (&first.name, &first.version));
    assert_ne!((&second.archive, &second.sha256), (&first.archive, &first.sha256));
    // Both are there again: what is pinned is taken from where it is.
    fixture.site.put("/os/repodata/repomd.xml", repomd);
    fs::remove_dir_all(fixture.own.path("store")).unwrap();
    fetch().unwrap();
    assert_eq!(pinned(), second);
    // The same packages in another place are the same.
    fixture.publish_as("/moved", |xml| ("primary.xml.gz", gzip(xml)));
    fixture.forget();
    fixture.fetch(&fixture.repository()).unwrap();
    fs::remove_dir_all(fixture.own.path("store")).unwrap();
    let addresses = vec![RepositoryAddress::Base(fixture.site.url("/moved"))];
    let moved = fixture.fetch(&Repository { addresses, ..fixture.repository() }).unwrap();
    assert!(moved.notes.is_empty(), "{:?}", moved.notes);
    assert_eq!(pinned().sha256, first.sha256);
}
