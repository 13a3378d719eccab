//! [`VerifierFailure`]: what the verifier complains about, and where.

use serde::{Deserialize, Serialize};

use super::explanation::{ExplanationReader, VerifierExplanation};
use super::line::LogLine;

/// A complaint is a few lines; of a log that is no log this many are kept.
const MAX_SAID: usize = 32;

/// What the verifier complains about, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifierFailure {
    /// The complaint. Where there are several lines it is the first, which is the most specific.
    pub message: String,
    /// Every line of the complaint, the message among them.
    pub said: Vec<String>,
    /// The instruction it was at, numbered as the verifier does: after subprograms were appended.
    pub insn: Option<u32>,
    /// The instruction's text: `(71) r0 = *(u8 *)(r0 +3)`.
    pub insn_text: Option<String>,
    /// The source line that the instruction belongs to.
    pub source_text: Option<String>,
    /// Its file and line; kernels before 6.8 do not say.
    pub source_place: Option<(String, u32)>,
    /// The verifier's own explanation, which kernels from 7.x on add.
    pub explanation: Option<VerifierExplanation>,
}

/// What has been read so far.
#[derive(Default)]
struct Scan<'a> {
    said: Vec<&'a str>,
    insn: Option<(u32, &'a str)>,
    source: Option<(&'a str, Option<(&'a str, u32)>)>,
    explanation: Option<VerifierExplanation>,
    reader: Option<ExplanationReader>,
}

impl VerifierFailure {
    /// The failure that `log` shows; `None` if it complains of nothing. Takes time linear in the log's length.
    pub fn read(log: &str) -> Option<VerifierFailure> {
        let mut scan = Scan::default();
        for line in log.lines() {
            scan.take(line);
        }
        scan.finish()
    }
}

impl<'a> Scan<'a> {
    fn take(&mut self, line: &'a str) {
        if let Some(reader) = &mut self.reader {
            if reader.take(line) {
                return;
            }
            self.explanation = self.reader.take().map(ExplanationReader::finish);
        }
        match LogLine::read(line) {
            LogLine::Instruction { index, text } => {
                self.go_on();
                self.insn = Some((index, text));
            }
            LogLine::Source { text, place } => {
                self.go_on();
                self.source = (!text.is_empty()).then_some((text, place));
            }
            // The verifier went on after anything that was logged before.
            LogLine::Branch(_) => self.go_on(),
            LogLine::Words(words) => {
                self.reader = ExplanationReader::begin(words);
                if self.reader.is_none() && self.said.len() < MAX_SAID {
                    self.said.push(words.trim());
                }
            }
            LogLine::Blank | LogLine::State | LogLine::Backtrack | LogLine::Statistics | LogLine::Noise => {}
        }
    }

    fn go_on(&mut self) {
        self.said.clear();
        self.explanation = None;
    }

    fn finish(self) -> Option<VerifierFailure> {
        let explanation = self.reader.map(ExplanationReader::finish).or(self.explanation);
        let message = match (self.said.first(), &explanation) {
            (Some(first), _) => (*first).to_owned(),
            (None, Some(explanation)) => explanation.summary.clone(),
            (None, None) => return None,
        };
        let place = self.source.and_then(|(_, place)| place).map(|(file, line)| (file.to_owned(), line));
        Some(VerifierFailure {
            message,
            said: self.said.iter().map(|line| (*line).to_owned()).collect(),
            insn: self.insn.map(|(index, _)| index),
            insn_text: self.insn.map(|(_, text)| text.to_owned()),
            source_text: self.source.map(|(text, _)| text.to_owned()),
            source_place: place.or_else(|| explanation.as_ref()?.place.clone()),
            explanation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_of_a_program_that_loads_tells_of_no_failure() {
        let log = "arg#0 reference type('UNKNOWN ') size cannot be determined: -22\n0: R1=ctx() R10=fp0\n0: (b7) r0 = 0\n\
                   1: (95) exit\nFunc#1 ('sum_of') is safe for any args that match its prototype\n\
                   processed 2 insns (limit 1000000) max_states_per_insn 0\n";
        assert_eq!(VerifierFailure::read(log), None);
        assert_eq!(VerifierFailure::read(""), None);
    }

    #[test]
    fn what_is_said_before_the_verifier_goes_on_is_no_complaint() {
        let log = "5: (85) call pc+3\nsomething of no importance\n6: (95) exit\nR0 !read_ok\nprocessed 2 insns\n";
        let failure = VerifierFailure::read(log).expect("a failure");
        assert_eq!((failure.message.as_str(), failure.insn), ("R0 !read_ok", Some(6)));
        assert_eq!(failure.said, ["R0 !read_ok"]);
    }
}
