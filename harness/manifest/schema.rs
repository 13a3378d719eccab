//! The JSON Schema of `kernels.toml`, for editors: made from the keys that the reader knows.

use serde_json::{Map, Value, json};

use super::declaration::COMMON;
use super::parse::{DEFAULTS, SECTIONS};
use super::profiles;
use super::source_table::SOURCES;
use crate::schema::{check, fits};

/// What a key is and takes.
fn key(name: &str) -> Value {
    let text = |what: &str| json!({ "type": "string", "description": what });
    let texts = |what: &str| json!({ "type": "array", "items": { "type": "string" }, "description": what });
    let yes_or_no = |what: &str| json!({ "type": "boolean", "description": what });
    match name {
        "optional" => yes_or_no("Whether a run may do without the kernel where it cannot be fetched."),
        "builds" => json!({
            "type": "string",
            "pattern": "^(all|last:[1-9][0-9]?)$",
            "description": "Which builds of the archive are kernels of their own, in the place of its newest: `all`, or `last:5`.",
        }),
        "append" => texts("Words that are added to the kernel's command line."),
        "btf" => text(
            "Types of the kernel: a file, a folder of them, or an archive laid out as BTFHub's, with or without a pattern.",
        ),
        "cpus" => json!({ "type": "integer", "minimum": 1, "maximum": 255, "description": "Processors of a guest." }),
        "numa" => json!({ "type": "integer", "minimum": 1, "maximum": 64, "description": "NUMA nodes of a guest." }),
        "profile" => {
            json!({ "type": ["string", "array"], "items": { "type": "string" }, "description": "Profiles that all cells of the kernel have." })
        }
        "about" => text("What the profile is for."),
        "sysctls" => json!({
            "type": "object",
            "additionalProperties": { "type": ["integer", "string"] },
            "description": "Sysctls, by name: `\"net.core.bpf_jit_harden\" = 2`.",
        }),
        "boot" => texts("Words for the kernel's command line."),
        "memory" => text("Memory of a guest, such as `512MiB` or `1GiB`."),
        "boot-timeout" => text("How long a guest may take to boot, such as `20s`."),
        "program-timeout" => text("How long one program may take to load, such as `10s`."),
        "suites" => texts("Suites of the archive to look in, best first."),
        "packages" => texts("Globs of the package that holds the image, best first."),
        "repositories" => texts("Addresses of repositories; of source `pacman` of their `.db` files."),
        "mirrorlist" => texts("Addresses of lists of mirrors, each for one repository."),
        "metalink" => texts("Addresses of metalinks of `repomd.xml`, each for one repository."),
        "fingerprints" => texts("Fingerprints of the keys that may sign; of source `apk` the SHA-256 of their files."),
        "unsigned-index" => yes_or_no("Whether to take an index that nobody signed; the packages have to be signed."),
        "mirror" => text("The address of another archive than the machine's own."),
        "keyring" => json!({
            "type": ["string", "array"],
            "items": { "type": "string" },
            "description": "The file with the keys that sign the archive; of sources `rpm`, `apk` and `pacman` also an address of it, or several.",
        }),
        "components" => texts("Components of the archive, `main` by default."),
        "trusted" => yes_or_no("Whether to take what nobody signed."),
        "image" => text(
            "The image of a kernel: a bzImage, a vmlinux or an unpacked package; of source `oci` an image in a registry.",
        ),
        "modules" => json!({
            "type": ["array", "string"],
            "items": { "type": "string" },
            "description": "Modules that guests load, by name or as paths of `.ko` files, besides those that objects need; `none` forbids all. Of source `path` a string is the folder of the kernel's modules.",
        }),
        "config" => text("The kernel's config; of source `build` a file with more options."),
        "tree" => text("A source tree; of source `build` also a git repository."),
        "version" => text("An upstream version such as `v6.6`; of source `build` a tag, branch or commit."),
        "disk" => text("A disk image."),
        "release" => text("The release; of source `disk` a glob of it."),
        "files" => texts("Paths or addresses of `.deb` or `.rpm` files."),
        "sha256" => texts("The SHA-256 of each of the files."),
        "package" => text("The Debian package that has the types."),
        "file" => text("The path of the types in that package."),
        other => panic!("`{other}` has no description"),
    }
}

fn keys<'a>(names: impl IntoIterator<Item = &'a str>) -> Map<String, Value> {
    names.into_iter().map(|name| (name.to_owned(), key(name))).collect()
}

/// A table with a `source`, and keys that may stand beside those of the source.
fn source_table(others: &[&str]) -> Value {
    let one = |(name, needed, allowed): &(&str, &[&str], &[&str])| {
        let mut properties = keys(needed.iter().chain(*allowed).copied());
        properties.insert("source".to_owned(), json!({ "const": name }));
        for other in others {
            let value = match *other {
                "fallback" => json!({ "type": "array", "items": { "$ref": "#/$defs/source" } }),
                other => key(other),
            };
            properties.entry(*other).or_insert(value);
        }
        let required: Vec<&str> = std::iter::once("source").chain(needed.iter().copied()).collect();
        json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
    };
    json!({ "oneOf": SOURCES.iter().map(one).collect::<Vec<_>>() })
}

/// Keys of `[defaults]`.
fn defaults() -> Map<String, Value> {
    let mut all = keys(DEFAULTS);
    let what = "A folder laid out as BTFHub's archive, or the address of one: kernels without BTF get theirs from it, by who built them and their release.";
    all.insert("btf".to_owned(), json!({ "type": "string", "description": what }));
    all
}

fn schema() -> Value {
    let known: Vec<&str> = SECTIONS.to_vec();
    assert_eq!(known, ["defaults", "matrix", "kernel", "profile"], "the schema knows other tables than the reader");
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kernels.toml of corematrix",
        "type": "object",
        "required": ["kernel"],
        "additionalProperties": false,
        "properties": {
            "defaults": {
                "description": "Limits of every kernel that has none of its own.",
                "type": "object",
                "properties": defaults(),
                "additionalProperties": false,
            },
            "matrix": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "default": {
                        "description": "The kernels of a run that names none.",
                        "type": "array",
                        "items": { "type": "string" },
                    },
                },
            },
            "profile": {
                "description": "Named settings of machines, beside those that are built in.",
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "properties": keys(profiles::KEYS),
                    "additionalProperties": false,
                },
            },
            "kernel": {
                "description": "The kernels that there are, by name.",
                "type": "object",
                "additionalProperties": { "$ref": "#/$defs/kernel" },
            },
        },
        "$defs": { "kernel": source_table(&COMMON), "source": source_table(&[]) },
    })
}

#[test]
fn the_schema_of_manifests_is_current_and_fits_ours() {
    let schema = check("kernels-1.schema.json", schema());
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("kernels.toml")).unwrap();
    assert!(text.starts_with("#:schema ./schema/kernels-1.schema.json\n"), "editors find no schema");
    let read = |text: &str| serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap();
    assert!(fits(&schema, &schema, &read(&text)));
    for source in SOURCES.map(|(name, ..)| name) {
        let wrong = format!("[kernel.x]\nsource = \"{source}\"\nno-such-key = 1\n");
        assert!(!fits(&schema, &schema, &read(&wrong)), "{source}");
    }
    assert!(fits(&schema, &schema, &read("[kernel.mine]\nsource = \"host\"\noptional = true\n")));
    for wrong in ["", "[kernel.x]\nsource = \"nowhere\"\n", "[kernel.x]\nsource = \"tree\"\n", "[kernels]\n"] {
        assert!(!fits(&schema, &schema, &read(wrong)), "{wrong}");
    }
}
