//! [`Subject`]: an object, read once, to be held against the types of many kernels.

use super::answers::Answers;
use super::kernel_function::KernelFunction;
use super::outcome::{PredictedOutcome, Prediction};
use crate::core_relo::{Kind, ObjectSide, Resolver, Target};
use crate::coverage::Analysis;
use crate::explain::{AttachTarget, LocalSpec};
use crate::object::{BpfObject, ProgramInfo, StructOpsInfo};
use crate::record::{ExternRecord, RelocationOutcome};

/// Program types whose target the kernel's types must have.
const TARGETED: [&str; 2] = ["tracing", "lsm"];

/// An object, read once, to be held against the types of many kernels.
#[derive(Debug)]
pub struct Subject {
    /// The object's name.
    pub name: String,
    /// Its programs, in libbpf's order.
    pub programs: Vec<ProgramInfo>,
    side: ObjectSide,
    analysis: Analysis,
    functions: Vec<KernelFunction>,
    /// Its struct_ops maps: name, and the struct that the kernel must have for it.
    struct_ops: Vec<(String, String)>,
    /// What each relocation asks for, such as `struct inode.i_ctime`.
    asked: Vec<String>,
}

impl Subject {
    /// # Errors
    /// The object cannot be read; in words.
    pub fn of(object: &BpfObject) -> Result<Subject, String> {
        let inventory = object.inventory.as_ref().map_err(ToString::to_string)?;
        let side = ObjectSide::read(&object.bytes).map_err(|error| error.to_string())?;
        let names: Vec<&str> = inventory.programs.iter().map(|program| program.name.as_str()).collect();
        let types = crate::object::btf::Btf::parse(side.types.raw()).ok();
        let asked = side.relocations.iter().map(|relocation| {
            let spec = types.as_ref().and_then(|types| LocalSpec::of(&relocation.record, types));
            spec.map_or_else(|| format!("type {}", relocation.record.type_id), |spec| spec.to_string())
        });
        Ok(Subject {
            name: object.name.clone(),
            programs: inventory.programs.clone(),
            analysis: Analysis::of(&object.bytes, &names),
            functions: types.as_ref().map(|types| KernelFunction::all(&object.bytes, types)).unwrap_or_default(),
            struct_ops: inventory.struct_ops.iter().map(struct_ops).collect(),
            asked: asked.collect(),
            side,
        })
    }

    /// How many relocations it has.
    pub fn relocations(&self) -> usize {
        self.side.relocations.len()
    }

    /// What was found in its own bytes.
    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    /// What a relocation asks for, such as `struct inode.i_ctime`.
    pub fn asked(&self, relocation: usize) -> &str {
        self.asked.get(relocation).map_or("", String::as_str)
    }

    /// Whether it can do without a kernel function that it calls.
    pub fn is_weak(&self, function: &str) -> bool {
        self.functions.iter().any(|known| known.weak && known.name == function)
    }

    /// What the types of a kernel answer to it. Of the `release` only the version is taken; one that is none leaves guards by the version
    /// open.
    pub fn answers(&self, target: &Target, release: &str) -> Answers {
        let found: Vec<Result<(), String>> =
            self.functions.iter().map(|function| function.look_up(&self.side.types, target)).collect();
        let external = |(function, found): (&KernelFunction, &Result<(), String>)| ExternRecord {
            name: function.name.clone(),
            kind: "func ksym".to_owned(),
            weak: function.weak,
            resolved: found.is_ok().then(|| "vmlinux".to_owned()),
        };
        let externs = self.functions.iter().zip(&found).map(external).collect();
        Answers::of(Resolver::all(&self.side, target), (externs, found), release)
    }

    /// What becomes of it on one kernel.
    pub fn predict(&self, target: &Target, release: &str) -> Prediction {
        let answers = self.answers(target, release);
        let programs = self.programs.iter().enumerate();
        let programs = programs.map(|(number, program)| self.program(number, program, target, &answers)).collect();
        let guards = self.analysis.proof(&answers.facts()).guards.into_iter().map(|guard| guard.resolved).collect();
        let outcomes = answers.relocations.into_iter().map(|relocation| relocation.outcome).collect();
        Prediction { programs, relocations: outcomes, guards }
    }

