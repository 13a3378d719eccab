//! [`LintReport`]: all findings of all objects.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::Serialize;

use super::finding::{LintFinding, LintedObject, UnreadKernel};
use super::hint::Hints;
use super::kernel_span::KnownKernels;
use super::rule::{LintLevel, LintRule};
use super::sighting::{Fault, KernelSightings, Sighting};
use super::subject::LintSubject;
use super::{constant_guard, message};
use crate::coverage::FixedRead;
use crate::object::btf::Btf;
use crate::predict::{PredictedKernel, PredictedTypes};
use crate::record::GuardRecord;

/// The version of the format of its JSON.
const SCHEMA_VERSION: u32 = 1;

/// All findings of all objects. Nothing was booted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LintReport {
    /// Version of the format.
    pub schema_version: u32,
    /// The known kernels, older ones of a group first.
    pub kernels: Vec<PredictedKernel>,
    /// Those whose types cannot be read; nothing is known about them.
    pub unread: Vec<UnreadKernel>,
    /// What was found, by object.
    pub objects: Vec<LintedObject>,
}

/// A sighting with all kernels that share it.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    pub sighting: Sighting,
    pub kernels: BTreeSet<usize>,
    /// Those that have nothing of the name.
    pub unknown: BTreeSet<usize>,
    /// Those of whose modules nothing is known, either.
    pub open: BTreeSet<usize>,
    /// Names of further kfuncs.
    pub more: Vec<String>,
}

impl Merged {
    /// Names of all kfuncs.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.sighting.subject).chain(&self.more)
    }
}

impl LintReport {
    /// Reads the types of each kernel once, on all processors; of a few of them once more, for hints.
    pub fn of(
        subjects: &[LintSubject],
        kernels: Vec<PredictedKernel>,
        types: impl Fn(&PredictedKernel) -> Result<PredictedTypes, String> + Sync,
    ) -> LintReport {
        let on_kernel = |kernel: &PredictedKernel| -> Result<Vec<KernelSightings>, String> {
            let types = types(kernel)?;
            let btf = types.parsed().map_err(|error| error.to_string())?;
            let of = |subject| KernelSightings::of(subject, &types, &btf, &kernel.release);
            Ok(subjects.iter().map(of).collect())
        };
        let seen: Vec<Result<Vec<KernelSightings>, String>> = kernels.par_iter().map(on_kernel).collect();
        let unread = seen.iter().enumerate().filter_map(|(kernel, seen)| {
            let reason = seen.as_ref().err()?.clone();
            Some(UnreadKernel { kernel, reason })
        });
        let unread = unread.collect();
        let read: Vec<usize> = (0..kernels.len()).filter(|&kernel| seen[kernel].is_ok()).collect();
        let known = KnownKernels { all: &kernels, read: &read };
        let parsed = |kernel: usize| -> Option<Btf> { types(kernels.get(kernel)?).ok()?.parsed().ok() };
        let mut hints = Hints::new(known, &parsed);
        let object = |(number, subject): (usize, &LintSubject)| {
            let own = |kernel: usize| seen[kernel].as_ref().ok()?.get(number);
            let own: Vec<(usize, &KernelSightings)> =
                read.iter().filter_map(|&kernel| Some((kernel, own(kernel)?))).collect();
            LintedObject {
                name: subject.subject.name.clone(),
                origin: subject.origin.clone(),
                findings: findings(subject, &own, known, &mut hints),
            }
        };
        let objects = subjects.iter().enumerate().map(object).collect();
        LintReport { schema_version: SCHEMA_VERSION, unread, objects, kernels }
    }

    /// Whether something is wrong.
    pub fn has_warnings(&self) -> bool {
        let mut findings = self.objects.iter().flat_map(|object| &object.findings);
        findings.any(|finding| finding.level == LintLevel::Warning)
    }

    /// Drops the findings that `keep` does not want.
    pub fn retain(&mut self, keep: impl Fn(&LintFinding) -> bool) {
        self.objects.iter_mut().for_each(|object| object.findings.retain(&keep));
    }
}

