//! What it means that a map was refused: [`refused`].

use super::{Case, Diagnosis, struct_ops};
use crate::cause::{Cause, Evidence};
use crate::libbpf_log;
use crate::verdict::Verdict;

/// Endings of libbpf's warning about a map that the kernel does not know.
const UNKNOWN_MAP: [&str; 3] = ["-EINVAL", "-ENOTSUPP", "-EOPNOTSUPP"];

/// The warning that says that a map could not be created, if there is one.
pub(super) fn failed(warnings: &[String]) -> Option<&str> {
    const WORDS: [&str; 3] = ["failed to create: ", "failed to create inner map", "failed to initialize slot"];
    let failed = |warning: &&String| WORDS.iter().any(|words| warning.contains(words));
    warnings.iter().find(failed).map(String::as_str)
}

/// A map that libbpf could not create, by its warning.
pub(super) fn refused(_case: &Case<'_>, warning: &str) -> Diagnosis {
    let cause = match warning {
        _ if warning.contains("struct_ops") => Cause::MissingAttachTarget,
        _ if UNKNOWN_MAP.iter().any(|errno| warning.ends_with(errno)) => Cause::MissingMapType,
        // Memory that is locked is limited for kernels before 5.11, and it is we who lift the limit.
        _ if warning.ends_with("-EPERM") || warning.ends_with("-ENOMEM") => Cause::Harness,
        _ => Cause::Unrecognised,
    };
    let subject = libbpf_log::failed_map(warning).map(str::to_owned);
    Diagnosis::of(Verdict::MapCreationFailed, cause, Evidence { subject, ..Evidence::line(warning) })
}

/// A program that reached a map that was left out. `evidence` is the verifier's line about it.
pub(super) fn reached_left_out(case: &Case<'_>, evidence: Evidence) -> Diagnosis {
    let left = case.outcome.left_out.iter().find(|left| Some(&left.map) == evidence.subject.as_ref());
    match left {
        // What kept the map from being created says more.
        Some(left) => {
            let diagnosis = refused(case, &left.warning);
            let subject = Some(left.map.clone());
            let evidence = Evidence { line: left.warning.clone(), subject, source: evidence.source };
            Diagnosis { evidence: Some(evidence), ..diagnosis }
        }
        None => Diagnosis::of(Verdict::MapCreationFailed, Cause::MissingMapType, evidence),
    }
}

/// A struct_ops program whose map was left out has nowhere to go; what kept the map out is the reason.
pub(super) fn left_out_struct_ops(case: &Case<'_>) -> Option<Diagnosis> {
    case.outcome.warnings.iter().find(|warning| warning.contains("isn't referenced anywhere"))?;
    let left = case.outcome.left_out.iter().find(|left| left.warning.contains("struct_ops"))?;
    Some(struct_ops::refused(case, &left.warning))
}
