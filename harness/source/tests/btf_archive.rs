//! Kernels without BTF, and an archive that has it for them.

use super::site::Site;
use super::*;
use crate::manifest::BtfArchive;
use crate::need::{self, need};

const RELEASE: &str = "5.4.0-150-generic";

/// A project with a kernel that has no BTF; who built it stands behind its release.
fn project(build: &str) -> Fixture {
    let fixture = Fixture::new();
    let kernel = vmlinux(RELEASE, Parts { pvh: true, btf: false });
    fixture.write("image", &bzimage(&format!("{RELEASE} {build}"), &kernel, Packed::Gzip));
    fixture
}

fn types(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain").join(name)).unwrap()
}

fn fetch(fixture: &Fixture) -> StoredKernel {
    let source = Source::Path { image: fixture.path("image"), modules: None, config: None };
    let spec = KernelSpec { btf_archive: Some(BtfArchive::Folder(fixture.path("archive"))), ..spec("mine", source) };
    fixture.store().kernel(&spec, &fixture.lock(), true, &quiet).unwrap()
}

fn origin(kernel: &StoredKernel, fixture: &Fixture) -> Option<String> {
    let origin = &kernel.given_btf.as_ref()?.origin;
    Some(origin.strip_prefix(fixture.path("archive")).unwrap().to_str().unwrap().to_owned())
}

#[test]
fn types_are_found_by_distribution_version_and_release() {
    for (build, folder) in
        [("(buildd@x) #167~18.04.1-Ubuntu", "ubuntu/18.04"), ("(buildd@x) #167-Ubuntu", "ubuntu/20.04")]
    {
        let fixture = project(build);
        for (folder, name) in
            [("ubuntu/18.04", "kernel_a.o"), ("ubuntu/20.04", "kernel_b.o"), ("other/1", "kernel_b.o")]
        {
            fixture.write(&format!("archive/{folder}/x86_64/{RELEASE}.btf"), &types(name));
        }
        fixture.write(&format!("archive/{folder}/arm64/{RELEASE}.btf"), &types("kernel_a.o"));
        let kernel = fetch(&fixture);
        assert_eq!(origin(&kernel, &fixture), Some(format!("{folder}/x86_64/{RELEASE}.btf")));
        assert_eq!(kernel.btf_state(), "given");
    }
}

#[test]
fn what_is_the_same_everywhere_needs_no_choice_and_anything_else_is_none() {
    let fixture = project("(me@here) #1");
    fixture.write(&format!("archive/rhel/7/x86_64/{RELEASE}.btf"), &types("kernel_a.o"));
    fixture.write(&format!("archive/centos/7/x86_64/{RELEASE}.btf"), &types("kernel_a.o"));
    assert_eq!(origin(&fetch(&fixture), &fixture), Some(format!("centos/7/x86_64/{RELEASE}.btf")));
    fixture.write(&format!("archive/rhel/7/x86_64/{RELEASE}.btf"), &types("kernel_b.o"));
    let kernel = fetch(&fixture);
    assert_eq!((kernel.types(), kernel.btf_state()), (None, "none"));
    let note = kernel.notes.last().unwrap();
    assert!(note.starts_with(&format!("several BTF files match `{RELEASE}`; `btf` of the kernel")), "{note}");
}

#[test]
fn archive_without_the_release_is_no_failure() {
    let fixture = project("(me@here) #1");
    fixture.write("archive/ubuntu/20.04/x86_64/5.4.0-151-generic.btf", &types("kernel_a.o"));
    let kernel = fetch(&fixture);
    assert_eq!(kernel.btf_state(), "none");
    assert!(
        kernel.notes.last().unwrap().ends_with(&format!("/archive` has no BTF for `{RELEASE}`")),
        "{:?}",
        kernel.notes
    );
    // A kernel with BTF of its own keeps it.
    fixture.write("image", &image(RELEASE));
    assert_eq!(fetch(&fixture).btf_state(), "its own");
}

#[test]
fn a_server_is_asked_once_by_distribution_version_and_release() {
    need!("curl");
    let (fixture, site) = (project("(buildd@x) #167~18.04.1-Ubuntu"), Site::new());
    let source = Source::Path { image: fixture.path("image"), modules: None, config: None };
    let archive = Some(BtfArchive::Server(site.url("/archive")));
    let spec = KernelSpec { btf_archive: archive, ..spec("mine", source) };
    let fetch = |offline: bool| fixture.store().kernel(&spec, &fixture.lock(), offline, &quiet);
    let path = format!("/archive/ubuntu/18.04/x86_64/{RELEASE}.btf.tar.xz");
    // It has nothing: said, and no failure.
    let kernel = fetch(false).unwrap();
    assert_eq!(kernel.btf_state(), "none");
    assert!(
        kernel.notes.iter().any(|note| note.ends_with(&format!("has no BTF for `{RELEASE}`"))),
        "{:?}",
        kernel.notes
    );
    assert_eq!(fetch(true).unwrap().notes, kernel.notes);
    site.put(&path, "<html>");
    let error = fetch(false).unwrap_err();
    assert!(matches!(error, StoreError::GivenBtf { .. }), "{error}");
    let mut header = tar::Header::new_gnu();
    let raw =
        given_btf::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain/kernel_a.o")).unwrap();
    header.set_size(raw.len() as u64);
    let mut packed = tar::Builder::new(Vec::new());
    packed.append_data(&mut header, format!("{RELEASE}.btf"), &raw[..]).unwrap();
    let mut packer = liblzma::write::XzEncoder::new(Vec::new(), 1);
    std::io::Write::write_all(&mut packer, &packed.into_inner().unwrap()).unwrap();
    site.put(&path, packer.finish().unwrap());
    let kernel = fetch(false).unwrap();
    assert_eq!(kernel.given_btf.as_ref().unwrap().origin, Path::new(&site.url(&path)));
    let asked = site.asked("");
    assert_eq!((fetch(false).unwrap().given_btf, fetch(true).unwrap().btf_state()), (kernel.given_btf, "given"));
    assert_eq!(site.asked(""), asked, "the network is not touched again");
    // One that does not answer is not one that has nothing.
    let away = KernelSpec { btf_archive: Some(BtfArchive::Server("http://127.0.0.1:1/x".to_owned())), ..spec.clone() };
    let error = fixture.store().kernel(&away, &fixture.lock(), false, &quiet).unwrap_err();
    assert!(error.is_unavailable(), "{error}");
}
