//! [`Download`]: a file from a web server, fetched by `curl`: resumed where it broke off, tried again, and verified.
//!
//! curl brings TLS, proxies (`https_proxy`, `no_proxy`), certificates (`SSL_CERT_FILE`, `CURL_CA_BUNDLE`) and `~/.netrc` with
//! it, as the user has set them up for everything else; and none of that has to lie in the memory of every guest, where
//! this executable is. Addresses and credentials go through a file, since anybody may read a command line.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytesize::ByteSize;

use crate::checksum;
use crate::process::{ChildGroup, ProcessError};
use crate::source::unreachable::Unreachable;
use crate::store::error::{IoContext, StoreError};

/// How often a file is requested before it counts as unavailable.
const ATTEMPTS: u32 = 5;
/// Waited before the second attempt, and twice as long before each one after.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// No server is waited for longer than this, even if it asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often a long download reports its progress.
const PROGRESS: Duration = Duration::from_secs(5);
/// Between two looks at a running curl.
const LOOK: Duration = Duration::from_millis(100);

/// curl's exit codes that mean something of their own.
mod code {
    pub const UNSUPPORTED: i32 = 1;
    pub const MALFORMED: i32 = 3;
    pub const PROXY: i32 = 5;
    pub const HOST: i32 = 6;
    pub const CONNECT: i32 = 7;
    pub const STATUS: i32 = 22;
    pub const WRITE: i32 = 23;
    pub const TIME: i32 = 28;
    pub const RANGE: i32 = 33;
    pub const CERTIFICATE: [i32; 4] = [35, 60, 77, 90];
    pub const TOO_LARGE: i32 = 63;
}

/// A file on a web server.
pub(super) struct Download<'a> {
    /// Such as ``kernel `5.10` ``, for messages.
    pub what: &'a str,
    /// `http` or `https`.
    pub url: &'a str,
    /// Lines such as `Accept: text/plain`; never shown.
    pub headers: &'a [String],
    /// In hex, if it is known beforehand.
    pub sha256: Option<&'a str>,
    /// More bytes than this are refused.
    pub limit: u64,
    /// What is known about its server.
    pub server: Unreachable,
    /// Called with what takes time.
    pub step: &'a dyn Fn(String),
}

/// What the server said last.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Response {
    /// HTTP status; 0 if there was none.
    pub status: u16,
    headers: Vec<(String, String)>,
}

/// Why one attempt failed.
enum Failure {
    /// Trying again may help, after a pause that the server may have named.
    Passing(String, Option<Duration>),
    /// The server, or the proxy before it, cannot be spoken to at all.
    NoContact(String),
    /// What is there already cannot be gone on with.
    StartOver,
    /// It will not change.
    Final(StoreError),
}

impl Response {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Of the headers of all responses in a row, those of the last.
    fn parse(text: &str) -> Response {
        let mut response = Response::default();
        for line in text.lines() {
            if let Some(status) = line.strip_prefix("HTTP/") {
                let status = status.split_whitespace().nth(1).and_then(|status| status.parse().ok());
                response = Response { status: status.unwrap_or(0), headers: Vec::new() };
            } else if let Some((name, value)) = line.split_once(':') {
                response.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        response
    }

    fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?.parse().ok().map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE))
    }
}

