//! What is pinned is kept, in one stable text, by several runs at once.

use super::*;

fn package(name: &str) -> LockedPackage {
    LockedPackage {
        name: name.into(),
        version: "1-1".into(),
        architecture: String::new(),
        archive: String::new(),
        suite: "sid".into(),
        sha256: "ab".repeat(32),
    }
}

fn kernel(release: &str) -> LockedKernel {
    LockedKernel {
        source: "apt".into(),
        version: None,
        digest: None,
        release: release.into(),
        image_sha256: "cd".repeat(32),
        given_btf_sha256: None,
        packages: vec![package("linux-image-x")],
    }
}

#[test]
fn text_is_stable_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kernels.lock");
    let lock = LockFile::open(&path).unwrap();
    let sid = ["sid".to_owned()];
    lock.set_kernel("6.1", kernel("6.1.0-50")).unwrap();
    lock.set_kernel("5.10", kernel("5.10.0-32")).unwrap();
    lock.set_package(package("libbpf-tools"), &sid).unwrap();
    insta::assert_snapshot!(fs::read_to_string(&path).unwrap());
    let again = LockFile::open(&path).unwrap();
    assert_eq!(again.kernel("5.10"), Some(kernel("5.10.0-32")));
    assert_eq!(again.package("libbpf-tools", &sid), Some(package("libbpf-tools")));
    // Each suite has its own.
    let other = LockedPackage { suite: "trixie".into(), version: "2-1".into(), ..package("libbpf-tools") };
    let trixie = ["trixie".to_owned()];
    assert_eq!(again.package("libbpf-tools", &trixie), None);
    again.set_package(other.clone(), &trixie).unwrap();
    again.set_package(other.clone(), &trixie).unwrap();
    let both = LockFile::open(&path).unwrap();
    assert_eq!(
        (both.package("libbpf-tools", &sid), both.package("libbpf-tools", &trixie)),
        (Some(package("libbpf-tools")), Some(other))
    );
    assert_eq!(both.contents().package.len(), 2);
}

#[test]
fn two_runs_lose_nothing_and_keep_the_users_choice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kernels.lock");
    fs::write(&path, "version = 1\nwhen-gone = \"stop\"\n").unwrap();
    let runs = [LockFile::open(&path).unwrap(), LockFile::open(&path).unwrap()];
    std::thread::scope(|scope| {
        for (run, lock) in runs.iter().enumerate() {
            scope.spawn(move || {
                for at in 0..20 {
                    lock.set_kernel(&format!("{run}-{at}"), kernel("r")).unwrap();
                }
            });
        }
    });
    let all = LockFile::open(&path).unwrap();
    assert_eq!(all.contents().kernel.len(), 40);
    assert_eq!(all.when_gone(), WhenGone::Stop);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the lock is left in the project");
}

#[test]
fn is_not_touched_when_nothing_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kernels.lock");
    let lock = LockFile::open(&path).unwrap();
    lock.set_kernel("a", kernel("r")).unwrap();
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(&path);
    let keep = File::open(&path).unwrap();
    lock.set_kernel("a", kernel("r")).unwrap();
    assert_eq!(inode(&path), before);
    drop(keep);
}

#[test]
fn a_foreign_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kernels.lock");
    for text in ["version = 2\n", "not toml", "version = 1\nmirror = \"x\"\n"] {
        fs::write(&path, text).unwrap();
        assert!(matches!(LockFile::open(&path), Err(StoreError::BadLock { .. })), "{text}");
    }
}
