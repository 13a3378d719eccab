//! Findings on the types of crafted kernels: `kernel_a` is the oldest, `kernel_b` the newest.

mod fuzz;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::core_relo::TypeTable;
use crate::object::find_objects;
use crate::predict::{PredictedKernel, PredictedTypes};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The types of an object that stands for a kernel.
fn types(path: &Path) -> Result<Arc<TypeTable>, String> {
    use object::LittleEndian;
    use object::read::elf::SectionHeader;
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let sections = crate::object::sections(&bytes).map_err(|error| error.to_string())?;
    let (_, section) = sections.section_by_name(LittleEndian, b".BTF").ok_or("no BTF")?;
    let raw = section.data(LittleEndian, &*bytes).map_err(|error| error.to_string())?;
    TypeTable::new(raw.to_vec()).map(Arc::new).map_err(|error| error.to_string())
}

fn report(object: &str, kernels: &[(&str, &str)]) -> LintReport {
    let kernel = |(release, file): &(&str, &str)| PredictedKernel {
        name: None,
        group: String::new(),
        release: (*release).to_owned(),
        types: fixture(file),
    };
    let found = find_objects(&[fixture(object)]).unwrap();
    let subjects: Vec<LintSubject> = found.objects.iter().map(|object| LintSubject::of(object).unwrap()).collect();
    LintReport::of(&subjects, kernels.iter().map(kernel).collect(), |kernel| {
        types(&kernel.types).map(PredictedTypes::of_kernel)
    })
}

/// The findings, one a line.
fn told(report: &LintReport) -> String {
    let mut text = String::new();
    for finding in report.objects.iter().flat_map(|object| &object.findings) {
        let place = finding.source.as_ref().map_or(0, |source| source.line);
        let head = format!("{place} {} {} {:?}: ", finding.level.word(), finding.rule, finding.programs);
        text += &format!("{head}{}\n", finding.message);
        text.extend(finding.hint.iter().map(|hint| format!("    {hint}\n")));
    }
    text
}

const KERNELS: [(&str, &str); 3] =
    [("1.0.0", "explain/kernel_a.o"), ("1.5.0", "explain/kernel_between.o"), ("2.0.0", "explain/kernel_b.o")];

#[test]
fn reads_without_a_guard_are_found_with_what_stands_in_their_place() {
    insta::assert_snapshot!(told(&report("explain/object.o", &KERNELS)));
}

#[test]
fn what_a_module_may_have_is_a_note_and_no_finding() {
    let found = find_objects(&[fixture("explain/object.o")]).unwrap();
    let subjects: Vec<LintSubject> = found.objects.iter().map(|object| LintSubject::of(object).unwrap()).collect();
    let kernel = PredictedKernel {
        name: None,
        group: String::new(),
        release: "2.0.0".to_owned(),
        types: fixture("explain/kernel_b.o"),
    };
    let report = LintReport::of(&subjects, vec![kernel], |kernel| {
        let mut types = PredictedTypes::of_kernel(types(&kernel.types)?);
        types.names.unknown.insert("task_struct".to_owned(), "is in kernel module m on 6.1".to_owned());
        Ok(types)
    });
    let said = told(&report);
    let about = said.lines().filter(|line| line.contains("struct task_struct"));
    let about: Vec<&str> = about.collect();
    assert!(!about.is_empty() && about.iter().all(|line| line.contains("not-judged")), "{said}");
    assert!(
        about[0].contains("is not judged on 2.0.0, the only known kernel: it is in kernel module m on 6.1"),
        "{said}"
    );
}

#[test]
fn dangers_are_those_of_a_run() {
    insta::assert_snapshot!(told(&report("explain/dangers.o", &KERNELS)));
}

#[test]
fn guards_without_a_choice_are_found_from_two_kernels_on() {
    insta::assert_snapshot!(told(&report("coverage/ways.bpf.o", &KERNELS)));
    let alone = told(&report("coverage/ways.bpf.o", &KERNELS[..1]));
    assert!(!alone.contains("-guard"), "{alone}");
}

#[test]
fn sides_that_read_what_is_gone_and_guards_by_the_version_are_understood() {
    insta::assert_snapshot!(told(&report("lint/guards.o", &KERNELS)));
    // A name that is no release answers no guard by the version, and what is not known is no finding.
    let nameless = KERNELS.map(|(release, file)| (if release == "1.0.0" { "old" } else { "new" }, file));
    let said = told(&report("lint/guards.o", &nameless));
    assert!(!said.contains("by_version") && said.contains("missing-fallback"), "{said}");
}

#[test]
fn fixed_offsets_are_found_in_objects_without_relocations_only() {
    insta::assert_snapshot!(told(&report("lint/fixed.o", &KERNELS)));
}

#[test]
fn a_kernel_that_cannot_be_read_is_told() {
    let report = report("explain/object.o", &[KERNELS[2], ("3.0.0", "explain/object.c")]);
    assert_eq!(report.unread.len(), 1);
    assert_eq!(report.unread[0].kernel, 1);
    assert!(report.has_warnings());
    assert!(told(&report).contains("the only known kernel"), "{}", told(&report));
}

#[test]
fn rules_have_names_of_their_own() {
    let names: std::collections::BTreeSet<&str> = LintRule::ALL.map(LintRule::name).into();
    assert_eq!(names.len(), LintRule::ALL.len());
    for rule in LintRule::ALL {
        assert_eq!(rule.name().parse(), Ok(rule));
        assert_eq!(serde_json::json!(rule), rule.name());
    }
}

/// Compares the schema with the committed one; `UPDATE_SCHEMA=1` writes it.
#[test]
fn the_schema_of_the_report_is_current() {
    let mut schema = schemars::schema_for!(LintReport).to_value();
    schema["title"] = "findings of corematrix lint".into();
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/lint-1.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "`{}` is not current: run the tests once with UPDATE_SCHEMA=1", path.display());
    // Keys that tools rely on.
    let value = serde_json::json!(report("explain/object.o", &KERNELS));
    for key in schema["required"].as_array().unwrap() {
        assert!(value.get(key.as_str().unwrap()).is_some(), "{key}");
    }
}
