//! Kernels from OCI images, in a registry on loopback that can be as bad as a registry gets.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;

use super::*;
use crate::need::{self, need};
use crate::object::find_in;
use crate::source::download::tests::{Asked, Server};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What a registry has, by path.
type Shelf = BTreeMap<String, Vec<u8>>;

/// A layer with these files.
fn layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// Puts a blob on the shelf and returns how a document names it.
fn blob(shelf: &mut Shelf, content: Vec<u8>) -> String {
    let digest = format!("sha256:{}", checksum::of_bytes(&content));
    let descriptor = format!(r#"{{"digest":"{digest}","size":{}}}"#, content.len());
    shelf.insert(format!("/v2/ci/kernels/blobs/{digest}"), content);
    descriptor
}

/// Puts a document on the shelf under its digest, and returns that.
fn document(shelf: &mut Shelf, text: String) -> String {
    let digest = format!("sha256:{}", checksum::of_bytes(text.as_bytes()));
    shelf.insert(format!("/v2/ci/kernels/manifests/{digest}"), text.into_bytes());
    digest
}

/// An image with a kernel, in an index for two machines, behind the tag `6.6`.
fn shelf(machine: &str) -> Shelf {
    let mut shelf = Shelf::new();
    let config = format!(r#"{{"architecture":"{machine}","os":"linux"}}"#);
    let config = blob(&mut shelf, config.into_bytes());
    let base = blob(&mut shelf, layer(&[("bin/busybox", b"no"), ("boot/vmlinuz", b"an older one")]));
    let files: [(&str, &[u8]); 2] = [("boot/vmlinuz", &image("6.6.30")), ("boot/config", b"CONFIG_VIRTIO_PCI=y\n")];
    let kernel = blob(&mut shelf, layer(&files));
    let of = document(&mut shelf, format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{base},{kernel}]}}"#));
    let other = format!("sha256:{}", "00".repeat(32));
    let index = format!(
        r#"{{"mediaType":"{INDEX}","manifests":[
            {{"digest":"{other}","platform":{{"os":"linux","architecture":"riscv64"}}}},
            {{"digest":"{of}","platform":{{"os":"linux","architecture":"{machine}"}}}}]}}"#
    );
    let digest = document(&mut shelf, index.clone());
    shelf.insert("/v2/ci/kernels/manifests/6.6".to_owned(), index.into_bytes());
    shelf.insert("digest".to_owned(), digest.into_bytes());
    shelf
}

fn respond(stream: &mut TcpStream, status: &str, more: &str, body: &[u8]) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n");
    // curl may have enough and hang up.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

fn serve(shelf: &Shelf, asked: &Asked, stream: &mut TcpStream) {
    match shelf.get(&asked.path) {
        Some(body) => respond(stream, "200 OK", "", body),
        None => respond(stream, "404 Not Found", "", b"{}"),
    }
}

struct TestRegistry {
    fixture: Fixture,
    server: Server,
}

impl TestRegistry {
    fn new(answer: impl Fn(&Asked, usize, &mut TcpStream) + Send + 'static) -> TestRegistry {
        TestRegistry { fixture: Fixture::new(), server: Server::start(answer) }
    }

    fn of(shelf: Shelf) -> TestRegistry {
        TestRegistry::new(move |asked, _, stream| serve(&shelf, asked, stream))
    }

    fn image(&self, name: &str) -> String {
        format!("{}/ci/kernels{name}", self.server.address.trim_start_matches("http://"))
    }

    fn pull(&self, name: &str, offline: bool) -> Result<StoredKernel, StoreError> {
        let source = Source::Oci { image: self.image(name).parse().unwrap() };
        self.fixture.store().kernel(&spec("6.6", source), &self.fixture.lock(), offline, &quiet)
    }

