//! [`diagnose`]: turns what the guest observed of a program into a verdict and a reason.
//!
//! libbpf reports nearly everything as EINVAL, so the texts decide, in an order that puts the most specific evidence first:
//! the verifier log's own words, then libbpf's warnings, then the bare errno.

use crate::cause::{self, Cause, Evidence};
use crate::libbpf_log;
use crate::protocol::{ProgramOutcome, Stage};
use crate::verdict::Verdict;
use crate::verifier::Failure;

/// A verdict with the line it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, as one line; `None` only for a program that was loaded.
    pub reason: Option<String>,
    /// Why, out of a closed set; `None` only for a program that was loaded.
    pub cause: Option<Cause>,
    /// What the cause rests on; `None` where there is nothing but the verdict.
    pub evidence: Option<Evidence>,
}

impl Diagnosis {
    fn because(verdict: Verdict, reason: impl Into<String>) -> Self {
        Diagnosis { verdict, reason: Some(reason.into()), cause: Cause::of(verdict), evidence: None }
    }
}

/// Words of libbpf's warnings and the verdict that each stands for; the first hit counts.
const WARNINGS: [(&str, Verdict); 21] = [
    ("kernel BTF is missing", Verdict::MissingBtf),
    ("failed to find valid kernel BTF", Verdict::MissingBtf),
    ("Error loading vmlinux BTF", Verdict::MissingBtf),
    // The next four need something that only the object's own loader knows.
    ("missing BPF prog type", Verdict::HarnessLimit),
    ("no BTF-based attach target is specified", Verdict::HarnessLimit),
    ("attach program FD is not set", Verdict::HarnessLimit),
    // The kernel's package ships no config, which on a real machine is there.
    ("failed to open system Kconfig", Verdict::HarnessLimit),
    ("struct_ops init_kern", Verdict::AttachTargetMissing),
    ("failed to find kernel BTF type ID of", Verdict::AttachTargetMissing),
    ("is not found in vmlinux BTF", Verdict::AttachTargetMissing),
    ("failed to create: ", Verdict::MapCreationFailed),
    ("failed to create inner map", Verdict::MapCreationFailed),
    ("failed to initialize slot", Verdict::MapCreationFailed),
    ("(strong): not resolved", Verdict::RelocationFailed),
    ("not found in kernel", Verdict::RelocationFailed),
    ("incompatible", Verdict::RelocationFailed),
    ("extern (kcfg)", Verdict::RelocationFailed),
    (": relo #", Verdict::RelocationFailed),
    ("target candidate search failed", Verdict::RelocationFailed),
    ("failed to perform CO-RE relocations", Verdict::RelocationFailed),
    ("failed to relocate", Verdict::RelocationFailed),
];

/// Words of a verifier log that libbpf rewrote, or of the raw log, that tell of a relocation that was poisoned and then reached.
const POISON: [&str; 4] = [
    "failed to resolve CO-RE relocation",
    "invalid CO-RE relocation",
    "unknown#195896080",
    "is referenced but wasn't resolved",
];

/// Turns an outcome and its verifier log into a verdict, a reason and a cause. `type_exists` asks the kernel's BTF.
pub fn diagnose(outcome: &ProgramOutcome, log: &str, type_exists: &dyn Fn(&str) -> Option<bool>) -> Diagnosis {
    let diagnosis = judge(outcome, log);
    let Some((cause, evidence)) = cause::find(outcome, log, diagnosis.verdict, type_exists) else { return diagnosis };
    // These verdicts rest on what was left out or probed, of which the texts say nothing.
    let cause = match diagnosis.verdict {
        Verdict::MapCreationFailed => Cause::MissingMapType,
        Verdict::UnsupportedType if outcome.type_known == Some(false) => Cause::MissingProgramType,
        Verdict::UnsupportedType => Cause::MissingAttachType,
        _ => cause,
    };
    let line = diagnosis.reason.clone().unwrap_or_default();
    let evidence = match diagnosis.verdict {
        Verdict::MapCreationFailed => {
            let subject = libbpf_log::failed_map(&line).map(str::to_owned).or(evidence.subject);
            Evidence { line, subject, source: evidence.source }
        }
        Verdict::UnsupportedType => Evidence { line, ..evidence },
        _ => evidence,
    };
    Diagnosis { cause: Some(cause), evidence: Some(evidence), ..diagnosis }
}

fn judge(outcome: &ProgramOutcome, log: &str) -> Diagnosis {
    match outcome.stage {
        Stage::Loaded => Diagnosis { verdict: Verdict::Loaded, reason: None, cause: None, evidence: None },
        Stage::Died => Diagnosis::because(Verdict::HarnessError, first(&outcome.warnings)),
        Stage::Prepare => from_warnings(&outcome.warnings)
            // Nobody is blamed without evidence.
            .unwrap_or_else(|| {
                Diagnosis::because(Verdict::HarnessError, format!("unrecognised: {}", last_words(outcome)))
            }),
        Stage::Load => from_log(outcome, log)
            .or_else(|| from_struct_ops(outcome))
            .or_else(|| from_warnings(&outcome.warnings))
            .unwrap_or_else(|| rejected(outcome, log)),
    }
}

