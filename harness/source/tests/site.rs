//! [`Site`]: a web server on loopback with files of a test; [`Signer`]: someone with an OpenPGP key.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::source::download::tests::{Asked, Server};

/// Files by their paths; a content of `-> URL` leads elsewhere.
pub struct Site {
    server: Server,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Site {
    pub fn new() -> Site {
        let files: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
        let served = Arc::clone(&files);
        let server = Server::start(move |asked: &Asked, _, stream| {
            let found = served.lock().unwrap().get(&asked.path).cloned();
            let (status, body, more) = match found {
                Some(body) => match std::str::from_utf8(&body).ok().and_then(|text| text.strip_prefix("-> ")) {
                    Some(url) => ("302 Found", Vec::new(), format!("Location: {url}\r\n")),
                    None => ("200 OK", body, String::new()),
                },
                None => ("404 Not Found", Vec::new(), String::new()),
            };
            let head =
                format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{more}\r\n", body.len());
            // curl may have enough and hang up.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        });
        Site { server, files }
    }

    pub fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.files.lock().unwrap().insert(path.to_owned(), bytes.into());
    }

    pub fn get(&self, path: &str) -> Vec<u8> {
        self.files.lock().unwrap().get(path).unwrap_or_else(|| panic!("no {path}")).clone()
    }

    pub fn remove(&self, path: &str) {
        assert!(self.files.lock().unwrap().remove(path).is_some(), "no {path}");
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.address)
    }

    /// Requests whose path has `part`.
    pub fn asked(&self, part: &str) -> usize {
        self.server.asked().iter().filter(|asked| asked.path.contains(part)).count()
    }
}

/// Someone with an OpenPGP key of their own.
pub struct Signer {
    home: tempfile::TempDir,
}

impl Signer {
    pub fn new() -> Signer {
        let signer = Signer { home: tempfile::Builder::new().prefix("cm").tempdir().unwrap() };
        signer.gpg(&["--quick-generate-key", "somebody@example.org", "rsa2048", "sign", "never"], b"");
        signer
    }

    fn gpg(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(self.home.path()).args(["--batch", "--pinentry-mode", "loopback", "--passphrase", ""]);
        output(gpg.args(arguments), input)
    }

    /// The public key, in text.
    pub fn public(&self) -> Vec<u8> {
        self.gpg(&["--armor", "--export"], b"")
    }

    pub fn fingerprint(&self) -> String {
        let listed = String::from_utf8(self.gpg(&["--with-colons", "--list-keys"], b"")).unwrap();
        listed.lines().find(|line| line.starts_with("fpr:")).unwrap().trim_matches([':', 'f', 'p', 'r']).to_owned()
    }

    /// A detached signature.
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.gpg(&["--detach-sign"], bytes)
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let mut end = Command::new("gpgconf");
        let _ = end.arg("--homedir").arg(self.home.path()).args(["--kill", "gpg-agent"]).output();
    }
}

/// What a program writes that reads `input`.
pub fn output(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Makes the indexes of a store an hour old, so that a run that misses what they name looks for new ones.
pub fn age_indexes(store: &Path) {
    for part in std::fs::read_dir(store.join("repositories")).unwrap() {
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        let state = part.unwrap().path().join("state.json");
        std::fs::File::options().write(true).open(state).unwrap().set_modified(old).unwrap();
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A tar archive, without its end if more follows.
pub fn tar(files: &[(&str, &[u8])], is_whole: bool) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    let mut bytes = tar.into_inner().unwrap();
    bytes.truncate(bytes.len() - if is_whole { 0 } else { 1024 });
    bytes
}
