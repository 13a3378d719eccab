//! The stories of `programs/` on every kernel of the default matrix: what `programs/stories.toml` expects of each program, against what
//! corematrix reports. Needs `make programs`, virtme-ng, QEMU and the kernels.

#[path = "stories/book.rs"]
mod book;
#[path = "common/evidence.rs"]
mod evidence;
#[path = "stories/fact.rs"]
mod fact;
#[path = "common/need.rs"]
mod need;
#[path = "stories/sides.rs"]
mod sides;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use corematrix::manifest::Manifest;
use corematrix::matrix::Places;
use corematrix::object::btf::Btf;
use corematrix::record::AttachOutcome;
use corematrix::record::Verdict;
use corematrix::record::{KernelRecord, KernelState, RunRecord};
use corematrix::source::LockFile;
use corematrix::store::Store;
use serde_json::json;

use book::{Book, Class, Expected};
use fact::{Fact, KernelFacts};
use need::need;

const AT_LEAST: usize = 20;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fails with all differences at once.
fn report(differences: &[String]) {
    assert!(differences.is_empty(), "{} differences:\n  {}", differences.len(), differences.join("\n  "));
}

#[test]
fn every_kernel_treats_every_program_as_its_story_says() {
    need!("guests", "programs");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let status = Command::new(env!("CARGO_BIN_EXE_corematrix"))
        .current_dir(root())
        .args(["run", "target/programs", "--exercise", "--out"])
        .arg(folder.path())
        .status()
        .expect("corematrix starts");
    // The naive programs fail by design.
    assert_eq!(status.code(), Some(1), "corematrix run ended with {status}");
    let record = corematrix::record::json::read(&folder.path().join("report.json")).expect("the report");
    let mut differences = Vec::new();
    let kernels = judged_kernels(&record, &mut differences);
    let book = Book::read(root());
    compare(&book, &record, &kernels, &mut differences);
    let judged: Vec<usize> = kernels.iter().map(|(index, _)| *index).collect();
    dangers(&book, &record, &kernels, &mut differences);
    differences.extend(evidence::missing_records(&record, &judged));
    differences.extend(evidence::missing_causes(&record, &judged));
    differences.extend(sides::differences(&record, &kernels));
    struct_ops(&record, &kernels, &mut differences);
    report(&differences);
}

/// Programs that load and read wrong data are flagged exactly where the kernel's BTF says that they do, others never. Where a
/// program loads and the BTF of other kernels lacks its field, the failure there is reported, too.
fn dangers(book: &Book, record: &RunRecord, kernels: &[(usize, KernelFacts)], differences: &mut Vec<String>) {
    for story in &book.story {
        let Some(object) = record.objects.iter().position(|object| object.name == story.object) else { continue };
        for (name, expected) in &story.program {
            let fact = story.silent.get(name).map_or("never", String::as_str);
            let silent = Fact::parse(fact).expect("was checked by the other test");
            let loads = expected.fact().expect("was checked by the other test");
            let attaches = expected.attaches().expect("was checked by the other test");
            // A missing kernel function is no relocation of this kind.
            let by_field = expected.otherwise == Some(Verdict::RelocationFailed) && !expected.loads.contains("func ");
            let fails_elsewhere = by_field && !kernels.iter().all(|(_, types)| loads.holds(types));
            for (index, types) in kernels {
                let cell = record.cell(object, *index);
                let mut flagged = [false; 2];
                for danger in cell.dangers.iter().filter(|danger| danger.programs.contains(name)) {
                    flagged[usize::from(danger.difference.is_wrong_here())] = true;
                }
                // What is not attached reads nothing.
                let works = loads.holds(types) && attaches.holds(types);
                let wanted = [fails_elsewhere && works, silent.holds(types)];
                for (what, flagged, wanted) in [("elsewhere", flagged[0], wanted[0]), ("here", flagged[1], wanted[1])] {
                    if flagged != wanted {
                        let kernel = &cell.kernel;
                        differences.push(format!(
                            "{}/{name} on {kernel}: flagged as in danger {what}: {flagged}",
                            story.object
                        ));
                    }
                }
            }
        }
    }
}

