//! [`advice`]: the story of what failed, from the types of the run's kernels; [`of_danger`]: of what is silently wrong.

use super::Facts;
use crate::cause::Cause;
use crate::explain::{self, AttachTarget, Danger, Explanation, LocalSpec, WantedFeature};
use crate::object::ProgramInfo;
use crate::probe::Feature;
use crate::record::{DangerRecord, ProgramRecord};

/// What a program's failure means on the kernels of the run; `None` where types have no answer.
pub fn advice(facts: &Facts<'_>, program: &ProgramRecord, asked: Option<usize>) -> Option<Explanation> {
    let (matrix, failed) = (facts.matrix, facts.kernel().name.as_str());
    let cause = program.cause?;
    if let Some((feature, name)) = feature_in_question(facts, program, cause) {
        let told = feature_story(facts, program, feature, &name);
        return (!told.presence.is_empty()).then_some(told);
    }
    if matrix.is_empty() {
        return None;
    }
    let subject = program.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref());
    match cause {
        Cause::MissingField | Cause::MissingType | Cause::MissingEnumValue | Cause::UnresolvedRelocation => {
            let types = facts.types?;
            let spec = LocalSpec::of(types.relocations.get(asked?)?, &types.btf)?;
            explain::relocation(&spec, &types.btf, matrix, failed)
        }
        Cause::MissingKfunc | Cause::MissingKsym => Some(explain::ksym(subject?, matrix, failed)),
        Cause::MissingAttachTarget if subject.is_some_and(|subject| subject.starts_with("struct bpf_struct_ops_")) => {
            Some(explain::struct_ops(subject?.trim_start_matches("struct bpf_struct_ops_"), matrix, failed))
        }
        Cause::MissingAttachTarget | Cause::ContextArgumentChanged => {
            let target = AttachTarget::from_section(&program.section)?;
            Some(explain::target(&target, matrix, failed))
        }
        _ => None,
    }
}

/// The BPF feature that a program failed for, by its name.
fn feature_in_question(facts: &Facts<'_>, program: &ProgramRecord, cause: Cause) -> Option<(Feature, String)> {
    let evidence = program.evidence.as_ref();
    let subject = evidence.and_then(|evidence| evidence.subject.as_deref());
    match cause {
        Cause::UnknownHelper | Cause::ForbiddenHelper => {
            let line = evidence.map_or("", |evidence| evidence.line.as_str());
            // A helper may be forbidden for other reasons, such as the program's licence.
            let by_type = line.contains("unknown func ") || line.contains("cannot use helper ");
            if cause == Cause::ForbiddenHelper && !by_type {
                return None;
            }
            let (name, number) = subject?.split_once('#')?;
            // A kernel without the helper knows its number only.
            let known = Feature::Helper.known().into_iter().find(|(known, _)| Some(*known) == number.parse().ok());
            Some((Feature::Helper, known.map_or_else(|| name.to_owned(), |(_, name)| name)))
        }
        Cause::MissingMapType => {
            let map = facts.inventory?.maps.iter().find(|map| Some(map.name.as_str()) == subject)?;
            Some((Feature::MapType, map.map_type.clone()?))
        }
        // Kernels that know no callbacks say nothing of the helper: the call's function is one too many for them.
        Cause::UnsupportedCallForm if evidence.is_some_and(|evidence| evidence.line.contains("func_info")) => {
            let called = &of_inventory(facts, program)?.helpers;
            let known = Feature::Helper.known().into_iter().filter(|(number, _)| called.contains(number));
            let lacks = |name: &String| {
                let told = feature_story(facts, program, Feature::Helper, name);
                told.presence.iter().any(|on| on.kernel == facts.kernel().name && !on.presence.is_present())
            };
            let mut callbacks = known.map(|(_, name)| name).filter(|name| explain::takes_callback(name));
            Some((Feature::Helper, callbacks.find(lacks)?))
        }
        Cause::MissingProgramType => Some((Feature::ProgramType, of_inventory(facts, program)?.prog_type.clone()?)),
        Cause::MissingAttachType => Some((Feature::AttachType, of_inventory(facts, program)?.attach_type.clone()?)),
        _ => None,
    }
}

/// What to do about a danger of a program that loads; `None` where types have no answer.
pub fn of_danger(facts: &Facts<'_>, danger: &DangerRecord) -> Option<Explanation> {
    match &danger.difference {
        Danger::ValueChanged { local, .. } => {
            let (in_enum, name) = danger.subject.strip_prefix("enum ")?.split_once("::")?;
            explain::enumerator((in_enum, name, *local), facts.matrix, &facts.kernel().name)
        }
        Danger::MissingElsewhere { kernels } => {
            let types = facts.types?;
            let spec = LocalSpec::of(types.relocations.get(danger.relocation?)?, &types.btf)?;
            explain::relocation(&spec, &types.btf, facts.matrix, kernels.first()?)
        }
        _ => None,
    }
}

/// What the kernels of the run have of a feature that a program asks for.
fn feature_story(facts: &Facts<'_>, program: &ProgramRecord, feature: Feature, name: &str) -> Explanation {
    let program_type = of_inventory(facts, program).and_then(|known| known.prog_type.as_deref());
    explain::feature(WantedFeature { feature, name, program_type }, &facts.features(), &facts.kernel().name)
}

/// What the object says of a program.
fn of_inventory<'a>(facts: &Facts<'a>, program: &ProgramRecord) -> Option<&'a ProgramInfo> {
    facts.inventory?.programs.iter().find(|known| known.name == program.name)
}
