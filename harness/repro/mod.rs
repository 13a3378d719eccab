//! [`compare`]: whether a program failed here as it failed in a run, and [`Conditions`]: what was different.
//!
//! Pure: whoever reproduces a cell brings the record of the run and that of the try.

use std::fmt;

use crate::record::Cause;
use crate::record::{Blame, Verdict};
use crate::record::{KernelIdentity, ProgramRecord, ToolRecord};

/// What became of one program in the run and here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReproComparison {
    /// The program.
    pub program: String,
    /// How it ended in the run; `None` where there was no run.
    pub recorded: Option<Fate>,
    /// How it ended here.
    pub here: Fate,
}

/// How a program ended. Displays as `verifier rejected (possible null pointer)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// The verdict.
    pub verdict: Verdict,
    /// The cause.
    pub cause: Option<Cause>,
    /// What the cause is about; names it, and decides nothing.
    pub subject: Option<String>,
}

/// How a try to reproduce a failure ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReproOutcome {
    /// As in the run.
    Same,
    /// Not as in the run.
    Differs,
    /// Nothing is known: corematrix or the machine failed.
    Unjudged,
}

impl Fate {
    /// How a program ended.
    pub fn of(program: &ProgramRecord) -> Fate {
        let subject = program.evidence.as_ref().and_then(|evidence| evidence.subject.clone());
        Fate { verdict: program.verdict, cause: program.cause, subject }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        match (&self.cause, &self.subject) {
            (Some(cause), Some(subject)) => write!(f, " ({cause}: `{subject}`)"),
            (Some(cause), None) => write!(f, " ({cause})"),
            (None, _) => Ok(()),
        }
    }
}

impl ReproComparison {
    /// Whether it is the same verdict for the same cause; one without a run is the same as itself.
    pub fn outcome(&self) -> ReproOutcome {
        // A limit of the harness is the same everywhere, and a fault of it does not count.
        if self.here.verdict.blame() == Blame::Harness && self.here.verdict != Verdict::HarnessLimit {
            return ReproOutcome::Unjudged;
        }
        match &self.recorded {
            None => ReproOutcome::Same,
            Some(recorded) if (recorded.verdict, recorded.cause) == (self.here.verdict, self.here.cause) => {
                ReproOutcome::Same
            }
            Some(_) => ReproOutcome::Differs,
        }
    }
}

/// Compares what became of a program. `recorded` is `None` where there was no run.
pub fn compare(recorded: Option<&ProgramRecord>, here: &ProgramRecord) -> ReproComparison {
    ReproComparison { program: here.name.clone(), recorded: recorded.map(Fate::of), here: Fate::of(here) }
}

/// Everything that a verdict may depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions<'a> {
    /// SHA-256 of the object.
    pub object: &'a str,
    /// The kernel; `None` if it never got ready.
    pub kernel: Option<&'a KernelIdentity>,
    /// The programs that took part.
    pub tool: &'a ToolRecord,
    /// The processor, if it is known.
    pub cpu: Option<&'a str>,
}

/// A condition that is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputDifference {
    /// What: `libbpf`.
    pub what: &'static str,
    /// In the run.
    pub recorded: String,
    /// Here.
    pub here: String,
}

impl Conditions<'_> {
    /// What is different here, what matters most first. What one side does not know counts as equal.
    pub fn differences(&self, here: &Conditions<'_>) -> Vec<InputDifference> {
        let mut found = Vec::new();
        let mut compare = |what, recorded: Option<&str>, here: Option<&str>| match (recorded, here) {
            (Some(recorded), Some(here)) if recorded != here => {
                found.push(InputDifference { what, recorded: recorded.to_owned(), here: here.to_owned() });
            }
            _ => {}
        };
        let (then, now) = (self.kernel, here.kernel);
        compare("object (sha256)", Some(self.object), Some(here.object));
        compare("kernel release", then.map(|kernel| &*kernel.release), now.map(|kernel| &*kernel.release));
        compare(
            "kernel image (sha256)",
            then.map(|kernel| &*kernel.image_sha256),
            now.map(|kernel| &*kernel.image_sha256),
        );
        let config = |kernel: Option<&KernelIdentity>| kernel.and_then(|kernel| kernel.config_sha256.clone());
        compare("kernel config (sha256)", config(then).as_deref(), config(now).as_deref());
        compare("libbpf", Some(&self.tool.libbpf), Some(&here.tool.libbpf));
        compare("corematrix", Some(&self.tool.corematrix), Some(&here.tool.corematrix));
        compare("virtme-ng", Some(&self.tool.virtme_ng), Some(&here.tool.virtme_ng));
        compare("QEMU", Some(&self.tool.qemu), Some(&here.tool.qemu));
        compare("accelerator", Some(&self.tool.accel), Some(&here.tool.accel));
        // Under emulation the guest's processor is QEMU's own.
        if here.tool.accel != "tcg" || self.tool.accel != "tcg" {
            compare("CPU", self.cpu, here.cpu);
        }
        found
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::sample;

    fn program(verdict: Verdict, cause: Option<Cause>) -> ProgramRecord {
        let mut record = sample::record().cells[0].programs[0].clone();
        (record.verdict, record.cause) = (verdict, cause);
        record
    }

    #[test]
    fn verdict_and_cause_decide() {
        let rejected = |cause| program(Verdict::VerifierRejected, Some(cause));
        let outcome = |recorded: &ProgramRecord, here: &ProgramRecord| compare(Some(recorded), here).outcome();
        let null = rejected(Cause::MemoryNull);
        assert_eq!(outcome(&null, &null), ReproOutcome::Same);
        assert_eq!(outcome(&null, &rejected(Cause::MemoryStack)), ReproOutcome::Differs);
        assert_eq!(outcome(&null, &program(Verdict::Loaded, None)), ReproOutcome::Differs);
        assert_eq!(outcome(&null, &program(Verdict::NotRun, None)), ReproOutcome::Unjudged);
        assert_eq!(outcome(&null, &program(Verdict::HarnessError, Some(Cause::Harness))), ReproOutcome::Unjudged);
        let limit = program(Verdict::HarnessLimit, Some(Cause::NeedsLoader));
        assert_eq!(outcome(&limit, &limit), ReproOutcome::Same);
        assert_eq!(compare(None, &null).outcome(), ReproOutcome::Same);
    }

    #[test]
    fn everything_that_differs_is_named() {
        let record = sample::record();
        let identity = record.kernels.iter().find_map(|kernel| kernel.identity.clone()).unwrap();
        let then = Conditions { object: "aa", kernel: Some(&identity), tool: &record.tool, cpu: Some("one") };
        assert!(then.differences(&then.clone()).is_empty());
        let mut tool = record.tool.clone();
        tool.libbpf = "9.9.9".to_owned();
        tool.accel = "kvm".to_owned();
        let other = KernelIdentity { image_sha256: "bb".to_owned(), config_sha256: None, ..identity.clone() };
        let here = Conditions { object: "bb", kernel: Some(&other), tool: &tool, cpu: Some("two") };
        let found: Vec<&str> = then.differences(&here).iter().map(|one| one.what).collect();
        assert_eq!(found, ["object (sha256)", "kernel image (sha256)", "libbpf", "accelerator", "CPU"]);
        let unknown = Conditions { kernel: None, cpu: None, ..then.clone() };
        assert!(then.differences(&unknown).is_empty());
    }
}
