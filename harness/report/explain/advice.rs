//! [`advice`]: the story of what failed, from the types of the run's kernels; [`of_danger`]: of what is silently wrong.

use super::Facts;
use crate::cause::Cause;
use crate::explain::{self, AttachTarget, Danger, Explanation, Feature, LocalSpec};
use crate::record::{DangerRecord, ProgramRecord};

/// What a program's failure means on the kernels of the run; `None` where types have no answer.
pub fn advice(facts: &Facts<'_>, program: &ProgramRecord, asked: Option<usize>) -> Option<Explanation> {
    let (matrix, failed) = (facts.matrix, facts.kernel().name.as_str());
    if matrix.is_empty() {
        return None;
    }
    let subject = program.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref());
    match program.cause? {
        Cause::MissingField | Cause::MissingType | Cause::MissingEnumValue | Cause::UnresolvedRelocation => {
            let types = facts.types?;
            let spec = LocalSpec::of(types.relocations.get(asked?)?, &types.btf)?;
            explain::relocation(&spec, &types.btf, matrix, failed)
        }
        Cause::MissingKfunc | Cause::MissingKsym => Some(explain::ksym(subject?, matrix, failed)),
        Cause::MissingAttachTarget | Cause::ContextArgumentChanged => {
            let target = AttachTarget::from_section(&program.section)?;
            Some(explain::target(&target, matrix, failed))
        }
        Cause::UnknownHelper => {
            let (name, number) = subject?.split_once('#').unwrap_or((subject?, ""));
            // A kernel without the helper knows its number only.
            let named = number.parse().ok().and_then(|number| explain::feature_name(Feature::Helper, number, matrix));
            Some(explain::feature(Feature::Helper, named.as_deref().unwrap_or(name), matrix, failed))
        }
        Cause::MissingMapType => {
            let map = facts.inventory?.maps.iter().find(|map| Some(map.name.as_str()) == subject)?;
            Some(explain::feature(Feature::MapType, map.map_type.as_deref()?, matrix, failed))
        }
        Cause::MissingProgramType => {
            let known = facts.inventory?.programs.iter().find(|known| known.name == program.name)?;
            Some(explain::feature(Feature::ProgramType, known.prog_type.as_deref()?, matrix, failed))
        }
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
