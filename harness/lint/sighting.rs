//! [`Sighting`]: one thing that the types of one kernel show in an object.

use std::collections::{BTreeMap, BTreeSet};

use super::message::root;
use super::rule::LintRule;
use super::subject::LintSubject;
use crate::coverage::ObjectFacts;
use crate::explain::{self, KernelTypes};
use crate::object::ObjectTypes;
use crate::object::btf::Btf;
use crate::predict::{Answers, PredictedTypes};
use crate::record::{Danger, GuardKind, RelocationOutcome, SourcePlace};

/// A guard, an index, and the side of it that something is on; `None` if it is on none.
type Side = Option<(usize, usize)>;

/// What is wrong, the same on all kernels that share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is missing, and the program comes to it. A guard, an index, picks the side that it is on.
    Missing(Side),
    /// A kfunc is missing, and the program calls it.
    Call,
    /// libbpf refuses the relocation.
    Refused,
    /// It is there, and libbpf cannot make the instruction read it: the verifier rejects the program.
    CannotAdapt,
    /// The object takes it for something else than it is.
    Danger(Danger),
}

/// One thing that the types of one kernel show in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sighting {
    pub rule: LintRule,
    pub fault: Fault,
    /// The field, type, enumerator or function.
    pub subject: String,
    /// The relocation, as an index, if one is concerned.
    pub relocation: Option<usize>,
    pub function: String,
    pub source: Option<SourcePlace>,
    /// As indexes.
    pub programs: BTreeSet<usize>,
    /// Whether nothing is known about the name of the type or function, neither in the kernel nor in a module.
    pub is_unknown: bool,
    /// Whether a module may have it, since the types of the kernel's modules are not known.
    pub may_be_in_module: bool,
    /// The kernel module that the type came from.
    pub module: Option<String>,
    /// libbpf's words.
    pub reason: String,
}

/// What the types of one kernel show in an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KernelSightings {
    pub sightings: Vec<Sighting>,
    /// By guard: whether its first side is picked; `None` where BTF has no answer.
    pub guards: Vec<Option<bool>>,
    /// Programs that the kernel cannot load regardless of what they read, with the reason.
    pub lacking: BTreeMap<usize, String>,
    /// Types of which no one knows whether a module has them, with the reason, and the programs that ask for them.
    pub open: BTreeMap<(String, String), BTreeSet<usize>>,
}

/// What one program comes to on the kernel.
struct Reached<'a> {
    relocations: BTreeSet<usize>,
    kfuncs: BTreeSet<&'a str>,
}

struct View<'a> {
    lint: &'a LintSubject,
    answers: &'a Answers,
    facts: ObjectFacts<'a>,
    guards: Vec<Option<bool>>,
    /// Programs that the kernel does not have the target or a function for, regardless of their code. `predict` reports them.
    lacking: BTreeSet<usize>,
    /// By program, once it was asked for; `None` for one that is too large to be followed.
    reached: BTreeMap<usize, Option<Reached<'a>>>,
}

impl KernelSightings {
    /// `btf` is the kernel's types once more.
    pub(super) fn of(lint: &LintSubject, types: &PredictedTypes, btf: &Btf, release: &str) -> KernelSightings {
        let answers = lint.subject.answers(types, release);
        let facts = answers.facts();
        let guards = lint.subject.guards(&answers);
        let programs = lint.subject.programs.iter().enumerate();
        let lacking = programs.filter_map(|(number, program)| {
            let outcome = lint.subject.lacking(number, program, &types.target, &answers)?;
            Some((number, outcome.reason().unwrap_or_default()))
        });
        let reasons: BTreeMap<usize, String> = lacking.collect();
        let lacking = reasons.keys().copied().collect();
        let mut view = View { lint, answers: &answers, facts, guards, lacking, reached: BTreeMap::new() };
        let mut sightings = view.missing();
        sightings.extend(view.calls());
        let kernel = KernelTypes { name: release, btf, booted: false, modules: None };
        if let Some(types) = &lint.types {
            sightings.extend(view.dangers(types, kernel));
            sightings.extend(view.arguments(types, kernel));
        }
        KernelSightings { open: view.open(), sightings, guards: view.guards, lacking: reasons }
    }
}

