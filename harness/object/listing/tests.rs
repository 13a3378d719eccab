use super::*;
use crate::object::find_objects;

#[test]
fn objects_are_listed() {
    let found = find_objects(&["tests/fixtures/objects".into()]).unwrap();
    insta::assert_snapshot!(describe(&found.objects, false));
}

#[test]
fn programs_are_listed() {
    let found = find_objects(&["tests/fixtures/objects".into()]).unwrap();
    insta::assert_snapshot!(describe(&found.objects, true));
}
