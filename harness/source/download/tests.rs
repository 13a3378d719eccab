use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;
use crate::need::{self, need};

/// What a request of curl asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Such as `/kernel.deb`.
    pub path: String,
    /// Header lines.
    pub headers: Vec<String>,
}

impl Asked {
    /// Where the wanted range begins.
    fn from(&self) -> usize {
        let range = self.headers.iter().find_map(|line| line.strip_prefix("Range: bytes="));
        range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap())
    }
}

/// A web server on loopback that does what a test wants with each request.
pub(crate) struct Server {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// `answer` gets the request, how many came before, and the connection to write to.
    pub fn start(answer: impl Fn(&Asked, usize, &mut TcpStream) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let Some(first) = lines.next() else { continue };
                let request = Asked {
                    path: first.split(' ').nth(1).unwrap_or_default().to_owned(),
                    headers: lines.take_while(|line| !line.is_empty()).collect(),
                };
                let before = log.lock().unwrap().len();
                log.lock().unwrap().push(request.clone());
                answer(&request, before, &mut stream);
            }
        });
        Server { address, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn head(stream: &mut TcpStream, status: &str, length: usize, more: &str) {
    let text = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n");
    // curl may have enough and hang up.
    let _ = stream.write_all(text.as_bytes());
}

fn content() -> Vec<u8> {
    (0..200_000u32).flat_map(u32::to_le_bytes).collect()
}

struct ServedFile {
    folder: tempfile::TempDir,
    server: Server,
    sha256: Option<String>,
    limit: u64,
}

impl ServedFile {
    fn new(answer: impl Fn(&Asked, usize, &mut TcpStream) + Send + 'static) -> ServedFile {
        let folder = tempfile::tempdir().unwrap();
        let sha256 = Some(checksum::of_bytes(&content()));
        ServedFile { folder, server: Server::start(answer), sha256, limit: 10_000_000 }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("file")
    }

    fn fetch(&self) -> Result<Response, StoreError> {
        let url = format!("{}/k.deb?token=secret", self.server.address.replace("//", "//user:secret@"));
        let download = Download {
            what: "kernel `x`",
            url: &url,
            headers: &["X-Test: a \"quoted\" \\ value".to_owned()],
            sha256: self.sha256.as_deref(),
            limit: self.limit,
            server: Unreachable::at(self.folder.path(), "server", false),
            step: &|_| {},
        };
        download.to(&self.file())
    }
}

#[test]
fn a_broken_connection_is_gone_on_with_where_it_broke() {
    need!("curl");
    let served = ServedFile::new(|asked, before, stream| {
        let all = content();
        let from = asked.from();
        let range = format!("Content-Range: bytes {from}-{}/{}\r\n", all.len() - 1, all.len());
        match before {
            0 => head(stream, "200 OK", all.len(), ""),
            _ => head(stream, "206 Partial Content", all.len() - from, &range),
        }
        let end = (from + 300_000).min(all.len());
        let _ = stream.write_all(&all[from..end]);
    });
    let response = served.fetch().unwrap();
    assert_eq!(response.status, 206);
    assert_eq!(fs::read(served.file()).unwrap(), content());
    let asked = served.server.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[1].from(), 300_000);
    assert!(asked[0].headers.contains(&"X-Test: a \"quoted\" \\ value".to_owned()), "{asked:?}");
    assert_eq!(fs::read_dir(served.folder.path()).unwrap().count(), 1, "no file with credentials is left");
}

#[test]
fn what_an_earlier_run_left_is_gone_on_with_or_thrown_away() {
    need!("curl");
    let serve = |asked: &Asked, _: usize, stream: &mut TcpStream| {
        let all = content();
        match asked.from() {
            0 => head(stream, "200 OK", all.len(), ""),
            from if from >= all.len() => head(stream, "416 Range Not Satisfiable", 0, ""),
            from => {
                let range = format!("Content-Range: bytes {from}-{}/{}\r\n", all.len() - 1, all.len());
                head(stream, "206 Partial Content", all.len() - from, &range);
            }
        }
        let _ = stream.write_all(all.get(asked.from()..).unwrap_or_default());
    };
    for (left, requests) in [(&content()[..1000], 1), (&[7; 1000], 2), (&[7; 900_000], 2), (&content()[..], 0)] {
        let served = ServedFile::new(serve);
        fs::write(served.file(), left).unwrap();
        served.fetch().unwrap();
        assert_eq!(fs::read(served.file()).unwrap(), content());
        assert_eq!(served.server.asked().len(), requests);
    }
    // A server that knows no ranges gives the whole file again.
    let served = ServedFile::new(|_, _, stream| {
        head(stream, "200 OK", content().len(), "");
        let _ = stream.write_all(&content());
    });
    fs::write(served.file(), &content()[..1000]).unwrap();
    served.fetch().unwrap();
    assert_eq!(fs::read(served.file()).unwrap(), content());
}

