//! What a suite says of the loading of objects.

use super::*;

#[test]
fn shapes_start_from_what_the_loader_of_the_object_sets() {
    let text = r#"
        [[shape]]
        object = "switches"
        name = "s"
        set.filter = { comm = "x" }
        set.verbose = true
        maps.counts.max_entries = 3
        [[object]]
        object = "switches"
        set.limit = 3
        set.filter = { pid = 9 }
    "#;
    let (objects, checked) = settings(text, "");
    let checked = checked.unwrap();
    let own = patches(&checked.loading[0].1, &objects[0]).unwrap();
    let bytes =
        |patches: &[crate::protocol::DataPatch]| -> Vec<_> { patches.iter().map(|one| one.bytes.clone()).collect() };
    assert_eq!(bytes(&own)[1], [3, 0, 0, 0]);
    let of_shape = checked.shapes[0].1.clone();
    let shape = of_shape.clone().starting_from(&own, &objects[0]).unwrap();
    assert_eq!(bytes(&shape.setup.patches), [b"\x09\0\0\0x\0\0\0\0\0\0\0".to_vec(), vec![1]]);
    assert_eq!(shape.setup.loading, of_shape.setup.loading);
}

#[test]
fn what_can_be_said_once_is_said_by_one_suite() {
    let shape = |name: &str| format!("[[shape]]\nobject = \"switches\"\nname = \"{name}\"\nset.limit = 1\n");
    let table = |head: &str| format!("[[{head}]]\n{head} = \"switches\"\n");
    let (program, map) = ("[[program]]\nprogram = \"nowhere\"\n", "[[map]]\nmap = \"counts\"\nmax-entries = 1\n");
    let both = |one: &str, other: &str| {
        let mut all = settings(one, "").1.unwrap();
        all.merge(settings(other, "").1.unwrap()).map_err(|twice| twice.what)
    };
    assert_eq!(both(&format!("{}{map}", shape("a")), &format!("{}{program}autoload = false", shape("b"))), Ok(()));
    let twice = [
        (both(&shape("a"), &shape("a")), "`[[shape]]` `a` of `switches`"),
        (
            both(&format!("{program}autoload = false"), &format!("{program}type = \"xdp\"")),
            "`[[program]]` of `switches/nowhere`",
        ),
        (both(map, map), "`[[map]]` of `switches/counts`"),
        (
            both(&(table("object") + "set.limit = 1"), &(table("object") + "set.verbose = true")),
            "`[[object]]` of `switches`",
        ),
    ];
    for (error, what) in twice {
        assert_eq!(error.unwrap_err(), what);
    }
    let mut one = settings(map, "").1.unwrap();
    let error = one.merge(settings(map, "").1.unwrap()).unwrap_err().to_string();
    assert!(
        error.matches("s.toml`").count() == 2 && error.ends_with("both have a `[[map]]` of `switches/counts`"),
        "{error}"
    );
}

#[test]
fn legacy_maps_can_be_named_where_the_suite_takes_them() {
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("legacy.bpf.o");
    std::fs::write(&object, include_bytes!("../../../tests/fixtures/loading/legacy.bpf.o")).unwrap();
    let objects = crate::object::find_objects(&[object]).unwrap().objects;
    let of = |text: &str| {
        let path = folder.path().join("s.toml");
        std::fs::write(&path, format!("name = \"n\"\nobjects = [\"*.bpf.o\"]\n{text}")).unwrap();
        Suite::load(&path).unwrap().settings(&objects)
    };
    let map = "[[map]]\nmap = \"legacy_static\"\nmax-entries = 9\n";
    assert!(of(map).is_err());
    let settings = of(&format!("{map}[[object]]\nobject = \"legacy\"\nlegacy-maps = true\n")).unwrap();
    let (_, loading) = &settings.loading[0];
    assert_eq!(loading.settings(), ["legacy-maps = true", "maps.legacy_static.max_entries = 9"]);
    let draft = draft("legacy", &objects, folder.path());
    assert!(draft.contains("legacy-maps = true"), "{draft}");
}