fn findings(
    subject: &LintSubject,
    seen: &[(usize, &KernelSightings)],
    known: KnownKernels<'_>,
    hints: &mut Hints<'_>,
) -> Vec<LintFinding> {
    let guards = &subject.subject.analysis().guards;
    let mut merged: Vec<(Key, Merged)> = Vec::new();
    for (kernel, sightings) in seen {
        for sighting in &sightings.sightings {
            let key = Key::of(sighting, guards);
            let unknown = sighting.is_unknown.then_some(*kernel);
            let open = sighting.may_be_in_module.then_some(*kernel);
            match merged.iter_mut().find(|(other, _)| *other == key) {
                Some((_, merged)) => {
                    merged.kernels.insert(*kernel);
                    merged.unknown.extend(unknown);
                    merged.open.extend(open);
                    merged.sighting.programs.extend(&sighting.programs);
                }
                None => {
                    let kernels = [*kernel].into();
                    let (unknown, open) = (unknown.into_iter().collect(), open.into_iter().collect());
                    let sighting = sighting.clone();
                    merged.push((key, Merged { sighting, kernels, unknown, open, more: Vec::new() }));
                }
            }
        }
    }
    let merged = together(merged);
    let mut found: Vec<LintFinding> = merged.iter().map(|merged| finding(subject, merged, known, hints)).collect();
    let answers: Vec<&[Option<bool>]> = seen.iter().map(|(_, seen)| seen.guards.as_slice()).collect();
    found.extend(constant_guard::findings(subject, &answers, known, hints));
    found.extend(fixed(subject));
    found.extend(not_judged(subject, seen));
    found.extend(not_known(subject, seen, known));
    let place = |finding: &LintFinding| {
        let source = finding.source.as_ref();
        let place = source.map(|source| (source.file.clone(), source.line, source.column));
        (place, finding.function.clone(), finding.rule, finding.subject.clone())
    };
    found.sort_by_cached_key(place);
    // Of what no kernel itself has nothing is known, however often it is used.
    let mut nowhere = BTreeSet::new();
    found.retain(|finding| {
        let is_nowhere =
            finding.hint.as_deref() == Some(message::MAYBE_MODULE) && finding.kernels.len() == known.read.len();
        !is_nowhere || nowhere.insert((finding.rule, message::root(&finding.subject).to_owned()))
    });
    found
}

/// Puts kfuncs together that one line calls and the same kernels lack, as those of an iterator.
fn together(merged: Vec<(Key, Merged)>) -> Vec<Merged> {
    let mut kept: Vec<(Key, Merged)> = Vec::new();
    for (key, one) in merged {
        let is_call = one.sighting.fault == Fault::Call;
        let same = |(other, known): &&mut (Key, Merged)| {
            known.sighting.fault == Fault::Call && (&other.place, &known.kernels) == (&key.place, &one.kernels)
        };
        match kept.iter_mut().find(same).filter(|_| is_call) {
            Some((_, known)) => known.more.push(one.sighting.subject),
            None => kept.push((key, one)),
        }
    }
    kept.into_iter().map(|(_, one)| one).collect()
}

/// What is the same thing to a reader, in any program and on any kernel.
#[derive(PartialEq, Eq)]
struct Key {
    rule: LintRule,
    fault: String,
    subject: String,
    place: Result<(String, u32, u32), String>,
}

impl Key {
    fn of(sighting: &Sighting, guards: &[GuardRecord]) -> Key {
        let fault = match &sighting.fault {
            Fault::Missing(Some((guard, side))) => {
                guards.get(*guard).map(|guard| format!("{} {} {side}", guard.place(), guard.name()))
            }
            Fault::Danger(danger) => Some(danger.to_string()),
            Fault::CannotAdapt => Some("cannot adapt".to_owned()),
            Fault::Missing(None) | Fault::Call | Fault::Refused => None,
        };
        let place = match &sighting.source {
            Some(source) => Ok((source.file.clone(), source.line, source.column)),
            None => Err(sighting.function.clone()),
        };
        Key { rule: sighting.rule, fault: fault.unwrap_or_default(), subject: sighting.subject.clone(), place }
    }
}

