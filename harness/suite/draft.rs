//! [`draft`]: a first suite file for some objects, for their author to go on with.

mod loading;
mod value;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use toml::Value;

use crate::alternatives;
use crate::coverage::Analysis;
use crate::object::{BpfObject, GlobalVariable, Globals};
use crate::record::GuardKind;
use crate::record::{Alternative, ObjectProgram};
use crate::suite::image::SCHEME;

/// What precedes the digest of an image.
const DIGEST: &str = "@sha256:";
const HEAD: &str = "# Written by `corematrix init`. Commented-out parts are templates.
";
const COVERAGE: &str = "# Required percentage of guard sides that are verified on some kernel; a run below it fails.
# minimum-coverage = 100
";
const ALTERNATIVES: &str = "
# One of them must load on every kernel; the others may fail. Proposed from names and sections: check that this is intended.
";
const SHAPE: &str = "
# The object once more, with other settings: the verifier sees the code that they switch on. One table for each combination
# that matters.
";
const OPTIONAL: &str = "
# Programs that may fail.
";
const EXPECT: &str = "
# A known failure, and the reason for accepting it.
# [[expect]]
";

/// The text of a suite file called `name` that is going to lie in `folder`; every path has to be absolute.
pub fn draft(name: &str, objects: &[BpfObject], folder: &Path) -> String {
    let mut text = format!("{HEAD}\nname = {}\n", quoted(name));
    let mut places: Vec<&PathBuf> = objects.iter().map(|object| &object.origin.path).collect();
    // Several objects may be embedded in one file.
    places.dedup();
    let (packed, files): (Vec<_>, Vec<_>) = places.into_iter().partition(|place| image(place).is_some());
    if !files.is_empty() {
        text += "objects = [\n";
    }
    for place in &files {
        let relative = place.strip_prefix(folder).unwrap_or(place);
        let _ = writeln!(text, "    {},", quoted(&glob::Pattern::escape(&relative.to_string_lossy())));
    }
    text += if files.is_empty() { "" } else { "]\n" };
    text += COVERAGE;
    let mut images: Vec<(String, Vec<String>)> = Vec::new();
    for (reference, inside) in packed.into_iter().filter_map(|place| image(place)) {
        match images.iter_mut().find(|(known, _)| *known == reference) {
            Some((_, files)) => files.push(inside),
            None => images.push((reference, vec![inside])),
        }
    }
    for (reference, files) in images {
        let files: Vec<String> = files.iter().map(|file| quoted(&glob::Pattern::escape(file))).collect();
        let _ = writeln!(text, "\n[[image]]\noci = {}\nfiles = [{}]", quoted(&reference), files.join(", "));
    }
    for object in objects {
        of_object(&mut text, object);
    }
    let example = objects.iter().find_map(|object| Some((object, object.inventory.as_ref().ok()?.programs.first()?)));
    if let Some((object, program)) = example {
        text += EXPECT;
        let glob = |name: &str| quoted(&glob::Pattern::escape(name));
        let _ = writeln!(text, "# object = {}\n# program = {}", glob(&object.name), glob(&program.name));
        text += "# kernel = \"5.10\"\n# verdict = \"verifier_rejected\"\n# reason = \"say why\"\n";
    }
    text
}

/// The image that a file lies in, as a suite names it, and where in it.
fn image(place: &Path) -> Option<(String, String)> {
    let text = place.to_str()?.strip_prefix(SCHEME)?;
    let digest = text.find(DIGEST)? + DIGEST.len();
    let (reference, inside) = text.split_at_checked(digest + 64)?;
    Some((reference.to_owned(), inside.strip_prefix('/')?.to_owned()))
}

fn of_object(text: &mut String, object: &BpfObject) {
    let Ok(inventory) = &object.inventory else {
        let _ = writeln!(text, "\n# {} cannot be read.", comment(&object.name));
        return;
    };
    let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let (programs, maps) = (counted(inventory.programs.len(), "program"), counted(inventory.maps.len(), "map"));
    let _ = writeln!(text, "\n# ---- {}: {programs}, {maps}", comment(&object.name));
    let listed = |program: &crate::object::ProgramInfo| ObjectProgram {
        name: program.name.clone(),
        section: program.section.clone(),
    };
    let programs: Vec<ObjectProgram> = inventory.programs.iter().map(listed).collect();
    let groups = alternatives::proposed(&object.name, &programs);
    if !groups.is_empty() {
        text.push_str(ALTERNATIVES);
    }
    for group in groups {
        let full = |member: &Alternative| quoted(&format!("{}/{}", member.object, member.label()));
        let members: Vec<String> = group.members.iter().map(full).collect();
        let _ = writeln!(text, "[[alternatives]]\nname = {}\nprograms = [{}]", quoted(&group.name), members.join(", "));
    }
    let optional: Vec<&str> =
        inventory.programs.iter().filter(|program| program.optional).map(|program| program.name.as_str()).collect();
    if !optional.is_empty() {
        text.push_str(OPTIONAL);
    }
    for name in optional {
        let name = quoted(&format!("{}/{name}", object.name));
        let _ = writeln!(text, "# [[optional]]\n# program = {name}\n# reason = \"say why\"");
    }
    text.push_str(&loading::tables(object, inventory));
    shape(text, object, &programs);
}

