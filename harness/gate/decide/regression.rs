//! What is worse than in the baseline and is not a verdict, and what changed around a cell since then.

use super::{Gate, Rule, Weight};
use crate::compare::{Change, differences};

impl<'a> Gate<'a> {
    /// What is worse than in the baseline and is no verdict.
    pub(super) fn regressions(&mut self) {
        let Some(pair) = &self.pair else { return };
        let found = differences(pair.before, pair.after);
        let record = self.record;
        let object = |name: &String| record.objects.iter().position(|object| object.name == *name);
        let kernel = |name: &String| record.kernels.iter().position(|kernel| kernel.name == *name);
        for difference in found {
            let place = difference.place.clone();
            let (o, k) = (place.object.as_ref().and_then(object), place.kernel.as_ref().and_then(kernel));
            let since = o.zip(k).and_then(|(o, k)| self.since(o, k));
            let story = difference.change.to_string();
            match difference.change {
                Change::Gone => {
                    let story = format!("{story}, but is in the baseline: the matrix has shrunk");
                    let hint = "restore it, or use a baseline without it".to_owned();
                    self.push(Weight::Red, Rule::CellLost, place, &story, Some(hint));
                }
                Change::CoverageLost { .. } => {
                    let hint = "a kernel that took this side may have left the matrix, or the program that contains it \
    no longer loads";
                    self.push(Weight::Red, Rule::CoverageLost, place, &story, Some(hint.to_owned()));
                }
                Change::DangerAdded(_) => self.push(Weight::Red, Rule::NewDanger, place, &story, since),
                Change::Instructions { before, after } => {
                    let limit = self.limits.instructions_percent;
                    // A little more than the rounding of a percentage.
                    if crate::compare::growth(before, after) - limit > 1e-6 {
                        let story = format!("{story}; the limit is {limit} %");
                        self.push(Weight::Red, Rule::InstructionsGrew, place, &story, since);
                    }
                }
                _ => {}
            }
        }
    }

    /// What changed around a cell since the baseline, as a hint at who is to blame.
    pub(super) fn since(&self, o: usize, k: usize) -> Option<String> {
        let pair = self.pair.as_ref()?;
        let (before_o, before_k) = pair.cell(o, k)?;
        let (old, new) = (&pair.before.objects[before_o], &pair.after.objects[o]);
        let (old_kernel, new_kernel) = (&pair.before.kernels[before_k], &pair.after.kernels[k]);
        let release = |kernel: &'a crate::record::KernelRecord| {
            kernel.identity.as_ref().map_or("unknown", |identity| identity.release.as_str())
        };
        let kernel = match old_kernel.identity == new_kernel.identity {
            true => None,
            false if release(old_kernel) == release(new_kernel) => {
                Some(format!("was rebuilt as {}", release(new_kernel)))
            }
            false => Some(format!("changed from {} to {}", release(old_kernel), release(new_kernel))),
        };
        let name = &new_kernel.name;
        Some(match (old.sha256 == new.sha256, kernel) {
            (true, Some(kernel)) => format!("since the baseline kernel {name} {kernel}, and the object is the same"),
            (false, None) => "since the baseline the object changed, and the kernel is the same".to_owned(),
            (false, Some(kernel)) => format!("since the baseline the object changed, and kernel {name} {kernel}"),
            (true, None) => {
                let (old, new) = (&pair.before.tool, &pair.after.tool);
                format!(
                    "neither object nor kernel changed since the baseline, but corematrix and libbpf: {} and {} then, \
    {} and {} now",
                    old.corematrix, old.libbpf, new.corematrix, new.libbpf
                )
            }
        })
    }
}
