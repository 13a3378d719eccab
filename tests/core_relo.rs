//! What we say of relocations without a kernel, against libbpf's own code: every object available on every BTF available, and on BTF of
//! kernels that never were.

#![allow(clippy::unwrap_used)]

#[path = "core_relo/libbpf.rs"]
mod libbpf;
#[path = "core_relo/variant.rs"]
mod variant;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use corematrix::core_relo::{ObjectSide, Resolution, Resolver, Target, TypeTable};
use corematrix::matrix::Places;
use corematrix::object::ObjectTypes;
use corematrix::record::RelocationOutcome;
use variant::Random;

/// libbpf has one printer.
static LIBBPF: Mutex<()> = Mutex::new(());

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>, is_wanted: &dyn Fn(&Path) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found, is_wanted);
        } else if is_wanted(&path) {
            found.push(path);
        }
    }
}

/// An object of which both sides are read.
struct Object {
    name: String,
    ours: ObjectSide,
    types: ObjectTypes,
    theirs: libbpf::Types,
    records: Vec<libbpf_sys::bpf_core_relo>,
}

/// Every object of the tests, and of the directories in `COREMATRIX_RELO_OBJECTS`, that has relocations.
fn objects() -> Vec<Object> {
    let mut paths = Vec::new();
    let is_object = |path: &Path| path.extension().is_some_and(|extension| extension == "o");
    for folder in ["tests/fixtures", "target/programs", "target/causes", "target/loading", "target/loader-shapes"] {
        files(&project().join(folder), &mut paths, &is_object);
    }
    for folder in std::env::var("COREMATRIX_RELO_OBJECTS").iter().flat_map(|folders| folders.split(':')) {
        files(Path::new(folder), &mut paths, &|path| {
            is_object(path) || path.extension().is_some_and(|end| end == "elf")
        });
    }
    paths.iter().filter_map(|path| object(path)).collect()
}

fn object(path: &Path) -> Option<Object> {
    let bytes = fs::read(path).unwrap();
    let ours = ObjectSide::read(&bytes).ok()?;
    if ours.relocations.is_empty() {
        return None;
    }
    let raw = ours.types.raw().to_vec();
    let theirs = libbpf::Types::new(&raw)?;
    let strings = strings(&raw);
    let records = ours.relocations.iter().map(|relocation| {
        let access = relocation.record.access.as_bytes();
        let wanted = [&[0], access, &[0]].concat();
        let at = strings.windows(wanted.len()).position(|window| window == wanted).unwrap() + 1;
        libbpf::record(relocation, at as u32)
    });
    let records = records.collect();
    Some(Object {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        ours,
        types: ObjectTypes::read(&bytes)?,
        theirs,
        records,
    })
}

fn strings(raw: &[u8]) -> &[u8] {
    let word = |at: usize| corematrix::bytes::u32_at(raw, at).unwrap() as usize;
    let start = word(4) + word(16);
    &raw[start..start + word(20)]
}

/// The BTF of every kernel of the store, and of the files (raw or ELF) in the directory `COREMATRIX_RELO_BTF`.
fn kernels() -> Vec<(String, Vec<u8>)> {
    let store = Places::from_environment(None).unwrap().store;
    let mut paths = Vec::new();
    files(&store.join("kernels"), &mut paths, &|path| path.file_name().is_some_and(|name| name == "btf"));
    if let Ok(folder) = std::env::var("COREMATRIX_RELO_BTF") {
        files(Path::new(&folder), &mut paths, &|path| path.extension().is_some_and(|end| end == "btf" || end == "o"));
    }
    let name = |path: &Path| match path.ends_with("btf") {
        true => path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned(),
        false => path.file_name().unwrap().to_string_lossy().into_owned(),
    };
    paths.iter().map(|path| (name(path), raw_btf(fs::read(path).unwrap()))).collect()
}

/// Of an ELF file its section.
fn raw_btf(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.starts_with(b"\x7fELF") {
        return bytes;
    }
    use object::{Object as _, ObjectSection as _};
    let elf = object::File::parse(&*bytes).unwrap();
    elf.section_by_name(".BTF").unwrap().data().unwrap().to_vec()
}

/// The errno is said in different ways, and the words for a type that cannot be looked up are shortened.
fn comparable(mut resolution: Resolution) -> Resolution {
    // Logged once for each type, and not with the relocation.
    resolution.candidates.iter_mut().for_each(|candidate| candidate.module.clear());
    if let RelocationOutcome::Failed { reason } = &mut resolution.outcome {
        for (name, number) in [("-EINVAL", "-22"), ("-E2BIG", "-7"), ("-EOPNOTSUPP", "-95"), ("-ERANGE", "-34")] {
            *reason = reason.replace(name, number);
        }
        for words in ["target candidate search failed", "error matching candidate"] {
            if reason.starts_with(words) {
                *reason = words.to_owned();
            }
        }
    }
    resolution
}

#[derive(Default)]
struct Tally {
    outcomes: BTreeMap<&'static str, usize>,
    differences: Vec<String>,
}

impl Tally {
    fn compare(&mut self, object: &Object, kernel: &str, raw: &[u8], target: &Target) {
        let Some(theirs) = libbpf::Types::new(raw) else { return };
        let asked: Vec<_> = object.records.iter().copied().zip(&object.ours.relocations).collect();
        let expected = libbpf::resolve(&object.theirs, &theirs, &asked);
        let ours = Resolver::all(&object.ours, target);
        assert_eq!(ours.len(), expected.len());
        for (number, (ours, theirs)) in ours.into_iter().zip(expected).enumerate() {
            *self.outcomes.entry(word(&theirs.outcome)).or_default() += 1;
            let (ours, theirs) = (comparable(ours), comparable(theirs));
            if ours != theirs {
                self.differences
                    .push(format!("{} on {kernel}, #{number}:\n  ours {ours:?}\n  libbpf {theirs:?}", object.name));
            }
        }
    }