    fn failure(&self) -> String {
        let error = self.pull(":6.6", false).unwrap_err();
        assert!(error.hint().is_some() || error.is_unavailable(), "{error}");
        let left = fs::read_dir(self.fixture.path("store/kernels")).unwrap().count();
        assert_eq!(left, 0, "no half entry is left");
        error.to_string().replace(&self.image(""), "IMAGE").replace(&self.server.address, "SERVER")
    }
}

#[test]
fn a_tag_is_pinned_to_what_it_meant() {
    need!("curl");
    let mut shelf = shelf("amd64");
    let digest = String::from_utf8(shelf.remove("digest").unwrap()).unwrap();
    let (before, changed) = (shelf.clone(), "/v2/ci/kernels/manifests/6.6".to_owned());
    let registry = TestRegistry::new(move |asked, count, stream| match asked.path == changed && count > 0 {
        true => respond(stream, "200 OK", "", b"{\"another\":\"image\"}"),
        false => serve(&before, asked, stream),
    });
    assert!(matches!(registry.pull(":6.6", true), Err(StoreError::Offline { .. })));
    let kernel = registry.pull(":6.6", false).unwrap();
    assert_eq!(kernel.identity.release, "6.6.30");
    assert!(kernel.config.is_some());
    assert_eq!(kernel.source, format!("oci: {}", registry.image(&format!("@{digest}"))));
    assert_eq!(registry.pull(":6.6", true).unwrap(), kernel);

    // The tag moved, and the store is gone: the lock still names the same image.
    fs::remove_dir_all(registry.fixture.path("store")).unwrap();
    assert_eq!(registry.pull(":6.6", false).unwrap().identity, kernel.identity);
    // And one can name the digest oneself.
    assert_eq!(registry.pull(&format!("@{digest}"), false).unwrap().identity, kernel.identity);
}

#[test]
fn anybody_gets_a_token_where_the_registry_sends_them() {
    need!("curl");
    let shelf = shelf("amd64");
    let registry = TestRegistry::new(move |asked, _, stream| {
        let host = asked.headers.iter().find_map(|line| line.strip_prefix("Host: ")).unwrap();
        if let Some(query) = asked.path.strip_prefix("/token?") {
            assert_eq!(query, "scope=repository:ci/kernels:pull&service=the%20registry");
            respond(stream, "200 OK", "", br#"{"token":"open-sesame"}"#);
        } else if asked.headers.iter().any(|line| line == "Authorization: Bearer open-sesame") {
            serve(&shelf, asked, stream);
        } else {
            let to = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"the registry\"\r\n");
            respond(stream, "401 Unauthorized", &to, b"{}");
        }
    });
    assert_eq!(registry.pull(":6.6", false).unwrap().identity.release, "6.6.30");
}

#[test]
fn a_bad_registry_is_told_apart() {
    need!("curl");
    let tampered = || {
        let mut shelf = shelf("amd64");
        let last = shelf.keys().filter(|path| path.contains("/blobs/")).max_by_key(|path| shelf[*path].len()).unwrap();
        let last = last.clone();
        shelf.get_mut(&last).unwrap()[100] ^= 1;
        shelf
    };
    let all = [
        TestRegistry::of(Shelf::new()).failure(),
        TestRegistry::of(shelf("arm64")).failure(),
        TestRegistry::new(|_, _, stream| respond(stream, "401 Unauthorized", "", b"")).failure(),
        TestRegistry::new(|_, _, stream| respond(stream, "403 Forbidden", "", b"")).failure(),
        TestRegistry::new(|_, _, stream| respond(stream, "200 OK", "", b"<html>welcome</html>")).failure(),
        TestRegistry::new(|_, _, stream| respond(stream, "200 OK", "", b"{\"layers\":[]}")).failure(),
        TestRegistry::new(|_, _, stream| respond(stream, "200 OK", "", b"{\"layers\":[{\"digest\":\"md5:1\"}]}"))
            .failure(),
        without_digests(&TestRegistry::of(tampered()).failure()),
    ];
    insta::assert_snapshot!(all.join("\n"));
}