/// Turns libbpf's warnings about an object that it could not open into a reason.
pub fn open_failure(warnings: &[String]) -> Diagnosis {
    let diagnosis = Diagnosis::because(Verdict::FailedToOpen, first(warnings));
    match cause::from_warnings(warnings) {
        Some((cause, evidence)) => Diagnosis { cause: Some(cause), evidence: Some(evidence), ..diagnosis },
        None => diagnosis,
    }
}

/// The warning that says why an object could not be prepared whole.
pub fn prepare_failure(warnings: &[String]) -> String {
    from_warnings(warnings).and_then(|diagnosis| diagnosis.reason).unwrap_or_else(|| first(warnings))
}

fn from_log(outcome: &ProgramOutcome, log: &str) -> Option<Diagnosis> {
    if let Some(line) = find(log, "is referenced but wasn't created") {
        let named = outcome.left_out.iter().find(|left| line.contains(&format!("'{}'", left.map)));
        let reason = named.map_or(line, |left| &left.warning);
        return Some(Diagnosis::because(Verdict::MapCreationFailed, reason));
    }
    // Refused before the first instruction, so that the map that is not there was never reached: a loader that creates it,
    // as most do, fails on the map.
    let left = outcome.left_out.iter().find(|left| libbpf_log::failed_map(&left.warning).is_some());
    if let Some(left) = left.filter(|_| !log.lines().any(is_instruction)) {
        return Some(Diagnosis::because(Verdict::MapCreationFailed, &left.warning));
    }
    let line = POISON.iter().find_map(|words| find(log, words))?;
    Some(Diagnosis::because(Verdict::RelocationFailed, line))
}