/// Maps of struct_ops attach where all of their programs load, and the guest says so where they do not.
fn struct_ops(record: &RunRecord, kernels: &[(usize, KernelFacts)], differences: &mut Vec<String>) {
    let maps = [
        ("sched-ext", "naive", "type struct bpf_struct_ops_sched_ext_ops"),
        ("tcp-congestion", "guarded", "always"),
        ("tcp-congestion", "guarded_ssthresh", "always"),
        ("tcp-congestion", "naive_undo_cwnd", "not func-args bpf_tcp_ca_cong_control >= 4"),
    ];
    for (object, program, fact) in maps {
        let fact = Fact::parse(fact).expect("is a fact");
        let object = record.objects.iter().position(|known| known.name == object).expect("is a story");
        for (index, types) in kernels {
            let cell = record.cell(object, *index);
            let record = cell.programs.iter().find(|known| known.name == program).expect("is in the story");
            let attached = record.attach.as_ref().is_some_and(|attach| attach.outcome == AttachOutcome::Attached);
            if attached != fact.holds(types) {
                let (name, kernel, attach) = (&cell.object, &cell.kernel, &record.attach);
                differences.push(format!("{name}/{program} on {kernel}: {}, {attach:?}", record.verdict));
            }
        }
    }
}

/// The kernels whose programs were judged, by index. A kernel that the matrix needs and that was not judged is a difference.
fn judged_kernels(record: &RunRecord, differences: &mut Vec<String>) -> Vec<(usize, KernelFacts)> {
    let manifest = Manifest::load(&root().join("kernels.toml")).expect("kernels.toml");
    let lock = LockFile::open(&root().join("kernels.lock")).expect("kernels.lock");
    let store = Store::open(&Places::from_environment(None).expect("a store").store).expect("the store");
    let mut judged = Vec::new();
    for (index, kernel) in record.kernels.iter().enumerate() {
        let has_btf = kernel.identity.as_ref().is_some_and(|identity| identity.btf_sha256.is_some());
        match &kernel.state {
            KernelState::Ready if has_btf => {
                let spec = manifest.kernels.iter().find(|spec| spec.name == kernel.name).expect("is in kernels.toml");
                // Without the network: the run has just fetched it.
                let stored = store.kernel(spec, &lock, true, &|_| {}).expect("is in the store");
                assert_eq!(Some(&stored.identity), kernel.identity.as_ref(), "kernel `{}`", kernel.name);
                let raw = std::fs::read(stored.btf.as_ref().expect("has BTF")).expect("its BTF");
                judged.push((index, KernelFacts::of(Btf::parse(&raw).expect("its BTF"), stored)));
            }
            KernelState::Ready => println!("kernel `{}` has no BTF, so no fact can be asked", kernel.name),
            state => not_judged(kernel, state, differences),
        }
    }
    judged
}

fn not_judged(kernel: &KernelRecord, state: &KernelState, differences: &mut Vec<String>) {
    let line = format!("kernel `{}` was not judged: {state:?}", kernel.name);
    match kernel.optional {
        true => println!("{line}"),
        false => differences.push(line),
    }
}

