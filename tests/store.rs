//! `corematrix store`: what it shows and removes, with snapshots that hold nothing.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::{Ended, Lab, Run};
use corematrix::store::{Seal, Shelf, Snapshot, SnapshotKey, Store};

const GOOD: i32 = 0;
const BAD_CONFIGURATION: i32 = 2;

/// A lab whose store has no kernel.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.manifest("[kernel.own]\nsource = \"path\"\nimage = \"bzImage\"\n");
    lab
}

fn store(lab: &Lab, args: &[&str]) -> Ended {
    let mut command = lab.tool("store");
    command.args(args);
    Run::start(command, &lab.path("store-run")).wait()
}

/// Puts a snapshot of a kernel into the lab's store.
fn make(lab: &Lab, kernel: &str) -> Snapshot {
    let store = Store::open(&lab.store()).unwrap();
    let key = SnapshotKey { kernel: kernel.to_owned(), guest: BTreeMap::new(), host: BTreeMap::new() };
    let Shelf::Empty(place) = store.snapshot(&key, &mut || {}).unwrap().shelf else { panic!("is there") };
    let ram = place.folder().join("ram");
    fs::write(&ram, vec![1; 1 << 20]).unwrap();
    let files = BTreeMap::from([("ram".to_owned(), Seal::of(&ram).unwrap())]);
    place.publish(&store, files, serde_json::Value::Null).unwrap()
}

#[test]
fn an_empty_store_is_listed_and_cleared() {
    let lab = lab();
    for verb in [&[][..], &["list"]] {
        let ended = store(&lab, verb);
        assert!(ended.expect(GOOD).stdout.contains("0 B in `"), "{}", ended.stdout);
    }
    for verb in ["gc", "clear"] {
        assert_eq!(store(&lab, &[verb]).expect(GOOD).stdout, "0 removed, 0 B freed\n");
    }
}

#[test]
fn what_is_used_is_shown_and_stays_and_the_rest_goes() {
    let lab = lab();
    drop(make(&lab, "6.1"));
    let used = make(&lab, "6.12");
    let listed = store(&lab, &["list"]);
    let line = |kernel: &str| {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut lines = listed.stdout.lines().map(words);
        lines.find(|words| words.get(1).is_some_and(|name| name == kernel)).unwrap().join(" ")
    };
    assert!(line("6.1").starts_with("snapshot 6.1 1.0 MiB") && line("6.1").ends_with("s ago"), "{}", listed.stdout);
    assert!(line("6.12").ends_with("MiB now"), "{}", listed.stdout);

    let kept = store(&lab, &["gc", "--budget", "4MiB"]);
    assert_eq!(kept.expect(GOOD).stdout, "0 removed, 0 B freed\n");
    let cleared = store(&lab, &["clear"]);
    let lines: Vec<&str> = cleared.expect(GOOD).stdout.lines().collect();
    assert!(lines[0].starts_with("removed snapshot of 6.1: 1.0 MiB"), "{lines:?}");
    assert!(lines[1].starts_with("1 removed, 1.0 MiB freed"), "{lines:?}");
    assert!(lines[2].ends_with("of snapshots remain: 1 in use"), "{lines:?}");
    assert_eq!(lab.snapshots().len(), 1);
    drop(used);
    let mut gc = lab.tool("store");
    gc.arg("gc").env("COREMATRIX_SNAPSHOT_BUDGET", "1 KiB");
    let gone = Run::start(gc, &lab.path("gc")).wait();
    assert!(gone.expect(GOOD).stdout.contains("removed snapshot of 6.12"), "{}", gone.stdout);
    assert!(lab.snapshots().is_empty());
    lab.expect_nothing_left();
}

#[test]
fn kernels_and_packages_go_only_when_all_is_to_go() {
    let lab = lab();
    for folder in ["kernels/6.1-6.1.0-abc", "packages/libbpf-tools_1"] {
        fs::create_dir_all(lab.store().join(folder)).unwrap();
        fs::write(lab.store().join(folder).join("image"), "image").unwrap();
    }
    store(&lab, &["clear"]).expect(GOOD);
    let listed = store(&lab, &["list"]);
    assert!(listed.stdout.contains("6.1-6.1.0-abc") && listed.stdout.contains("libbpf-tools_1"), "{}", listed.stdout);
    let cleared = store(&lab, &["clear", "--all"]);
    assert!(cleared.expect(GOOD).stdout.contains("removed 6.1-6.1.0-abc: "), "{}", cleared.stdout);
    assert!(store(&lab, &["list"]).stdout.contains("0 B in `"));
    lab.expect_nothing_left();
}

#[test]
fn a_size_that_is_none_is_refused() {
    let lab = lab();
    drop(make(&lab, "6.1"));
    let ended = store(&lab, &["gc", "--budget", "much"]);
    ended.expect(BAD_CONFIGURATION).expect_said(&["error: ", "`much`", "hint: "]);
    for verb in [&["store", "gc"][..], &["run", "bzImage"]] {
        let mut command = lab.tool(verb[0]);
        command.arg(verb[1]).env("COREMATRIX_SNAPSHOT_BUDGET", "lots");
        let ended = Run::start(command, &lab.path("refused")).wait();
        ended.expect(BAD_CONFIGURATION).expect_said(&["error: ", "`lots` in $COREMATRIX_SNAPSHOT_BUDGET", "hint: "]);
    }
    assert_eq!(lab.snapshots().len(), 1);
}
