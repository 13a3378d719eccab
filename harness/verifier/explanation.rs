//! [`VerifierExplanation`]: the verifier's own explanation of a failure, which kernels from 7.x on add to their complaint.

use serde::{Deserialize, Serialize};

/// How an explanation begins.
const START: &str = "Verification failed: ";

/// The verifier's own explanation of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VerifierExplanation {
    /// Class and title: `Resource Lifetime Safety: Unreleased resource`.
    pub summary: String,
    /// What is wrong, in one line.
    pub reason: Option<String>,
    /// What the kernel suggests, in one line.
    pub suggestion: Option<String>,
    /// The source file and line it points to.
    pub place: Option<(String, u32)>,
}

/// Reads an explanation line by line.
#[derive(Debug, Default)]
pub(super) struct ExplanationReader {
    explanation: VerifierExplanation,
    /// Under which heading the lines are.
    heading: String,
}

impl ExplanationReader {
    /// A reader, if `line` begins an explanation.
    pub(super) fn begin(line: &str) -> Option<Self> {
        let summary = line.strip_prefix(START)?.trim().to_owned();
        Some(ExplanationReader {
            explanation: VerifierExplanation { summary, ..VerifierExplanation::default() },
            heading: String::new(),
        })
    }

    /// Takes a line in; `false` if it no longer belongs to the explanation.
    pub(super) fn take(&mut self, line: &str) -> bool {
        let line = line.trim_end();
        let bare = line.trim_start();
        if bare.is_empty() {
            return true;
        }
        if bare.len() == line.len() {
            // Headings are short; complaints that follow are sentences.
            let heading = line.strip_suffix(':').filter(|heading| heading.split(' ').count() <= 3);
            self.heading = heading.unwrap_or_default().to_owned();
            return heading.is_some();
        }
        match self.heading.as_str() {
            "Reason" => append(&mut self.explanation.reason, bare),
            "Suggestion" => append(&mut self.explanation.suggestion, bare),
            "At" if self.explanation.place.is_none() => self.explanation.place = place(bare),
            _ => {}
        }
        true
    }

    /// What was read.
    pub(super) fn finish(self) -> VerifierExplanation {
        self.explanation
    }
}

/// The kernel wraps its sentences.
fn append(sentence: &mut Option<String>, line: &str) {
    /// No kernel writes more; a log that does is no kernel's.
    const MAX: usize = 4096;
    let sentence = sentence.get_or_insert_default();
    if sentence.len() < MAX {
        if !sentence.is_empty() {
            sentence.push(' ');
        }
        sentence.push_str(line);
    }
}

/// `null_unchecked @ memory.bpf.c:31:30`
fn place(line: &str) -> Option<(String, u32)> {
    let (_, place) = line.rsplit_once(" @ ")?;
    let (place, _column) = place.rsplit_once(':')?;
    let (file, line) = place.rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?))
}
