//! The types of a kernel in a file on a web server.

use super::site::Site;
use super::*;
use crate::manifest::BtfPlace;
use crate::need::{self, need};

const PATH: &str = "/17800.570.5/vmlinux";

fn types(fixture: &Fixture, site: &Site, sha256: Option<&str>, offline: bool) -> Result<TypesOnly, StoreError> {
    let place = BtfPlace::Server { url: site.url(PATH), sha256: sha256.map(str::to_owned) };
    let spec = spec("cos", Source::Btf { place, release: None });
    fixture.store().types_only(&spec, &fixture.lock(), offline, &quiet).map(Option::unwrap)
}

#[test]
fn the_first_file_is_pinned_and_no_other_is_taken() {
    need!("curl");
    let (fixture, site) = (Fixture::new(), Site::new());
    let kernel = vmlinux("6.1.143+", Parts { pvh: false, btf: true });
    site.put(PATH, kernel.clone());
    assert!(matches!(types(&fixture, &site, None, true), Err(StoreError::Offline { .. })));
    let found = types(&fixture, &site, None, false).unwrap();
    assert_eq!(found.release, "6.1.143+");
    assert!(
        found.source.ends_with("vmlinux (not signed; pinned by the checksum of its first download)"),
        "{}",
        found.source
    );
    let lock = fs::read_to_string(fixture.lock_path()).unwrap();
    let sha256 = checksum::of_bytes(&kernel);
    let lines = "[types.cos]\nname = \"vmlinux\"\nversion = \"6.1.143+\"\n";
    assert!(lock.contains(lines) && lock.contains(&sha256) && !lock.contains("127.0.0.1"), "{lock}");
    // It is in the store, by what is pinned.
    assert_eq!(types(&fixture, &site, None, true).unwrap().sha256, found.sha256);
    assert_eq!(site.asked("vmlinux"), 1);

    site.put(PATH, vmlinux("6.1.999", Parts { pvh: true, btf: true }));
    fs::remove_dir_all(fixture.path("store/types")).unwrap();
    let error = types(&fixture, &site, None, false).unwrap_err();
    assert!(
        error.to_string().starts_with("kernel `cos`: `kernels.lock` expects sha256 of the file with BTF `"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("delete its section"), "{:?}", error.hint());
    let error = types(&fixture, &site, Some(&sha256), false).unwrap_err().to_string();
    assert!(error.contains("expects sha256 of the file with BTF"), "{error}");
    site.put(PATH, kernel);
    let found = types(&fixture, &site, Some(&sha256), false).unwrap();
    assert!(found.source.ends_with("/vmlinux"), "{}", found.source);
}

#[test]
fn a_file_without_types_is_not_pinned() {
    need!("curl");
    let (fixture, site) = (Fixture::new(), Site::new());
    for bytes in [b"<html>".to_vec(), vmlinux("6.1", Parts { pvh: true, btf: false }), Vec::new()] {
        site.put(PATH, bytes);
        let error = types(&fixture, &site, None, false).unwrap_err().to_string();
        assert!(error.contains("it has no types of a kernel: "), "{error}");
    }
    site.remove(PATH);
    assert!(types(&fixture, &site, None, false).unwrap_err().is_unavailable());
    assert!(!fixture.lock_path().exists());
}
