//! [`Subject`]: an object, read once, to be held against the types of many kernels.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::answers::{Answers, KCONFIG};
use super::attachment::{has, missing_target, other_prototype, target_name};
use super::kernel_feature::KernelFeature;
use super::kernel_function::KernelFunction;
use super::outcome::Prediction;
use super::predicted_types::PredictedTypes;
use crate::core_relo::{Kind, ObjectSide, Resolver, Target, TypeTable};
use crate::coverage::Analysis;
use crate::explain::LocalSpec;
use crate::object::btf::{ModuleNames, essential_name};
use crate::object::btf_ext::RelocationKind;
use crate::object::{BpfObject, ProgramInfo, StructOpsInfo};
use crate::record::{ExternRecord, GuardKind, PredictedOutcome, RelocationOutcome};

/// Values of `.kconfig` that libbpf finds out itself: whether probes can have a cookie, and whether system calls have wrappers.
const HAS_COOKIE: &str = "LINUX_HAS_BPF_COOKIE";
const HAS_SYSCALL_WRAPPER: &str = "LINUX_HAS_SYSCALL_WRAPPER";
/// `bpf_get_attach_cookie`.
const COOKIE_HELPER: u32 = 174;

/// An object, read once, to be held against the types of many kernels.
#[derive(Debug)]
pub struct Subject {
    /// The object's name.
    pub name: String,
    /// Its programs, in libbpf's order.
    pub programs: Vec<ProgramInfo>,
    side: ObjectSide,
    analysis: Arc<Analysis>,
    functions: Vec<KernelFunction>,
    /// Its struct_ops maps: name, and the struct that the kernel must have for it.
    struct_ops: Vec<(String, String)>,
    /// By program: its types.
    forms: Vec<Vec<KernelFeature>>,
    /// The types of each map, by its name.
    maps: BTreeMap<String, Vec<KernelFeature>>,
    /// Every helper that it calls.
    helpers: BTreeMap<u32, KernelFeature>,
    /// What each relocation asks for, such as `struct inode.i_ctime`.
    asked: Vec<String>,
}

impl Subject {
    /// # Errors
    /// The object cannot be read; in words.
    pub fn of(object: &BpfObject) -> Result<Subject, String> {
        let inventory = object.inventory.as_ref().map_err(ToString::to_string)?;
        let names: Vec<&str> = inventory.programs.iter().map(|program| program.name.as_str()).collect();
        Subject::analysed(object, &object.bytes, Arc::new(Analysis::of(&object.bytes, &names)))
    }

    /// The same with the analysis of the object's guards that a plan has already, and with the object's bytes as its loader makes them, which
    /// its inventory is of.
    ///
    /// # Errors
    /// As [`Subject::of`].
    pub fn analysed(object: &BpfObject, bytes: &[u8], analysis: Arc<Analysis>) -> Result<Subject, String> {
        let inventory = object.inventory.as_ref().map_err(ToString::to_string)?;
        let side = ObjectSide::read(bytes).map_err(|error| error.to_string())?;
        let types = crate::object::btf::Btf::parse(side.types.raw()).ok();
        let asked = side.relocations.iter().map(|relocation| {
            let spec = types.as_ref().and_then(|types| LocalSpec::of(&relocation.record, types));
            spec.map_or_else(|| format!("type {}", relocation.record.type_id), |spec| spec.to_string())
        });
        let numbers = (0..inventory.programs.len()).flat_map(|program| analysis.helpers_of(program));
        let helpers = numbers.map(|number| (number, KernelFeature::helper(number))).collect();
        Ok(Subject {
            forms: inventory.programs.iter().map(KernelFeature::of_program).collect(),
            maps: inventory.maps.iter().map(|map| (map.name.clone(), KernelFeature::of_map(map))).collect(),
            helpers,
            name: object.name.clone(),
            programs: inventory.programs.clone(),
            analysis,
            functions: types.as_ref().map(|types| KernelFunction::all(bytes, types)).unwrap_or_default(),
            struct_ops: inventory.struct_ops.iter().map(struct_ops).collect(),
            asked: asked.collect(),
            side,
        })
    }

    /// How many relocations it has.
    pub fn relocations(&self) -> usize {
        self.side.relocations.len()
    }

