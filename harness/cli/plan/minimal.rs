//! `corematrix plan --minimal`: the smallest set of kernels to boot that shows everything that BTF predicts.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use serde_json::json;

use super::super::answer::{MinimalKernel, MinimalKernels, UnreadKernel};
use super::super::failure::Failure;
use super::super::predict::{TypesAtHand, known_types};
use crate::answer::Answer;
use crate::matrix::Project;
use crate::object::BpfObject;
use crate::plan::ScheduleFormat;
use crate::predict::{MinimalMatrix, PredictedKernel, PredictedMatrix, Subject, behaviours};

/// The kernels and objects that the set is chosen for.
pub(super) struct Minimal {
    matrix: PredictedMatrix,
    programs: usize,
    found: MinimalMatrix,
    /// Names of the manifest: they can be booted.
    declared: BTreeSet<String>,
}

impl Minimal {
    /// Of the kernels of the store and of those that `places` have the types of.
    pub(super) fn of(project: &Project, objects: &[BpfObject], places: &[PathBuf]) -> Result<Minimal, Failure> {
        let mut subjects = Vec::new();
        for object in objects {
            let subject = Subject::of(object)
                .map_err(|reason| Failure::input(format!("`{}` cannot be read: {reason}", object.origin), None))?;
            subjects.push(subject);
        }
        let mut kernels = if places.is_empty() { Vec::new() } else { known_types(project, places)? };
        match known_types(project, &[]) {
            Ok(own) => kernels.extend(own),
            Err(failure) if kernels.is_empty() => return Err(failure),
            Err(_) => {}
        }
        let types = TypesAtHand::of(&project.store, subjects.iter());
        let matrix = PredictedMatrix::of(&subjects, kernels, |kernel| types.read(kernel));
        let declared: BTreeSet<String> = project.manifest.kernels.iter().map(|kernel| kernel.name.clone()).collect();
        let rank = |kernel: usize| match &matrix.kernels[kernel].name {
            Some(name) if declared.contains(name) => 0,
            Some(_) => 1,
            None => 2,
        };
        let found = MinimalMatrix::of(&matrix, rank);
        let programs = subjects.iter().map(|subject| subject.programs.len()).sum();
        Ok(Minimal { programs, found, declared, matrix })
    }

    /// Whether the types of a kernel could not be read, so that it is left out.
    pub(super) fn is_partial(&self) -> bool {
        self.matrix.cells.iter().any(Result::is_err)
    }

    /// The set, with a newline at its end.
    ///
    /// # Errors
    /// None that comes from the set.
    pub(super) fn render(&self, format: Option<ScheduleFormat>) -> Result<String, serde_json::Error> {
        let list = json!(self.selectors()).to_string();
        Ok(match format {
            None => self.text(),
            Some(ScheduleFormat::Json) => self.answer().json()?,
            Some(ScheduleFormat::GithubMatrix) => format!("{{\"kernel\":{list}}}\n"),
            Some(ScheduleFormat::Gitlab) => {
                format!(".corematrix-kernels:\n  parallel:\n    matrix:\n      - KERNEL: {list}\n")
            }
        })
    }

    fn kernel(&self, kernel: usize) -> (&PredictedKernel, bool) {
        let found = &self.matrix.kernels[kernel];
        (found, found.name.as_ref().is_some_and(|name| self.declared.contains(name)))
    }

    /// What `--kernel` takes for those that can be booted.
    fn selectors(&self) -> Vec<&str> {
        let declared = self.found.kernels.iter().map(|&kernel| self.kernel(kernel)).filter(|(_, declared)| *declared);
        declared.filter_map(|(kernel, _)| kernel.name.as_deref()).collect()
    }

    /// What a kernel of the set shows and no other of them does.
    fn shown_alone(&self, kernel: usize) -> usize {
        let of = |kernel: usize| self.matrix.cells[kernel].as_ref().map(|cells| behaviours(cells)).unwrap_or_default();
        let others: BTreeSet<_> =
            self.found.kernels.iter().filter(|&&other| other != kernel).flat_map(|&other| of(other)).collect();
        of(kernel).difference(&others).count()
    }

    fn answer(&self) -> MinimalKernels {
        let kernels = self.found.kernels.iter().map(|&number| {
            let (kernel, in_manifest) = self.kernel(number);
            MinimalKernel {
                name: kernel.name.clone(),
                release: kernel.release.clone(),
                group: kernel.group.clone(),
                types: kernel.types.clone(),
                in_manifest,
                shown_by_it_alone: self.shown_alone(number),
            }
        });
        let all = self.matrix.kernels.iter().zip(&self.matrix.cells);
        let not_read = all.filter_map(|(kernel, cells)| {
            let error = cells.as_ref().err()?.clone();
            Some(UnreadKernel { release: kernel.release.clone(), error })
        });
        MinimalKernels {
            predicted: true,
            kernels: kernels.collect(),
            of: self.matrix.kernels.len(),
            kinds: self.found.kinds,
            behaviours: self.found.behaviours,
            is_smallest: self.found.is_smallest,
            not_read: not_read.collect(),
        }
    }

    /// Writing to a string cannot fail, so results are dropped.
    fn text(&self) -> String {
        let MinimalMatrix { kernels, behaviours, kinds, is_smallest } = &self.found;
        let mut text = format!(
            "These {} of {} kernels cover every predicted behaviour of {} programs ({behaviours} behaviours on {kinds} \
    kinds of kernels):\n",
            kernels.len(),
            self.matrix.kernels.len(),
            self.programs
        );
        let mut others = Vec::new();
        for &number in kernels {
            let (kernel, is_declared) = self.kernel(number);
            let name = kernel.name.as_deref().unwrap_or("");
            let alone = match self.shown_alone(number) {
                0 => String::new(),
                alone => format!(", {alone} of them only on this kernel"),
            };
            let place = match kernel.name.is_some() || kernel.group.is_empty() {
                true => String::new(),
                false => format!(" of {}", kernel.group),
            };
            let _ = writeln!(text, "  {name:8} {}{place}{alone}", kernel.release);
            if !is_declared {
                others.push(format!("`{}`{place}", kernel.release));
            }
        }
        if !is_smallest {
            text += "A smaller set may exist: the search was stopped at its limit.\n";
        }
        let selectors = self.selectors();
        if !selectors.is_empty() {
            let list: Vec<String> = selectors.iter().map(|name| format!("\"{name}\"")).collect();
            let flags: Vec<String> = selectors.iter().map(|name| format!("--kernel {name}")).collect();
            let _ = write!(
                text,
                "\nTo boot them: `corematrix run ... {}`, or in `kernels.toml`:\n\n    [matrix]\n    default = [{}]\n",
                flags.join(" "),
                list.join(", ")
            );
        }
        if !others.is_empty() {
            let _ = writeln!(
                text,
                "\nNot declared in the manifest: {}. Declare them, or use `source = \"btf\"` to predict them.",
                others.join(", ")
            );
        }
        let unread = self.matrix.kernels.iter().zip(&self.matrix.cells);
        for (kernel, reason) in unread.filter_map(|(kernel, cells)| Some((kernel, cells.as_ref().err()?))) {
            let _ = writeln!(text, "\nskipped: `{}`: {reason}", kernel.release);
        }
        text
    }
}
