//! [`Request`]s and [`Answer`]s, each a line of JSON.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Trouble;
use crate::settings::Settings;

const PROTOCOL: u32 = 1;

#[derive(Debug, Deserialize)]
#[serde(tag = "request", rename_all = "lowercase")]
pub enum Request {
    Open(Open),
    Load(Load),
}

#[derive(Debug, Deserialize)]
pub struct Open {
    pub protocol: u32,
    pub path: String,
    /// What to relocate against instead of the kernel's BTF.
    pub kernel_btf: Option<String>,
    #[serde(default)]
    pub settings: Settings,
    /// Maps that the object is given in place of its own, and where they are pinned.
    #[serde(default)]
    pub reuse: BTreeMap<String, PathBuf>,
}

#[derive(Debug, Deserialize)]
pub struct Load {
    pub program: String,
    #[serde(default)]
    pub log_level: u32,
}

#[derive(Debug, Serialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum Answer {
    Opened {
        #[serde(flatten)]
        library: Library,
        programs: Vec<String>,
        log: &'static str,
    },
    Loaded {
        id: u32,
    },
    Failed {
        #[serde(flatten)]
        library: Option<Library>,
        error: String,
    },
    Unsupported {
        #[serde(flatten)]
        library: Option<Library>,
        error: String,
    },
}

/// The library gives the kernel room for a log only once a load has failed.
pub const AFTER_FAILURE: &str = "after_failure";

/// Which library answers; in answers to `open`.
#[derive(Debug, Serialize)]
pub struct Library {
    loader: &'static str,
    version: &'static str,
}

pub const LIBRARY: Library = Library { loader: "aya", version: env!("AYA_VERSION") };

pub struct Messages<R, W> {
    requests: R,
    answers: W,
}

impl<R: BufRead, W: Write> Messages<R, W> {
    pub fn new(requests: R, answers: W) -> Self {
        Self { requests, answers }
    }

    /// The next request; `None` at the end of the input.
    pub fn request(&mut self) -> Result<Option<Request>, Trouble> {
        let mut line = Vec::new();
        if self.requests.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let request = serde_json::from_slice(&line).map_err(|error| format!("request: {error}"))?;
        match request {
            Request::Open(Open { protocol, .. }) if protocol != PROTOCOL => {
                Err(format!("protocol {protocol} is asked for, this loader knows {PROTOCOL}").into())
            }
            request => Ok(Some(request)),
        }
    }

    pub fn answer(&mut self, answer: &Answer) -> Result<(), Trouble> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        self.answers.write_all(&line)?;
        Ok(self.answers.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Result<Option<Request>, Trouble> {
        Messages::new(line.as_bytes(), Vec::new()).request()
    }

    #[test]
    fn requests_may_have_unknown_keys_and_lack_optional_ones() {
        let open = request(r#"{"request":"open","protocol":1,"object":"x","path":"/x.o","later":{"a":[1]}}"#);
        assert!(matches!(open, Ok(Some(Request::Open(Open { kernel_btf: None, .. })))));
        let load = request(r#"{"request":"load","program":"p","log_level":4,"log_size":16777216}"#);
        assert!(matches!(load, Ok(Some(Request::Load(Load { log_level: 4, .. })))));
        assert!(matches!(request(""), Ok(None)));
    }

    #[test]
    fn requests_of_another_protocol_are_trouble() {
        assert!(request(r#"{"request":"open","protocol":2,"path":"/x.o"}"#).is_err());
        assert!(request(r#"{"request":"close"}"#).is_err());
    }

    #[test]
    fn answers_are_lines_of_the_protocol() {
        let lines = |answer: &Answer| {
            let mut messages = Messages::new(&b""[..], Vec::new());
            messages.answer(answer).expect("a vector takes everything");
            String::from_utf8(messages.answers).expect("JSON is UTF-8")
        };
        let library = Library { loader: "aya", version: "1.2" };
        let opened = lines(&Answer::Opened { library, programs: vec!["p".to_owned()], log: AFTER_FAILURE });
        let expected = "{\"answer\":\"opened\",\"loader\":\"aya\",\"version\":\"1.2\",\"programs\":[\"p\"],\"log\":\"after_failure\"}\n";
        assert_eq!(opened, expected);
        assert_eq!(lines(&Answer::Loaded { id: 17 }), "{\"answer\":\"loaded\",\"id\":17}\n");
        let failed = lines(&Answer::Failed { library: None, error: "no".to_owned() });
        assert_eq!(failed, "{\"answer\":\"failed\",\"error\":\"no\"}\n");
    }
}
