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
        "optional" => yes_or_no("Whether a run may go on without the kernel if it is unavailable."),
        "builds" => json!({
            "type": "string",
            "pattern": "^(all|last:[1-9][0-9]?)$",
            "description": "Builds of the archive that become separate kernels instead of only the newest: `all`, or \
        `last:5`.",
        }),
        "append" => texts("Kernel parameters to add to the command line."),
        "btf" => text(
            "BTF of the kernel: a file, a directory of files, or an archive in the layout of BTFHub, with or without a \
    pattern.",
        ),
        "cpus" => {
            json!({ "type": "integer", "minimum": 1, "maximum": 255, "description": "Number of CPUs of a guest." })
        }
        "numa" => json!({ "type": "integer", "minimum": 1, "maximum": 64, "description": "Number of NUMA \
    nodes of a guest." }),
        "profile" => {
            json!({ "type": ["string", "array"], "items": { "type": "string" }, "description": "Profiles that apply to \
    all cells of the kernel." })
        }
        "about" => text("What the profile is for."),
        "sysctls" => json!({
            "type": "object",
            "additionalProperties": { "type": ["integer", "string"] },
            "description": "Sysctls, by name: `\"net.core.bpf_jit_harden\" = 2`.",
        }),
        "boot" => texts("Kernel parameters."),
        "memory" => text("Memory of a guest, such as `512MiB` or `1GiB`."),
        "boot-timeout" => text("Time limit for the boot of a guest, such as `20s`."),
        "program-timeout" => text("Time limit for loading one program, such as `10s`."),
        "suites" => texts("Suites of the archive, most preferred first."),
        "packages" => texts("Globs of the package that holds the image, most preferred first."),
        "repositories" => texts("URLs of repositories; for source `pacman`, of their `.db` files."),
        "mirrorlist" => texts("URLs of mirror lists, each for one repository."),
        "metalink" => texts("URLs of metalinks of `repomd.xml`, each for one repository."),
        "fingerprints" => texts(
            "Fingerprints of accepted signing keys; for source `apk`, the SHA-256 of the key \
    files.",
        ),
        "unsigned-index" => yes_or_no("Whether to accept an unsigned index; packages must be signed."),
        "mirror" => text("The URL of the archive, if it is not that of this machine."),
        "keyring" => json!({
            "type": ["string", "array"],
            "items": { "type": "string" },
            "description": "The file with the signing keys of the archive; for sources `rpm`, `apk` and `pacman` also \
        a URL, or several.",
        }),
        "components" => texts("Components of the archive, `main` by default."),
        "trusted" => yes_or_no("Whether to accept unsigned packages and an unsigned index."),
        "image" => text(
            "The image of a kernel: a bzImage, a vmlinux or an unpacked package; for source `oci`, an image in a \
    registry.",
        ),
        "modules" => json!({
            "type": ["array", "string"],
            "items": { "type": "string" },
            "description": "Modules that guests load, by name or as paths of `.ko` files, besides those that objects need; `none` forbids all. Of source `path` a string is the directory of the kernel's modules.",
        }),
        "config" => text("The kernel's config; for source `build`, a file with additional options."),
        "tree" => text("A source tree; for source `build` also a git repository."),
        "version" => text("An upstream version such as `v6.6`; for source `build`, a tag, branch or commit."),
        "disk" => text("A disk image, packed or not: a path, or a URL, in which `{version}` is the newest version."),
        "checksums" => text("URL of a file with the SHA-256 of the disk image; `{version}` as in `disk`."),
        "signature" => text(
            "URL of the OpenPGP signature of `checksums`, or else of the disk image; by default that of the file with \
    `.sig`.",
        ),
        "version-url" => text("URL of a text that names the newest version."),
        "version-after" => text("The word in that text that comes before the version."),
        "tuf" => text(
            "URL of the metadata of the TUF repository whose targets include the disk image, named as the last part of \
    its URL.",
        ),
        "tuf-root" => text("The root of trust of that repository, any version of `root.json`: a path or a URL."),
        "tuf-root-checksums" => {
            texts("SHA-256 or SHA-512 of versions of `tuf-root` that are accepted; required if it is a URL.")
        }
        "release" => text("The release; for source `disk`, a glob of it."),
        "files" => texts("Paths or URLs of `.deb` or `.rpm` files."),
        "sha256" => texts("The SHA-256 of each of the files, of the disk image, or of the file with BTF."),
        "package" => text("The Debian package that holds the BTF."),
        "file" => text("The path of the BTF file in that package."),
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
    let what = "A directory in the layout of BTFHub's archive, or its URL: kernels without BTF get their BTF from it, \
    by distribution and release.";
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
                "description": "Limits of kernels that do not set their own.",
                "type": "object",
                "properties": defaults(),
                "additionalProperties": false,
            },
            "matrix": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "default": {
                        "description": "The kernels of a run without `--kernel`.",
                        "type": "array",
                        "items": { "type": "string" },
                    },
                },
            },
            "profile": {
                "description": "Named machine settings, in addition to the built-in ones.",
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "properties": keys(profiles::KEYS),
                    "additionalProperties": false,
                },
            },
            "kernel": {
                "description": "Declared kernels, by name.",
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