#[test]
fn a_draft_says_what_libbpf_refuses() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("stubs", &include_bytes!("../../../tests/fixtures/loading/stubs.bpf.o")[..]),
        ("constants", include_bytes!("../../../tests/fixtures/loading/constants.bpf.o")),
        ("pinned", include_bytes!("../../../tests/fixtures/loading/pinned.bpf.o")),
        ("externs", include_bytes!("../../../tests/fixtures/objects/externs.bpf.o")),
    ] {
        std::fs::write(folder.path().join(format!("{name}.bpf.o")), bytes).unwrap();
    }
    let objects = crate::object::find_objects(&[folder.path().to_owned()]).unwrap().objects;
    let path = folder.path().join("s.toml");
    std::fs::write(&path, draft("n", &objects, folder.path())).unwrap();
    let settings = Suite::load(&path).unwrap().settings(&objects).unwrap();
    let mut all: Vec<String> = settings.loading.iter().flat_map(|(_, loading)| loading.settings()).collect();
    all.sort();
    let expected = [
        "LIMIT = 0",
        "TABLE_SIZE = 0",
        "maps.owned.pinning = \"none\"",
        "maps.shared.pinning = \"none\"",
        "stubs = [\"report_event\"]",
    ];
    assert_eq!(all, expected);
    // What a record says of it makes the same settings again.
    let of = |object: &str, text: &str| {
        let path = folder.path().join("again.toml");
        std::fs::write(&path, format!("name = \"n\"\nobjects = [\"*.bpf.o\"]\n{text}")).unwrap();
        Suite::load(&path)
            .unwrap()
            .settings(&objects)
            .map(|settings| settings.loading.into_iter().find(|(of, _)| of == object).map(|(_, loading)| loading))
    };
    let loading = of("constants", "[[object]]\nobject = \"constants\"\nset.LIMIT = -3\n").unwrap().unwrap();
    assert_eq!(loading.settings(), ["LIMIT = -3"]);
    assert_eq!(of("constants", &loading_tables(&loading, "constants")).unwrap(), Some(loading));
    let error = of("constants", "[[object]]\nobject = \"constants\"\nset.LIMIT = \"7\"\n").unwrap_err();
    assert!(format!("{error:?}").contains("which takes a number"), "{error:?}");
}

#[test]
fn a_map_is_given_that_of_another_object_or_one_of_a_definition() {
    let text = r#"
        [[map]]
        map = "switches/counts"
        reuse = "other/counts"
        [[map]]
        map = "other/counts"
        reuse = { type = "hash", max-entries = 9 }
    "#;
    let (_, checked) = settings(text, "other.bpf.o");
    let checked = checked.unwrap();
    let all: Vec<Vec<String>> = checked.loading.iter().map(|(_, loading)| loading.settings()).collect();
    assert_eq!(all[0], ["maps.counts.reuse = \"other/counts\""]);
    assert_eq!(all[1], ["maps.counts.reuse.type = \"hash\"", "maps.counts.reuse.max_entries = 9"]);
    // A bundle has one object, and what is known about the other's map.
    let mut loading = checked.loading[0].1.clone();
    loading.maps[0].reuse = checked.loading[1].1.maps[0].reuse.clone();
    let (_, again) = settings(&loading_tables(&loading, "switches"), "other.bpf.o");
    assert_eq!(again.unwrap().loading, [("switches".to_owned(), loading)]);
}

#[test]
fn btf_of_its_own_is_read_from_any_elf_file() {
    let (objects, checked) = settings("[[object]]\nobject = \"switches\"\nbtf = \"switches.bpf.o\"", "");
    let checked = checked.unwrap();
    assert_eq!(checked.loading[0].1.settings(), ["btf = \"switches.bpf.o\""]);
    assert!(crate::object::btf::Btf::parse(&checked.types[0].1).is_ok());
    let plan = crate::plan::Plan::new(Vec::new(), objects, &checked);
    let object = &plan.objects[0];
    assert!(object.own_types().is_some());
    assert_eq!((object.setup().btf.as_deref(), object.files().len()), (Some("/corematrix/object.btf"), 1));
}