    fn expect_none(&self, what: &str) {
        println!("{what}: {} relocations, {:?}", self.outcomes.values().sum::<usize>(), self.outcomes);
        let shown = self.differences.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.differences.is_empty(), "{} differences\n{shown}", self.differences.len());
    }
}

fn word(outcome: &RelocationOutcome) -> &'static str {
    match outcome {
        RelocationOutcome::Resolved { .. } => "resolved",
        RelocationOutcome::NoMatch { .. } => "no match",
        RelocationOutcome::Poisoned => "poisoned",
        RelocationOutcome::Ambiguous { .. } => "ambiguous",
        RelocationOutcome::Failed { .. } => "failed",
        RelocationOutcome::Skipped => "skipped",
        _ => "other",
    }
}

fn target(raw: &[u8]) -> Target {
    Target { kernel: Arc::new(TypeTable::new(raw.to_vec()).unwrap()), modules: Vec::new() }
}

#[test]
fn every_object_on_every_kernel_at_hand_resolves_as_with_libbpf() {
    let _only = LIBBPF.lock().unwrap_or_else(PoisonError::into_inner);
    let (objects, mut tally) = (objects(), Tally::default());
    let kernels = kernels();
    for (kernel, raw) in &kernels {
        let target = target(raw);
        objects.iter().for_each(|object| tally.compare(object, kernel, raw, &target));
    }
    println!("{} objects on {} kernels", objects.len(), kernels.len());
    tally.expect_none("real kernels");
}

#[test]
fn every_object_on_kernels_that_never_were_resolves_as_with_libbpf() {
    let _only = LIBBPF.lock().unwrap_or_else(PoisonError::into_inner);
    let rounds: u64 = std::env::var("COREMATRIX_RELO_ROUNDS").map_or(40, |rounds| rounds.parse().unwrap());
    let (objects, mut tally) = (objects(), Tally::default());
    // Small BTF: libbpf reads it again each time.
    for object in &objects {
        let mut sources: Vec<Vec<u8>> = vec![object.ours.types.raw().to_vec()];
        for (_, raw) in kernels().iter().take(2) {
            sources.push(corematrix::btf::minimal(raw, [&object.types]).unwrap());
        }
        for (number, source) in sources.iter().enumerate() {
            let offsets = variant::offsets(source);
            let all: Vec<u32> = (1..offsets.len() as u32).collect();
            if all.is_empty() {
                continue;
            }
            let roots: Vec<u32> = object.ours.relocations.iter().map(|relocation| relocation.record.type_id).collect();
            // Of the object's own types those count that it asks about.
            let types = match number {
                0 => variant::near(source, &offsets, &roots, 200),
                _ => all,
            };
            for seed in 1..=rounds {
                let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number as u64);
                let mut changed = source.clone();
                for _ in 0..1 + random.below(6) {
                    variant::change(&mut changed, &offsets, &types, &mut random);
                }
                variant::spare_libbpf(&mut changed, &offsets);
                let Ok(kernel) = TypeTable::new(changed.clone()) else { continue };
                let target = Target { kernel: Arc::new(kernel), modules: Vec::new() };
                tally.compare(object, &format!("variant {seed} of {number}"), &changed, &target);
            }
        }
    }
    tally.expect_none("variants");
}

#[test]
fn damaged_types_are_refused_or_answered_without_harm() {
    let objects: Vec<Object> = objects().into_iter().take(12).collect();
    for (number, object) in objects.iter().enumerate() {
        let whole = object.ours.types.raw();
        for seed in 1..=300u64 {
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number as u64);
            let mut damaged = whole.to_vec();
            for _ in 0..1 + random.below(40) {
                let at = random.below(damaged.len());
                damaged[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)];
            }
            damaged.truncate(damaged.len() - random.below(2) * random.below(damaged.len()));
            if let Ok(kernel) = TypeTable::new(damaged) {
                let target = Target { kernel: Arc::new(kernel), modules: Vec::new() };
                assert_eq!(Resolver::all(&object.ours, &target).len(), object.ours.relocations.len());
            }
        }
    }
}

/// For `tests/bench/predict.sh`: writes so many kernels that never were into a directory.
#[test]
#[ignore = "writes gigabytes; the bench asks for it"]
fn write_variants() {
    let folder = PathBuf::from(std::env::var("COREMATRIX_RELO_OUT").unwrap());
    let count: usize = std::env::var("COREMATRIX_RELO_COUNT").unwrap().parse().unwrap();
    let kernels = kernels();
    let mut prepared: Vec<(&str, &[u8], Vec<usize>)> = Vec::new();
    for (name, raw) in &kernels {
        prepared.push((name, raw, variant::offsets(raw)));
    }
    for number in 0..count {
        let (name, raw, offsets) = &prepared[number % prepared.len()];
        let types: Vec<u32> = (1..offsets.len() as u32).collect();
        let mut random = Random((number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut changed = raw.to_vec();
        for _ in 0..500 {
            variant::change(&mut changed, offsets, &types, &mut random);
        }
        variant::spare_libbpf(&mut changed, offsets);
        fs::create_dir_all(folder.join(name)).unwrap();
        fs::write(folder.join(name).join(format!("{}.btf", number / prepared.len())), changed).unwrap();
    }
}
