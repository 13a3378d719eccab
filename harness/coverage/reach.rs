//! What a program asks of the kernel, and what of it the program can come to on one kernel.

use std::collections::BTreeSet;

use super::analysis::Analysis;
use super::cell_coverage::ObjectFacts;
use super::code::{Function, Variable};

/// What a program can come to on one kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached<'a> {
    /// Relocations, as indexes into the object's list.
    pub relocations: BTreeSet<usize>,
    /// Calls of kernel functions, by name.
    pub kfuncs: BTreeSet<&'a str>,
    /// Maps, by name.
    pub maps: BTreeSet<&'a str>,
    /// Calls of helpers, by number.
    pub helpers: BTreeSet<u32>,
}

impl Analysis {
    /// The relocations of a program and of its subprograms, as indexes into the object's list.
    pub fn relocations_of(&self, program: usize) -> BTreeSet<usize> {
        let functions = self.functions(program);
        functions.flat_map(|(_, function)| function.relocations.iter().map(|&(_, relocation)| relocation)).collect()
    }

    /// The kconfig values that the object reads.
    pub fn kconfig_values(&self) -> impl Iterator<Item = &str> {
        self.code.variables.iter().filter_map(|variable| match variable {
            Variable::Kconfig { name, .. } => Some(name.as_str()),
            Variable::Rodata { .. } => None,
        })
    }

    /// The helpers that a program and its subprograms call, by number.
    pub fn helpers_of(&self, program: usize) -> BTreeSet<u32> {
        self.functions(program)
            .flat_map(|(_, function)| function.insns.iter().filter_map(|insn| insn.helper()))
            .collect()
    }

    /// What a program can come to, given all that the kernel answers; `None` if the program is too large to be followed.
    pub fn reached(&self, program: usize, facts: &ObjectFacts<'_>) -> Option<Reached<'_>> {
        let flow = self.answered(program, facts)?;
        let mut reached = Reached::default();
        for (first, function) in self.functions(program) {
            let is_reached = |at: usize| flow.reached.get(first + at) == Some(&true);
            let relocations = function.relocations.iter().filter(|(at, _)| is_reached(*at));
            reached.relocations.extend(relocations.map(|&(_, relocation)| relocation));
            let kfuncs = function.kfuncs.iter().filter(|(at, _)| is_reached(*at));
            reached.kfuncs.extend(kfuncs.map(|(_, name)| name.as_str()));
            let maps = function.maps.iter().filter(|(at, _)| is_reached(*at));
            reached.maps.extend(maps.map(|(_, name)| name.as_str()));
            let helpers = function.insns.iter().enumerate().filter(|(at, _)| is_reached(*at));
            reached.helpers.extend(helpers.filter_map(|(_, insn)| insn.helper()));
        }
        Some(reached)
    }

    /// The functions of a program, with the instruction at which each begins.
    fn functions(&self, program: usize) -> impl Iterator<Item = (usize, &Function)> {
        let parts = self.programs.get(program).into_iter().flat_map(|program| &program.parts);
        parts.filter_map(|part| Some((part.first, self.code.functions.get(part.function)?)))
    }
}
