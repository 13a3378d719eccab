//! One store, many users: threads, other runs, runs that were killed, and failures of the directory itself.

use super::stand_in::{Repository, from_apt};
use super::*;
use crate::store::entry::{Staging, sweep};

#[test]
fn runs_at_once_fetch_a_kernel_once() {
    let repository = Repository::new();
    repository.add_kernel("6.1.0-50-amd64", "6.1.176-1");
    let kernels: Vec<StoredKernel> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let (store, lock) = (repository.store(), repository.lock());
                    store.kernel(&from_apt("linux-image-6.1.*"), &lock, false, &quiet).unwrap()
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(kernels.iter().all(|kernel| *kernel == kernels[0]));
    assert_eq!((repository.calls("download"), repository.calls("update"), repository.entries()), (1, 1, 1));
}

#[test]
fn what_killed_runs_left_is_swept_and_what_lives_is_not() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let living = Staging::new(&store.locks).unwrap();
    let dead = store.root().join("tmp/dead");
    fs::create_dir_all(dead.join("work")).unwrap();
    fs::write(dead.join("work/half.deb"), "half").unwrap();
    Store::open(root.path()).unwrap();
    assert!(!dead.exists());
    assert!(living.work().is_dir() && living.entry().is_dir());
    drop(living);
    sweep(&store.locks).unwrap();
    assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_damaged_entry_is_made_anew() {
    let repository = Repository::new();
    repository.add_kernel("6.1.0-50-amd64", "6.1.176-1");
    let fetch =
        || repository.store().kernel(&from_apt("linux-image-6.1.*"), &repository.lock(), false, &quiet).unwrap();
    let kernel = fetch();
    let whole = fs::read(&kernel.boot_image).unwrap();
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    for damage in [&whole[..50], &flipped] {
        fs::write(&kernel.boot_image, damage).unwrap();
        let anew = fetch();
        assert_eq!(StoredKernel { fetched: kernel.fetched.clone(), ..anew }, kernel);
        assert_eq!(fs::read(&kernel.boot_image).unwrap(), whole);
    }
    assert_eq!(repository.calls("download"), 3);
    assert_eq!(repository.entries(), 1);
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }) && !error.is_unavailable());
    assert!(error.to_string().contains("store") && error.hint().unwrap().contains("COREMATRIX_STORE"), "{error}");
}
