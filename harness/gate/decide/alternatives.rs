//! Alternatives that a suite declares and of which none serves: that may be in no program's verdict.

use super::{Gate, KNOWN, Rule, Weight};
use crate::compare::Place;
use crate::record::{AlternativeKind, AlternativesRecord, ProgramRecord, Service};

impl Gate<'_> {
    pub(super) fn alternatives(&mut self) {
        let record = self.record;
        for group in record.alternatives.iter().filter(|group| group.declared) {
            for k in 0..record.kernels.len() {
                if record.service(group, k) == Service::None {
                    self.not_served(group, k);
                }
            }
        }
    }

    fn not_served(&mut self, group: &AlternativesRecord, k: usize) {
        let record = self.record;
        let kernel = &record.kernels[k].name;
        let place = match group.members.first() {
            Some(first) if group.members.iter().all(|member| member.object == first.object) => {
                Place::cell(&first.object, kernel)
            }
            _ => Place::kernel(kernel),
        };
        if self.was_not_served(group, k) {
            self.excuse(Rule::NotServed, place, KNOWN.to_owned(), None);
        } else if let Some((why, link)) = self.foreseen(group, k) {
            self.excuse(Rule::NotServed, place, why, link);
        } else {
            let story = format!("no alternative of `{}` works: {}", group.name, record.fates(group, k).join("; "));
            let hint = "add an alternative that this kernel can load and attach, or remove the kernel from the matrix"
                .to_owned();
            self.push(Weight::Red, Rule::NotServed, place, &story, Some(hint));
        }
    }

    /// Whether it is so in the baseline.
    fn was_not_served(&self, group: &AlternativesRecord, k: usize) -> bool {
        let Some(pair) = &self.pair else { return false };
        let Some(before_k) = pair.kernels[k] else { return false };
        let mut known = pair.before.alternatives.iter().filter(|known| known.declared && known.name == group.name);
        known.any(|known| pair.before.service(known, before_k) == Service::None)
    }

    /// Why no one minds: expectations foresee it of every program for which no member serves.
    fn foreseen(&mut self, group: &AlternativesRecord, k: usize) -> Option<(String, Option<String>)> {
        let record = self.record;
        let mut found = None;
        for member in &group.members {
            let o = record.objects.iter().position(|object| object.name == member.object)?;
            let cell = record.cell(o, k);
            let useless = |program: &&ProgramRecord| {
                let is_it = group.kind != AlternativeKind::Programs || Some(&program.name) == member.name.as_ref();
                is_it && (program.verdict.is_failure() || cell.cannot_attach(&program.name))
            };
            let mut programs = cell.programs.iter().filter(useless).peekable();
            programs.peek()?;
            for program in programs {
                // That it cannot attach is in no verdict.
                let ended = program.verdict.is_failure().then_some((program.verdict, program.cause));
                let scope = self.expected(o, k, &program.name, ended)?;
                found = found.or_else(|| Some((scope.reason.clone(), scope.link.clone())));
            }
        }
        found
    }
}