    /// The relocations that ask for a value which is no offset, as indexes.
    pub(super) fn of_value(&self) -> impl Iterator<Item = usize> {
        use RelocationKind::{ByteSize, EnumValue, Signed, TypeSize};
        let relocations = self.side.relocations.iter().enumerate();
        let of_value =
            relocations.filter(|(_, one)| matches!(one.record.kind, ByteSize | EnumValue | Signed | TypeSize));
        of_value.map(|(number, _)| number)
    }

    /// What was found in its own bytes.
    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    /// What a relocation asks for, such as `struct inode.i_ctime`.
    pub fn asked(&self, relocation: usize) -> &str {
        self.asked.get(relocation).map_or("", String::as_str)
    }

    /// Whether it works without a kernel function that it calls.
    pub fn is_weak(&self, function: &str) -> bool {
        self.functions.iter().any(|known| known.weak && known.name == function)
    }

    /// The names that it looks for in types, without flavours, and whether each is that of a function.
    pub fn wanted_names(&self) -> BTreeMap<String, bool> {
        let targets = self.programs.iter().filter_map(target_name);
        let functions = self.functions.iter().map(|function| (essential_name(&function.name).to_owned(), true));
        let structs = self.struct_ops.iter().map(|(_, wanted)| (wanted.clone(), false));
        let types = (0..self.relocations()).filter_map(|relocation| Some((self.type_of(relocation)?, false)));
        types.chain(structs).chain(functions).chain(targets).collect()
    }

    /// The name of the type that a relocation, an index, is about, without its flavour.
    fn type_of(&self, relocation: usize) -> Option<String> {
        let relocation = self.side.relocations.get(relocation)?;
        let name = String::from_utf8_lossy(self.side.types.name(relocation.record.type_id)).into_owned();
        (!name.is_empty()).then(|| essential_name(&name).to_owned())
    }

    /// What the types of a kernel answer to it. Of the `release` only the version is taken; one that is none leaves guards by the version
    /// open.
    pub fn answers(&self, kernel: &PredictedTypes, release: &str) -> Answers {
        let mut answers = self.answers_with(&kernel.target, kernel, release);
        let reason = |relocation: usize| kernel.names.unknown.get(&self.type_of(relocation)?).cloned();
        answers.open = (0..self.relocations()).filter_map(|one| Some((one, reason(one)?))).collect();
        answers
    }

    fn answers_with(&self, given: &Target, kernel: &PredictedTypes, release: &str) -> Answers {
        let (target, are_known) = (&kernel.target, kernel.names.are_known);
        let found: Vec<Result<String, String>> =
            self.functions.iter().map(|function| function.look_up(&self.side.types, target, are_known)).collect();
        let external = |(function, found): (&KernelFunction, &Result<String, String>)| ExternRecord {
            name: function.name.clone(),
            kind: "func ksym".to_owned(),
            weak: function.weak,
            resolved: found.as_ref().ok().cloned(),
        };
        let functions = self.functions.iter().zip(&found).map(external);
        let externs = functions.chain(self.known_kconfig(&target.kernel)).collect();
        let found = found.into_iter().map(|found| found.map(|_| ())).collect();
        let mut answers = Answers::of(Resolver::all(&self.side, given), (externs, found), release);
        answers.names = kernel.names.clone();
        answers
    }

    /// By guard: whether its first side is picked; `None` where types do not show it, as of what a module may have.
    pub fn guards(&self, answers: &Answers) -> Vec<Option<bool>> {
        let is_open = |number: usize| {
            let guard = self.analysis.guards.get(number);
            guard.is_some_and(|guard| {
                guard.relocation.is_some_and(|relocation| answers.is_open(relocation))
                    || guard.kind == GuardKind::Ksym && answers.open_function(&guard.asked).is_some()
            })
        };
        let proof = self.analysis.proof(&answers.facts()).guards.into_iter().enumerate();
        proof.map(|(number, guard)| guard.resolved.filter(|_| !is_open(number))).collect()
    }

    /// What becomes of it on one kernel.
    pub fn predict(&self, kernel: &PredictedTypes, release: &str) -> Prediction {
        self.prediction(self.answers(kernel, release), &kernel.target)
    }

    /// The same for a loader that relocates it with the types of `given`, and not with those of the kernel.
    pub fn predict_with(&self, given: &Target, kernel: &PredictedTypes, release: &str) -> Prediction {
        self.prediction(self.answers_with(given, kernel, release), &kernel.target)
    }

