//! OCI images in Debian's `docker-registry`, in the layouts that Cilium publishes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use corematrix::manifest::Manifest;
use corematrix::record::Verdict;
use corematrix::source::LockFile;
use corematrix::store::Store;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::common::{Lab, kernel, need, verdicts};
use super::service::{PASSWORD, Service, USER, command, done};
use super::{GOOD, INFRASTRUCTURE, expect_whole, fetch, modules, release, story};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A repository in a registry, to which images are pushed.
pub struct Repository<'a> {
    registry: &'a Service,
    name: &'a str,
    /// For what is sent.
    work: tempfile::TempDir,
}

impl Repository<'_> {
    pub fn new<'a>(registry: &'a Service, name: &'a str) -> Repository<'a> {
        Repository { registry, name, work: tempfile::tempdir().unwrap() }
    }

    fn curl(&self) -> Command {
        let mut curl = command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--user", &format!("{USER}:{PASSWORD}")]);
        curl
    }

    fn file(&self, content: &[u8]) -> PathBuf {
        let path = self.work.path().join("sent");
        fs::write(&path, content).unwrap();
        path
    }

    /// Pushes a blob and returns how documents name it, with `more` in it.
    pub fn blob_with(&self, content: &[u8], kind: &str, more: &str) -> String {
        let digest = digest(content);
        let uploads = format!("http://{}/v2/{}/blobs/uploads/", self.registry.host(), self.name);
        let answer = done(self.curl().args(["--request", "POST", "--include", &uploads]));
        let place = answer.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap().trim();
        let place = format!("{place}&digest=sha256:{digest}");
        done(self.curl().arg("--upload-file").arg(self.file(content)).arg(place));
        descriptor(kind, &digest, content.len(), more)
    }

    fn blob(&self, content: &[u8], kind: &str) -> String {
        self.blob_with(content, kind, "")
    }

    /// Pushes a manifest or index under a tag, or under its digest, and returns that.
    pub fn document(&self, text: &str, kind: &str, tag: Option<&str>) -> String {
        let digest = digest(text.as_bytes());
        let name = tag.map_or_else(|| format!("sha256:{digest}"), str::to_owned);
        let place = format!("http://{}/v2/{}/manifests/{name}", self.registry.host(), self.name);
        let header = format!("Content-Type: {kind}");
        done(self.curl().args(["--header", &header, "--upload-file"]).arg(self.file(text.as_bytes())).arg(place));
        digest
    }

    /// Pushes an image for two machines, of which only the one for this has these layers. Returns its digest and those of its layers.
    pub fn push(&self, tag: &str, layers: &[Vec<u8>]) -> (String, Vec<String>) {
        let image = |machine: &str, layers: &[Vec<u8>]| {
            let config = format!(r#"{{"architecture":"{machine}","os":"linux","rootfs":{{"type":"layers"}}}}"#);
            let config = self.blob(config.as_bytes(), "application/vnd.oci.image.config.v1+json");
            let layer = |layer: &Vec<u8>| self.blob(layer, "application/vnd.oci.image.layer.v1.tar+gzip");
            let layers = layers.iter().map(layer).collect::<Vec<_>>().join(",");
            let text =
                format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{layers}]}}"#);
            let digest = self.document(&text, MANIFEST, None);
            let platform = format!(r#","platform":{{"os":"linux","architecture":"{machine}"}}"#);
            descriptor(MANIFEST, &digest, text.len(), &platform)
        };
        let images = [image("arm64", &[layer(&[("boot/vmlinuz".to_owned(), vec![0; 100])])]), image("amd64", layers)];
        let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#, images.join(","));
        (self.document(&index, INDEX, Some(tag)), layers.iter().map(|layer| digest(layer)).collect())
    }
}

fn descriptor(kind: &str, digest: &str, size: usize, more: &str) -> String {
    format!(r#"{{"mediaType":"{kind}","digest":"sha256:{digest}","size":{size}{more}}}"#)
}

pub fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn layer(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, &content[..]).unwrap();
    }
    let mut gzip = tar.into_inner().unwrap();
    gzip.flush().unwrap();
    gzip.finish().unwrap()
}

/// The layer of cilium/ci-kernels: the image and the modules, and no config.
fn ci_kernels() -> Vec<u8> {
    let mut files = vec![("boot/vmlinuz".to_owned(), fs::read(kernel().image()).unwrap())];
    files.extend(modules().into_iter().map(|(name, bytes)| (format!("lib/modules/{}/{name}", release()), bytes)));
    layer(&files)
}

/// The layers of little-vm-helper: a base, and all of a kernel in a separate directory.
fn little_vm_helper() -> [Vec<u8>; 2] {
    let inside = |(name, bytes): (String, Vec<u8>)| (format!("data/kernels/5.10-main/{name}"), bytes);
    let base = [("bin/busybox".to_owned(), vec![1; 5000]), ("etc/passwd".to_owned(), b"root:x:0:0::/:\n".to_vec())];
    [layer(&base), layer(&super::installed().into_iter().map(inside).collect::<Vec<_>>())]
}

fn lab(image: &str) -> Lab {
    let lab = Lab::with_kernel("");
    declare(&lab, image);
    lab
}

fn declare(lab: &Lab, image: &str) {
    lab.manifest(&format!("[kernel.ci]\nsource = \"oci\"\nimage = \"{image}\"\n"));
}

