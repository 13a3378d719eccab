//! What counts against a run, decided here for all: exit codes, summaries, findings, the gate and bundles.

use super::{CellRecord, KernelRecord, KernelState, RunRecord, WholeLoad};

impl KernelRecord {
    /// Its release, as far as it is known: that of its image, or else of the types that predict.
    pub fn release(&self) -> Option<&str> {
        match (&self.identity, &self.state) {
            (Some(identity), _) => Some(&identity.release),
            (None, KernelState::Predicted { release, .. }) => Some(release),
            (None, _) => None,
        }
    }

    /// Whether it is unavailable and the matrix may go on without it, so that nothing on it counts. What BTF predicts proves nothing,
    /// so it never counts either; but a kernel that has to be booted is missing all the same.
    pub fn is_done_without(&self) -> bool {
        match &self.state {
            KernelState::Unavailable { .. } => self.optional,
            KernelState::Predicted { reason, .. } => self.optional || reason.is_none(),
            _ => false,
        }
    }

    /// Whether there are predictions instead of results.
    pub fn is_predicted(&self) -> bool {
        matches!(self.state, KernelState::Predicted { .. })
    }
}

impl CellRecord {
    /// How the object was loaded as a whole, if that failed.
    pub fn failed_whole(&self) -> Option<&WholeLoad> {
        self.whole.as_ref().filter(|whole| !whole.prepared)
    }
}

impl RunRecord {
    /// Whether a program failed on a kernel, and nothing excuses that. All as indexes.
    pub fn fails(&self, object: usize, kernel: usize, program: usize) -> bool {
        let tried = self.cell(object, kernel).programs.get(program);
        tried.is_some_and(|tried| tried.verdict.is_failure()) && self.excuse(object, kernel, program).is_none()
    }

    /// How an object was loaded as a whole on a kernel, if that failed and nothing excuses it.
    pub fn fails_whole(&self, object: usize, kernel: usize) -> Option<&WholeLoad> {
        self.cell(object, kernel).failed_whole().filter(|_| self.whole_excuse(object, kernel).is_none())
    }

    /// Whether a cell failed and nothing excuses that, so that someone has to look into it.
    pub fn is_red(&self, object: usize, kernel: usize) -> bool {
        let programs = 0..self.cell(object, kernel).programs.len();
        self.fails_whole(object, kernel).is_some()
            || programs.into_iter().any(|program| self.fails(object, kernel, program))
    }
}

#[cfg(test)]
mod tests {
    use crate::{KernelState, OptionalRecord, ProgramLoading, Verdict, WholeLoad, exit_code, sample};

    #[test]
    fn failures_count_unless_they_are_excused() {
        let objects = vec![sample::object("a", &[("first", "xdp"), ("second", "xdp")])];
        let kernels = ["5.10", "6.1"].map(sample::kernel).to_vec();
        let mut record = sample::assemble(kernels, objects, |_, p, k| match (p, k) {
            (0, 0) => (Verdict::VerifierRejected, None),
            (1, 0) => (Verdict::HarnessError, None),
            _ => (Verdict::Loaded, None),
        });
        assert!(record.fails(0, 0, 0) && !record.fails(0, 0, 1) && !record.fails(0, 1, 0) && !record.fails(0, 0, 9));
        assert!(record.is_red(0, 0) && !record.is_red(0, 1));
        record.cells[1].whole = Some(WholeLoad { prepared: false, reason: None, left_out: Vec::new(), expected: None });
        assert!(record.is_red(0, 1) && record.fails_whole(0, 1).is_some());
        let what = crate::Alternative { object: "a".to_owned(), name: Some("first".to_owned()) };
        record.optional.push(OptionalRecord { what, reason: "new".to_owned() });
        assert!(!record.fails(0, 0, 0) && !record.is_red(0, 0));
    }

    #[test]
    fn only_an_optional_kernel_that_is_unavailable_does_not_count() {
        let mut kernel = sample::kernel("5.4");
        assert!(!kernel.is_done_without());
        kernel.state = KernelState::Unavailable { reason: "gone".to_owned(), hint: None };
        assert!(!kernel.is_done_without());
        kernel.optional = true;
        assert!(kernel.is_done_without());
        let predicted = |reason: Option<&str>| KernelState::Predicted {
            release: "5.4".to_owned(),
            btf_sha256: String::new(),
            reason: reason.map(str::to_owned),
            hint: None,
        };
        kernel.state = predicted(Some("gone"));
        assert!(kernel.is_done_without());
        kernel.optional = false;
        assert!(!kernel.is_done_without());
        kernel.state = predicted(None);
        assert!(kernel.is_done_without());
    }

    #[test]
    fn what_its_loader_never_loads_is_neither_red_nor_a_success() {
        let code = |first: Verdict, left_out: &[&str]| {
            let mut object = sample::object("a", &[("first", "xdp"), ("second", "xdp")]);
            let never = |name: &&str| ProgramLoading {
                program: (*name).to_owned(),
                autoload: Some(false),
                ..Default::default()
            };
            object.loading.programs = left_out.iter().map(never).collect();
            let fate = |p| (if p == 0 { first } else { Verdict::NotRun }, None);
            exit_code::of(&sample::assemble(vec![sample::kernel("5.10")], vec![object], |_, p, _| fate(p)))
        };
        assert_eq!(code(Verdict::Loaded, &["second"]), exit_code::GOOD);
        assert_eq!(code(Verdict::Loaded, &[]), exit_code::INFRASTRUCTURE);
        assert_eq!(code(Verdict::NotRun, &["first", "second"]), exit_code::INFRASTRUCTURE);
        assert_eq!(code(Verdict::VerifierRejected, &["second"]), exit_code::PROGRAM_FAILED);
    }
}
