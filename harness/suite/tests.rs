use super::*;
use crate::object::{BpfObject, find_objects};

mod loading;

/// Loads a suite of this text from a directory `[suite] dir` with `a.bpf.o`, `b.bpf.o` and `sub/c.o`.
fn load(text: &str) -> Result<Suite, SuiteError> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("[suite] dir");
    fs::create_dir_all(root.join("sub")).unwrap();
    for file in ["b.bpf.o", "a.bpf.o", "sub/c.o"] {
        fs::write(root.join(file), "x").unwrap();
    }
    let path = root.join("suite.toml");
    fs::write(&path, text).unwrap();
    let mut suite = Suite::load(&path)?;
    for object in &mut suite.objects {
        *object = object.strip_prefix(&root).unwrap().to_owned();
    }
    Ok(suite)
}

/// Message and hint, with the temporary directory cut out.
fn refusal(text: &str) -> String {
    let error = load(text).unwrap_err();
    let hint = error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
    let text = format!("{error}{hint}");
    let mut cut = String::new();
    for (index, piece) in text.split('`').enumerate() {
        let piece = match piece.rsplit_once("[suite] dir") {
            Some((_, rest)) if index % 2 == 1 => format!("DIR{rest}"),
            _ => piece.to_owned(),
        };
        cut.push_str(&format!("{}{piece}", if index > 0 { "`" } else { "" }));
    }
    cut
}

#[test]
fn globs_and_packages_are_read() {
    let suite = load(
        "name = \"n\"\nobjects = [\"sub/c.o\", \"*.bpf.o\", \"a.bpf.o\"]\n[[package]]\napt = \"libbpf-tools\"\n\
         suites = [\"trixie\", \"bookworm-backports\"]\nfiles = [\"usr/sbin/*snoop\"]\n",
    )
    .unwrap();
    assert_eq!(suite.objects, ["sub/c.o", "a.bpf.o", "b.bpf.o"].map(PathBuf::from));
    assert_eq!(
        suite.packages,
        [PackageRef {
            apt: "libbpf-tools".into(),
            suites: vec!["trixie".into(), "bookworm-backports".into()],
            files: vec!["usr/sbin/*snoop".into()],
        }]
    );
}