fn finding(subject: &LintSubject, merged: &Merged, known: KnownKernels<'_>, hints: &mut Hints<'_>) -> LintFinding {
    let sighting = &merged.sighting;
    let kind = sighting.relocation.and_then(|relocation| subject.relocations.get(relocation));
    let kind = kind.map_or("", |listed| listed.kind.as_str());
    // What no kernel itself has, or some have in the middle of others that do not, may be a module's where nothing is known about modules.
    let is_open = merged.open == merged.kernels;
    let nowhere = merged.unknown.len() == known.read.len();
    let is_elsewhere = is_open && (nowhere || known.is_scattered(&merged.kernels));
    let level = if is_elsewhere { LintLevel::Note } else { sighting.rule.level() };
    let hint = match is_elsewhere {
        true => Some(message::MAYBE_MODULE.to_owned()),
        false => hints.of(subject, merged, kind),
    };
    let message = match nowhere {
        true => message::nowhere(merged, known),
        false => message::message(merged, &subject.subject.analysis().guards, kind, known),
    };
    LintFinding {
        rule: sighting.rule,
        level,
        programs: subject.names(&sighting.programs),
        function: sighting.function.clone(),
        source: sighting.source.clone(),
        subject: sighting.subject.clone(),
        message,
        kernels: merged.kernels.iter().copied().collect(),
        hint,
    }
}

/// One finding for each program of which nothing else can be said, since no kernel can load it.
fn not_judged(subject: &LintSubject, seen: &[(usize, &KernelSightings)]) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for (number, program) in subject.subject.programs.iter().enumerate() {
        let reasons: Vec<&String> = seen.iter().map_while(|(_, seen)| seen.lacking.get(&number)).collect();
        let Some(last) = reasons.last().filter(|_| reasons.len() == seen.len()) else { continue };
        found.push(LintFinding {
            rule: LintRule::NotJudged,
            level: LintRule::NotJudged.level(),
            programs: vec![program.name.clone()],
            function: program.name.clone(),
            source: None,
            subject: program.name.clone(),
            message: message::not_judged(&program.name, last),
            kernels: seen.iter().map(|(kernel, _)| *kernel).collect(),
            hint: Some("a module may have it; `corematrix predict` shows it for each kernel".to_owned()),
        });
    }
    found
}

/// One finding for each type of which no one knows on some kernels whether a module has it.
fn not_known(subject: &LintSubject, seen: &[(usize, &KernelSightings)], known: KnownKernels<'_>) -> Vec<LintFinding> {
    /// The kernels on which a type is not known, and the programs that read it.
    #[derive(Default)]
    struct Open {
        kernels: BTreeSet<usize>,
        programs: BTreeSet<usize>,
    }
    let mut open: BTreeMap<&(String, String), Open> = BTreeMap::new();
    for (kernel, sightings) in seen {
        for (key, programs) in &sightings.open {
            let open = open.entry(key).or_default();
            open.kernels.insert(*kernel);
            open.programs.extend(programs);
        }
    }
    let finding = |((root, why), Open { kernels, programs }): (&(String, String), Open)| {
        let names = subject.names(&programs);
        LintFinding {
            rule: LintRule::NotJudged,
            level: LintRule::NotJudged.level(),
            function: names.first().cloned().unwrap_or_default(),
            programs: names,
            source: None,
            subject: root.clone(),
            message: format!("`{root}` is not judged on {}: it {why}", known.span(&kernels)),
            kernels: kernels.into_iter().collect(),
            hint: None,
        }
    };
    open.into_iter().map(finding).collect()
}

/// One finding a program, at its farthest read.
fn fixed(subject: &LintSubject) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for (number, program) in subject.subject.programs.iter().enumerate() {
        let reads: Vec<&FixedRead> =
            subject.fixed.iter().filter(|(own, _)| *own == number).map(|(_, read)| read).collect();
        let Some(first) = reads.iter().max_by_key(|read| read.offset) else { continue };
        found.push(LintFinding {
            rule: LintRule::FixedOffset,
            level: LintRule::FixedOffset.level(),
            programs: vec![program.name.clone()],
            function: program.name.clone(),
            source: first.source.clone(),
            subject: program.name.clone(),
            message: message::fixed(&reads),
            kernels: Vec::new(),
            hint: message::hint(LintRule::FixedOffset, "", false).map(str::to_owned),
        });
    }
    found
}
