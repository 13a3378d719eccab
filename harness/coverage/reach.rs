//! What a program asks of the kernel, and what of it the program can come to on one kernel.

use std::collections::BTreeSet;

use super::analysis::Analysis;
use super::cell_coverage::ObjectFacts;
use super::code::{Function, Variable};
use crate::record::SourcePlace;

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

/// A call of a kernel function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KfuncCall {
    /// The program or subprogram that calls it.
    pub function: String,
    /// Where in the source; `None` without line info.
    pub source: Option<SourcePlace>,
    /// The guards that decide alone whether it is come to, each with the side that it is on; those with the least code come first.
    pub sides: Vec<(usize, usize)>,
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

    /// The guards that decide alone whether a program comes to a relocation, each with the side that it is on. Those with the least code
    /// come first.
    pub fn sides_of_relocation(&self, program: usize, relocation: usize) -> Vec<(usize, usize)> {
        let mut own = self.functions(program).flat_map(|(first, function)| {
            function.relocations.iter().map(move |&(at, relocation)| (first + at, relocation))
        });
        let found = own.find(|(_, own)| *own == relocation);
        found.map(|(at, _)| self.sides_at(program, at)).unwrap_or_default()
    }

    /// Where a program calls a kernel function: the calling function and its source, with the guards as
    /// [`Analysis::sides_of_relocation`] has them.
    pub fn calls(&self, program: usize, name: &str) -> Vec<KfuncCall> {
        let mut calls = Vec::new();
        for part in self.programs.get(program).into_iter().flat_map(|program| &program.parts) {
            let Some(function) = self.code.functions.get(part.function) else { continue };
            for (at, _) in function.kfuncs.iter().filter(|(_, called)| called == name) {
                calls.push(KfuncCall {
                    function: function.name.clone(),
                    source: self.source(part.function, *at),
                    sides: self.sides_at(program, part.first + at),
                });
            }
        }
        calls
    }

    /// The programs that a function is part of, as indexes.
    pub fn programs_of(&self, function: &str) -> BTreeSet<usize> {
        let holds = |program: &usize| self.functions(*program).any(|(_, own)| own.name == function);
        (0..self.programs.len()).filter(holds).collect()
    }

    fn sides_at(&self, program: usize, at: usize) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for (guard, occurrences) in self.occurrences.iter().enumerate() {
            for occurrence in occurrences.iter().filter(|occurrence| occurrence.program == program) {
                let sides = occurrence.sides.iter().enumerate().filter(|(_, insns)| insns.contains(&at));
                found.extend(sides.map(|(side, insns)| (insns.len(), guard, side)));
            }
        }
        found.sort_unstable();
        found.into_iter().map(|(_, guard, side)| (guard, side)).collect()
    }

    /// The functions of a program, with the instruction at which each begins.
    fn functions(&self, program: usize) -> impl Iterator<Item = (usize, &Function)> {
        let parts = self.programs.get(program).into_iter().flat_map(|program| &program.parts);
        parts.filter_map(|part| Some((part.first, self.code.functions.get(part.function)?)))
    }
}