fn compare(book: &Book, record: &RunRecord, kernels: &[(usize, KernelFacts)], differences: &mut Vec<String>) {
    for story in &book.story {
        let Some(object) = record.objects.iter().position(|object| object.name == story.object) else {
            differences.push(format!("{}: the run has no object `{}`", story.id, story.object));
            continue;
        };
        for (name, expected) in &story.program {
            let place = format!("{} {}/{name}", story.id, story.object);
            let fact = expected.fact().expect("was checked by the other test");
            let attaches = expected.attaches().expect("was checked by the other test");
            let mut outcomes = BTreeSet::new();
            for (index, types) in kernels {
                let cell = record.cell(object, *index);
                let Some(program) = cell.programs.iter().find(|program| program.name == *name) else {
                    differences.push(format!("{place}: the object has no such program"));
                    break;
                };
                let loads = fact.holds(types);
                let verdict = match (loads, attaches.holds(types)) {
                    (false, _) => expected.otherwise,
                    (true, false) => Some(Verdict::AttachFailed),
                    (true, true) => Some(Verdict::Loaded),
                };
                outcomes.insert(program.verdict == Verdict::Loaded);
                let reason = program.reason.as_deref().unwrap_or("");
                let because = expected.because.as_deref().filter(|_| !loads).unwrap_or("");
                let unless = expected.unless.as_ref().filter(|unless| {
                    !loads && !Fact::parse(&unless.fact).expect("was checked by the other test").holds(types)
                });
                let (verdict, because) =
                    unless.map_or((verdict, because), |unless| (Some(unless.verdict), unless.because.as_str()));
                if verdict != Some(program.verdict) || !reason.contains(because) {
                    let wanted = verdict.map_or("a verdict", Verdict::label);
                    let (kernel, found) = (&cell.kernel, program.verdict);
                    differences.push(format!("{place} on {kernel}: {wanted} {because:?} expected, {found}: {reason}"));
                }
            }
            if expected.is_conditional() && outcomes.len() < 2 {
                differences.push(format!("{place}: the kernels that ran are all on one side of `{}`", expected.loads));
            }
        }
        if let Some(differs) = &story.differs {
            let fact = Fact::parse(differs).expect("was checked by the other test");
            let sides: BTreeSet<bool> = kernels.iter().map(|(_, types)| fact.holds(types)).collect();
            if sides.len() < 2 {
                differences.push(format!("{}: the kernels that ran are all on one side of `{differs}`", story.id));
            }
        }
    }
}

