//! Builds of kernels that archives list, and each of them as a separate kernel.

use super::stand_in::{Repository, from_apt};
use super::*;

fn names(store: &Store, spec: &KernelSpec, lock: &LockFile) -> Vec<(String, String)> {
    let builds = store.builds(spec, lock, false, &quiet).unwrap();
    builds.into_iter().map(|build| (build.spec.name, build.version)).collect()
}

#[test]
fn builds_of_an_apt_archive_are_kernels_of_their_own() {
    let repository = Repository::new();
    for (release, version) in
        [("6.1.0-9-amd64", "6.1.27-1"), ("6.1.0-50-amd64", "6.1.176-1"), ("6.1.0-10-amd64", "6.1.38-1")]
    {
        repository.add_kernel(release, version);
    }
    // The same release twice is one build, the newest.
    repository.list("Packages", "linux-image-6.1.0-9-amd64", "6.1.27-0", &"0".repeat(64));
    let (store, lock, spec) = (repository.store(), repository.lock(), from_apt("linux-image-6.1.*"));
    let found = names(&store, &spec, &lock);
    let expected = [("6.1.0-9-amd64", "6.1.27-1"), ("6.1.0-10-amd64", "6.1.38-1"), ("6.1.0-50-amd64", "6.1.176-1")]
        .map(|(name, version)| (format!("6.1@{name}"), version.to_owned()));
    assert_eq!(found, expected);
    let build = spec.build("6.1.0-10-amd64").unwrap();
    let kernel = store.kernel(&build, &lock, false, &quiet).unwrap();
    assert_eq!(kernel.identity.release, "6.1.0-10-amd64");
    assert_eq!(lock.kernel("6.1@6.1.0-10-amd64").unwrap().packages[0].version, "6.1.38-1");
    // It is that build for ever, and one that is gone is not another one.
    assert_eq!(store.newest_kernel(&build, &lock, &quiet).unwrap().identity, kernel.identity);
    repository.lose("linux-image-6.1.0-50-amd64", "6.1.176-1");
    let gone = store.kernel(&spec.build("6.1.0-50-amd64").unwrap(), &lock, false, &quiet).unwrap_err();
    assert!(gone.is_unavailable() && gone.reason().contains("gone from the mirror"), "{gone}");
}

#[test]
fn an_archive_that_has_none_or_does_not_answer_says_so() {
    let repository = Repository::new();
    let (store, lock) = (repository.store(), repository.lock());
    let spec = from_apt("linux-image-6.1.*");
    let reason = |spec: &KernelSpec, offline: bool| {
        let error = store.kernel(spec, &lock, offline, &quiet).unwrap_err();
        assert!(error.is_unavailable());
        error.reason()
    };
    let several = KernelSpec { builds: Some("last:3".parse().unwrap()), ..spec.clone() };
    assert_eq!(reason(&several, false), "apt: sid: no builds found");
    assert_eq!(reason(&several, true), "is not stored, and the run is offline");
    fs::write(repository.path("down"), "").unwrap();
    let away = Repository::new();
    fs::write(away.path("down"), "").unwrap();
    let error = away.store().builds(&several, &away.lock(), false, &quiet).unwrap_err();
    assert!(error.is_unavailable(), "{error}");
}

#[test]
fn lists_of_builds_are_pinned_and_forget_what_no_list_has() {
    let fixture = Fixture::new();
    let lock = fixture.lock();
    let pin = |name: &str| {
        let locked = LockedKernel {
            source: "rpm".to_owned(),
            version: None,
            digest: None,
            release: name.to_owned(),
            image_sha256: "0".repeat(64),
            given_btf_sha256: None,
            packages: Vec::new(),
        };
        lock.set_kernel(name, locked).unwrap();
    };
    let texts = |builds: &[&str]| builds.iter().map(|build| (*build).to_owned()).collect::<Vec<_>>();
    lock.set_builds("el-8@all", &texts(&["1", "2"])).unwrap();
    lock.set_builds("el-8@last:2", &texts(&["2", "3"])).unwrap();
    for name in ["el-8", "el-8@1", "el-8@2", "el-8@3", "el-9@3"] {
        pin(name);
    }
    lock.set_builds("el-8@last:2", &texts(&["4", "5"])).unwrap();
    assert_eq!(fixture.lock().builds("el-8@last:2"), Some(texts(&["4", "5"])));
    let is_pinned = |name: &str| fixture.lock().kernel(name).is_some();
    let left: Vec<bool> = ["el-8", "el-8@1", "el-8@2", "el-8@3", "el-9@3"].map(is_pinned).to_vec();
    assert_eq!(left, [true, true, true, false, true]);
}