#[test]
fn mistakes_are_named() {
    let package = |rest: &str| format!("name = \"n\"\n[[package]]\n{rest}\n");
    let refusals = [
        refusal("name = \"n\"\n\nobjcts = []"),
        refusal("name = \"n\"\nkernels_of_choice = []"),
        refusal(&package("apt = \"a\"\nfile = [\"x\"]")),
        refusal("name = \"n\"\nobjects = 3"),
        refusal("name = \n"),
        refusal("objects = [\"*.o\"]"),
        refusal("name = \"n\""),
        refusal("name = \"n\"\nobjects = [\"a.bpf.o\", \"*.elf\"]"),
        refusal("name = \"n\"\nobjects = [\"a***\"]"),
        refusal(&package("apt = \"-o=x\"\nsuites = [\"sid\"]\nfiles = [\"x\"]")),
        refusal(&package("apt = \"a\"\nsuites = [\"-t\"]\nfiles = [\"x\"]")),
        refusal(&package("apt = \"a\"\nsuites = []\nfiles = [\"x\"]")),
        refusal(&package("apt = \"a\"\nsuites = [\"sid\"]\nfiles = [\"../x\"]")),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @r#"
    suite `DIR/suite.toml`, line 3: unknown key `objcts` (hint: did you mean `objects`?)
    suite `DIR/suite.toml`, line 2: unknown key `kernels_of_choice` (hint: valid keys are `name`, `loader`, `modules`, `objects`, `package`, `image`, `alternatives`, `optional`, `shape`, `object`, `program`, `map`, `expect`, `allow-warning`, `minimum-coverage`, `cpus`, `memory`, `numa`, `profile`, `least-privileges`)
    suite `DIR/suite.toml`, line 4: unknown key `file` (hint: did you mean `files`?)
    suite `DIR/suite.toml`, line 2: invalid type: integer `3`, expected a sequence
    suite `DIR/suite.toml`, line 1: string values must be quoted, expected literal string
    suite `DIR/suite.toml`, line 1: missing field `name`
    suite `DIR/suite.toml`: it names no `objects`, no `[[package]]` and no `[[image]]`
    suite `DIR/suite.toml`: `*.elf` matches no file (hint: paths are relative to the suite file's directory `DIR`)
    suite `DIR/suite.toml`: pattern `a***` is not a glob: Pattern syntax error near position 3: wildcards are either regular `*` or recursive `**`
    suite `DIR/suite.toml`: `-o=x` is not a name of a Debian package
    suite `DIR/suite.toml`: `-t` is not a name of a Debian suite
    suite `DIR/suite.toml`: `suites` of package `a` is empty
    suite `DIR/suite.toml`: `../x` of package `a` must be a path inside the package, without a leading `/`
    "#);
}

#[test]
fn a_missing_suite_is_named() {
    let error = Suite::load(Path::new("no/such.toml")).unwrap_err();
    assert!(error.to_string().starts_with("suite `no/such.toml` cannot be read: "), "{error}");
}

/// The settings of a suite of the object `switches` and, if it is not empty, a copy of it with this name.
fn settings(text: &str, copy: &str) -> (Vec<BpfObject>, Result<Settings, SuiteError>) {
    let folder = tempfile::tempdir().unwrap();
    let object = include_bytes!("../../tests/fixtures/suite/switches.bpf.o");
    fs::write(folder.path().join("switches.bpf.o"), object).unwrap();
    if !copy.is_empty() {
        fs::write(folder.path().join(copy), object).unwrap();
    }
    let path = folder.path().join("s.toml");
    fs::write(&path, format!("name = \"n\"\nobjects = [\"*.bpf.o\"]\n{text}")).unwrap();
    let suite = Suite::load(&path).unwrap_or_else(|error| panic!("{text}: {error}"));
    let objects = find_objects(&suite.objects).unwrap().objects;
    let settings = suite.settings(&objects);
    (objects, settings)
}

#[test]
fn everything_that_a_suite_can_say_is_kept() {
    let text = r#"
        minimum-coverage = 62.5
        [[alternatives]]
        name = "read"
        programs = ["switches/fentry_read", "kprobe_read"]
        [[optional]]
        program = "nowhere"
        reason = "never there"
        [[shape]]
        object = "switches"
        name = "loud"
        set.verbose = true
        set.level = -3
        set.mode = "MODE_FAST"
        set.comm = "bash"
        set.ports = [80, 443]
        set.filter = { comm = "x", pid = 7 }
        set.seen = 5
        maps.counts.max_entries = 64
        [[expect]]
        object = "swi*"
        program = "nowhere"
        kernel = ["5.10", "6.*"]
        verdict = "attach_target_missing"
        cause = "missing_attach_target"
        reason = "it is made up"
        link = "https://example.org/1"
        expires = 2027-01-31
        [[expect]]
        object = "switches@loud"
        reason = "a row of its own"
        [[allow-warning]]
        contains = "refcount_t"
        reason = "known"
    "#;
    let (_, checked) = settings(text, "");
    let checked = checked.unwrap();
    assert_eq!(checked.minimum_coverage, Some(62.5));
    let (object, shape) = &checked.shapes[0];
    assert_eq!((object.as_str(), shape.name.as_str()), ("switches", "loud"));
    let bytes = |name: &str| {
        let object = include_bytes!("../../tests/fixtures/suite/switches.bpf.o");
        let globals = crate::object::Globals::read(object).unwrap();
        let place = globals.variables.into_iter().find(|one| one.name == name).unwrap();
        let patch =
            |patch: &&crate::protocol::DataPatch| patch.section == place.section && patch.offset == place.offset;
        shape.setup.patches.iter().find(patch).unwrap().bytes.clone()
    };
    assert_eq!((bytes("verbose"), bytes("level"), bytes("mode")), (vec![1], vec![0xfd], vec![4, 0, 0, 0]));
    assert_eq!(
        (bytes("comm"), bytes("ports")),
        (b"bash\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(), vec![80, 0, 0, 0, 187, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    );
    assert_eq!((bytes("filter"), bytes("seen")), (b"\x07\0\0\0x\0\0\0\0\0\0\0".to_vec(), vec![5, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(
        (shape.setup.loading.maps[0].map.as_str(), shape.setup.loading.maps[0].definition.max_entries),
        ("counts", Some(64))
    );
    insta::assert_debug_snapshot!((&shape.settings, &checked.alternatives, &checked.optional));
}

#[test]
fn what_the_loader_of_an_object_sets_is_checked_and_kept() {
    let text = r#"
        [[object]]
        object = "switches"
        set.limit = 3
        set.filter = { pid = 7 }
        [[program]]
        program = "switches/fentry_read"
        type = "BPF_PROG_TYPE_TRACING"
        attach-type = "trace_fexit"
        target = "vfs_write"
        flags = ["sleepable"]
        [[program]]
        program = "nowhere"
        autoload = false
        [[program]]
        program = "kprobe_read"
        triggers = ["file"]
        [[map]]
        map = "switches/counts"
        type = "array_of_maps"
        max-entries = 7
        pinning = "/sys/fs/bpf/tc/globals/counts"
        inner = { like = "counts", type = "array", key-size = 4 }
    "#;
    let (objects, checked) = settings(text, "");
    let checked = checked.unwrap();
    assert_eq!(checked.programs.len(), 1, "only what is to be done with a loaded program is an order");
    let (object, loading) = &checked.loading[0];
    insta::assert_snapshot!(loading.settings().join("\n"));
    // As a bundle writes it.
    let (_, again) = settings(&loading_tables(loading, object), "");
    assert_eq!(again.unwrap().loading, checked.loading);
    let mut inventory = objects.into_iter().next().unwrap().inventory.unwrap();
    inventory.set(loading);
    let program = inventory.programs.iter().find(|program| program.name == "fentry_read").unwrap();
    let section = (program.section.as_str(), program.attach_type.as_deref());
    assert_eq!(section, ("fentry/vfs_write", Some("trace_fexit")));
    let map = inventory.maps.iter().find(|map| map.name == "counts").unwrap();
    assert_eq!((map.max_entries, map.inner.as_ref().and_then(|inner| inner.key_size)), (Some(7), Some(4)));
}

#[test]
fn what_does_not_fit_the_objects_is_named_with_its_line() {
    let shape = |rest: &str| format!("[[shape]]\nobject = \"switches\"\nname = \"s\"\n{rest}");
    let group = |rest: &str| format!("[[alternatives]]\nname = \"g\"\n{rest}");
    let program = |name: &str, rest: &str| format!("[[program]]\nprogram = \"{name}\"\n{rest}");
    let map = |rest: &str| format!("[[map]]\nmap = \"counts\"\n{rest}");
    let expect = |rest: &str| format!("[[expect]]\n{rest}\nreason = \"r\"");
    let mistakes = [
        shape("set.verbos = true"),
        shape("set.verbose = 1"),
        shape("set.limit = 4294967296"),
        shape("set.limit = -1"),
        shape("set.level = 128"),
        shape("set.mode = \"MODE_QUICK\""),
        shape("set.comm = \"sixteen letters.\""),
        shape("set.ports = [1, 2, 3, 4, 5]"),
        shape("set.ports = [1, true]"),
        shape("set.filter = { pid = 1, uid = 2 }"),
        shape("set.filter = 1"),
        shape("set.pointer = 0"),
        shape("maps.count.max_entries = 1"),
        shape("maps.counts.max_entries = -1"),
        shape(""),
        shape("set.limit = 1\n").replace("\"s\"", "\"a/b\""),
        shape("set.limit = 1\n").repeat(2),
        shape("").replace("switches", "swiches"),
        group("programs = [\"fentry_read\", \"kprobe_raed\"]"),
        group("programs = [\"fentry_read\",\n  \"other/kprobe_read\"]"),
        group("programs = [\"switches/fentry_read\", \"switches/open\"]"),
        group("programs = [\"fentry_read\"]"),
        group("programs = [\"fentry_read\", \"fentry_read\"]"),
        group("maps = [\"counts\", \"events\"]"),
        group("maps = [\"counts\"]\nobjects = []"),
        "[[optional]]\nreason = \"r\"".to_owned(),
        "[[optional]]\nprogram = \"fentry_read\"\nreason = \" \"".to_owned(),
        expect("object = \"x*\""),
        expect("object = \"switches\"\nprogram = \"nowhre\""),
        expect("object = \"switches\"\nexpires = \"soon\""),
        expect("verdict = \"loaded\""),
        "[[allow-warning]]\ncontains = \"\"\nreason = \"r\"".to_owned(),
        "[[allow-warning]]\ncontains = \"a\"\nprogram = \"nowhre\"\nreason = \"r\"".to_owned(),
        "minimum-coverage = 101".to_owned(),
        program("fentry_read", "type = \"sched_clss\""),
        program("fentry_read", "attach-type = \"ingress\""),
        program("fentry_read", "flags = [\"slepable\"]"),
        program("kprobe_read", "target = \"vfs_read\""),
        program("fentry_read", ""),
        program("fentry_read", "autoload = false\ntriggers = [\"file\"]"),
        map(""),
        map("max-entries = -1"),
        map("pinning = \"by-nme\""),
        map("pinning = \"/sys/fs/bpf/../x\""),
        map("type = \"ringbuff\""),
        map("inner = { like = \"counts\" }"),
        map("type = \"hash_of_maps\"\ninner = { like = \"count\" }"),
        map("type = \"hash_of_maps\"\ninner = { key-size = 4 }"),
        map("reuse = \"switches/cuonts\""),
        map("reuse = \"base/counts\""),
        map("reuse = \"counts\""),
        map("reuse = {}"),
        map("reuse = { max-entries = -1 }"),
        map("max-entries = 1\n").repeat(2),
        "[[object]]\nobject = \"switches\"".to_owned(),
        "[[object]]\nobject = \"switches\"\nstatic-programs = true".to_owned(),
        "[[object]]\nobject = \"switches\"\nlegacy-maps = true".to_owned(),
        "[[object]]\nobject = \"switches\"\nstubs = [\"log\"]".to_owned(),
        "[[object]]\nobject = \"switches\"\nset.verbos = true".to_owned(),
        "[[object]]\nobject = \"switches\"\nset.limit = -1".to_owned(),
        "[[object]]\nobject = \"switches\"\nbtf = \"nowhere.btf\"".to_owned(),
        "[[object]]\nobject = \"switches\"\nbtf = \"s.toml\"".to_owned(),
        "[[object]]\nobject = \"switches\"\nset.limit = 1\n".repeat(2),
    ];
    let messages = mistakes.iter().map(|text| {
        let error = settings(text, "").1.unwrap_err();
        let message = error.to_string();
        let message = message.split_once("s.toml`, ").unwrap().1;
        format!("{message}{}", error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default())
    });
    insta::assert_snapshot!(messages.collect::<Vec<_>>().join("\n"));
}

#[test]
fn bad_words_are_named_by_the_reader() {
    let expect = "name = \"n\"\nobjects = [\"*.o\"]\n[[expect]]\nobject = \"a\"\nreason = \"r\"\n";
    let refusals = [
        refusal(&format!("{expect}verdict = 1")),
        refusal(&format!("{expect}becuase = \"x\"")),
        refusal("name = \"n\"\nobjects = [\"*.o\"]\nminimum_coverage = 1"),
        refusal("name = \"n\"\nobjects = [\"*.o\"]\n[[shape]]\nobject = \"a\"\nname = \"s\"\nmaps.x.entries = 1"),
        refusal("name = \"n\"\nobjects = [\"*.o\"]\n[[map]]\nmap = \"a\"\nreuse = { entries = 1 }"),
        refusal("name = \"n\"\nobjects = [\"*.o\"]\n[[map]]\nmap = \"a\"\nreuse = 1"),
    ];
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn objects_that_had_to_be_renamed_are_still_found() {
    let (objects, checked) = settings("[[shape]]\nobject = \"switches\"\nname = \"s\"\nset.limit = 1", "other.bpf.o");
    assert_eq!(objects.len(), 2);
    assert_eq!(checked.unwrap().rows(&objects), ["other", "switches", "switches@s"]);
    let (_, checked) = settings("[[optional]]\nprogram = \"nowhere\"\nreason = \"r\"", "other.bpf.o");
    let error = checked.unwrap_err();
    assert!(error.to_string().ends_with("2 objects have a program `nowhere`"), "{error}");
    assert_eq!(error.hint().unwrap(), "write `other/nowhere`");
    let mut objects = objects;
    objects[1].name = "folder/switches".to_owned();
    assert_eq!(part::Objects(&objects).object("switches").unwrap(), 1);
}
