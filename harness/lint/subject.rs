//! [`LintSubject`]: an object, read once, to be held against the types of many kernels.

use std::collections::BTreeSet;

use crate::coverage::FixedRead;
use crate::explain::{Asked, asked};
use crate::object::{BpfObject, ObjectTypes, ProgramInfo};
use crate::predict::Subject;
use crate::record::CoreRelocation;

/// Program types that may load behind the pointers of their context by themselves.
const TYPED: [&str; 3] = ["tracing", "lsm", "struct_ops"];

/// Offsets of ports, addresses and scopes in `struct sockaddr_in` and `sockaddr_in6`, which hooks get pointers to.
const SOCKET_ADDRESS: [i64; 4] = [2, 4, 8, 24];

/// An object, read once, to be held against the types of many kernels.
#[derive(Debug)]
pub struct LintSubject {
    /// For predictions.
    pub(super) subject: Subject,
    /// Where it was found.
    pub(super) origin: String,
    /// Its types, if they can be read.
    pub(super) types: Option<ObjectTypes>,
    /// Its relocations, in the order of `types.relocations`.
    pub(super) relocations: Vec<CoreRelocation>,
    /// The programs, as indexes, that a relocation is part of; by relocation.
    pub(super) programs_of: Vec<BTreeSet<usize>>,
    /// Reads at offsets that are compiled in, by program; none where the object has relocations of fields.
    pub(super) fixed: Vec<(usize, FixedRead)>,
}

impl LintSubject {
    /// # Errors
    /// The object cannot be read; in words.
    pub fn of(object: &BpfObject) -> Result<LintSubject, String> {
        let subject = Subject::of(object)?;
        let inventory = object.inventory.as_ref().map_err(ToString::to_string)?;
        let types = ObjectTypes::read(&object.bytes);
        let mut programs_of = vec![BTreeSet::new(); subject.relocations()];
        for program in 0..subject.programs.len() {
            for relocation in subject.analysis().relocations_of(program) {
                if let Some(programs) = programs_of.get_mut(relocation) {
                    programs.insert(program);
                }
            }
        }
        let of_field = |types: &ObjectTypes| types.relocations.iter().any(|one| asked(one.kind) == Some(Asked::Field));
        let mut fixed = Vec::new();
        if !types.as_ref().is_some_and(of_field) {
            for (number, program) in subject.programs.iter().enumerate().filter(|(_, program)| reads_kernel(program)) {
                let found = subject.analysis().fixed_reads(number);
                // Where an address lies in a socket address is fixed permanently.
                if found.iter().all(|read| SOCKET_ADDRESS.contains(&read.offset)) {
                    continue;
                }
                let found = found.into_iter();
                let typed = program.prog_type.as_deref().is_some_and(|kind| TYPED.contains(&kind));
                let found = found.filter(|read| read.helper.is_some() || typed && !is_iterator(program));
                fixed.extend(found.map(|read| (number, read)));
            }
        }
        Ok(LintSubject {
            origin: object.origin.to_string(),
            relocations: inventory.core_relocations.clone(),
            subject,
            types,
            programs_of,
            fixed,
        })
    }

    /// The object as predictions read it.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Names of programs.
    pub(super) fn names(&self, programs: &BTreeSet<usize>) -> Vec<String> {
        programs.iter().filter_map(|&program| Some(self.subject.programs.get(program)?.name.clone())).collect()
    }
}

/// Whether pointers of the program's context lead to structs of the kernel whose layout is no one's promise: not the registers that a
/// system call saves, and not memory of the user.
fn reads_kernel(program: &ProgramInfo) -> bool {
    let section = &program.section;
    let of_calls = section.contains("sys_") || section.contains("syscall") || section.contains("usdt");
    let traced =
        ["kprobe", "kretprobe", "tracepoint", "tp/", "raw_tp", "raw_tracepoint", "fentry", "fexit", "fmod_ret"];
    let typed = ["tp_btf", "lsm", "struct_ops"];
    !of_calls && traced.iter().chain(&typed).any(|start| section.trim_start_matches('?').starts_with(start))
}

fn is_iterator(program: &ProgramInfo) -> bool {
    program.section.trim_start_matches('?').starts_with("iter")
}
