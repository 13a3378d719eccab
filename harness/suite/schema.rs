//! The JSON Schema of suite files, for editors: made from the keys that the reader knows.

use serde_json::{Map, Value, json};

use super::{SUITE_KEYS, TABLES};
use crate::schema::{check, fits};

/// What a table may have.
struct Shape {
    /// What it is for.
    about: &'static str,
    required: &'static [&'static str],
}

fn shape(table: &str) -> Shape {
    let (about, required): (_, &[&str]) = match table {
        "package" => {
            ("Objects from a Debian package, which is unpacked but not installed.", &["apt", "suites", "files"])
        }
        "image" => ("Objects from an OCI image.", &["oci"]),
        "alternatives" => ("Programs, maps or objects of which one must load on every kernel.", &["name"]),
        "optional" => ("A program or object that may fail.", &["reason"]),
        "shape" => ("The object once more, with other settings.", &["object", "name"]),
        "expect" => ("A known failure.", &["reason"]),
        "allow-warning" => ("A known kernel warning.", &["contains", "reason"]),
        "program" => ("How a program is loaded, attached and made to run.", &["program"]),
        "object" => ("What the object's own loader does to it.", &["object"]),
        "map" => ("A map that the object's own loader completes.", &["map"]),
        other => panic!("`[[{other}]]` has no description"),
    };
    Shape { about, required }
}

/// What a key of a table is and takes.
fn key(table: &str, name: &str) -> Value {
    let text = |what: &str| json!({ "type": "string", "description": what });
    let texts = |what: &str| json!({ "type": "array", "items": { "type": "string" }, "description": what });
    let yes_or_no = |what: &str| json!({ "type": "boolean", "description": what });
    let number = |what: &str| json!({ "type": "integer", "description": what });
    let any_table = |what: &str| json!({ "type": "object", "description": what });
    let closed = |what: &str, keys: &[(&str, Value)]| {
        let properties: Map<String, Value> =
            keys.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        json!({ "type": "object", "description": what, "properties": properties, "additionalProperties": false })
    };
    let definition = || {
        vec![
            ("type", text("The type, as libbpf calls it: `hash`.")),
            ("key-size", number("Size of a key, in bytes.")),
            ("value-size", number("Size of a value, in bytes.")),
            ("max-entries", number("Maximum number of entries.")),
            ("map-flags", number("`BPF_F_*`.")),
        ]
    };
    match (table, name) {
        ("package", "apt") => text("The name of the package."),
        ("package", "suites") => texts("Debian suites, most preferred first."),
        (_, "files") => texts("Globs of files inside."),
        (_, "oci") => text("`REGISTRY/NAME@sha256:DIGEST`."),
        ("alternatives" | "shape", "name") => text("Name in reports."),
        (_, "programs") => texts("Programs, `OBJECT/PROGRAM`."),
        ("shape", "maps") => any_table("Sizes of maps, by name: `max_entries`, `key_size`, `value_size`."),
        (_, "maps") => texts("Maps, `OBJECT/MAP`."),
        (_, "objects") => texts("Objects."),
        ("expect" | "allow-warning", "kernel") => {
            json!({ "type": ["string", "array"], "items": { "type": "string" }, "description": "Selectors of kernels, such as `<6.1`." })
        }
        (_, "object") => text("The object, as reports name it."),
        ("expect" | "allow-warning", "program") => text("The name of the program, or a glob, without its object."),
        (_, "program") => text("The program, `OBJECT/PROGRAM`."),
        (_, "reason") => text("Why, for people."),
        (_, "link") => text("Where to read more about it."),
        // TOML has dates of its own, which most checkers hand on as text.
        (_, "expires") => json!({ "description": "The day after which it excuses nothing: 2027-06-30." }),
        (_, "verdict") => text("The verdict, as in `report.json`."),
        (_, "cause") => text("The cause, as in `report.json`."),
        (_, "contains") => text("Words of the warning."),
        (_, "cpus" | "memory" | "numa" | "profile") => machine_key(name),
        (_, "set") => any_table("Variables of `.rodata`, `.data` or `.bss`, by name."),
        ("program", "type") => text("The type of the program, as libbpf calls it: `sched_cls`."),
        (_, "attach-type") => text("Attach type, by libbpf's name."),
        (_, "target") => text(
            "What it is loaded for, where its section does not name it: a function of the kernel, or `OBJECT:PROGRAM` for a function of a program.",
        ),
        (_, "target-function") => text("The function of the target program."),
        (_, "flags") => texts("`sleepable` and others."),
        (_, "autoload") => yes_or_no("`false`: its loader never loads it."),
        (_, "attach") => closed(
            "Attachment point.",
            &["function", "binary", "tracepoint", "interface", "cgroup"]
                .map(|name| (name, text("What it is attached to."))),
        ),
        (_, "triggers") => texts("Activities of `--exercise` that make it run: `file`, `exec` and so on."),
        (_, "command") => texts("A command that makes it run, as a list of words."),
        (_, "test-run") => closed(
            "A test run of the kernel.",
            &[
                ("input", text("The packet, in hex.")),
                ("input-file", text("The file with the packet.")),
                ("context", text("The context, in hex.")),
                ("repeat", number("Number of runs.")),
                ("returns", number("Expected return value.")),
            ],
        ),
        (_, "capabilities") => {
            texts("The capabilities that it is loaded with, by a user that is not root: `CAP_BPF`; or `all`.")
        }
        (_, "token") => yes_or_no("Whether it is loaded with a BPF token of a user namespace."),
        (_, "loader") => text("What loads it: `libbpf`, `cilium-ebpf`, `aya`, or the path of a loader."),
        (_, "static-programs") => yes_or_no("Whether its loader treats static functions as programs."),
        (_, "called-programs") => yes_or_no("Whether code may call functions in sections of programs."),
        (_, "legacy-maps") => yes_or_no("Whether its loader reads map definitions from a section `maps`."),
        (_, "stubs") => texts("Extern functions whose calls return 0."),
        (_, "btf") => text("BTF to use for relocations instead of the kernel's."),
        ("map", "map") => text("The map, `OBJECT/MAP`."),
        ("map", "pinning") => text("`none`, `by-name`, or a path below `/sys/fs/bpf`."),
        ("map", "inner") => {
            let mut keys = definition();
            keys.push(("like", text("Another map of the object to copy the definition from.")));
            closed("The definition of the maps in a map of maps.", &keys)
        }
        ("map", "reuse") => {
            json!({ "anyOf": [text("The map of another object, `OBJECT/MAP`."), closed("What differs from the object's own definition.", &definition())] })
        }
        ("map", other) => {
            let known = definition().into_iter().find(|(name, _)| *name == other);
            known.unwrap_or_else(|| panic!("`{other}` of `[[map]]` has no description")).1
        }
        (table, other) => panic!("`{other}` of `[[{table}]]` has no description"),
    }
}

