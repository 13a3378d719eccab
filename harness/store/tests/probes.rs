//! What kernels answered is kept beside them.

use super::*;
use crate::probe::{Answer, FeatureProbe};

#[test]
fn answers_are_kept_with_the_kernel_and_damaged_ones_are_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Some(folder.path().join("store"))).unwrap();
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
