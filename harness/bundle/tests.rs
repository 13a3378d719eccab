use std::io::Write as _;

use tar::{Builder, EntryType, Header};

use super::*;
use crate::manifest::{DiskImage, Source};
use crate::record::Cause;
use crate::record::MachineSettings;
use crate::record::Verdict;
use crate::record::sample;
use crate::source::LockedKernel;

/// The first kernel of the sample that got ready.
fn kernel() -> usize {
    sample::record().kernels.iter().position(|kernel| kernel.identity.is_some()).unwrap()
}

/// A bundle of a red cell, its file, and the directory that has both.
fn bundle() -> (tempfile::TempDir, PathBuf, Bundle) {
    let folder = tempfile::tempdir().unwrap();
    let bytes =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/suite/switches.bpf.o")).unwrap();
    let mut record = sample::record();
    record.objects[1].sha256 = checksum::of_bytes(&bytes);
    record.objects[1].shape = Some(ShapeRecord {
        of: "a/b".to_owned(),
        name: "s".to_owned(),
        settings: vec!["x = true".to_owned()],
        machine: MachineSettings::default(),
    });
    let (width, kernel) = (record.kernels.len(), kernel());
    let program = &mut record.cells[width + kernel].programs[0];
    (program.verdict, program.cause) = (Verdict::VerifierRejected, Some(Cause::MemoryNull));
    program.log_file = Some("logs/k/o/p.log.zst".to_owned());
    crate::verifier::log_file::save(&folder.path().join("logs/k/o/p.log.zst"), b"a log").unwrap();
    let name = record.kernels[kernel].name.clone();
    let manifest = folder.path().join("kernels.toml");
    let table =
        format!("[kernel.\"{name}\"]\nsource = \"apt\"\nsuites = [\"x\"]\npackages = [\"linux-image-5.10.*\"]\n");
    std::fs::write(&manifest, format!("[matrix]\ndefault = [\"{name}\"]\n{table}append = [\"nokaslr\"]\n")).unwrap();
    let image = &record.kernels[kernel].identity.as_ref().unwrap().image_sha256;
    let lock = folder.path().join("kernels.lock");
    let locked =
        format!("version = 1\n[kernel.\"{name}\"]\nsource = \"apt\"\nrelease = \"r\"\nimage-sha256 = \"{image}\"\n");
    std::fs::write(&lock, locked).unwrap();
    let made = Bundle::of(&Contents {
        record: &record,
        object: 1,
        kernel,
        bytes: &bytes,
        targets: &[],
        spec: &Manifest::load(&manifest).unwrap().kernels[0],
        lock: &LockFile::open(&lock).unwrap(),
        folder: folder.path(),
        command: &["corematrix".to_owned(), "run".to_owned()],
    });
    let path = folder.path().join("x.cmxb");
    let made = made.unwrap();
    made.write(&path).unwrap();
    (folder, path, made)
}

/// An archive that no corematrix would write.
fn hostile(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, kind, bytes) in entries {
        let mut header = Header::new_ustar();
        // Written by hand, because the crate rightly refuses to make hostile paths.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    zstd::encode_all(&tar.into_inner().unwrap()[..], 1).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.cmxb");
    std::fs::write(&path, bytes).unwrap();
    let error = Bundle::open(&path).unwrap_err();
    // An attack never gets as far as the disk.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    error.to_string().replace(&path.display().to_string(), "X")
}

