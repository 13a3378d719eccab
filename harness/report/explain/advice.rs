//! [`advice`]: the story of what failed, from the types of the run's kernels; [`of_danger`]: of what is silently wrong.

use super::CellFacts;
use crate::explain::{self, AttachTarget, Ksym, LocalSpec, WantedFeature};
use crate::feature::Feature;
use crate::object::ProgramInfo;
use crate::record::Cause;
use crate::record::Danger;
use crate::record::Explanation;
use crate::record::{DangerRecord, ProgramRecord, Snippet, SnippetPlace};

/// What a program's failure means on the kernels of the run; `None` where there is nothing to say.
pub fn advice(facts: &CellFacts<'_>, program: &ProgramRecord, asked: Option<usize>) -> Option<Explanation> {
    let mut explanation = for_libbpf(facts, program, asked)?;
    if facts.object().loader.is_some() {
        // Code that calls libbpf is of no use to another loader; hints name what that library has.
        explanation.snippets.retain(|snippet| snippet.place == SnippetPlace::Program);
    }
    explanation.proof = (facts.prove)(&explanation);
    Some(explanation)
}

/// Whether a loader that uses libbpf would need code for this.
pub fn asks_loader(facts: &CellFacts<'_>, program: &ProgramRecord, asked: Option<usize>) -> bool {
    let is_for_loader = |snippet: &Snippet| snippet.place == SnippetPlace::Loader;
    for_libbpf(facts, program, asked).is_some_and(|explanation| explanation.snippets.iter().any(is_for_loader))
}

fn for_libbpf(facts: &CellFacts<'_>, program: &ProgramRecord, asked: Option<usize>) -> Option<Explanation> {
    let (matrix, failed) = (facts.matrix, facts.kernel().name.as_str());
    let cause = program.cause?;
    // What kernels' BTF shows is no reason where none of them was asked.
    if super::own_btf(facts, program).is_some() {
        return None;
    }
    if let Some((feature, name)) = feature_in_question(facts, program, cause) {
        let explanation = feature_story(facts, program, feature, &name);
        return (!explanation.presence.is_empty() || !explanation.notes.is_empty()).then_some(explanation);
    }
    if let Some(explanation) = rule(facts, program, cause) {
        return Some(explanation);
    }
    if matrix.is_empty() {
        return None;
    }
    let subject = program.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref());
    match cause {
        Cause::MissingField | Cause::MissingType | Cause::MissingEnumValue | Cause::UnresolvedRelocation => {
            let types = facts.types?;
            let spec = LocalSpec::of(types.relocations.get(asked?)?, &types.btf)?;
            explain::relocation(&spec, &types.btf, matrix, facts.known, failed)
        }
        Cause::MissingKfunc | Cause::MissingKsym => {
            let asked = Ksym { name: subject?, local: facts.types.map(|types| &types.btf) };
            Some(explain::ksym(&asked, matrix, failed))
        }
        Cause::MissingStructOpsMember => {
            let (in_struct, member) = subject?.split_once('.')?;
            Some(explain::struct_ops_member(in_struct, member, matrix, failed))
        }
        Cause::MissingAttachTarget if program.section.starts_with("struct_ops") => {
            Some(explain::struct_ops(subject?.strip_prefix("struct ")?, matrix, failed))
        }
        Cause::MissingAttachTarget | Cause::ContextArgumentChanged => {
            let target = AttachTarget::from_section(&program.section)?;
            // What Linux is known to have is no placeholder.
            let releases = program.reason.as_deref().and_then(|reason| reason.rsplit_once("; "));
            let releases =
                releases.map(|(_, releases)| releases).filter(|releases| releases.starts_with("it needs Linux "));
            let elsewhere = |name: &str| releases.map(str::to_owned).or_else(|| (facts.elsewhere)(name));
            Some(explain::target(&target, matrix, failed, &elsewhere))
        }
        _ => None,
    }
}