/// An image with an object, one that an upper layer takes away, and an ELF file without any; behind the tag `1.0`.
fn shelf_with_objects() -> (Shelf, String) {
    let mut shelf = Shelf::new();
    let object = fs::read("tests/fixtures/objects/plain.bpf.o").unwrap();
    let config = blob(&mut shelf, br#"{"architecture":"amd64","os":"linux"}"#.to_vec());
    let files: [(&str, &[u8]); 3] =
        [("a/plain.bpf.o", &object), ("a/gone.bpf.o", &object), ("bin/sh", b"\x7fELF with nothing in it")];
    let lower = blob(&mut shelf, layer(&files));
    let upper = blob(&mut shelf, layer(&[("a/.wh.gone.bpf.o", b"")]));
    let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{lower},{upper}]}}"#);
    let digest = document(&mut shelf, text.clone());
    shelf.insert("/v2/ci/kernels/manifests/1.0".to_owned(), text.into_bytes());
    (shelf, digest.trim_start_matches("sha256:").to_owned())
}

#[test]
fn objects_of_an_image_are_kept_by_its_digest() {
    need!("curl");
    let (shelf, digest) = shelf_with_objects();
    let registry = TestRegistry::of(shelf);
    let (store, lock) = (registry.fixture.store(), registry.fixture.lock());
    let image: ImageReference = registry.image(":1.0").parse().unwrap();
    let tag = |offline| store.image_digest(&image, &lock, offline, &quiet);
    let objects = |offline| store.image(&image, &digest, &lock, offline, &quiet);
    assert!(matches!(tag(true), Err(StoreError::Offline { .. })));
    assert!(matches!(objects(true), Err(StoreError::Offline { .. })));
    assert_eq!((tag(false).unwrap(), tag(true).unwrap()), (digest.clone(), digest.clone()));

    let unpacked = objects(false).unwrap();
    assert_eq!(objects(true).unwrap(), unpacked);
    let found = find_in(&[unpacked.place()]).unwrap().objects;
    let origin = format!("oci://{}@sha256:{digest}/a/plain.bpf.o", registry.image(""));
    assert_eq!(found.iter().map(|object| object.origin.to_string()).collect::<Vec<_>>(), std::slice::from_ref(&origin));
    assert_eq!(fs::read_dir(&unpacked.folder).unwrap().count(), 1, "what holds no object is kept");
    for left in ["downloads", "tmp"] {
        assert_eq!(fs::read_dir(store.root().join(left)).unwrap().count(), 0, "{left}");
    }

    let again = |origin: &str| unpacked_file(&store, Path::new(origin));
    assert_eq!(again(&origin), Some(unpacked.folder.join("a/plain.bpf.o")));
    let from = |inside: &str| format!("oci://x/y@sha256:{digest}/{inside}");
    for wrong in
        [from("../from"), from("a/../../from"), from("/etc/passwd"), from("a"), from(""), "oci://x/y".to_owned()]
    {
        assert_eq!(again(&wrong), None, "{wrong}");
    }
}

#[test]
fn an_image_that_was_changed_on_its_way_is_not_kept() {
    need!("curl");
    let (mut shelf, digest) = shelf_with_objects();
    let largest = shelf.keys().max_by_key(|path| shelf[*path].len()).unwrap().clone();
    shelf.get_mut(&largest).unwrap()[100] ^= 1;
    let registry = TestRegistry::of(shelf);
    let store = registry.fixture.store();
    let image: ImageReference = registry.image("").parse().unwrap();
    let error = store.image(&image, &digest, &registry.fixture.lock(), false, &quiet).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }) && error.to_string().contains("its sha256 is"), "{error}");
    assert_eq!(fs::read_dir(store.root().join("unpacked")).unwrap().count(), 0);
}

/// Without the digests, which change with every crate that packs.
fn without_digests(text: &str) -> String {
    let word = |word: &str| match word.chars().filter(char::is_ascii_hexdigit).count() >= 60 {
        true => "DIGEST".to_owned(),
        false => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