    /// What the program needs and the kernel itself does not have, whatever its code does: its attach target, or a function.
    pub fn lacking(&self, program: &ProgramInfo, target: &Target, answers: &Answers) -> Option<PredictedOutcome> {
        let of_program = |(map, _): &&(String, String)| program.struct_ops.contains(map);
        let mut wanted = self.struct_ops.iter().filter(of_program).map(|(_, wanted)| wanted);
        let missing = wanted.find(|name| !has(target, name, Kind::Struct)).cloned();
        if let Some(target) = missing.or_else(|| missing_target(program, target)) {
            return Some(PredictedOutcome::MissingTarget { target });
        }
        let mut strong = self.functions.iter().zip(&answers.functions).filter(|(function, _)| !function.weak);
        strong.find_map(|(function, found)| match found {
            Err(reason) if program.externs.contains(&function.name) => {
                Some(PredictedOutcome::MissingKfunc { reason: reason.clone() })
            }
            _ => None,
        })
    }

    fn program(&self, number: usize, program: &ProgramInfo, target: &Target, answers: &Answers) -> PredictedOutcome {
        let facts = &answers.facts();
        if let Some(lacking) = self.lacking(program, target, answers) {
            return lacking;
        }
        let own = self.analysis.relocations_of(number);
        for &relocation in &own {
            match &facts.relocations[relocation].outcome {
                RelocationOutcome::Failed { reason } | RelocationOutcome::Ambiguous { reason } => {
                    return PredictedOutcome::Refused { reason: format!("`{}`: {reason}", self.asked[relocation]) };
                }
                _ => {}
            }
        }
        let poisoned = |relocation: &usize| facts.relocations[*relocation].outcome == RelocationOutcome::Poisoned;
        let absent: Vec<&str> = answers.absent_functions().collect();
        if !own.iter().any(poisoned) && absent.is_empty() {
            return PredictedOutcome::Resolves;
        }
        let Some(reached) = self.analysis.reached(number, facts) else {
            return PredictedOutcome::Unknown { reason: "the program is too large to be followed".to_owned() };
        };
        let mut missing = Vec::new();
        let relocations = reached.relocations.iter().filter(|relocation| poisoned(relocation));
        let calls = reached.kfuncs.into_iter().filter(|name| absent.contains(name));
        for asked in relocations.map(|&relocation| self.asked[relocation].as_str()).chain(calls) {
            if !missing.iter().any(|known| known == asked) {
                missing.push(asked.to_owned());
            }
        }
        match missing.is_empty() {
            true => PredictedOutcome::Resolves,
            false => PredictedOutcome::RejectedIfReached { missing },
        }
    }
}

/// What the program attaches to, if its type needs a type of the kernel for that and the kernel has none.
fn missing_target(program: &ProgramInfo, target: &Target) -> Option<String> {
    if !program.prog_type.as_deref().is_some_and(|kind| TARGETED.contains(&kind)) {
        return None;
    }
    let wanted = AttachTarget::from_section(&program.section)?;
    let kind = match wanted {
        AttachTarget::Tracepoint(_) => Kind::Typedef,
        AttachTarget::Function(_) | AttachTarget::Iterator(_) => Kind::Function,
    };
    let name = wanted.btf_name();
    (!has(target, &name, kind)).then(|| wanted.name().to_owned())
}

fn has(target: &Target, name: &str, kind: Kind) -> bool {
    let mut tables = std::iter::once(&target.kernel).chain(target.modules.iter().map(|(_, table)| table));
    tables.any(|table| table.exactly(name, kind).is_some())
}

/// A struct_ops map, and the struct by which libbpf finds the kernel's side of it.
fn struct_ops(map: &StructOpsInfo) -> (String, String) {
    (map.name.clone(), format!("bpf_struct_ops_{}", map.type_name))
}
