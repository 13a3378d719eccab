//! Snapshots with files that mean nothing: what is found, what is removed and why, and who waits for whom.

use std::sync::mpsc;
use std::time::Duration;

use super::*;

/// A store of its own.
struct SnapshotStore {
    _folder: tempfile::TempDir,
    store: Store,
}

impl SnapshotStore {
    fn new() -> SnapshotStore {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        SnapshotStore { _folder: folder, store }
    }

    /// As another run opens the same store.
    fn another(&self) -> Store {
        Store::open(self.store.root()).unwrap()
    }

    fn find(&self, key: &SnapshotKey) -> SnapshotLookup {
        self.store.snapshot(key, &mut || panic!("nobody else is making it")).unwrap()
    }

    fn make(&self, key: &SnapshotKey) -> Snapshot {
        match self.find(key).shelf {
            Shelf::Empty(place) => publish(place, &self.store),
            Shelf::Sound(snapshot) => panic!("{snapshot:?} is there"),
        }
    }

    /// Says why the only snapshot was removed, and checks that it was.
    fn flaw(&self, key: &SnapshotKey) -> String {
        let SnapshotLookup { shelf: Shelf::Empty(_), thrown_away } = self.find(key) else {
            panic!("is taken to be sound")
        };
        assert_eq!(self.folders(), [] as [PathBuf; 0]);
        assert_eq!(thrown_away.len(), 1, "{thrown_away:?}");
        thrown_away[0].clone()
    }

    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = children(&self.store.root().join(FOLDER));
        folders.sort();
        folders
    }

    fn temporary(&self) -> Vec<PathBuf> {
        children(&self.store.root().join("tmp"))
    }
}

