//! [`Service`]: a real server that runs on loopback for one test; and how the tests call other programs.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// For a server to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Numbers the requests that mark a place in a log.
static MARKS: AtomicU32 = AtomicU32::new(0);

/// A user of the registries that have users.
pub const USER: &str = "corematrix";
/// Their password, and what `htpasswd -B` makes of it.
pub const PASSWORD: &str = "sesame-4711";
const PASSWORD_HASH: &str = "$2y$04$abcdefghijklmnopqrstuu6sY3P5qG63S2M1n3TdY98AgJRZ8znRq";

/// A server with a separate directory. Dropping it ends it.
pub struct Service {
    folder: tempfile::TempDir,
    child: Child,
    port: u16,
}

impl Service {
    /// Debian's `docker-registry`, empty; with `closed` only [`USER`] may read.
    pub fn registry(closed: bool) -> Service {
        Service::start("docker-registry", |folder, port| {
            let mut config = format!(
                "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
                folder.join("data").display()
            );
            if closed {
                let users = folder.join("users");
                fs::write(&users, format!("{USER}:{PASSWORD_HASH}\n")).unwrap();
                config += &format!("auth:\n  htpasswd:\n    realm: kernels\n    path: {}\n", users.display());
            }
            fs::write(folder.join("config.yml"), config).unwrap();
            vec!["serve".into(), folder.join("config.yml")]
        })
    }

    /// `lighttpd`, which serves [`Service::files`].
    pub fn web() -> Service {
        Service::start("lighttpd", |folder, port| {
            let config = format!(
                "server.document-root = \"{here}/data\"\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\n\
                 server.modules = (\"mod_accesslog\")\naccesslog.filename = \"{here}/access\"\n\
                 accesslog.format = \"%m %U %s\"\nserver.stat-cache-engine = \"disable\"\n",
                here = folder.display()
            );
            fs::write(folder.join("config"), config).unwrap();
            vec!["-D".into(), "-f".into(), folder.join("config")]
        })
    }

    /// `openssl s_server`, which serves [`Service::files`] by https, with this certificate and key.
    pub fn https(certificate: &Path, key: &Path) -> Service {
        Service::start("openssl", |_, port| {
            let accept = format!("127.0.0.1:{port}");
            let words = ["s_server", "-WWW", "-quiet", "-accept", &accept, "-cert"];
            words.iter().map(PathBuf::from).chain([certificate.to_owned(), "-key".into(), key.to_owned()]).collect()
        })
    }

    fn start(program: &str, arguments: impl Fn(&Path, u16) -> Vec<PathBuf>) -> Service {
        let folder = tempfile::Builder::new().prefix("cm").tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let begin = Instant::now();
        loop {
            // No one else takes it in the short time until the server does; if someone did, the next one is tried.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let log = File::create(folder.path().join("log")).unwrap();
            let mut command = command(program);
            command.args(arguments(folder.path(), port)).current_dir(folder.path().join("data"));
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            let mut child = command.spawn().unwrap_or_else(|error| missing(program, &error));
            while child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Service { folder, child, port };
                }
                assert!(begin.elapsed() < PATIENCE, "`{program}` does not listen");
                std::thread::sleep(Duration::from_millis(20));
            }
            let log = fs::read_to_string(folder.path().join("log")).unwrap();
            assert!(begin.elapsed() < PATIENCE, "`{program}` ended:\n{log}");
        }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The directory that a web server serves.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// How often `text` and `also` stand in a line of the server's log of requests.
    pub fn requests(&self, text: &str, also: &str) -> usize {
        // Servers write their logs when they like, but in order: earlier requests are written before it.
        let mark = format!("/v2/mark-{}", MARKS.fetch_add(1, Ordering::Relaxed));
        let mut request = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        request.write_all(format!("GET {mark} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let _ = request.read_to_end(&mut Vec::new());
        let begin = Instant::now();
        loop {
            let read = |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
            let lines = format!("{}\n{}", read("access"), read("log"));
            if lines.contains(&mark) {
                return lines.lines().filter(|line| line.contains(text) && line.contains(also)).count();
            }
            assert!(begin.elapsed() < PATIENCE, "the server does not log its requests:\n{lines}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it, as a server that is down.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A program of the system. Debian keeps some out of users' `PATH`.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("LC_ALL", "C");
    command
}

/// Runs a program to its end, and returns what it wrote.
#[track_caller]
pub fn done(command: &mut Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| missing(&program, &error));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}:\n{stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn missing(program: &str, error: &std::io::Error) -> ! {
    let hint = match error.kind() {
        ErrorKind::NotFound => "\nhint: `./setup.sh --tests` installs what the tests need",
        _ => "",
    };
    panic!("cannot start `{program}`: {error}{hint}")
}
