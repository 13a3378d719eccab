//! What it means that a map was refused: [`refused`].

mod refusal;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use super::{Case, Diagnosis, struct_ops};
use crate::object::MapInfo;
use crate::protocol::LeftOutMap;
use crate::protocol::libbpf_log;
use crate::record::Verdict;
use crate::record::{Cause, Evidence};
use refusal::RefusedMap;

/// The warning that says that a map could not be created, if there is one.
pub(super) fn failed(warnings: &[String]) -> Option<&str> {
    warnings.iter().find(|warning| libbpf_log::failed_map(warning).is_some()).map(String::as_str)
}

/// What is judged of an object that has maps alone: the first that was not created.
pub(super) fn first_left_out(case: &Case<'_>) -> Option<Diagnosis> {
    let left = case.outcome.left_out.first()?;
    let diagnosis = of_left_out(case, left);
    let evidence = Evidence { line: left.warning.clone(), subject: Some(left.map.clone()), source: None };
    Some(Diagnosis { evidence: Some(evidence), ..diagnosis })
}

/// A map that was left out.
fn of_left_out(case: &Case<'_>, left: &LeftOutMap) -> Diagnosis {
    let LeftOutMap { map, warning, context, untried } = left;
    diagnosed(&RefusedMap { case, map, warning, context, untried: *untried })
}

/// A map that libbpf could not create, by its warning. `context` are other lines of libbpf.
pub(super) fn refused(case: &Case<'_>, warning: &str, context: &[String]) -> Diagnosis {
    let subject = libbpf_log::failed_map(warning);
    diagnosed(&RefusedMap { case, map: subject.unwrap_or_default(), warning, context, untried: false })
}

fn diagnosed(refusal: &RefusedMap<'_>) -> Diagnosis {
    let subject = (!refusal.map.is_empty()).then(|| refusal.map.to_owned());
    let evidence = Evidence { subject, ..Evidence::line(refusal.warning) };
    if refusal.warning.contains("struct_ops init_kern") {
        return Diagnosis::of(Verdict::MapCreationFailed, Cause::MissingAttachTarget, evidence);
    }
    let (verdict, cause, reason) = refusal.judged();
    let diagnosis = Diagnosis::of(verdict, cause, evidence);
    match reason {
        Some(reason) => diagnosis.because(reason),
        None => diagnosis,
    }
}

/// A program that reached a map that was left out. `evidence` is the verifier's line about it.
pub(super) fn reached_left_out(case: &Case<'_>, evidence: Evidence) -> Diagnosis {
    let left = case.outcome.left_out.iter().find(|left| Some(&left.map) == evidence.subject.as_ref());
    match left {
        // What kept the map from being created says more.
        Some(left) => {
            let diagnosis = of_left_out(case, left);
            let subject = Some(left.map.clone());
            let evidence = Evidence { line: left.warning.clone(), subject, source: evidence.source };
            Diagnosis { evidence: Some(evidence), ..diagnosis }
        }
        None => Diagnosis::of(Verdict::MapCreationFailed, Cause::MissingMapType, evidence),
    }
}

/// A program with an `insn_array` of the object's own: until something has filled and frozen that map, no kernel takes a program with
/// it. Those that libbpf makes for jump tables are its own business.
pub(super) fn unfilled_insn_array(case: &Case<'_>, line: &str) -> Option<Diagnosis> {
    let (program, object) = (case.program?, case.object?);
    let is_array = |map: &&MapInfo| map.map_type.as_deref() == Some("insn_array") && program.maps.contains(&map.name);
    let map = object.maps.iter().find(is_array)?;
    let reason = format!(
        "map `{}`: its own loader must fill an insn_array with instruction offsets and freeze it before it loads the \
    program: {line}",
        map.name
    );
    let evidence = Evidence::line(line).about(&map.name);
    Some(Diagnosis::of(Verdict::HarnessLimit, Cause::NeedsLoader, evidence).because(reason))
}

/// A struct_ops program whose map was left out has nowhere to go; what kept the map out is the reason.
pub(super) fn left_out_struct_ops(case: &Case<'_>) -> Option<Diagnosis> {
    case.outcome.warnings.iter().find(|warning| warning.contains("isn't referenced anywhere"))?;
    // A program that no map points to is its loader's business, regardless of the maps.
    let own = case.program.map(|program| &program.struct_ops);
    let is_own = |left: &&LeftOutMap| own.is_none_or(|own| own.contains(&left.map));
    let mut left_out = case.outcome.left_out.iter().filter(is_own);
    if let Some(left) = left_out.clone().find(|left| left.warning.contains("struct_ops")) {
        return Some(struct_ops::refused(case, &left.warning));
    }
    let maps = &case.object?.struct_ops;
    let left = left_out.find(|left| maps.iter().any(|map| map.name == left.map))?;
    Some(of_left_out(case, left))
}