impl<'a> View<'a> {
    fn reached(&mut self, program: usize) -> Option<&Reached<'a>> {
        let found = self.reached.entry(program).or_insert_with(|| {
            let reached = self.lint.subject.analysis().reached(program, &self.facts)?;
            Some(Reached { relocations: reached.relocations, kfuncs: reached.kfuncs })
        });
        found.as_ref()
    }

    /// Those of the programs for which the kernel has the target and all functions.
    fn able(&self, programs: Option<&BTreeSet<usize>>) -> BTreeSet<usize> {
        programs.into_iter().flatten().copied().filter(|program| !self.lacking.contains(program)).collect()
    }

    /// The programs that come to a relocation; those that are too large to be followed only if `unknown` says so.
    fn coming_to(&mut self, relocation: usize, unknown: bool) -> BTreeSet<usize> {
        let programs = self.able(self.lint.programs_of.get(relocation));
        let comes = |program: &usize| {
            self.reached(*program).map_or(unknown, |reached| reached.relocations.contains(&relocation))
        };
        programs.into_iter().filter(comes).collect()
    }

    fn of_relocation(&self, relocation: usize, rule: LintRule, fault: Fault, programs: BTreeSet<usize>) -> Sighting {
        let listed = self.lint.relocations.get(relocation);
        let record = self.answers.relocations.get(relocation);
        let is_unknown = record.is_some_and(|record| record.candidates.is_empty());
        let mut modules = record.into_iter().flat_map(|record| &record.candidates).map(|one| one.module.as_str());
        let module = modules.find(|module| *module != "vmlinux");
        Sighting {
            rule,
            fault,
            subject: self.lint.subject.asked(relocation).to_owned(),
            relocation: Some(relocation),
            function: listed.map(|listed| listed.function.clone()).unwrap_or_default(),
            source: listed.and_then(|listed| listed.source.clone()),
            programs,
            is_unknown,
            may_be_in_module: is_unknown && !self.answers.knows_modules(),
            module: module.map(str::to_owned),
            reason: String::new(),
        }
    }

    /// Types of which no one knows whether a module has them.
    fn open(&self) -> BTreeMap<(String, String), BTreeSet<usize>> {
        let mut found: BTreeMap<(String, String), BTreeSet<usize>> = BTreeMap::new();
        for relocation in 0..self.answers.relocations.len() {
            let Some(why) = self.answers.open_type(relocation) else { continue };
            let root = root(self.lint.subject.asked(relocation)).to_owned();
            let programs = self.able(self.lint.programs_of.get(relocation));
            if !programs.is_empty() {
                found.entry((root, why.to_owned())).or_default().extend(programs);
            }
        }
        found
    }

    /// Relocations that have no match and are come to, and those that libbpf refuses.
    fn missing(&mut self) -> Vec<Sighting> {
        let mut found = Vec::new();
        for (number, record) in self.answers.relocations.iter().enumerate() {
            if self.answers.is_open(number) {
                continue;
            }
            match &record.outcome {
                RelocationOutcome::Failed { reason } | RelocationOutcome::Ambiguous { reason } => {
                    let programs = self.able(self.lint.programs_of.get(number));
                    let refused = self.of_relocation(number, LintRule::RefusedRelocation, Fault::Refused, programs);
                    if !refused.programs.is_empty() {
                        let reason = reason.clone();
                        found.push(Sighting { reason, is_unknown: false, may_be_in_module: false, ..refused });
                    }
                }
                // The field is there: it is the instruction that does not fit.
                RelocationOutcome::Poisoned if record.candidates.iter().any(|candidate| candidate.matching) => {
                    let programs = self.coming_to(number, false);
                    if !programs.is_empty() {
                        found.push(self.of_relocation(number, LintRule::FieldSize, Fault::CannotAdapt, programs));
                    }
                }
                RelocationOutcome::Poisoned => {
                    // One sighting for all programs that come to it for the same reason.
                    let mut groups: Vec<(LintRule, Side, BTreeSet<usize>)> = Vec::new();
                    for program in self.coming_to(number, false) {
                        let sides = self.lint.subject.analysis().sides_of_relocation(program, number);
                        let Some((rule, side)) = self.decided(&sides) else { continue };
                        match groups.iter_mut().find(|(known, of, _)| (*known, *of) == (rule, side)) {
                            Some((.., programs)) => _ = programs.insert(program),
                            None => groups.push((rule, side, [program].into())),
                        }
                    }
                    let sighting =
                        |(rule, side, programs)| self.of_relocation(number, rule, Fault::Missing(side), programs);
                    found.extend(groups.into_iter().map(sighting));
                }
                _ => {}
            }
        }
        found
    }

    /// What guards say of code that is on these sides of them and reads what is missing; `None` where BTF has no answer whether it is
    /// come to at all.
    fn decided(&self, sides: &[(usize, usize)]) -> Option<(LintRule, Side)> {
        let guards = &self.lint.subject.analysis().guards;
        let is_switch = |guard: usize| guards.get(guard).is_some_and(|guard| guard.kind == GuardKind::Rodata);
        if sides.iter().any(|&(guard, _)| self.guards.get(guard).copied().flatten().is_none() && !is_switch(guard)) {
            return None;
        }
        if let Some(&side) = sides.iter().find(|(guard, _)| is_switch(*guard)) {
            return Some((LintRule::LoaderSwitch, Some(side)));
        }
        // A side that was picked because something is there is no fallback.
        let is_fallback = |(guard, side): &&(usize, usize)| {
            guards
                .get(*guard)
                .is_some_and(|guard| *side == 1 || !guard.kind.is_existence() && guard.kind != GuardKind::Ksym)
        };
        match sides.iter().find(is_fallback) {
            Some(&side) => Some((LintRule::MissingFallback, Some(side))),
            None => Some((LintRule::UnguardedRead, None)),
        }
    }

    /// Weak kfuncs that are missing and are called.
    fn calls(&mut self) -> Vec<Sighting> {
        let is_known = |name: &&str| self.answers.open_function(name).is_none();
        let absent: Vec<&str> = self.answers.absent_functions().filter(is_known).collect();
        let mut found: Vec<Sighting> = Vec::new();
        for (name, program) in
            absent.iter().flat_map(|name| (0..self.lint.subject.programs.len()).map(move |at| (*name, at)))
        {
            let weak = self.lint.subject.is_weak(name);
            if !weak
                || self.lacking.contains(&program)
                || !self.reached(program).is_some_and(|reached| reached.kfuncs.contains(name))
            {
                continue;
            }
            for call in self.lint.subject.analysis().calls(program, name) {
                let Some((rule, _)) = self.decided(&call.sides) else { continue };
                let rule = if rule == LintRule::LoaderSwitch { rule } else { LintRule::UnguardedCall };
                found.push(Sighting {
                    rule,
                    fault: Fault::Call,
                    subject: name.to_owned(),
                    relocation: None,
                    function: call.function,
                    source: call.source,
                    programs: [program].into(),
                    is_unknown: true,
                    may_be_in_module: !self.answers.knows_modules(),
                    module: None,
                    reason: String::new(),
                });
            }
        }
        found
    }

    /// Fields, sizes and enumerators that the object takes for something else than they are.
    fn dangers(&mut self, types: &ObjectTypes, kernel: KernelTypes<'_>) -> Vec<Sighting> {
        let (lint, answers) = (self.lint, self.answers);
        let outcome = |relocation: usize| answers.relocations.get(relocation).map(|record| &record.outcome);
        let fields = explain::dangers(types, &lint.relocations, kernel).into_iter();
        let fields = fields.filter(|(one, _)| matches!(outcome(*one), Some(RelocationOutcome::Resolved { .. })));
        let sizes = explain::unguarded_sizes(types, &lint.relocations).into_iter();
        let sizes = sizes.filter(|one| !answers.is_open(*one));
        let sizes = sizes.filter(|one| matches!(outcome(*one), Some(RelocationOutcome::NoMatch { new: 0, .. })));
        let mut found = Vec::new();
        for (relocation, danger) in fields.chain(sizes.map(|relocation| (relocation, Danger::SizeOfMissing))) {
            let programs = self.coming_to(relocation, true);
            if let (false, Some(rule)) = (programs.is_empty(), rule_of(&danger)) {
                found.push(self.of_relocation(relocation, rule, Fault::Danger(danger), programs));
            }
        }
        for constant in explain::constants(types, &lint.relocations, kernel) {
            found.push(Sighting {
                rule: LintRule::EnumeratorValue,
                fault: Fault::Danger(constant.danger),
                subject: constant.name,
                relocation: None,
                programs: self.able(Some(&lint.subject.analysis().programs_of(&constant.function))),
                function: constant.function,
                source: Some(constant.source),
                is_unknown: false,
                may_be_in_module: false,
                module: None,
                reason: String::new(),
            });
        }
        found.retain(|sighting| !sighting.programs.is_empty());
        found
    }

    /// Arguments that a program takes for something else than they are.
    fn arguments(&mut self, types: &ObjectTypes, kernel: KernelTypes<'_>) -> Vec<Sighting> {
        let mut found = Vec::new();
        for (number, program) in self.lint.subject.programs.iter().enumerate() {
            if self.lacking.contains(&number) {
                continue;
            }
            let reads = self.lint.subject.analysis().context_reads(number, Some(&self.facts));
            let changed = explain::arguments(types, (&program.name, &program.section), &reads, kernel);
            found.extend(changed.into_iter().map(|argument| Sighting {
                rule: LintRule::Argument,
                fault: Fault::Danger(argument.danger),
                subject: argument.target,
                relocation: None,
                function: program.name.clone(),
                source: Some(argument.source),
                programs: [number].into(),
                is_unknown: false,
                may_be_in_module: false,
                module: None,
                reason: String::new(),
            }));
        }
        found
    }
}

fn rule_of(danger: &Danger) -> Option<LintRule> {
    Some(match danger {
        Danger::SizeChanged { .. } => LintRule::FieldSize,
        Danger::SignChanged { .. } => LintRule::FieldSign,
        Danger::BitfieldChanged { .. } => LintRule::FieldBitfield,
        Danger::PointeeChanged { .. } => LintRule::PointerTarget,
        Danger::ValueChanged { .. } => LintRule::EnumeratorValue,
        Danger::SizeOfMissing | Danger::HiddenAddress => LintRule::TypeSize,
        Danger::ArgumentChanged { .. } => LintRule::Argument,
        // What takes a boot, or other kernels' verdicts, to know. The type is the record's and may grow.
        _ => return None,
    })
}