    fn prediction(&self, answers: Answers, target: &Target) -> Prediction {
        let programs = self.programs.iter().enumerate();
        let programs = programs.map(|(number, program)| self.program(number, program, target, &answers)).collect();
        let guards = self.guards(&answers);
        let modules = answers.modules();
        let relocations = answers.relocations.into_iter().map(|relocation| relocation.outcome).collect();
        Prediction { programs, relocations, guards, modules }
    }

    /// What the program needs and the kernel does not have, regardless of its code: its type, its attach target, or a function.
    pub fn lacking(
        &self,
        number: usize,
        program: &ProgramInfo,
        target: &Target,
        answers: &Answers,
    ) -> Option<PredictedOutcome> {
        let missing = self.forms.get(number)?.iter().filter(|feature| feature.is_missing(&target.kernel));
        let features = each_once(missing.map(KernelFeature::label));
        if !features.is_empty() {
            return Some(PredictedOutcome::MissingFeature { features });
        }
        let of_program = |(map, _): &&(String, String)| program.struct_ops.contains(map);
        let mut wanted = self.struct_ops.iter().filter(of_program).map(|(_, wanted)| wanted);
        let missing = wanted.find(|name| !has(target, name, Kind::Struct)).map(|name| (name.clone(), name.clone()));
        if let Some((target, name)) = missing.or_else(|| missing_target(program, target)) {
            return Some(without_target(target, &name, &answers.names));
        }
        let mut strong = self.functions.iter().zip(&answers.functions).filter(|(function, _)| !function.weak);
        strong.find_map(|(function, found)| match found {
            Err(reason) if program.externs.contains(&function.name) => {
                Some(match answers.open_function(&function.name) {
                    Some(why) => PredictedOutcome::Unknown { reason: format!("kfunc `{}` {why}", function.name) },
                    None => PredictedOutcome::MissingKfunc { reason: reason.clone() },
                })
            }
            _ => None,
        })
    }

    /// The values that libbpf makes up itself, as far as BTF shows them.
    fn known_kconfig(&self, kernel: &TypeTable) -> impl Iterator<Item = ExternRecord> {
        self.analysis.kconfig_values().filter_map(|name| {
            let value = match name {
                HAS_COOKIE => !KernelFeature::helper(COOKIE_HELPER).is_missing(kernel),
                // Since 4.17 on x86-64, which is older than BTF.
                HAS_SYSCALL_WRAPPER => true,
                _ => return None,
            };
            let resolved = Some(u8::from(value).to_string());
            Some(ExternRecord { name: name.to_owned(), kind: KCONFIG.to_owned(), weak: false, resolved })
        })
    }