impl Download<'_> {
    /// Fetches it to `file`; what lies there already is taken for its beginning.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not give it, [`StoreError::Corrupt`] if it is not what it should be.
    pub fn to(&self, file: &Path) -> Result<Response, StoreError> {
        match self.answer(file)? {
            response if (200..300).contains(&response.status) => Ok(response),
            response => Err(self.refused(&response)),
        }
    }

    /// As [`to`](Self::to), but leaves it to the caller what a refusal of the server (4xx) means.
    pub fn answer(&self, file: &Path) -> Result<Response, StoreError> {
        if self.sha256.is_some() && file.exists() && self.verify(file).is_ok() {
            return Ok(Response { status: 200, headers: Vec::new() });
        }
        if let Some(reason) = self.server.since() {
            return Err(self.unavailable(reason, Some(&Unreachable::hint())));
        }
        let mut pause = FIRST_PAUSE;
        let mut started_over = false;
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(file) {
                Ok(response) if response.status >= 400 => {
                    self.server.forget();
                    return Ok(response);
                }
                Ok(response) => match self.verify(file) {
                    Ok(()) => {
                        self.server.forget();
                        return Ok(response);
                    }
                    // What an earlier run left may be of another version of the file.
                    Err(_) if !started_over => Failure::StartOver,
                    Err(error) => return Err(error),
                },
                // It did answer before.
                Err(Failure::NoContact(reason)) if attempt > 1 => Failure::Passing(reason, None),
                Err(failure) => failure,
            };
            match failure {
                Failure::Final(error) => return Err(error),
                // Where there never was an answer, waiting for one helps least and takes longest.
                Failure::NoContact(reason) => {
                    self.server.remember(&reason);
                    return Err(self.unavailable(reason, Some(&Unreachable::hint())));
                }
                Failure::StartOver if !started_over => {
                    started_over = true;
                    fs::remove_file(file).during("remove", file)?;
                    continue;
                }
                Failure::StartOver => {
                    return Err(self.unavailable("the server sent a range that was not requested".to_owned(), None));
                }
                Failure::Passing(reason, _) if attempt == ATTEMPTS => {
                    let hint = "check the network and the proxy settings (`https_proxy`, `no_proxy`)";
                    return Err(self.unavailable(format!("{reason} ({ATTEMPTS} attempts)"), Some(hint)));
                }
                Failure::Passing(reason, asked) => {
                    let wait = asked.unwrap_or(pause);
                    (self.step)(format!("{}: {reason}; trying again in {}s", self.shown(), wait.as_secs_f32()));
                    std::thread::sleep(wait);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    attempt += 1;
                }
            }
        }
    }

    fn attempt(&self, file: &Path) -> Result<Response, Failure> {
        let io = |error: StoreError| Failure::Final(error);
        let (config, headers) = (beside(file, "curl"), beside(file, "headers"));
        self.configure(&config, &headers, file).map_err(io)?;
        let mut curl = Command::new("curl");
        curl.arg("--disable").arg("--config").arg(&config).env("LC_ALL", "C");
        let outcome = self.watch(curl, file);
        let response = Response::parse(&String::from_utf8_lossy(&fs::read(&headers).unwrap_or_default()));
        for made in [&config, &headers] {
            // They lie in a staging directory that goes away as a whole.
            let _ = fs::remove_file(made);
        }
        let (exit, said, tunnel) = outcome?;
        match tunnel {
            407 => return Err(Failure::Final(self.refused(&Response { status: tunnel, headers: Vec::new() }))),
            400.. => return Err(Failure::NoContact(format!("the proxy refused the connection (status {tunnel})"))),
            _ => {}
        }
        // Some messages go on with advice.
        let said = said.trim().lines().next().unwrap_or_default().trim_start_matches("curl: ").to_owned();
        match exit {
            // Whether curl takes this for a failure depends on its version.
            0 | code::STATUS if response.status == 416 => Err(Failure::StartOver),
            0 => Ok(response),
            code::STATUS if matches!(response.status, 408 | 425 | 429 | 500..) => {
                let reason = format!("the server responded with {}", response.status);
                Err(Failure::Passing(reason, response.retry_after()))
            }
            code::STATUS => Ok(response),
            code::RANGE => Err(Failure::StartOver),
            code::TOO_LARGE => Err(Failure::Final(self.too_large())),
            code::WRITE => Err(Failure::Final(StoreError::Io {
                action: "write",
                path: file.to_owned(),
                source: std::io::Error::new(std::io::ErrorKind::StorageFull, said),
            })),
            code::UNSUPPORTED | code::MALFORMED => {
                Err(Failure::Final(self.unavailable(said, Some("correct the URL in the manifest"))))
            }
            exit if code::CERTIFICATE.contains(&exit) => {
                let hint = "for a private certificate authority, set `SSL_CERT_FILE` to its certificate file";
                Err(Failure::Final(self.unavailable(said, Some(hint))))
            }
            code::PROXY => Err(Failure::NoContact("the name of the proxy cannot be resolved".to_owned())),
            code::HOST => Err(Failure::NoContact("the name of the server cannot be resolved".to_owned())),
            code::CONNECT => Err(Failure::NoContact("the server cannot be reached".to_owned())),
            code::TIME if response.status == 0 => Err(Failure::NoContact("the server did not respond".to_owned())),
            _ => Err(Failure::Passing(format!("the connection was interrupted ({said})"), None)),
        }
    }

    /// curl's options in a file that only the user may read.
    fn configure(&self, config: &Path, headers: &Path, file: &Path) -> Result<(), StoreError> {
        let mut options = vec![
            "fail".to_owned(),
            "silent".to_owned(),
            "show-error".to_owned(),
            "location".to_owned(),
            "netrc-optional".to_owned(),
            "proto = \"=http,https\"".to_owned(),
            "max-redirs = 10".to_owned(),
            "connect-timeout = 10".to_owned(),
            // A connection that gives less than a kilobyte a second is as good as broken.
            "speed-limit = 1024".to_owned(),
            "speed-time = 30".to_owned(),
            "continue-at = \"-\"".to_owned(),
            "write-out = \"%{http_connect}\"".to_owned(),
            format!("max-filesize = {}", self.limit),
            format!("url = {}", quoted(self.url)),
            format!("output = {}", quoted(&file.to_string_lossy())),
            format!("dump-header = {}", quoted(&headers.to_string_lossy())),
        ];
        options.extend(self.headers.iter().map(|header| format!("header = {}", quoted(header))));
        let mut made = fs::File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(config)
            .during("create", config)?;
        made.write_all((options.join("\n") + "\n").as_bytes()).during("write", config)
    }

    /// Runs curl to its end, or until the file gets too large; its exit code, what it said, and what a proxy answered
    /// when it was asked for a way (0 if none was).
    fn watch(&self, curl: Command, file: &Path) -> Result<(i32, String, u16), Failure> {
        let mut child = ChildGroup::spawn(curl).map_err(|error| {
            let hint = matches!(error, ProcessError::Missing { .. }).then_some("install curl");
            Failure::Final(self.unavailable(error.to_string(), hint))
        })?;
        let size = || fs::metadata(file).map_or(0, |found| found.len());
        let mut next = PROGRESS;
        let begin = std::time::Instant::now();
        loop {
            if let Some(status) = child.wait(LOOK) {
                let tunnel = child.stdout().text().trim().parse().unwrap_or(0);
                return Ok((status.code().unwrap_or(-1), child.stderr().text(), tunnel));
            }
            if size() > self.limit {
                child.end(Duration::ZERO);
                return Err(Failure::Final(self.too_large()));
            }
            if begin.elapsed() >= next {
                next += PROGRESS;
                (self.step)(format!("downloading {}: {}", self.shown(), ByteSize(size()).display().si()));
            }
        }
    }

    fn verify(&self, file: &Path) -> Result<(), StoreError> {
        let Some(expected) = self.sha256 else { return Ok(()) };
        let found = checksum::of_file(file).during("read", file)?;
        if found.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        Err(self.corrupt(format!("its sha256 is `{found}`, expected `{expected}`")))
    }

    /// The error for a response that is none.
    pub fn refused(&self, response: &Response) -> StoreError {
        let (reason, hint) = match response.status {
            401 | 403 => ("asks for credentials", Some("set credentials in `~/.netrc`, or use another URL")),
            404 | 410 => ("does not have the file", Some("correct the URL in the manifest")),
            407 => ("is behind a proxy that asks for credentials", Some("set credentials in `https_proxy`")),
            _ => ("refuses access", None),
        };
        self.unavailable(format!("the server {reason} (status {})", response.status), hint)
    }

    /// The address without the credentials that may stand in it.
    fn shown(&self) -> String {
        shown(self.url)
    }

    fn unavailable(&self, reason: String, hint: Option<&str>) -> StoreError {
        StoreError::Unavailable {
            what: self.what.to_owned(),
            reason: format!("`{}`: {reason}", self.shown()),
            hint: hint.map(str::to_owned),
        }
    }

    fn corrupt(&self, reason: String) -> StoreError {
        StoreError::Corrupt { what: format!("{}: `{}`", self.what, self.shown()), reason }
    }

    fn too_large(&self) -> StoreError {
        self.corrupt(format!("it is larger than the limit of {}", ByteSize(self.limit).display().si()))
    }
}

/// The host of an address, with its port if it has one.
pub(super) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    host.rsplit('@').next().unwrap_or(host)
}

/// An address without user, password and query, which may be secret.
pub(super) fn shown(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or(url);
    match plain.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
            let host = host.rsplit('@').next().unwrap_or(host);
            format!("{scheme}://{host}{}", path.map_or_else(String::new, |path| format!("/{path}")))
        }
        None => plain.to_owned(),
    }
}

/// A file of the same name with another ending.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    file.with_file_name(name)
}

/// As curl reads it in its configuration.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out + "\""
}

#[cfg(test)]
pub(super) mod tests;
