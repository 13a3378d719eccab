//! [`Pair`]: two runs, and what in one is what in the other.

use crate::manifest::split_name;
use crate::record::{ObjectProgram, RunRecord};

/// Two runs whose kernels, objects and programs are paired by name; a new build of a kernel with the newest that was there.
pub(crate) struct Pair<'a> {
    pub before: &'a RunRecord,
    pub after: &'a RunRecord,
    /// For each kernel of the later run its place in the earlier one.
    pub kernels: Vec<Option<usize>>,
    /// For each object of the later run its place in the earlier one.
    pub objects: Vec<Option<usize>>,
}

impl<'a> Pair<'a> {
    pub fn new(before: &'a RunRecord, after: &'a RunRecord) -> Self {
        let exact = |name: &str| before.kernels.iter().position(|kernel| kernel.name == name);
        // A build that is new is what the newest of the same kernel was before: what it breaks is news.
        let newest_of = |name: &str| {
            let (wanted, Some(_)) = split_name(name) else { return None };
            let is_build = |name: &str| matches!(split_name(name), (kernel, Some(_)) if kernel == wanted);
            before.kernels.iter().rposition(|kernel| is_build(&kernel.name))
        };
        let kernel = |name: &str| exact(name).or_else(|| newest_of(name));
        let object = |name: &str| before.objects.iter().position(|object| object.name == name);
        Pair {
            before,
            after,
            kernels: after.kernels.iter().map(|found| kernel(&found.name)).collect(),
            objects: after.objects.iter().map(|found| object(&found.name)).collect(),
        }
    }

    /// The place, in the earlier run, of a program of an object of the later run.
    pub fn program(&self, object: usize, program: usize) -> Option<usize> {
        let wanted = self.after.objects[object].programs.get(program)?;
        let programs: &[ObjectProgram] = &self.before.objects[self.objects[object]?].programs;
        // Names are unique but for static programs, which differ in their sections.
        programs
            .iter()
            .position(|known| known == wanted)
            .or_else(|| programs.iter().position(|known| known.name == wanted.name))
    }

    /// The places of a cell of the later run in the earlier one.
    pub fn cell(&self, object: usize, kernel: usize) -> Option<(usize, usize)> {
        self.objects[object].zip(self.kernels[kernel])
    }
}
