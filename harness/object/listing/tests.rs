use super::*;
use crate::object::find_objects;

#[test]
fn objects_are_listed() {
    let found = find_objects(&["tests/fixtures/objects".into()]).unwrap();
    insta::assert_snapshot!(describe(&found.objects, false));
}

#[test]
fn maps_alone_are_listed() {
    let found = find_objects(&["tests/fixtures/maps/alone.bpf.o".into()]).unwrap();
    insta::assert_snapshot!(describe(&found.objects, true));
}

#[test]
fn programs_are_listed() {
    let found = find_objects(&["tests/fixtures/objects".into()]).unwrap();
    insta::assert_snapshot!(describe(&found.objects, true));
}