#[test]
fn stories_are_told_whole() {
    let book = Book::read(root());
    let readme = std::fs::read_to_string(root().join("programs/README.md")).expect("programs/README.md");
    let mut differences = Vec::new();
    let mut ids = BTreeSet::new();
    for story in &book.story {
        let mut wrong = |what: String| differences.push(format!("{}: {what}", story.id));
        if !ids.insert(&story.id) {
            wrong("the id is taken".to_owned());
        }
        if story.change.is_empty() || !story.program.contains_key("naive") {
            wrong("it has no `change`, or no program `naive`".to_owned());
        }
        if story.class == Class::S && (story.danger.is_none() || story.differs.is_none()) {
            wrong("silent stories need `danger` and `differs`".to_owned());
        }
        if story.danger.is_some() == story.silent.is_empty() {
            wrong("`danger` and `silent` need one another".to_owned());
        }
        for (name, fact) in &story.silent {
            if !story.program.get(name).is_some_and(|expected| matches!(expected.fact(), Ok(Fact::Always))) {
                wrong(format!("`{name}` is no program that always loads, so nothing can be silent"));
            }
            if let Err(error) = Fact::parse(fact) {
                wrong(error);
            }
        }
        if let Some(Err(error)) = story.differs.as_deref().map(Fact::parse) {
            wrong(error);
        }
        let visible = story.program.values().any(Expected::is_conditional) || story.differs.is_some();
        if story.machine.is_empty() == (story.class == Class::M) {
            wrong("`machine` is what stories of class M are about, and no others".to_owned());
        }
        // `tests/machines.rs` runs them.
        for (name, expected) in story.machine.values().flatten() {
            if !story.program.contains_key(name) {
                wrong(format!("`{name}` is no program of it"));
            }
            if expected.verdict != Verdict::Loaded && expected.because.is_none() {
                wrong(format!("`{name}` needs the words of its failure on the other machine"));
            }
        }
        if !visible && !matches!(story.class, Class::L | Class::M) {
            wrong("no kernel could tell its programs apart".to_owned());
        }
        for (name, expected) in &story.program {
            if let Err(error) = expected.attaches() {
                wrong(error);
            }
            match expected.fact() {
                Err(error) => wrong(error),
                _ if expected.unless.as_ref().is_some_and(|unless| Fact::parse(&unless.fact).is_err()) => {
                    wrong(format!("the fact of `{name}.unless` cannot be read"));
                }
                Ok(Fact::Always) if expected.otherwise.is_some() => wrong(format!("`{name}` never fails")),
                Ok(Fact::Always) => {}
                Ok(_) if expected.otherwise.is_none_or(|verdict| verdict == Verdict::Loaded) => {
                    wrong(format!("`{name}` needs the verdict of its failure"));
                }
                Ok(_) => {}
            }
        }
        let row = format!("\n| {} | {:?} | [{object}]({object}.bpf.c) |", story.id, story.class, object = story.object);
        if !readme.contains(&row) {
            wrong("it is not in the table of `programs/README.md`".to_owned());
        }
        let source = root().join(format!("programs/{}.bpf.c", story.object));
        let text = std::fs::read_to_string(&source).unwrap_or_default();
        if !text.starts_with(&format!("/* {}: ", story.id)) {
            wrong(format!("`{}` does not begin with its id", source.display()));
        }
    }
    let listed: BTreeSet<_> = book.story.iter().map(|story| story.object.clone()).collect();
    for entry in std::fs::read_dir(root().join("programs")).expect("programs/").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(object) = name.strip_suffix(".bpf.c").filter(|object| !listed.contains(*object)) {
            differences.push(format!("`programs/{object}.bpf.c` is in no story"));
        }
    }
    let classes: BTreeMap<Class, usize> = book.story.iter().fold(BTreeMap::new(), |mut classes, story| {
        *classes.entry(story.class).or_default() += 1;
        classes
    });
    if book.story.len() < AT_LEAST || classes.len() < 7 {
        differences.push(format!("{AT_LEAST} stories of all 7 classes are wanted: {classes:?}"));
    }
    report(&differences);
}

/// Judges a made-up run on two "kernels": an object's BTF, and none.
#[test]
fn differences_are_found() {
    let book: Book = toml::from_str(
        r#"
        [[story]]
        id = "T1"
        class = "R"
        object = "story"
        change = "c"
        program.naive = { loads = "type struct task_struct", otherwise = "relocation_failed", because = "why" }
        program.guarded = { loads = "always" }
        "#,
    )
    .expect("a book");
    let judge = |first: Verdict, second: Verdict, reason: &str, guarded: Verdict, both: bool| {
        let [full, empty] = [fixture_btf(), empty_btf()].map(KernelFacts::without_modules);
        let kernels = if both { vec![(0, full), (1, empty)] } else { vec![(0, full)] };
        let record = made_up_run([[first, guarded], [second, guarded]], reason);
        let mut differences = Vec::new();
        compare(&book, &record, &kernels, &mut differences);
        differences
    };
    let (loaded, failed) = (Verdict::Loaded, Verdict::RelocationFailed);
    assert_eq!(judge(loaded, failed, "that is why", loaded, true), Vec::<String>::new());
    let cases = [
        (judge(failed, failed, "why", loaded, true), 2, "T1 story/naive on a: loaded"),
        (
            judge(loaded, Verdict::VerifierRejected, "why", loaded, true),
            1,
            "T1 story/naive on b: relocation failed \"why\" expected",
        ),
        (judge(loaded, failed, "else", loaded, true), 1, "relocation failed: else"),
        (judge(loaded, failed, "why", failed, true), 2, "T1 story/guarded on a"),
        (judge(loaded, failed, "why", loaded, false), 1, "all on one side"),
    ];
    for (found, count, words) in cases {
        assert!(found.len() == count && found.iter().any(|line| line.contains(words)), "{words}: {found:?}");
    }
}