#[test]
fn what_is_packed_comes_back_and_is_a_project_of_its_own() {
    let (folder, path, made) = bundle();
    assert!(Bundle::is_bundle(&path) && !Bundle::is_bundle(&folder.path().join("kernels.toml")));
    let opened = Bundle::open(&path).unwrap();
    assert_eq!(opened, made);
    assert_eq!(opened.base(), "a/b");
    assert_eq!(opened.record.objects.len(), 1);
    assert_eq!(opened.record.cells.len(), sample::record().kernels.len());
    assert_eq!(opened.logs.len(), 1);

    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let LaidOut { spec, object, targets } = opened.lay_out(&out).unwrap();
    assert!(targets.is_empty());
    assert_eq!((spec.append[0].as_str(), std::fs::read(object).unwrap()), ("nokaslr", made.object.clone()));
    let lock = std::fs::read_to_string(out.join("kernels.lock")).unwrap();
    assert!(lock.contains("when-gone = \"stop\""), "{lock}");
    insta::assert_snapshot!(made.suite, @r#"
    name = "a/b"
    objects = ["a_b-c14cddc0.bpf.o"]

    [[shape]]
    object = "a_b-c14cddc0"
    name = "s"
    set."x" = true
    "#);
    // The same cell gives the same file.
    let before = std::fs::read(&path).unwrap();
    made.write(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn nothing_but_the_plain_files_of_a_bundle_is_taken() {
    let file = |name| refusal(&hostile(&[(name, EntryType::Regular, b"x")]));
    for name in ["../x", "/etc/passwd", "logs/../../x", "a/b.bpf.o", ".bpf.o", "logs/x.log.zst", "./report.json", "x"] {
        assert_eq!(file(name), format!("`X` is refused: unexpected file `{name}`"));
    }
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Fifo, EntryType::Directory] {
        let reason = refusal(&hostile(&[("report.json", kind, b"")]));
        assert_eq!(reason, "`X` is refused: `report.json` is not a plain file", "{kind:?}");
    }
    // Headers that rename what follows.
    for kind in [EntryType::GNULongName, EntryType::XHeader, EntryType::XGlobalHeader, EntryType::GNUSparse] {
        let reason = refusal(&hostile(&[("report.json", kind, b"../x"), ("report.json", EntryType::Regular, b"x")]));
        assert_eq!(reason, "`X` is refused: `report.json` is not a plain file", "{kind:?}");
    }
    let twice = hostile(&[("report.json", EntryType::Regular, b"1"), ("report.json", EntryType::Regular, b"2")]);
    assert_eq!(refusal(&twice), "`X` is refused: `report.json` occurs twice");
}

#[test]
fn bombs_are_refused_before_they_are_unpacked() {
    let zeros = vec![0; 2 << 20];
    let large = hostile(&[("kernels.toml", EntryType::Regular, &zeros)]);
    assert!(large.len() < 4096);
    assert_eq!(refusal(&large), "`X` is refused: `kernels.toml` exceeds the size limit");
    // A size that is a lie.
    let mut header = Header::new_ustar();
    header.set_path("report.json").unwrap();
    header.set_size(u64::MAX / 2);
    header.set_cksum();
    assert_eq!(
        refusal(&zstd::encode_all(header.as_bytes().as_slice(), 1).unwrap()),
        "`X` is refused: `report.json` exceeds the size limit"
    );
    let objects: Vec<String> = (0..5).map(|n| format!("{n}.bpf.o")).collect();
    let zeros = vec![0; 60 << 20];
    let entries: Vec<_> = objects.iter().map(|name| (name.as_str(), EntryType::Regular, &zeros[..])).collect();
    assert_eq!(refusal(&hostile(&entries)), "`X` is refused: `4.bpf.o` exceeds the size limit");
    let mut trailing = zstd::Encoder::new(Vec::new(), 1).unwrap();
    trailing.write_all(&[0; 1024]).unwrap();
    trailing.write_all(&vec![7; 1 << 20]).unwrap();
    assert_eq!(refusal(&trailing.finish().unwrap()), "`X` is refused: data after the end of the archive");
}

#[test]
fn damage_is_named() {
    let (_folder, path, made) = bundle();
    let whole = std::fs::read(&path).unwrap();
    for cut in [0, 3, 20, whole.len() / 2, whole.len() - 1] {
        let reason = refusal(&whole[..cut]);
        assert!(reason.starts_with("`X` is damaged or not a bundle: "), "cut at {cut}: {reason}");
    }
    for flip in [30, whole.len() / 2, whole.len() - 2] {
        let mut bytes = whole.clone();
        bytes[flip] ^= 0x40;
        refusal(&bytes);
    }
    assert!(refusal(b"no bundle at all").starts_with("`X` is damaged or not a bundle: "));
    let json = |about: &str| refusal(&hostile(&[("bundle.json", EntryType::Regular, about.as_bytes())]));
    assert_eq!(json(r#"{"format": 3}"#), "`X` has bundle format 3, but this corematrix reads formats up to 2");
    assert!(json("{").starts_with("`X` is damaged or not a bundle: `bundle.json`: EOF"));
    let empty = zstd::encode_all(&[0u8; 1024][..], 1).unwrap();
    assert_eq!(refusal(&empty), "`X` is damaged or not a bundle: `bundle.json` is missing");

    let mut other = made.clone();
    other.object[100] ^= 1;
    other.write(&path).unwrap();
    let error = Bundle::open(&path).unwrap_err().to_string();
    assert!(error.ends_with("its object does not match its report"), "{error}");
    let mut other = made.clone();
    other.about.kernel = "9.9".to_owned();
    other.write(&path).unwrap();
    let error = Bundle::open(&path).unwrap_err().to_string();
    assert!(error.ends_with("its report has no kernel `9.9`"), "{error}");
    let mut other = made.clone();
    other.companions.push(("modules/my.ko".to_owned(), b"a module".to_vec()));
    for (modules, is_own) in
        [("./modules/my.ko", true), ("xfs", true), ("./modules/other.ko", false), ("/etc/my.ko", false)]
    {
        let line = format!("modules = [\"{modules}\"]\nmemory = ");
        other.manifest = made.manifest.replace("memory = ", &line);
        let out = tempfile::tempdir().unwrap();
        let error = other.lay_out(out.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(!error.contains("it refers to kernel modules on this machine"), is_own, "{modules}: {error}");
    }
    let mut other = made;
    other.manifest = other.manifest.replace("apt", "https").replace("packages", "url");
    let out = tempfile::tempdir().unwrap();
    let error = other.lay_out(out.path()).unwrap_err().to_string();
    assert!(error.contains("unknown source `https`"), "{error}");
}

#[test]
fn paths_of_logs_lead_nowhere_but_into_the_bundle() {
    let (_folder, path, mut made) = bundle();
    for cell in &mut made.record.cells {
        cell.programs[0].log_file = Some("../../../etc/passwd".to_owned());
    }
    made.write(&path).unwrap();
    let opened = Bundle::open(&path).unwrap();
    for (k, cell) in opened.record.cells.iter().enumerate() {
        let log = (k == kernel()).then_some("logs/0.log.zst");
        assert_eq!(cell.programs[0].log_file.as_deref(), log);
    }
}

fn spec(source: Source) -> KernelSpec {
    let manifest = Manifest::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels.toml")).unwrap();
    KernelSpec { source, fallbacks: Vec::new(), ..manifest.kernels[0].clone() }
}

fn locked(source: &str) -> LockedKernel {
    LockedKernel {
        source: source.to_owned(),
        version: None,
        digest: None,
        release: "6.6.0".to_owned(),
        image_sha256: "ab".repeat(32),
        given_btf_sha256: None,
        packages: Vec::new(),
    }
}

#[test]
fn an_image_of_this_machine_stays_here() {
    let image = "/home/somebody/linux/bzImage";
    let spec = spec(Source::Path { image: image.into(), modules: None, config: None });
    assert_eq!(project::portable(&spec, None), None);
    let text = project::manifest(&spec, None, &MachineSettings::default(), &[]).unwrap();
    assert!(text.contains("source = \"path\"") && !text.contains("somebody"), "{text}");
}

#[test]
fn the_source_that_served_goes_along() {
    let oci = Source::Oci { image: "example.org/kernels:6.6".parse().unwrap() };
    let mut spec = spec(Source::Mainline { version: "v6.6".to_owned(), mirror: None, keys: None });
    spec.fallbacks = vec![oci.clone()];
    assert_eq!(project::portable(&spec, Some(&locked("oci"))), Some(&oci));
    let text = project::manifest(&spec, Some(&oci), &MachineSettings::default(), &[]).unwrap();
    assert!(text.contains("image = \"example.org/kernels:6.6\""), "{text}");
    let read = Manifest::parse(&text, Path::new("/bundle/kernels.toml")).unwrap();
    assert_eq!(read.kernels[0].source, oci);
    assert!(project::is_harmless(&read.kernels[0]));
}

#[test]
fn a_bundle_gets_nothing_of_this_machine() {
    let home = std::path::PathBuf::from("/home/somebody");
    for source in [
        Source::Build { tree: home.clone(), version: None, config: None },
        Source::Tree { tree: home.clone() },
        Source::Disk { disk: DiskImage::Path(home.clone()), release: None },
        Source::Host,
        Source::Path { image: home, modules: None, config: None },
    ] {
        assert!(!project::is_harmless(&spec(source.clone())), "{source}");
    }
}

#[test]
fn modules_of_the_user_go_along_and_their_places_stay_here() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my.ko");
    std::fs::write(&path, b"a module").unwrap();
    let path = path.display().to_string();
    let mut kernel = sample::record().kernels[0].clone();
    kernel.modules = vec!["xfs".to_owned(), path.clone()];
    let mut other = kernel.clone();
    let members = companions::modules(&mut kernel).unwrap();
    assert_eq!(members, [("modules/my.ko".to_owned(), b"a module".to_vec())]);
    assert_eq!(kernel.modules, ["xfs", "./modules/my.ko"]);
    companions::hide_paths(&mut other);
    assert_eq!(other.modules, kernel.modules);
    let text = project::manifest(&spec(Source::Host), None, &MachineSettings::default(), &kernel.modules).unwrap();
    assert!(text.contains(r#"modules = ["xfs", "./modules/my.ko"]"#), "{text}");
    std::fs::remove_file(&path).unwrap();
    kernel.modules = vec![path.clone()];
    let error = companions::modules(&mut kernel).unwrap_err();
    assert!(error.starts_with(&format!("module `{path}` cannot be read: ")), "{error}");
}
