//! What kernels answered is kept beside them.

use super::*;
use crate::protocol::feature_probe::{Answer, FeatureProbe};
use crate::store::ProofOfBoot;
use crate::store::proof_of_boot::tests::proof;

#[test]
fn answers_are_kept_with_the_kernel_and_damaged_ones_are_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let lock = LockFile::open(&folder.path().join("kernels.lock")).unwrap();
    let path = folder.path().join("bzImage");
    fs::write(&path, image("6.18.0-mine")).unwrap();
    let source = Source::Path { image: path.clone(), modules: None, config: None };
    let kernel = store.kernel(&spec("mine", source.clone()), &lock, true, &quiet).unwrap();
    assert_eq!(store.probe(&kernel.identity), None);

    let probe = FeatureProbe { map_types: [("arena".to_owned(), Answer::No)].into(), ..Default::default() };
    store.save_probe(&kernel.identity, &probe).unwrap();
    assert_eq!(store.probe(&kernel.identity), Some(probe.clone()));
    // The entry is still sound, and another build is another kernel.
    assert_eq!(store.kernel(&spec("mine", source.clone()), &lock, true, &quiet).unwrap(), kernel);
    let mut other = kernel.identity.clone();
    other.image_sha256 = "0".repeat(64);
    assert_eq!(store.probe(&other), None);
    store.save_probe(&other, &probe).unwrap();

    let answers = kernel.boot_image.with_file_name("probe.json");
    let text = fs::read_to_string(&answers).unwrap();
    for damaged in [&text[..text.len() / 2], &text.replace("\"format\":1", "\"format\":0"), "[]", ""] {
        fs::write(&answers, damaged).unwrap();
        assert_eq!(store.probe(&kernel.identity), None, "{damaged}");
    }
    store.save_probe(&kernel.identity, &probe).unwrap();
    assert_eq!(store.probe(&kernel.identity), Some(probe));
}

#[test]
fn proofs_are_kept_for_each_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let lock = LockFile::open(&folder.path().join("kernels.lock")).unwrap();
    let path = folder.path().join("bzImage");
    fs::write(&path, image("6.18.0-mine")).unwrap();
    let source = Source::Path { image: path.clone(), modules: None, config: None };
    let kernel = store.kernel(&spec("mine", source.clone()), &lock, true, &quiet).unwrap();
    assert_eq!((store.proof(&kernel.identity, &[]), store.proofs(&kernel.identity)), (None, Vec::new()));

    let (plain, other) = (proof(""), proof("lsm=landlock"));
    store.save_proof(&kernel.identity, plain.clone()).unwrap();
    store.save_proof(&kernel.identity, other.clone()).unwrap();
    assert_eq!(store.proof(&kernel.identity, &[]), Some(plain.clone()));
    assert_eq!(store.proof(&kernel.identity, &other.append), Some(other.clone()));
    assert_eq!(store.proof(&kernel.identity, &["quiet".to_owned()]), None);
    let again = ProofOfBoot { hello_ms: None, ..plain };
    store.save_proof(&kernel.identity, again.clone()).unwrap();
    assert_eq!(store.proofs(&kernel.identity), [again, other]);

    // Not without end, and not of another format.
    for trial in 0..20 {
        store.save_proof(&kernel.identity, proof(&format!("trial={trial}"))).unwrap();
    }
    assert_eq!(store.proofs(&kernel.identity).len(), 8);
    let path = kernel.boot_image.with_file_name("proof.json");
    let text = fs::read_to_string(&path).unwrap();
    for damaged in [&text[..text.len() / 2], &text.replace("\"format\":1", "\"format\":0"), ""] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(store.proofs(&kernel.identity), []);
    }
    // The entry itself is sound, and shows when it was made.
    let kept = store.kernel(&spec("mine", source), &lock, true, &quiet).unwrap();
    assert!(kept.fetched.as_deref().is_some_and(|at| at.ends_with('Z')), "{:?}", kept.fetched);
}