fn children(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn publish(place: SnapshotPlace, store: &Store) -> Snapshot {
    fs::write(place.folder().join("ram"), [7; 10_000]).unwrap();
    fs::write(place.folder().join("state"), "registers").unwrap();
    let files = ["ram", "state"].map(|name| (name.to_owned(), Seal::of(&place.folder().join(name)).unwrap()));
    place.publish(store, files.into(), serde_json::json!({ "command": ["qemu", "-m", "512M"] })).unwrap()
}

fn key() -> SnapshotKey {
    let map = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    SnapshotKey { kernel: "6.1".to_owned(), guest: map("the memory", "512 MiB"), host: map("QEMU", "10.0.2") }
}

fn key_with(map: fn(&mut SnapshotKey) -> &mut BTreeMap<String, String>, value: &str) -> SnapshotKey {
    let mut key = key();
    map(&mut key).values_mut().for_each(|old| value.clone_into(old));
    key
}

#[track_caller]
fn sound(found: SnapshotLookup) -> Snapshot {
    match found.shelf {
        Shelf::Sound(snapshot) => snapshot,
        Shelf::Empty(_) => panic!("not found: {:?}", found.thrown_away),
    }
}

#[test]
fn snapshot_that_differs_in_one_thing_is_named_by_it_and_kept() {
    let snapshots = SnapshotStore::new();
    let with = |cpu: &str, memory: &str| {
        let mut key = key();
        key.guest.insert("the CPU".to_owned(), cpu.to_owned());
        key.guest.insert("the memory".to_owned(), memory.to_owned());
        key
    };
    let all = [with("AuthenticAMD EPYC", "512 MiB"), with("emulated", "1 GiB"), with("GenuineIntel", "512 MiB")];
    all.iter().for_each(|key| drop(snapshots.make(key)));
    let others = |key: &SnapshotKey| snapshots.store.snapshots_but_for(key, "the CPU");
    assert_eq!(others(&with("HygonGenuine", "512 MiB")), ["AuthenticAMD EPYC", "GenuineIntel"]);
    assert_eq!(others(&all[0]), ["GenuineIntel"]);
    assert_eq!(others(&SnapshotKey { kernel: "9.9".to_owned(), ..all[0].clone() }), [""; 0]);
    assert_eq!(snapshots.store.snapshots_but_for(&all[0], "the colour"), [""; 0]);
    assert!(matches!(snapshots.find(&with("HygonGenuine", "512 MiB")).shelf, Shelf::Empty(_)));
    assert_eq!(snapshots.folders().len(), 3);
}

#[test]
fn what_one_run_made_another_finds() {
    let fixture = SnapshotStore::new();
    let made = fixture.make(&key());
    let store = fixture.another();
    let found = sound(store.snapshot(&key(), &mut || panic!("waits")).unwrap());
    assert_eq!(found.folder, made.folder);
    assert_eq!(fs::read(found.file("state")).unwrap(), b"registers");
    assert_eq!((found.length("ram"), found.length("nothing")), (10_000, 0));
    assert_eq!(found.machine()["command"][2], "512M");
    assert!(fixture.temporary().is_empty());
}

#[test]
fn another_guest_has_a_snapshot_of_its_own() {
    let fixture = SnapshotStore::new();
    let small = fixture.make(&key());
    let large = fixture.make(&key_with(|key| &mut key.guest, "1024 MiB"));
    let mut other = key();
    other.kernel = "6.10".to_owned();
    fixture.make(&other);
    assert_eq!(fixture.folders().len(), 3);
    assert_eq!(sound(fixture.find(&key())).folder, small.folder);
    assert_ne!(small.folder, large.folder);
}

#[test]
fn one_of_another_host_is_kept_until_a_third_comes() {
    let fixture = SnapshotStore::new();
    let said = |key: &SnapshotKey| {
        let SnapshotLookup { shelf: Shelf::Empty(_), thrown_away } = fixture.find(key) else {
            panic!("is taken to be sound")
        };
        thrown_away
    };
    let first = fixture.make(&key()).folder.clone();
    let upgraded = key_with(|key| &mut key.host, "10.0.3");
    assert_eq!(said(&upgraded), ["the snapshot does not fit: QEMU has changed"]);
    let second = fixture.make(&upgraded).folder.clone();
    // Who goes back and forth between two versions makes no snapshot again.
    for _ in 0..2 {
        assert_eq!(sound(fixture.find(&key())).folder, first);
        assert_eq!(sound(fixture.find(&upgraded)).folder, second);
    }
    // An ingredient that was not there before is a change as well; of the others the last used stays.
    let mut more = upgraded.clone();
    more.host.insert("the CPU".to_owned(), "another".to_owned());
    let found = said(&more);
    assert_eq!(found, ["the snapshot was removed: QEMU has changed", "the snapshot does not fit: the CPU has changed"],);
    assert_eq!(fixture.folders(), [second]);
    assert!(fixture.temporary().is_empty());
}

/// What an accident does to a file.
type Damage<'a> = &'a dyn Fn(&Path);

#[test]
fn damage_is_found_and_named() {
    let cut = |file: &Path| File::options().write(true).open(file).unwrap().set_len(9_999).unwrap();
    let flip = |file: &Path| {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes).unwrap();
    };
    let remove = |file: &Path| fs::remove_file(file).unwrap();
    let garbage = |file: &Path| fs::write(file, "{\"xxh3\": ").unwrap();
    // As valid as JSON as before, and another machine.
    let edit = |file: &Path| fs::write(file, fs::read_to_string(file).unwrap().replace("512M\"", "513M\"")).unwrap();
    let cases: [(&str, Damage<'_>, &str); 9] = [
        ("ram", &cut, "its file `ram` has another length"),
        ("ram", &flip, "its file `ram` is damaged"),
        ("ram", &remove, "its file `ram` cannot be read: No such file or directory (os error 2)"),
        ("state", &flip, "its file `state` is damaged"),
        ("state", &remove, "its file `state` cannot be read: No such file or directory (os error 2)"),
        (DESCRIPTION, &cut, "its description is missing or damaged"),
        (DESCRIPTION, &garbage, "its description is missing or damaged"),
        (DESCRIPTION, &edit, "its description is missing or damaged"),
        (DESCRIPTION, &remove, "its description is missing or damaged"),
    ];
    for (file, damage, reason) in cases {
        let fixture = SnapshotStore::new();
        let path = fixture.make(&key()).file(file);
        damage(&path);
        assert_eq!(fixture.flaw(&key()), format!("the snapshot was removed: {reason}"));
        // It can be made again, and is as good as the first.
        drop(fixture.make(&key()));
        sound(fixture.find(&key()));
        assert!(fixture.temporary().is_empty());
    }
}

#[test]
fn a_sound_one_is_found_beside_others_and_what_was_thrown_away_is_still_said() {
    let fixture = SnapshotStore::new();
    let made = fixture.make(&key());
    for name in ["0", "zzzz"] {
        fs::create_dir(fixture.store.root().join(FOLDER).join(format!("{}{name}", key().prefix()))).unwrap();
    }
    let found = fixture.find(&key());
    let said = found.thrown_away.len();
    assert_eq!(sound(found).folder, made.folder);
    // Which of them is looked at first is up to the file system.
    assert_eq!(fixture.folders().len(), 3 - said);
}

#[test]
fn one_in_use_stays_whatever_another_run_thinks_of_it() {
    let fixture = SnapshotStore::new();
    let used = fixture.make(&key());
    let upgraded = key_with(|key| &mut key.host, "10.0.3");
    let SnapshotLookup { shelf: Shelf::Empty(place), thrown_away } = fixture.find(&upgraded) else {
        panic!("was not made")
    };
    assert_eq!(thrown_away, ["the snapshot does not fit: QEMU has changed"]);
    let fresh = publish(place, &fixture.store);
    assert!(fixture.another().shrink_snapshots(0).unwrap().is_empty());
    assert_eq!(fs::read(used.file("state")).unwrap(), b"registers");
    assert!(fixture.store.snapshots().unwrap().iter().all(|snapshot| snapshot.in_use));
    drop((used, fresh));
    assert_eq!(fixture.another().shrink_snapshots(0).unwrap().len(), 2);
    assert!(fixture.folders().is_empty() && fixture.temporary().is_empty());
}

#[test]
fn the_least_recently_used_goes_first() {
    let fixture = SnapshotStore::new();
    let keys = ["1 MiB", "2 MiB", "3 MiB"].map(|memory| key_with(|key| &mut key.guest, memory));
    let folders = keys.each_ref().map(|key| fixture.make(key).folder.clone());
    for (age, folder) in (1..).zip(folders.iter().rev()) {
        let then = SystemTime::now() - Duration::from_secs(age * 3600);
        File::options().append(true).open(folder.join(DESCRIPTION)).unwrap().set_modified(then).unwrap();
    }
    // Using it makes it young.
    drop(sound(fixture.find(&keys[0])));
    let listed = fixture.store.snapshots().unwrap();
    let order: Vec<_> = listed.iter().map(|snapshot| snapshot.folder.clone()).collect();
    assert_eq!(order, [&folders[0], &folders[2], &folders[1]].map(Clone::clone));
    let (one, all) = (listed[0].bytes, listed.iter().map(|snapshot| snapshot.bytes).sum::<u64>());
    assert!(fixture.store.shrink_snapshots(all).unwrap().is_empty());
    let removed = fixture.store.shrink_snapshots(all - 1).unwrap();
    assert_eq!(removed.iter().map(|snapshot| &snapshot.folder).collect::<Vec<_>>(), [&folders[1]]);
    // What is in use does not go, and what is younger is removed instead.
    let used = sound(fixture.find(&keys[2]));
    drop(sound(fixture.find(&keys[0])));
    let then = SystemTime::now() - Duration::from_secs(3600);
    File::options().append(true).open(used.file(DESCRIPTION)).unwrap().set_modified(then).unwrap();
    let removed = fixture.store.shrink_snapshots(one).unwrap();
    assert_eq!(removed.iter().map(|snapshot| &snapshot.folder).collect::<Vec<_>>(), [&folders[0]]);
}

#[test]
fn one_that_gave_no_guest_is_discarded_unless_others_use_it() {
    let fixture = SnapshotStore::new();
    let first = fixture.make(&key());
    let second = sound(fixture.find(&key()));
    assert!(!fixture.store.discard(first));
    assert_eq!(fixture.folders().len(), 1);
    assert!(fixture.store.discard(second));
    assert!(fixture.folders().is_empty() && fixture.temporary().is_empty());
}

#[test]
fn of_two_makers_the_second_waits_and_finds_the_first_one_s() {
    let fixture = SnapshotStore::new();
    let Shelf::Empty(place) = fixture.find(&key()).shelf else { panic!("was not made") };
    let (waits, waiting) = mpsc::channel();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let store = fixture.another();
            let found = store.snapshot(&key(), &mut || waits.send(()).unwrap()).unwrap();
            sound(found).folder.clone()
        });
        waiting.recv().unwrap();
        // Another guest needs not wait.
        drop(fixture.make(&key_with(|key| &mut key.guest, "1024 MiB")));
        let made = publish(place, &fixture.store);
        assert_eq!(second.join().unwrap(), made.folder);
    });
}