/// A shape with every variable of `.rodata`, those first that decide a branch.
fn shape(text: &mut String, object: &BpfObject, programs: &[ObjectProgram]) {
    let mut lines = Vec::new();
    let variable = Globals::read(&object.bytes).and_then(|globals| variables(&mut lines, object, programs, &globals));
    if lines.is_empty() {
        return;
    }
    let name = variable.as_deref().unwrap_or("other");
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let _ = write!(text, "{SHAPE}# [[shape]]\n# object = {}\n# name = {}\n", quoted(&object.name), quoted(&name));
    lines.iter().for_each(|line| text.extend([line, "\n"]));
}

/// A line for each variable of `.rodata`. Returns the first that decides a branch.
fn variables(
    lines: &mut Vec<String>,
    object: &BpfObject,
    programs: &[ObjectProgram],
    globals: &Globals,
) -> Option<String> {
    let names: Vec<&str> = programs.iter().map(|program| program.name.as_str()).collect();
    let analysis = Analysis::of(&object.bytes, &names);
    let decides = |variable: &GlobalVariable| {
        let mut switches =
            analysis.guards.iter().filter(|guard| guard.kind == GuardKind::Rodata && guard.undecided.is_none());
        switches.any(|guard| guard.asked.split('+').next() == Some(variable.name.as_str()))
    };
    let rodata = globals.variables.iter().filter(|variable| variable.section.starts_with(".rodata"));
    let (switches, others): (Vec<_>, Vec<_>) = rodata.partition(|variable| decides(variable));
    for (variable, note) in
        switches.iter().map(|one| (one, "")).chain(others.iter().map(|one| (one, "; no branch hangs on it alone")))
    {
        let declared = comment(&globals.btf.declaration(variable.type_id, &variable.name));
        lines.push(match value::proposal(&globals.btf, variable.type_id, &variable.initial) {
            Some(value) => format!("# set.{} = {value}    # {declared}{note}", key(&variable.name)),
            None => format!("# # {declared}: cannot be set"),
        });
    }
    switches.first().map(|variable| variable.name.clone())
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// A name as a key.
fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// Text that does not end a comment.
fn comment(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::object::find_objects;
    use crate::suite::{Settings, Suite};

    fn settings(folder: &Path, objects: &[BpfObject], text: &str) -> Settings {
        let path = folder.join("suite.toml");
        std::fs::write(&path, text).unwrap();
        let suite = Suite::load(&path).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let found = find_objects(&suite.objects).unwrap().objects;
        assert_eq!(
            found.iter().map(|one| &one.name).collect::<Vec<_>>(),
            objects.iter().map(|one| &one.name).collect::<Vec<_>>()
        );
        suite.settings(&found).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn every_map_that_lacks_a_size_gets_one() {
        let folder = tempfile::tempdir().unwrap();
        let object = folder.path().join("definitions.bpf.o");
        std::fs::write(&object, include_bytes!("../../tests/fixtures/maps/definitions.bpf.o")).unwrap();
        let objects = find_objects(&[object]).unwrap().objects;
        let text = draft("maps", &objects, folder.path());
        let tables =
            &text[text.find("\n# Values that libbpf needs").unwrap()..text.find("\n# A known failure").unwrap()];
        insta::assert_snapshot!(tables);
        let drafted = settings(folder.path(), &objects, &text);
        let (of, loading) = &drafted.loading[0];
        assert_eq!((of.as_str(), loading.maps.len()), ("definitions", tables.matches("[[map]]").count()));
    }

    #[test]
    fn objects_of_an_image_are_named_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let object = folder.path().join("switches.bpf.o");
        std::fs::write(&object, include_bytes!("../../tests/fixtures/suite/switches.bpf.o")).unwrap();
        let mut objects = find_objects(&[object.clone(), object]).unwrap().objects;
        let reference = format!("example.org/tools@sha256:{}", "ab".repeat(32));
        for (object, inside) in objects.iter_mut().zip(["bpf/one[1].o", "two.o"]) {
            object.origin.path = format!("oci://{reference}/{inside}").into();
        }
        let count = objects.len();
        let text = draft("packed", &objects, folder.path());
        let path = folder.path().join("suite.toml");
        std::fs::write(&path, &text).unwrap();
        let suite = Suite::load(&path).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(suite.objects.is_empty());
        assert_eq!((suite.images.len(), suite.images[0].oci.as_str()), (1, reference.as_str()));
        assert_eq!(suite.images[0].files, &["bpf/one[[]1[]].o", "two.o"][..count]);
    }

    #[test]
    fn a_draft_is_a_suite_commented_or_not() {
        let folder = tempfile::tempdir().unwrap();
        // What is no ELF file, and what a glob would take for more than a name.
        let object = folder.path().join("switches[1].bpf.o");
        std::fs::write(&object, include_bytes!("../../tests/fixtures/suite/switches.bpf.o")).unwrap();
        let objects = find_objects(&[object]).unwrap().objects;
        let text = draft("my \"suite\"", &objects, folder.path());
        insta::assert_snapshot!(text);
        let drafted = settings(folder.path(), &objects, &text);
        assert_eq!((drafted.alternatives.len(), drafted.shapes.len()), (1, 0));
        let open: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(line) if line.starts_with(['[', '#']) || line.contains(" = ") => format!("{line}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let drafted = settings(folder.path(), &objects, &open);
        assert_eq!((drafted.shapes.len(), drafted.minimum_coverage), (1, Some(100.0)));
        assert_eq!(drafted.shapes[0].1.settings.len(), 7);
    }
}