#[test]
fn a_kernel_of_a_private_registry_boots_and_judges_a_story() {
    need!("guests", "programs", "docker-registry", "curl");
    let registry = Service::registry(true);
    let repository = Repository::new(&registry, "cilium/ci-kernels");
    let (digest, _) = repository.push("5.10", &[ci_kernels()]);
    let lab = lab(&format!("{}/cilium/ci-kernels:5.10", registry.host()));
    let home = lab.path("home");
    fs::create_dir(&home).unwrap();
    let run = || {
        let mut command = lab.command(&[&story("inode-ctime"), "--cold"]);
        command.env("HOME", &home);
        super::common::Run::start(command, &lab.path("run")).wait()
    };
    run().expect(INFRASTRUCTURE).expect_said(&["asks for credentials", "~/.netrc"]);

    fs::write(home.join(".netrc"), format!("machine 127.0.0.1 login {USER} password {PASSWORD}\n")).unwrap();
    let ended = run();
    ended.expect(GOOD);
    assert!(verdicts(&lab.report(), "ci", "inode-ctime").contains(&Verdict::Loaded));
    let lock = fs::read_to_string(lab.path("kernels.lock")).unwrap();
    assert!(lock.contains(&digest), "{lock}");
    let written = [ended.stdout, ended.stderr, lock, fs::read_to_string(lab.out().join("report.json")).unwrap()];
    assert!(written.iter().all(|text| !text.contains(PASSWORD)), "the password is shown");
    lab.expect_nothing_left();
}

#[test]
fn a_tag_is_pinned_and_both_layouts_are_found() {
    need!("guests", "docker-registry", "curl");
    let registry = Service::registry(false);
    let repository = Repository::new(&registry, "lvh-images/kernel-images");
    let (first, _) = repository.push("5.10-main", &little_vm_helper());
    let image = format!("{}/lvh-images/kernel-images", registry.host());
    let lab = lab(&format!("{image}:5.10-main"));
    let kernel = fetch(&lab, "ci").unwrap();
    expect_whole(&kernel);
    assert_eq!(kernel.source, format!("oci: {image}@sha256:{first}"));
    let locked = || LockFile::open(&lab.path("kernels.lock")).unwrap().kernel("ci").unwrap().digest.unwrap();
    assert_eq!(locked(), first);

    // The tag moves on to an image of the other layout. What is pinned is still served, from an empty store, too.
    let (second, _) = repository.push("5.10-main", &[ci_kernels()]);
    assert_ne!(first, second);
    fs::remove_dir_all(lab.store().join("kernels")).unwrap();
    assert_eq!(fetch(&lab, "ci").unwrap().source, kernel.source);

    let manifest = Manifest::load(&lab.path("kernels.toml")).unwrap();
    let lock = LockFile::open(&lab.path("kernels.lock")).unwrap();
    let store = Store::open(&lab.store()).unwrap();
    let newest =
        store.newest_kernel(&manifest.select(&["ci".to_owned()], &|_| None).unwrap()[0], &lock, &drop).unwrap();
    assert_eq!((newest.identity.release.as_str(), locked()), (release(), second));
    assert_eq!(newest.notes, ["no kernel config: objects with kconfig externs cannot be judged"]);

    declare(&lab, &format!("{image}@sha256:{first}"));
    expect_whole(&fetch(&lab, "ci").unwrap());
    declare(&lab, &format!("{image}:6.6-main"));
    let error = fetch(&lab, "ci").unwrap_err();
    assert!(error.is_unavailable() && error.to_string().contains("has no `"), "{error}");
}

#[test]
fn a_pull_that_broke_off_goes_on_and_two_at_once_pull_once() {
    need!("guests", "docker-registry", "curl");
    let registry = Service::registry(false);
    let layers = [ci_kernels()];
    let (_, digests) = Repository::new(&registry, "ci/kernels").push("5.10", &layers);
    let lab = lab(&format!("{}/ci/kernels:5.10", registry.host()));
    let begun = lab.store().join("downloads").join(&digests[0]);
    fs::create_dir_all(begun.parent().unwrap()).unwrap();
    fs::write(&begun, &layers[0][..layers[0].len() / 2]).unwrap();
    let pulled = std::thread::scope(|scope| {
        let pulls = [(); 2].map(|()| scope.spawn(|| fetch(&lab, "ci").unwrap()));
        pulls.map(|pull| pull.join().unwrap())
    });
    assert_eq!(pulled[0], pulled[1]);
    assert_eq!(pulled[0].identity.image_sha256, kernel().stored.identity.image_sha256);
    let layer = format!("GET /v2/ci/kernels/blobs/sha256:{}", digests[0]);
    assert_eq!((registry.requests(&layer, ""), registry.requests(&layer, "\" 206 ")), (1, 1));
    assert!(!begun.exists(), "what is unpacked is kept twice");
    expect_nothing_half_made(&lab.store());

    // What was begun is of something else: it is fetched from its beginning.
    fs::remove_dir_all(lab.store().join("kernels")).unwrap();
    fs::write(&begun, b"something else").unwrap();
    assert_eq!(fetch(&lab, "ci").unwrap().identity, pulled[0].identity);
    assert_eq!(registry.requests(&layer, "\" 200 "), 1);
}

fn expect_nothing_half_made(store: &Path) {
    for folder in ["tmp", "downloads"] {
        assert_eq!(fs::read_dir(store.join(folder)).unwrap().count(), 0, "{folder}");
    }
}