#[test]
fn a_maker_that_fails_leaves_the_place_to_the_next() {
    let fixture = SnapshotStore::new();
    let Shelf::Empty(place) = fixture.find(&key()).shelf else { panic!("was not made") };
    let half = place.folder();
    fs::write(half.join("ram"), "half").unwrap();
    // While it lives no one sweeps it, and no one takes it for a snapshot.
    fixture.another();
    assert!(half.join("ram").exists() && fixture.store.snapshots().unwrap().is_empty());
    drop(place);
    assert!(fixture.temporary().is_empty());
    // One that is killed drops nothing, but its locks are gone.
    let killed = fixture.store.root().join("tmp/.tmpkilled/entry");
    fs::create_dir_all(&killed).unwrap();
    fs::write(killed.join("ram"), "half").unwrap();
    fixture.another();
    assert!(fixture.temporary().is_empty());
    drop(fixture.make(&key()));
}

#[test]
fn listing_the_store_makes_no_snapshot_look_damaged() {
    let fixture = SnapshotStore::new();
    drop(fixture.make(&key()));
    std::thread::scope(|scope| {
        let lister = scope.spawn(|| (0..300).for_each(|_| drop(fixture.store.snapshots().unwrap())));
        while !lister.is_finished() {
            sound(fixture.find(&key()));
        }
    });
}

#[test]
fn finders_and_removers_at_once_never_see_half_a_snapshot() {
    let fixture = SnapshotStore::new();
    std::thread::scope(|scope| {
        let removers =
            (0..2).map(|_| scope.spawn(|| (0..40).for_each(|_| drop(fixture.another().shrink_snapshots(0)))));
        let removers: Vec<_> = removers.collect();
        while removers.iter().any(|remover| !remover.is_finished()) {
            let SnapshotLookup { shelf, thrown_away } = fixture.find(&key());
            assert_eq!(thrown_away, [] as [String; 0]);
            let snapshot = match shelf {
                Shelf::Sound(snapshot) => snapshot,
                Shelf::Empty(place) => publish(place, &fixture.store),
            };
            assert_eq!(fs::read(snapshot.file("state")).unwrap(), b"registers");
        }
    });
    assert!(fixture.temporary().is_empty());
}
