//! A disk image in a TUF repository, where python-tuf is missing or does not work.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::manifest::{DiskImage, FileLocation, ImageProof, ServedImage, TufRepository};

fn refusal(python: Option<&str>) -> StoreError {
    let fixture = Fixture::new();
    let mut store = fixture.store();
    store.programs.pythons = vec![fixture.path("no-python")];
    if let Some(script) = python {
        let path = fixture.write("python", format!("#!/bin/sh\n{script}\n").as_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        store.programs.pythons.push(path);
    }
    let repository = TufRepository {
        metadata: "http://127.0.0.1:9/metadata".to_owned(),
        root: FileLocation::Path(fixture.write("root.json", b"{}")),
        root_checksums: Vec::new(),
    };
    let image = ServedImage {
        url: "http://127.0.0.1:9/targets/x-{version}.img".to_owned(),
        newest: None,
        proof: ImageProof::Tuf(repository),
    };
    let disk = DiskImage::Server(Box::new(image));
    let spec = spec("mine", Source::Disk { disk, release: None });
    store.kernel(&spec, &fixture.lock(), false, &quiet).unwrap_err()
}

#[test]
fn without_python_tuf_the_kernel_is_unavailable_and_what_installs_it_is_said() {
    for python in [None, Some("echo '{\"missing\": \"No module named tuf\"}'")] {
        let error = refusal(python);
        assert!(error.is_unavailable(), "{error}");
        assert!(error.to_string().contains("python-tuf, which verifies TUF repositories, is not installed"), "{error}");
        assert_eq!(error.hint().unwrap(), "`corematrix setup --tuf` installs it");
    }
    let error = refusal(Some("echo Traceback >&2; echo 'ValueError: x' >&2; exit 1"));
    assert!(error.is_unavailable() && error.to_string().contains("python-tuf does not work: ValueError: x"), "{error}");
}
