use super::*;

/// A real embedded object: this test executable has to contain it, as Rust programs embed theirs.
#[used]
static EMBEDDED_TEST_OBJECT: [u8; include_bytes!("../../../tests/fixtures/objects/plain.bpf.o").len()] =
    *include_bytes!("../../../tests/fixtures/objects/plain.bpf.o");

fn fixture(name: &str) -> PathBuf {
    Path::new("tests/fixtures/objects").join(name)
}

/// A file of another machine that holds nothing.
fn host() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(64, 0);
    header[16] = 3;
    header[18] = 62;
    header
}

fn names(found: &FoundObjects) -> Vec<&str> {
    found.objects.iter().map(|object| object.name.as_str()).collect()
}

#[test]
fn a_folder_gives_its_objects_in_order() {
    let found = find_objects(&[PathBuf::from("tests/fixtures/objects")]).unwrap();
    assert_eq!(names(&found), ["externs", "guards", "plain", "statics"]);
    assert_eq!(found.notices, ["`tests/fixtures/objects/plain_big_endian.o` is a big-endian BPF object; skipped"]);
    assert!(found.objects.iter().all(|object| object.inventory.is_ok()));
}

#[test]
fn this_executable_embeds_an_object() {
    let path = std::env::current_exe().unwrap();
    let found = find_objects(std::slice::from_ref(&path)).unwrap();
    let plain = fs::read(fixture("plain.bpf.o")).unwrap();
    let object = found.objects.iter().find(|object| *object.bytes == *plain).unwrap();
    assert!(object.inventory.is_ok());
    let bytes = fs::read(&path).unwrap();
    // A release build is stripped.
    if object::Object::symbols(&object::File::parse(&*bytes).unwrap()).next().is_some() {
        let symbol = object.origin.embedded.as_ref().unwrap().symbol.as_ref().unwrap();
        assert!(symbol.contains("EMBEDDED_TEST_OBJECT"), "{symbol}");
    }
}

#[test]
fn objects_at_odd_offsets_are_found_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tool");
    let read = |name| fs::read(fixture(name)).unwrap();
    let (guards, plain, big) = (read("guards.bpf.o"), read("plain.bpf.o"), read("plain_big_endian.o"));
    let pieces: [&[u8]; 8] = [&host(), b"xyz", &guards, &plain, b"-", &big, &guards, &big];
    fs::write(&path, pieces.concat()).unwrap();

    let found = find_objects(&[path]).unwrap();
    // One is named after its source, the other has no line info.
    assert_eq!(names(&found), ["guards", "tool#2"]);
    assert_eq!(*found.objects[0].bytes, *guards);
    assert_eq!(*found.objects[1].bytes, *plain);
    assert_eq!(found.objects[0].origin.embedded, Some(Embedding { offset: 67, symbol: None }));
    assert!(found.objects[0].origin.to_string().ends_with("/tool: offset 0x43"));
    let [notice] = &found.notices[..] else { panic!("{:?}", found.notices) };
    assert!(
        notice.ends_with("/tool: offset 0x18bc` is a big-endian BPF object; skipped, and 1 more of that kind"),
        "{notice}"
    );
}

#[test]
fn an_embedded_object_that_is_cut_off_is_listed_as_broken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tool");
    let guards = fs::read(fixture("guards.bpf.o")).unwrap();
    fs::write(&path, [&host()[..], &guards[..guards.len() - 1]].concat()).unwrap();
    let found = find_objects(&[path]).unwrap();
    assert_eq!(names(&found), ["tool"]);
    assert!(matches!(found.objects[0].inventory, Err(ObjectError::Broken { .. })));
}

#[test]
fn damaged_hosts_never_panic() {
    let guards = fs::read(fixture("guards.bpf.o")).unwrap();
    let whole = [&host()[..], b"x", &guards].concat();
    for length in 0..whole.len() {
        embedded::scan(&whole[..length]);
    }
    // An object as its own host reaches the symbol search.
    let mut bytes = guards;
    for index in 0..bytes.len() {
        let original = bytes[index];
        bytes[index] = 0xff;
        embedded::scan(&bytes);
        embedded::covering_symbols(&bytes, std::slice::from_ref(&(64..72)));
        bytes[index] = original;
    }
}

#[test]
fn equal_names_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |to: &str| {
        let path = folder.path().join(to);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(fixture("plain.bpf.o"), &path).unwrap();
        path
    };
    for path in ["old/a.bpf.o", "new/a.bpf.o", "x/new/a.o", "b.o"] {
        copy(path);
    }
    let found = find_objects(&[folder.path().to_owned()]).unwrap();
    assert_eq!(names(&found), ["b", "new/a#1", "old/a", "new/a#2"]);
}

#[test]
fn a_file_reached_twice_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("z.bpf.o");
    fs::copy(fixture("plain.bpf.o"), &real).unwrap();
    std::os::unix::fs::symlink(&real, folder.path().join("a.bpf.o")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("dangling.o")).unwrap();
    let inputs = [folder.path().to_owned(), real, folder.path().to_owned()];
    assert_eq!(names(&find_objects(&inputs).unwrap()), ["z"]);
}

#[test]
fn every_bad_input_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let empty_folder = folder.path().join("folder");
    fs::create_dir(&empty_folder).unwrap();
    fs::write(empty_folder.join("README"), "text").unwrap();
    let tool = write("tool", &host());
    let inputs = [
        folder.path().join("missing.o"),
        write("empty.o", b""),
        write("text.o", b"hello"),
        write("short.o", b"\x7fELF\x02\x01"),
        tool.clone(),
        tool,
        empty_folder,
        PathBuf::from("/dev/null"),
        fixture("guards.bpf.o"),
    ];
    let errors = find_objects(&inputs).unwrap_err();
    let root = folder.path().display().to_string();
    let text: Vec<String> = errors
        .iter()
        .map(|error| format!("{error}\n  hint: {}", error.hint().unwrap_or("none".into())).replace(&root, "DIR"))
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn a_named_damaged_object_stays_in_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.bpf.o");
    fs::write(&path, &fs::read(fixture("guards.bpf.o")).unwrap()[..100]).unwrap();
    let found = find_objects(&[path]).unwrap();
    assert_eq!(names(&found), ["cut"]);
    assert!(found.objects[0].inventory.is_err());
}

#[test]
fn big_endian_alone_is_an_error() {
    let errors = find_objects(&[fixture("plain_big_endian.o")]).unwrap_err();
    assert!(matches!(errors[..], [ObjectError::BigEndian { .. }]));
}
