//! What corematrix and a loader say to each other: one line of JSON each. `images/loaders/README.md` documents it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use corematrix_record::LoadingRecord;
use serde::{Deserialize, Serialize};

/// The version of the protocol.
const PROTOCOL: u32 = 1;

/// From corematrix to a loader.
#[derive(Serialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request<'a> {
    /// Read an object.
    Open {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Its name.
        object: &'a str,
        /// The file.
        path: &'a str,
        /// The types to relocate with, if not the kernel's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        kernel_btf: Option<&'a str>,
        /// What the object's own loader does to it.
        #[serde(skip_serializing_if = "Option::is_none")]
        settings: Option<&'a LoadingRecord>,
        /// Maps that the object is given in place of its own: where each is pinned.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        reuse: &'a BTreeMap<String, PathBuf>,
    },
    /// Load a program, and drop the one before.
    Load {
        /// Its name.
        program: &'a str,
        /// As the kernel takes it.
        log_level: u32,
        /// Bytes of room for the verifier's log.
        log_size: u32,
    },
}

/// From a loader.
#[derive(Debug, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The object was read.
    Opened {
        /// The library.
        loader: String,
        /// Its version.
        #[serde(default)]
        version: String,
        /// When the library gives the kernel room for a log.
        #[serde(default)]
        log: LogTime,
    },
    /// The program was loaded.
    Loaded {
        /// The kernel's number of it.
        id: u32,
    },
    /// The library refused, or the kernel did.
    Failed {
        /// The library, in the answer to the first request.
        #[serde(default)]
        loader: String,
        /// Its version.
        #[serde(default)]
        version: String,
        /// The library's words.
        error: String,
    },
    /// The library has no way to do that.
    Unsupported {
        /// The library, in the answer to the first request.
        #[serde(default)]
        loader: String,
        /// Its version.
        #[serde(default)]
        version: String,
        /// What it cannot do.
        error: String,
    },
}

/// When a library gives the kernel room for the verifier's log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogTime {
    /// With the first `BPF_PROG_LOAD`.
    #[default]
    First,
    /// Once that has failed, so that a program that loads has no log.
    AfterFailure,
}

impl<'a> Request<'a> {
    /// The first request.
    pub fn open(
        object: &'a str,
        path: &'a str,
        kernel_btf: Option<&'a str>,
        settings: &'a LoadingRecord,
        reuse: &'a BTreeMap<String, PathBuf>,
    ) -> Self {
        let settings = (!settings.is_empty()).then_some(settings);
        Request::Open { protocol: PROTOCOL, object, path, kernel_btf, settings, reuse }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_lines_of_json() {
        let text = |request: &Request<'_>| serde_json::to_string(request).expect("serialises");
        let nothing = LoadingRecord::default();
        assert_eq!(
            text(&Request::open("o", "/o", None, &nothing, &BTreeMap::new())),
            r#"{"request":"open","protocol":1,"object":"o","path":"/o"}"#
        );
        let reused = BTreeMap::from([("m".to_owned(), PathBuf::from("/sys/fs/bpf/0"))]);
        assert_eq!(
            text(&Request::open("o", "/o", None, &nothing, &reused)),
            r#"{"request":"open","protocol":1,"object":"o","path":"/o","reuse":{"m":"/sys/fs/bpf/0"}}"#
        );
        assert_eq!(
            text(&Request::Load { program: "p", log_level: 4, log_size: 10 }),
            r#"{"request":"load","program":"p","log_level":4,"log_size":10}"#
        );
    }

    #[test]
    fn answers_may_hold_more_than_is_known() {
        let answer: Answer = serde_json::from_str(r#"{"answer":"loaded","id":7,"more":[1]}"#).expect("an answer");
        assert!(matches!(answer, Answer::Loaded { id: 7 }));
        let answer: Answer = serde_json::from_str(r#"{"answer":"failed","error":"no"}"#).expect("an answer");
        assert!(matches!(answer, Answer::Failed { error, .. } if error == "no"));
        let answer: Answer =
            serde_json::from_str(r#"{"answer":"opened","loader":"l","log":"after_failure"}"#).expect("so");
        assert!(matches!(answer, Answer::Opened { log: LogTime::AfterFailure, .. }));
        let answer: Answer = serde_json::from_str(r#"{"answer":"opened","loader":"l"}"#).expect("an answer");
        assert!(matches!(answer, Answer::Opened { log: LogTime::First, .. }));
        assert!(serde_json::from_str::<Answer>(r#"{"answer":"maybe"}"#).is_err());
    }
}