    fn program(&self, number: usize, program: &ProgramInfo, target: &Target, answers: &Answers) -> PredictedOutcome {
        if program.prog_type.is_none() {
            let reason = format!("the section `{}` names no program type", program.section);
            return PredictedOutcome::Unknown { reason };
        }
        if let Some(lacking) = self.lacking(number, program, target, answers) {
            return lacking;
        }
        let facts = &answers.facts();
        let own = self.analysis.relocations_of(number);
        // Which way the program takes, and whether it may, depends on what no one knows.
        if let Some((relocation, why)) = own.iter().find_map(|one| Some((*one, answers.open.get(one)?))) {
            return PredictedOutcome::Unknown { reason: format!("the type of `{}` {why}", self.asked[relocation]) };
        }
        let of_program = answers.absent_functions().filter(|name| program.externs.iter().any(|known| known == name));
        if let Some((name, why)) = of_program.filter_map(|name| Some((name, answers.open_function(name)?))).next() {
            return PredictedOutcome::Unknown { reason: format!("kfunc `{name}` {why}") };
        }
        for &relocation in &own {
            match &facts.relocations[relocation].outcome {
                RelocationOutcome::Failed { reason } | RelocationOutcome::Ambiguous { reason } => {
                    return PredictedOutcome::Refused { reason: format!("`{}`: {reason}", self.asked[relocation]) };
                }
                _ => {}
            }
        }
        let outcome = |relocation: &usize| &facts.relocations[*relocation].outcome;
        let poisoned = |relocation: &usize| *outcome(relocation) == RelocationOutcome::Poisoned;
        let unfound = |relocation: &usize| {
            matches!(outcome(relocation), RelocationOutcome::Poisoned | RelocationOutcome::NoMatch { .. })
        };
        let is_own = |name: &&str| program.externs.iter().any(|known| known == name);
        let missing: Vec<&str> = answers.absent_functions().filter(is_own).collect();
        let known = |helper| Some((helper, self.helpers.get(&helper)?));
        let mut helpers: BTreeMap<u32, &KernelFeature> =
            self.analysis.helpers_of(number).into_iter().filter_map(known).collect();
        helpers.retain(|_, helper| helper.is_missing(&target.kernel));
        let mut maps: BTreeMap<&str, &KernelFeature> = BTreeMap::new();
        for name in &program.maps {
            let mut types = self.maps.get(name).into_iter().flatten();
            maps.extend(types.find(|one| one.is_missing(&target.kernel)).map(|missing| (name.as_str(), missing)));
        }
        if own.iter().any(poisoned) || !missing.is_empty() || !helpers.is_empty() || !maps.is_empty() {
            let Some(reached) = self.analysis.reached(number, facts) else {
                return PredictedOutcome::Unknown { reason: "the program is too large to analyse".to_owned() };
            };
            let of_helpers = reached.helpers.iter().filter_map(|one| helpers.get(one));
            let of_maps = reached.maps.iter().filter_map(|one| maps.get(one));
            let features = each_once(of_helpers.chain(of_maps).map(|feature| feature.label()));
            // The field is there: it is the instruction that does not fit.
            let is_absent = |relocation: &usize| {
                !facts.relocations[*relocation].candidates.iter().any(|candidate| candidate.matching)
            };
            let relocations: Vec<usize> = reached.relocations.iter().copied().filter(|one| poisoned(one)).collect();
            let asked = |one: usize| self.asked[one].clone();
            let calls = reached.kfuncs.into_iter().filter(|name| missing.contains(name)).map(str::to_owned);
            let missing = each_once(relocations.iter().copied().filter(|one| is_absent(one)).map(asked).chain(calls));
            let unfit = each_once(relocations.iter().copied().filter(|one| !is_absent(one)).map(asked));
            let config = self.analysis.kconfig_values().filter(&is_own).find(|name| !answers.tells(name));
            match (features.is_empty() && missing.is_empty() && unfit.is_empty(), config) {
                (true, _) => {}
                (false, Some(config)) => {
                    let reason = format!("its reachable code depends on `{config}`, which BTF does not show");
                    return PredictedOutcome::Unknown { reason };
                }
                (false, None) if !features.is_empty() => return PredictedOutcome::MissingFeature { features },
                (false, None) => return PredictedOutcome::RejectedIfReached { missing, unfit },
            }
        }
        let reads = self.analysis.context_reads(number, Some(facts));
        if let Some(reason) = other_prototype(program, &reads, target) {
            return PredictedOutcome::OtherPrototype { reason };
        }
        let absent = own.iter().filter(|relocation| unfound(relocation));
        let absent = absent.map(|&number| self.asked[number].clone()).chain(missing.into_iter().map(str::to_owned));
        let features = helpers.into_values().chain(maps.into_values()).map(|feature| feature.name.clone());
        let absent = each_once(absent.chain(features));
        match absent.is_empty() {
            true => PredictedOutcome::Resolves,
            false => PredictedOutcome::AbsentAndGuarded { absent },
        }
    }
}

/// That a kernel does not have an attach target, which BTF calls `name`, or that no one knows.
fn without_target(target: String, name: &str, names: &ModuleNames) -> PredictedOutcome {
    if let Some(why) = names.unknown.get(name) {
        return PredictedOutcome::Unknown { reason: format!("`{target}` {why}") };
    }
    let known = || names.are_known.then(|| "is neither in the kernel nor in its modules".to_owned());
    let why = names.without_types.get(name).cloned().or_else(known);
    PredictedOutcome::MissingTarget { target, why }
}

fn each_once(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// A struct_ops map, and the struct by which libbpf finds the kernel's side of it.
fn struct_ops(map: &StructOpsInfo) -> (String, String) {
    (map.name.clone(), format!("bpf_struct_ops_{}", map.type_name))
}