/// What a key of a machine is and takes.
fn machine_key(name: &str) -> Value {
    match name {
        "cpus" => {
            json!({ "type": "integer", "minimum": 1, "maximum": 255, "description": "Number of CPUs of the guest." })
        }
        "memory" => json!({ "type": "string", "description": "Memory of the guest, such as `512MiB` or `1GiB`." }),
        "numa" => {
            json!({ "type": "integer", "minimum": 1, "maximum": 64, "description": "Number of NUMA nodes of the guest." })
        }
        _ => {
            json!({ "type": ["string", "array"], "items": { "type": "string" }, "description": "Names of profiles \
    (machine settings)." })
        }
    }
}

fn schema() -> Value {
    let mut properties = Map::new();
    for name in SUITE_KEYS {
        let value = match TABLES.iter().find(|(table, _)| *table == name) {
            Some((table, keys)) => {
                let Shape { about, required } = shape(table);
                let members: Map<String, Value> =
                    keys.iter().map(|name| ((*name).to_owned(), key(table, name))).collect();
                json!({
                    "type": "array",
                    "description": about,
                    "items": { "type": "object", "required": required, "properties": members, "additionalProperties": false },
                })
            }
            None => match name {
                "name" => json!({ "type": "string", "description": "The suite's name." }),
                "loader" => {
                    json!({ "type": "string", "description": "What loads its objects: `libbpf`, `cilium-ebpf`, `aya`, or the path of a loader." })
                }
                "modules" => {
                    json!({ "type": "array", "items": { "type": "string" }, "description": "Kernel modules that guests \
    load, by name or by path of a `.ko` file, in addition to those that objects need; `none` forbids all." })
                }
                "objects" => {
                    json!({ "type": "array", "items": { "type": "string" }, "description": "Paths and globs of \
    objects, relative to the directory of the suite." })
                }
                "minimum-coverage" => {
                    json!({ "type": "number", "description": "Required percentage of verified guard sides." })
                }
                "cpus" | "memory" | "numa" | "profile" => machine_key(name),
                "least-privileges" => {
                    json!({ "type": "boolean", "description": "Whether the report shows the fewest capabilities with which each program loads." })
                }
                other => panic!("`{other}` has no description"),
            },
        };
        properties.insert(name.to_owned(), value);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "a suite of corematrix",
        "type": "object",
        "required": ["name"],
        "properties": properties,
        "additionalProperties": false,
    })
}

#[test]
fn the_schema_of_suites_is_current_and_fits_ours() {
    let schema = check("suite-1.schema.json", schema());
    let programs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    let read = |text: &str| serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap();
    let mut checked = 0;
    for (folder, line) in
        [("", "#:schema ../schema/suite-1.schema.json\n"), ("systems", "#:schema ../../schema/suite-1.schema.json\n")]
    {
        for file in std::fs::read_dir(programs.join(folder)).unwrap().map(|entry| entry.unwrap().path()) {
            // That one is the table of the stories.
            if file.extension().is_none_or(|kind| kind != "toml") || file.ends_with("stories.toml") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.starts_with(line), "editors find no schema for `{}`", file.display());
            assert!(fits(&schema, &schema, &read(&text)), "`{}` does not fit", file.display());
            checked += 1;
        }
    }
    assert!(checked > 10, "{checked}");
    for wrong in
        ["objects = []", "name = \"x\"\nobject = 1", "name = \"x\"\n[[map]]\nmap = \"a/b\"\nsize = 1", "name = 1"]
    {
        assert!(!fits(&schema, &schema, &read(wrong)), "{wrong}");
    }
}