/// What to do about a failure that no kernel's types explain.
fn rule(facts: &CellFacts<'_>, program: &ProgramRecord, cause: Cause) -> Option<Explanation> {
    let failed = facts.kernel().name.as_str();
    let evidence = program.evidence.as_ref();
    let line = evidence.map_or("", |evidence| evidence.line.as_str());
    let subject = evidence.and_then(|evidence| evidence.subject.as_deref());
    Some(match cause {
        Cause::Licence => {
            let called = subject.map(|subject| subject.split('#').next().unwrap_or(subject));
            let licence = facts.inventory.and_then(|known| known.license.as_deref());
            explain::licence(called, licence, failed)
        }
        Cause::ForbiddenAttachTarget => explain::attach_target(&program.section, line, failed),
        Cause::ForbiddenHelper if line.contains("kernel function") => {
            explain::kfunc(subject?, &program.section, failed)
        }
        Cause::MissingAttachType if subject.is_some_and(|subject| subject.starts_with("BPF_F_")) => {
            let since = line.rsplit_once(" (Linux ").and_then(|(_, rest)| rest.split_once(" or later"));
            let since = since.map(|(since, _)| since);
            explain::load_flag(subject?, since, &program.section, failed)
        }
        Cause::ModuleNotLoaded => {
            let (_, named) = line
                .split_once(" in kernel module ")
                .or_else(|| program.reason.as_deref()?.split_once(" in kernel module "))?;
            if let Some((module, kernel)) =
                named.split_once("; the modules of this").and_then(|(place, _)| place.split_once(" on "))
            {
                explain::module_elsewhere(subject?, module, kernel, failed)
            } else {
                let (modules, rest) = named.split_once(", which").unwrap_or((named, ""));
                let modules: Vec<String> = modules.split(" or ").map(str::to_owned).collect();
                explain::module(subject?, &modules, rest.starts_with(" loaded, but"), failed)
            }
        }
        Cause::KernelConfigMissing if line.starts_with("extern ") => explain::kconfig_extern(subject?, failed),
        Cause::KernelConfigMissing => {
            let needed_by = program.reason.as_deref().and_then(|reason| reason.split(" needs ").next());
            explain::config_option(
                subject?,
                needed_by.filter(|words| words.len() < 60).unwrap_or("the program"),
                failed,
            )
        }
        Cause::UnsupportedInstruction if line.contains("isn't KIND_VAR") => explain::kfunc_address(failed),
        Cause::UnsupportedInstruction => return explain::instruction(subject?, failed),
        Cause::ObjectBroken if line.contains("BTF is required, but is missing") => explain::without_debug_info(failed),
        _ => return None,
    })
}

/// The BPF feature that a program failed for, by its name.
fn feature_in_question(facts: &CellFacts<'_>, program: &ProgramRecord, cause: Cause) -> Option<(Feature, String)> {
    let evidence = program.evidence.as_ref();
    let subject = evidence.and_then(|evidence| evidence.subject.as_deref());
    match cause {
        Cause::UnknownHelper | Cause::ForbiddenHelper => {
            let (name, number) = subject?.split_once('#')?;
            // A kernel without the helper knows its number only.
            let known = Feature::Helper.known().into_iter().find(|(known, _)| Some(*known) == number.parse().ok());
            Some((Feature::Helper, known.map_or_else(|| name.to_owned(), |(_, name)| name)))
        }
        Cause::MissingMapType => {
            let map = facts.inventory?.maps.iter().find(|map| Some(map.name.as_str()) == subject)?;
            Some((Feature::MapType, map.map_type.clone()?))
        }
        // Kernels that know no callbacks show nothing about the helper: the call's function is one too many for them.
        Cause::UnsupportedCallForm if evidence.is_some_and(|evidence| evidence.line.contains("func_info")) => {
            let called = &of_inventory(facts, program)?.helpers;
            let known = Feature::Helper.known().into_iter().filter(|(number, _)| called.contains(number));
            let lacks = |name: &String| {
                let explanation = feature_story(facts, program, Feature::Helper, name);
                explanation.presence.iter().any(|on| on.kernel == facts.kernel().name && !on.presence.is_present())
            };
            let mut callbacks = known.map(|(_, name)| name).filter(|name| explain::takes_callback(name));
            Some((Feature::Helper, callbacks.find(lacks)?))
        }
        Cause::MissingAttachType if subject.is_some_and(|subject| subject.starts_with("BPF_F_")) => None,
        Cause::MissingProgramType => Some((Feature::ProgramType, of_inventory(facts, program)?.prog_type.clone()?)),
        Cause::MissingAttachType => Some((Feature::AttachType, of_inventory(facts, program)?.attach_type.clone()?)),
        _ => None,
    }
}

/// What to do about a danger of a program that loads; `None` where types have no answer.
pub fn of_danger(facts: &CellFacts<'_>, danger: &DangerRecord) -> Option<Explanation> {
    let explanation = danger_story(facts, danger)?;
    Some(Explanation { proof: (facts.prove)(&explanation), ..explanation })
}

fn danger_story(facts: &CellFacts<'_>, danger: &DangerRecord) -> Option<Explanation> {
    match &danger.difference {
        Danger::ValueChanged { local, .. } => {
            let (in_enum, name) = danger.subject.strip_prefix("enum ")?.split_once("::")?;
            explain::enumerator((in_enum, name, *local), facts.matrix, facts.known, &facts.kernel().name)
        }
        Danger::MissingElsewhere { kernels } => {
            let types = facts.types?;
            let spec = LocalSpec::of(types.relocations.get(danger.relocation?)?, &types.btf)?;
            explain::relocation(&spec, &types.btf, facts.matrix, facts.known, kernels.first()?)
        }
        _ => None,
    }
}

/// What the kernels of the run have of a feature that a program asks for.
fn feature_story(facts: &CellFacts<'_>, program: &ProgramRecord, feature: Feature, name: &str) -> Explanation {
    let program_type = of_inventory(facts, program).and_then(|known| known.prog_type.as_deref());
    explain::feature(
        WantedFeature { feature, name, program_type, section: Some(&program.section) },
        &facts.features(),
        &facts.kernel().name,
    )
}

/// What the object says of a program.
fn of_inventory<'a>(facts: &CellFacts<'a>, program: &ProgramRecord) -> Option<&'a ProgramInfo> {
    facts.inventory?.programs.iter().find(|known| known.name == program.name)
}
