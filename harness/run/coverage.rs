//! [`CoverageEvidence`]: gathers what guests report about the programs that were loaded, for the proof of their guards.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::evidence::CellEvidence;
use crate::bytes::u32_at;
use crate::coverage::{ObjectFacts, ProgramEvidence};
use crate::judge::{KernelView, module_elsewhere, modules_of};
use crate::plan::PlannedObject;
use crate::record::RelocationRecord;
use crate::record::{CellCoverage, GuardKind, GuardProof, GuardRecord, InModule, Liveness};

/// Bytes of a line record.
const RECORD: usize = 16;
/// More instructions, and so more line records, than the kernel takes are not kept.
const MOST_INSNS: usize = 1 << 20;

/// What guests reported of the loaded programs of one object on one kernel.
#[derive(Debug, Default)]
pub struct CoverageEvidence {
    programs: HashMap<String, ProgramEvidence>,
    visited: HashMap<String, Vec<u8>>,
    ran: HashSet<String>,
}

impl CoverageEvidence {
    /// Takes the kernel's line records of a program, which has been loaded then.
    pub fn lines(&mut self, program: String, blob: &[u8]) {
        let record = |record: &[u8]| [0, 4, 8, 12].map(|at| u32_at(record, at).unwrap_or(0));
        let records = blob.chunks_exact(RECORD).take(MOST_INSNS).map(record);
        self.programs.entry(program).or_default().lines = records.collect();
    }

    /// Takes that a program was seen to run.
    pub fn ran(&mut self, program: String) {
        self.ran.insert(program);
    }

    /// Takes the instructions that the verifier visited, one bit each.
    pub fn visited(&mut self, program: String, bits: Vec<u8>) {
        if bits.len() <= MOST_INSNS / 8 {
            self.visited.insert(program, bits);
        }
    }

    /// Whether the verifier visited an instruction; `None` if that is not known about the program.
    pub fn is_visited(&self, program: &str, insn: u32) -> Option<bool> {
        let byte = self.visited.get(program)?.get(insn as usize / 8)?;
        Some(byte >> (insn % 8) & 1 == 1)
    }

    /// What all this proves.
    pub fn proof(
        &self,
        planned: &PlannedObject,
        evidence: &CellEvidence,
        relocations: &[RelocationRecord],
        kernel: &dyn KernelView,
    ) -> CellCoverage {
        let evidence_of = |(index, program): (usize, &crate::record::ObjectProgram)| {
            let mut known = self.programs.get(&program.name)?.clone();
            known.ran = self.ran.contains(&program.name);
            known.visited = self.visited.get(&program.name).cloned();
            known.insns = evidence.instructions_of(&program.name).to_vec();
            Some((index, known))
        };
        let loaded: BTreeMap<usize, ProgramEvidence> =
            planned.programs.iter().enumerate().filter_map(evidence_of).collect();
        let mut proof = planned.analysis.proof(&ObjectFacts {
            loaded: &loaded,
            relocations,
            externs: evidence.externs(),
            release: None,
        });
        // A module of the kernel has no part in BTF of the loader's own.
        let in_modules = match planned.own_types() {
            Some(_) => Vec::new(),
            None => in_modules(&planned.analysis.guards, &proof, kernel),
        };
        for open in in_modules.iter().filter(|found| found.on_kernel.is_some()) {
            // What this guest answered does not show anything about the kernel.
            if let Some(proof) = proof.guards.get_mut(open.guard) {
                *proof = GuardProof { resolved: None, verified: [Liveness::Unknown; 2], executed: [false; 2] };
            }
        }
        CellCoverage { in_modules, ..proof }
    }
}

/// The guards that found nothing where a module of the kernel has what they ask for, or where it may: one of another kernel has it, and
/// nothing is known about the modules of this one.
fn in_modules(guards: &[GuardRecord], proof: &CellCoverage, kernel: &dyn KernelView) -> Vec<InModule> {
    let is_false = |(_, (guard, proof)): &(usize, (&GuardRecord, &GuardProof))| {
        let asks_presence = guard.kind.is_existence() || guard.kind == GuardKind::Ksym;
        asks_presence && proof.resolved == Some(false)
    };
    let false_ones = guards.iter().zip(&proof.guards).enumerate().filter(is_false);
    let found = false_ones.filter_map(|(number, (guard, _))| {
        let modules = modules_of(kernel, &guard.asked);
        if !modules.is_empty() || kernel.knows_module_functions() {
            return Some(InModule { guard: number, modules, on_kernel: None });
        }
        let elsewhere = module_elsewhere(kernel, &guard.asked)?;
        Some(InModule { guard: number, modules: vec![elsewhere.module], on_kernel: Some(elsewhere.kernel) })
    });
    found.filter(|found| !found.modules.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_taken_from_the_blob() {
        let mut evidence = CoverageEvidence::default();
        let blob: Vec<u8> = (1u32..=9).flat_map(u32::to_le_bytes).collect();
        evidence.lines("a".to_owned(), &blob);
        assert_eq!(evidence.programs["a"].lines, [[1, 2, 3, 4], [5, 6, 7, 8]]);
    }

    #[test]
    fn guard_on_what_a_module_has_names_the_module() {
        use crate::judge::SampleKernel;
        use crate::record::{LineSet, SideRecord};

        let guard = |kind, asked: &str| GuardRecord {
            kind,
            asked: asked.to_owned(),
            function: "p".to_owned(),
            insn: 0,
            source: None,
            relocation: None,
            programs: vec![0],
            sides: [(); 2].map(|()| SideRecord { when: String::new(), insns: 0, lines: LineSet::default() }),
            undecided: None,
        };
        let guards = [
            guard(GuardKind::TypeExists, "struct xfs_inode"),
            guard(GuardKind::FieldExists, "struct xfs_inode.i_mount"),
            guard(GuardKind::Ksym, "xfs_function"),
            guard(GuardKind::FieldExists, "struct inode.gone"),
            guard(GuardKind::Kconfig, "xfs_inode"),
        ];
        let proof = |resolved| CellCoverage {
            guards: vec![
                GuardProof { resolved: Some(resolved), verified: [Liveness::Unknown; 2], executed: [false; 2] };
                5
            ],
            ..CellCoverage::default()
        };
        let modules = &[("xfs_inode", "xfs"), ("xfs_function", "xfs")];
        let kernel = SampleKernel { modules, ..SampleKernel::NOTHING };
        let found = in_modules(&guards, &proof(false), &kernel);
        assert_eq!(found.iter().map(|found| found.guard).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(found.iter().all(|found| found.modules == ["xfs"]));
        assert!(in_modules(&guards, &proof(true), &kernel).is_empty());
        // Where nothing is known about the kernel's modules, what another one has in a module is not known here.
        let elsewhere = &[("xfs_function", "xfs", "6.12")];
        let found = in_modules(&guards, &proof(false), &SampleKernel { elsewhere, ..SampleKernel::NOTHING });
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].guard, found[0].on_kernel.as_deref()), (2, Some("6.12")));
        assert!(in_modules(&guards, &proof(false), &SampleKernel { elsewhere, ..kernel }).len() == 3, "it is known");
    }
}