#[test]
fn a_busy_server_is_asked_again_when_it_wants() {
    need!("curl");
    let served = ServedFile::new(|_, before, stream| match before {
        0 => head(stream, "429 Too Many Requests", 0, "Retry-After: 1\r\n"),
        1 => head(stream, "503 Service Unavailable", 0, ""),
        _ => {
            head(stream, "200 OK", content().len(), "");
            let _ = stream.write_all(&content());
        }
    });
    served.fetch().unwrap();
    assert_eq!(served.server.asked().len(), 3);
}

#[test]
fn a_refusal_is_told_without_credentials() {
    need!("curl");
    for (status, reason) in [
        ("401 Unauthorized", "the server asks for credentials (status 401)"),
        ("404 Not Found", "the server does not have the file (status 404)"),
        ("418 I'm a teapot", "the server refuses access (status 418)"),
    ] {
        let served = ServedFile::new(move |_, _, stream| head(stream, status, 0, ""));
        let error = served.fetch().unwrap_err();
        assert!(error.is_unavailable());
        let text = error.to_string();
        assert!(text.ends_with(&format!("/k.deb`: {reason}")), "{text}");
        assert!(!text.contains("secret") && !text.contains("user"), "{text}");
        assert_eq!(served.server.asked().len(), 1);
        assert!(!served.file().exists(), "no page of an error is taken for the file");
    }
}

#[test]
fn a_host_that_never_answers_is_asked_once_and_then_left_alone() {
    need!("curl");
    let mut served = ServedFile::new(|_, _, stream| head(stream, "404 Not Found", 0, ""));
    let there = served.server.address.clone();
    let memory = served.folder.path().join(crate::source::unreachable::FOLDER);
    fs::create_dir(&memory).unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    served.server.address = format!("http://{nobody}");
    let begin = std::time::Instant::now();
    let error = served.fetch().unwrap_err();
    assert!(error.is_unavailable() && error.to_string().ends_with("the server cannot be reached"), "{error}");
    assert!(error.hint().unwrap().contains("10 min"));
    assert!(served.fetch().unwrap_err().to_string().ends_with("the server cannot be reached (just tried)"));
    assert!(begin.elapsed() < Duration::from_secs(5));

    // After a while it is contacted again; and when it gives any answer, that is forgotten.
    served.server.address = there;
    let mark = fs::File::options().append(true).open(memory.join("server")).unwrap();
    mark.set_modified(std::time::SystemTime::now() - Duration::from_secs(3600)).unwrap();
    assert!(served.fetch().unwrap_err().to_string().contains("404"));
    assert_eq!(fs::read_dir(&memory).unwrap().count(), 0);
}

#[test]
fn hosts_are_taken_out_of_addresses() {
    assert_eq!(host("https://me:pass@example.org:8080/a/b?key=1"), "example.org:8080");
    assert_eq!(host("https://example.org"), "example.org");
}

#[test]
fn another_file_than_promised_is_refused() {
    need!("curl");
    let mut served = ServedFile::new(|_, _, stream| {
        head(stream, "200 OK", 5, "");
        let _ = stream.write_all(b"hello");
    });
    let error = served.fetch().unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert_eq!(served.server.asked().len(), 2, "it is fetched once more before it counts as wrong");
    served.sha256 = Some(checksum::of_bytes(b"hello").to_uppercase());
    let _ = fs::remove_file(served.file());
    served.fetch().unwrap();
}

#[test]
fn a_file_without_end_is_cut_off() {
    need!("curl");
    let mut served = ServedFile::new(|_, _, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while stream.write_all(&[0; 65536]).is_ok() {}
    });
    served.limit = 1_000_000;
    let error = served.fetch().unwrap_err();
    assert!(error.to_string().contains("larger than the limit of 1.0 MB"), "{error}");
    // And one that says so beforehand is not even begun.
    let mut served = ServedFile::new(|_, _, stream| head(stream, "200 OK", 2_000_000, ""));
    served.limit = 1_000_000;
    assert!(served.fetch().unwrap_err().to_string().contains("larger than the limit of 1.0 MB"));
}

#[test]
fn what_is_shown_of_an_address_has_no_secrets() {
    assert_eq!(shown("https://me:pass@example.org/a/b?key=1#x"), "https://example.org/a/b");
    assert_eq!(shown("https://example.org"), "https://example.org");
}