/// Whether a line of a verifier log shows an instruction: `12: (85) call bpf_map_lookup_elem#1`.
fn is_instruction(line: &str) -> bool {
    line.split_once(": (")
        .is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A struct_ops program whose map was left out has nowhere to go; what kept the map out is the reason.
fn from_struct_ops(outcome: &ProgramOutcome) -> Option<Diagnosis> {
    outcome.warnings.iter().find(|warning| warning.contains("isn't referenced anywhere"))?;
    let left = outcome.left_out.iter().find(|left| left.warning.contains("struct_ops"))?;
    Some(Diagnosis::because(Verdict::AttachTargetMissing, &left.warning))
}

fn from_warnings(warnings: &[String]) -> Option<Diagnosis> {
    WARNINGS.iter().find_map(|(words, verdict)| {
        let warning = warnings.iter().find(|warning| warning.contains(words))?;
        Some(Diagnosis::because(*verdict, warning))
    })
}

/// Refused, and no words of it are known: what the verifier complained about is the reason.
fn rejected(outcome: &ProgramOutcome, log: &str) -> Diagnosis {
    match Failure::read(log) {
        Some(failure) => Diagnosis::because(Verdict::VerifierRejected, failure.message),
        None if outcome.type_known == Some(false) => {
            Diagnosis::because(Verdict::UnsupportedType, "the kernel does not know this program type")
        }
        // The kernel looks at attach type and flags before the verifier begins, and says nothing.
        None if outcome.type_known == Some(true) && outcome.errno == libc::EINVAL => {
            let reason = "the kernel knows the program type, and refuses its attach type or a load flag without a word";
            Diagnosis::because(Verdict::UnsupportedType, reason)
        }
        None => {
            let reason = format!("{} (the verifier log is empty)", last_words(outcome));
            Diagnosis::because(Verdict::VerifierRejected, reason)
        }
    }
}

fn last_words(outcome: &ProgramOutcome) -> String {
    let error = std::io::Error::from_raw_os_error(outcome.errno);
    let warning = outcome.warnings.iter().find(|warning| warning.contains("BPF program load failed"));
    warning.or(outcome.warnings.first()).cloned().unwrap_or_else(|| error.to_string())
}

fn first(warnings: &[String]) -> String {
    warnings.first().cloned().unwrap_or_else(|| "libbpf gave no reason".to_owned())
}

fn find<'a>(log: &'a str, words: &str) -> Option<&'a str> {
    log.lines().find(|line| line.contains(words)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::LeftOutMap;

    fn outcome(stage: Stage, warnings: &[&str]) -> ProgramOutcome {
        ProgramOutcome {
            program: "p".into(),
            stage,
            errno: 22,
            warnings: warnings.iter().map(|warning| (*warning).to_owned()).collect(),
            left_out: Vec::new(),
            type_known: None,
            loaded: None,
            took_ms: 1,
        }
    }

    /// What the verdict and its reason are; causes have tests of their own.
    fn judged(diagnosis: &Diagnosis) -> (Verdict, Option<&str>) {
        (diagnosis.verdict, diagnosis.reason.as_deref())
    }

    const REFUSED: &str = "prog 'p': BPF program load failed: -EINVAL";

    #[test]
    fn every_warning_has_its_verdict() {
        let cases = [
            (
                "kernel BTF is missing at '/sys/kernel/btf/vmlinux', was CONFIG_DEBUG_INFO_BTF enabled?",
                Verdict::MissingBtf,
            ),
            ("prog 'p': missing BPF prog type, check ELF section name 'socket1'", Verdict::HarnessLimit),
            (
                "prog 'p': no BTF-based attach target is specified, use bpf_program__set_attach_target()",
                Verdict::HarnessLimit,
            ),
            ("struct_ops init_kern: struct bpf_x is not found in kernel BTF", Verdict::AttachTargetMissing),
            ("prog 'p': failed to find kernel BTF type ID of 'gone': -ESRCH", Verdict::AttachTargetMissing),
            ("map 'events': failed to create: -EINVAL", Verdict::MapCreationFailed),
            ("extern 'bpf_gone' (strong): not resolved", Verdict::RelocationFailed),
            ("extern (func ksym) 'f': not found in kernel or module BTFs", Verdict::RelocationFailed),
            ("prog 'p': relo #0: field offset ambiguity: 8 != 16", Verdict::RelocationFailed),
        ];
        for (warning, verdict) in cases {
            for stage in [Stage::Prepare, Stage::Load] {
                let diagnosis = diagnose(&outcome(stage, &[warning]), "", &|_| None);
                assert_eq!(judged(&diagnosis), (verdict, Some(warning)));
            }
        }
    }

    #[test]
    fn poison_that_was_reached_is_a_relocation_failure() {
        let log = "0: R1=ctx() R10=fp0\n0: <invalid CO-RE relocation>\nfailed to resolve CO-RE relocation <byte_off> [6] struct task_struct.gone (0:1 @ offset 4)\nprocessed 1 insns";
        let diagnosis = diagnose(&outcome(Stage::Load, &[REFUSED]), log, &|_| None);
        assert_eq!(diagnosis.verdict, Verdict::RelocationFailed);
        assert!(diagnosis.reason.is_some_and(|reason| reason.contains("struct task_struct.gone")));
    }

    #[test]
    fn map_that_was_left_out_counts_only_where_it_is_reached() {
        let mut tried = outcome(Stage::Load, &[REFUSED]);
        tried.left_out =
            vec![LeftOutMap { map: "events".into(), warning: "map 'events': failed to create: -EINVAL".into() }];
        let reached = diagnose(
            &tried,
            "0: <invalid BPF map reference>\nBPF map 'events' is referenced but wasn't created\n",
            &|_| None,
        );
        let warning = Some("map 'events': failed to create: -EINVAL");
        assert_eq!(judged(&reached), (Verdict::MapCreationFailed, warning));
        assert_eq!(reached.cause, Some(Cause::MissingMapType));
        let other = diagnose(&tried, "0: (95) exit\nR0 !read_ok\nprocessed 1 insns (limit 1000000)\n", &|_| None);
        assert_eq!(judged(&other), (Verdict::VerifierRejected, Some("R0 !read_ok")));
        assert_eq!(other.cause, Some(Cause::MemoryOther));
    }

    #[test]
    fn statistics_of_new_kernels_are_not_the_reason() {
        let log = "1: (79) r1 = *(u64 *)(r0 +0)\nR0 invalid mem access 'scalar'\nverification time 87 usec\nstack depth 8\n\
                   stack depth max 8\nprocessed 2 insns (limit 1000000) max_states_per_insn 0\n\n";
        assert_eq!(
            diagnose(&outcome(Stage::Load, &[REFUSED]), log, &|_| None).reason.as_deref(),
            Some("R0 invalid mem access 'scalar'")
        );
    }

    #[test]
    fn refusal_without_a_log_is_explained_by_the_probe() {
        let mut tried = outcome(Stage::Load, &[REFUSED]);
        assert_eq!(diagnose(&tried, "", &|_| None).verdict, Verdict::VerifierRejected);
        let cause = |type_known: bool, tried: &mut ProgramOutcome| {
            tried.type_known = Some(type_known);
            let diagnosis = diagnose(tried, "", &|_| None);
            (diagnosis.verdict, diagnosis.cause)
        };
        let unsupported = |cause| (Verdict::UnsupportedType, Some(cause));
        assert_eq!(cause(false, &mut tried), unsupported(Cause::MissingProgramType));
        assert_eq!(cause(true, &mut tried), unsupported(Cause::MissingAttachType));
    }

    #[test]
    fn what_is_not_recognised_blames_nobody() {
        assert_eq!(
            diagnose(&outcome(Stage::Prepare, &["something new"]), "", &|_| None).verdict,
            Verdict::HarnessError
        );
        assert_eq!(
            diagnose(&outcome(Stage::Died, &["libbpf died of signal 11"]), "", &|_| None).verdict,
            Verdict::HarnessError
        );
    }
}
