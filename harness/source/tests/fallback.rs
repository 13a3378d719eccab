//! Kernels with more than one source.

use super::*;

/// Where no one listens.
const MIRROR: &str = "http://127.0.0.1:1/mainline";

/// Fetches a kernel whose own source cannot be reached, and whose fallbacks are images called so.
fn fetch(folder: &Path, images: &[&str]) -> Result<StoredKernel, StoreError> {
    let store = Store::open(&folder.join("store")).unwrap();
    let lock = LockFile::open(&folder.join("kernels.lock")).unwrap();
    let mut spec =
        spec("6.6", Source::Mainline { version: "v6.6".to_owned(), mirror: Some(MIRROR.to_owned()), keys: None });
    let path = |name: &&str| Source::Path { image: folder.join(name), modules: None, config: None };
    spec.fallbacks = images.iter().map(path).collect();
    store.kernel(&spec, &lock, false, &quiet)
}

#[test]
fn the_first_source_that_has_it_serves_and_the_others_are_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("second"), image("6.6.2")).unwrap();
    fs::write(folder.path().join("third"), image("6.6.3")).unwrap();
    let kernel = fetch(folder.path(), &["first", "second", "third"]).unwrap();
    assert_eq!(kernel.identity.release, "6.6.2");
    let notes: Vec<&String> = kernel.notes.iter().filter(|note| note.contains("is unavailable: ")).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].starts_with("source `mainline: v6.6` is unavailable: `http://127.0.0.1:1/"), "{notes:?}");
    assert!(notes[1].contains("/first` does not exist"), "{notes:?}");
}

#[test]
fn all_reasons_are_told_when_no_source_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = fetch(folder.path(), &["nowhere"]).unwrap_err();
    assert!(error.is_unavailable());
    let text = error.to_string();
    assert!(text.contains("mainline: `http://127.0.0.1:1/") && text.contains("; path: `"), "{text}");
}

#[test]
fn a_damaged_image_is_no_reason_to_take_another() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("damaged"), b"hello").unwrap();
    fs::write(folder.path().join("sound"), image("6.6.3")).unwrap();
    let error = fetch(folder.path(), &["damaged", "sound"]).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}