/// The record of one object on the kernels `a` and `b`; for each kernel the verdicts of `naive` and `guarded`.
fn made_up_run(verdicts: [[Verdict; 2]; 2], reason: &str) -> RunRecord {
    let names = ["naive", "guarded"].map(|name| json!({"name": name, "section": "tp"}));
    let kernels = ["a", "b"].map(|name| {
        json!({"name": name, "source": "", "optional": false, "state": {"state": "ready"}, "hello_ms": [], "notes": []})
    });
    let cell = |kernel: usize| {
        let programs = ["naive", "guarded"].into_iter().zip(verdicts[kernel]).map(|(name, verdict)| {
            json!({"name": name, "section": "tp", "verdict": verdict, "reason": reason, "log_tail": [], "log_omitted": 0,
                "load_ms": 1})
        });
        let programs: Vec<_> = programs.collect();
        json!({"kernel": (["a", "b"][kernel]), "object": "story", "programs": programs, "relocations": [], "dangers": [], "externs": [], "downgrades": [],
            "wall_ms": 1, "notes": []})
    };
    let tool = json!({"corematrix": "", "libbpf": "", "qemu": "", "virtme_ng": "", "accel": "", "accel_reason": ""});
    let object = json!({"name": "story", "origin": "", "sha256": "", "size": 1, "programs": names, "relocations": []});
    serde_json::from_value(json!({
        "schema_version": 1, "tool": tool, "started": "", "interrupted": false, "kernels": kernels, "objects": [object],
        "cells": [cell(0), cell(1)], "notices": [],
    }))
    .expect("a record")
}

/// An object's BTF is like a kernel's, and needs no kernel.
#[test]
fn facts_are_read_out_of_btf() {
    let types = KernelFacts::without_modules(fixture_btf());
    let holds = |fact: &str| Fact::parse(fact).expect("is a fact").holds(&types);
    assert!(holds("always") && !holds("never") && holds("not never") && holds("never or always"));
    assert!(!holds("always and never"));
    let true_facts = [
        "field task_struct.recent_state",
        "field-size task_struct.pid == 4",
        "type struct event",
        "type typedef __u32",
        "type enum later",
        "enumerator later.LATER_VALUE",
        "value later.LATER_VALUE == 7",
        "func state_of",
        "func-args state_of >= 1",
    ];
    for fact in true_facts {
        assert!(holds(fact), "{fact}");
    }
    for fact in
        ["field-size task_struct.pid == 8", "type enum event", "value later.LATER_VALUE == 6", "func-args first >= 2"]
    {
        assert!(!holds(fact), "{fact}");
    }
    for fact in ["field no_such_struct.x", "func no_such_func", "type enum no_such_enum", "func-args no_such_func >= 0"]
    {
        assert!(!holds(fact), "{fact}");
    }
    for wrong in
        ["", "field task_struct", "func-args f > 2", "feeld a.b", "field a.b and func f or func g", "value a.b == x"]
    {
        assert!(Fact::parse(wrong).is_err(), "{wrong}");
    }
}

fn fixture_btf() -> Btf {
    use object::{Object, ObjectSection};
    let bytes = std::fs::read(root().join("tests/fixtures/objects/guards.bpf.o")).expect("the fixture");
    let file = object::File::parse(&*bytes).expect("is an ELF file");
    let section = file.section_by_name(".BTF").expect("has BTF");
    Btf::parse(section.data().expect("its data")).expect("is BTF")
}

/// A header of 24 bytes, no types, and a string table with the empty string.
fn empty_btf() -> Btf {
    let words = [0x0001_eb9f_u32, 24, 0, 0, 0, 1];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.push(0);
    Btf::parse(&bytes).expect("is BTF")
}
