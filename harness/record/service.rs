//! [`Service`]: which of several alternatives works on a kernel, and which failures are excused because of it.

use super::{Alternative, AlternativeKind, AlternativesRecord, CellRecord, ProgramRecord, RunRecord};
use crate::{Blame, Verdict};

/// Which member of a group works on a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum Service {
    /// The first that does, as an index into the members.
    By(usize),
    /// None does.
    None,
    /// None was seen to, and not every one was judged.
    Unknown,
}

fn failed(program: &ProgramRecord) -> bool {
    program.verdict.is_failure()
}

/// Whether a program does nothing on a kernel: it fails, or it loads and can never attach.
fn is_useless(cell: &CellRecord, program: &ProgramRecord) -> bool {
    failed(program) || cell.cannot_attach(&program.name)
}

impl RunRecord {
    /// Which member of a group works on a kernel.
    pub fn service(&self, group: &AlternativesRecord, kernel: usize) -> Service {
        let works: Vec<Option<bool>> =
            group.members.iter().map(|member| self.works(group.kind, member, kernel)).collect();
        match works.iter().position(|works| *works == Some(true)) {
            Some(first) => Service::By(first),
            None if works.iter().all(|works| *works == Some(false)) => Service::None,
            None => Service::Unknown,
        }
    }

    /// What becomes of each member where none serves: `` `fast`: verifier rejected `` or `` `fast` loads, cannot attach here ``.
    pub fn fates(&self, group: &AlternativesRecord, kernel: usize) -> Vec<String> {
        group.members.iter().map(|member| self.fate(group, member, kernel)).collect()
    }

    fn fate(&self, group: &AlternativesRecord, member: &Alternative, kernel: usize) -> String {
        let label = group.label(member);
        if self.only_cannot_attach(group, member, kernel) {
            return format!("`{label}` loads, but cannot attach on this kernel");
        }
        let object = self.objects.iter().position(|object| object.name == member.object);
        let programs = object.map(|object| &self.cell(object, kernel).programs[..]).unwrap_or_default();
        let program = programs.iter().find(|program| match group.kind {
            AlternativeKind::Programs => Some(&program.name) == member.name.as_ref(),
            _ => failed(program),
        });
        match (group.kind, program) {
            (AlternativeKind::Maps, _) => format!("`{label}` is not created"),
            (AlternativeKind::Objects, Some(program)) => format!("`{label}`: {} (`{}`)", program.verdict, program.name),
            (_, Some(program)) => format!("`{label}`: {}", program.verdict),
            (_, None) => format!("`{label}` does not load"),
        }
    }

    /// Whether a member loads, and serves nothing because the kernel has no way to attach it.
    pub fn only_cannot_attach(&self, group: &AlternativesRecord, member: &Alternative, kernel: usize) -> bool {
        let Some(object) = self.objects.iter().position(|object| object.name == member.object) else { return false };
        let cell = self.cell(object, kernel);
        let mut cannot = cell.programs.iter().filter(|program| cell.cannot_attach(&program.name));
        match group.kind {
            AlternativeKind::Programs => cannot.any(|program| Some(&program.name) == member.name.as_ref()),
            AlternativeKind::Maps => false,
            AlternativeKind::Objects => cannot.next().is_some() && !cell.programs.iter().any(failed),
        }
    }

    /// Why the failure of a program is accepted: it is expected, it is optional, or an alternative that a suite declares works. `None`
    /// for any other failure, and for a program that did not fail. Reads well behind a verdict.
    pub fn excuse(&self, object: usize, kernel: usize, program: usize) -> Option<String> {
        let record = self.cell(object, kernel).programs.get(program).filter(|record| failed(record))?;
        if let Some(reason) = &record.expected {
            return Some(format!("expected: {reason}"));
        }
        self.own_excuse(object, kernel, program).or_else(|| {
            let name = &self.objects[object].name;
            self.by_alternative(AlternativeKind::Objects, name, kernel, |member| member.object == *name)
        })
    }

    /// Why it is accepted that an object does not load as a whole on a kernel: it is expected, the programs that fail are excused, or
    /// the maps that are left out have alternatives. `None` if it is not accepted, and for an object that loads as a whole.
    pub fn whole_excuse(&self, object: usize, kernel: usize) -> Option<String> {
        let cell = self.cell(object, kernel);
        let whole = cell.failed_whole()?;
        if let Some(reason) = &whole.expected {
            return Some(format!("expected: {reason}"));
        }
        let fails = (0..cell.programs.len()).filter(|&program| failed(&cell.programs[program]));
        let fails: Vec<usize> = fails.collect();
        if !fails.is_empty() {
            return first_of_all(fails.into_iter().map(|program| self.excuse(object, kernel, program)));
        }
        let name = &self.objects[object].name;
        first_of_all(whole.left_out.iter().map(|map| {
            let is_it = |member: &Alternative| member.object == *name && member.name.as_ref() == Some(map);
            self.by_alternative(AlternativeKind::Maps, name, kernel, is_it)
        }))
    }

    /// As [`RunRecord::excuse`], without what other objects do, and also for what can never attach.
    fn own_excuse(&self, object: usize, kernel: usize, program: usize) -> Option<String> {
        let cell = self.cell(object, kernel);
        let record = cell.programs.get(program).filter(|record| is_useless(cell, record))?;
        let object = &self.objects[object].name;
        let is_it =
            |part: &Alternative| part.object == *object && part.name.as_ref().is_none_or(|name| *name == record.name);
        if let Some(optional) = self.optional.iter().find(|optional| is_it(&optional.what)) {
            return Some(format!("optional: {}", optional.reason));
        }
        let named = |member: &Alternative| is_it(member) && member.name.is_some();
        let lacks = |member: &Alternative| {
            member.object == *object && member.name.as_deref().is_some_and(|map| is_about(record, map))
        };
        self.by_alternative(AlternativeKind::Programs, object, kernel, named)
            .or_else(|| self.by_alternative(AlternativeKind::Maps, object, kernel, lacks))
    }

    /// The words for a declared group with a member of `object` that `is_it`, if another one works on the kernel.
    fn by_alternative(
        &self,
        kind: AlternativeKind,
        object: &str,
        kernel: usize,
        is_it: impl Fn(&Alternative) -> bool,
    ) -> Option<String> {
        let mine =
            |group: &&AlternativesRecord| group.declared && group.kind == kind && group.members.iter().any(&is_it);
        self.alternatives.iter().filter(mine).find_map(|group| match self.service(group, kernel) {
            Service::By(member) => {
                let label = group.members[member].label_seen_from(object);
                Some(format!("`{label}` works instead ({})", group.name))
            }
            Service::None | Service::Unknown => None,
        })
    }

    /// Whether it is open what a program would do. What its loader never loads is no part of the object.
    fn is_open(&self, object: usize, program: &ProgramRecord) -> bool {
        judged(program).is_none() && !self.objects[object].loading.leaves_out(&program.name)
    }

    /// Whether a member works; `None` if that was not judged.
    fn works(&self, kind: AlternativeKind, member: &Alternative, kernel: usize) -> Option<bool> {
        let object = self.objects.iter().position(|object| object.name == member.object)?;
        let cell = self.cell(object, kernel);
        let name = member.name.as_deref().unwrap_or_default();
        match kind {
            AlternativeKind::Programs => {
                let program = cell.programs.iter().find(|program| program.name == name)?;
                match self.is_open(object, program) {
                    true => None,
                    false => Some(program.verdict.is_pass() && !cell.cannot_attach(name)),
                }
            }
            AlternativeKind::Maps => self.map_works(object, cell, name),
            AlternativeKind::Objects => {
                let fails = |program: usize| {
                    is_useless(cell, &cell.programs[program]) && self.own_excuse(object, kernel, program).is_none()
                };
                match () {
                    () if (0..cell.programs.len()).any(fails) => Some(false),
                    () if cell.programs.iter().any(|program| self.is_open(object, program)) => None,
                    () => cell.programs.iter().any(|program| program.verdict.is_pass()).then_some(true),
                }
            }
        }
    }

    /// A map that was created shows only in a program that was loaded.
    fn map_works(&self, object: usize, cell: &CellRecord, map: &str) -> Option<bool> {
        let whole = cell.whole.as_ref()?;
        if whole.left_out.iter().any(|left| left == map) {
            return Some(false);
        }
        match cell.programs.iter().any(|program| program.verdict.is_pass()) {
            true => Some(true),
            false => (!cell.programs.iter().any(|program| self.is_open(object, program))).then_some(false),
        }
    }
}

impl Alternative {
    /// Its name in reports: the program or map, or else the object.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.object)
    }

    /// Its name in what is said of `object`: with its own object if it lies in another one.
    pub fn label_seen_from(&self, object: &str) -> String {
        match &self.name {
            Some(name) if self.object != object => format!("{}/{name}", self.object),
            _ => self.label().to_owned(),
        }
    }
}

impl AlternativesRecord {
    /// A member's name, with its object where the group has several.
    pub fn label(&self, member: &Alternative) -> String {
        let other = self.members.iter().find(|other| other.object != member.object);
        member.label_seen_from(&other.unwrap_or(member).object)
    }
}

/// The first excuse, if there is one for each.
fn first_of_all(excuses: impl Iterator<Item = Option<String>>) -> Option<String> {
    let all: Option<Vec<String>> = excuses.collect();
    all?.into_iter().next()
}

fn judged(program: &ProgramRecord) -> Option<bool> {
    (program.verdict.blame() != Blame::Harness).then(|| program.verdict.is_pass())
}

/// Whether a program failed because a map is missing.
fn is_about(program: &ProgramRecord, map: &str) -> bool {
    let is_word = |text: &str| text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == map);
    let evidence = program.evidence.as_ref();
    program.verdict == Verdict::MapCreationFailed
        && (program.reason.as_deref().is_some_and(is_word)
            || evidence.is_some_and(|evidence| is_word(&evidence.line) || evidence.subject.as_deref() == Some(map)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::{OptionalRecord, ProgramLoading, WholeLoad};

    fn member(object: &str, name: &str) -> Alternative {
        Alternative { object: object.to_owned(), name: (!name.is_empty()).then(|| name.to_owned()) }
    }

    fn group(kind: AlternativeKind, members: [Alternative; 2]) -> AlternativesRecord {
        AlternativesRecord { name: "g".to_owned(), kind, declared: true, members: members.to_vec() }
    }

    /// On `5.4` the second program of `a` loads, on `6.1` the first, on `6.12` none, and `7.0` was never reached.
    fn record() -> RunRecord {
        let kernels = ["5.4", "6.1", "6.12", "7.0"].map(sample::kernel).to_vec();
        let objects = vec![
            sample::object("a", &[("fast", "fentry/x"), ("slow", "kprobe/x")]),
            sample::object("b", &[("only", "xdp")]),
        ];
        sample::assemble(kernels, objects, |o, p, k| match (o, p, k) {
            (_, _, 3) => (Verdict::NotRun, Some("no time".to_owned())),
            (0, 1, 0) | (0, 0, 1) | (1, _, 0..=1) => (Verdict::Loaded, None),
            _ => (Verdict::MapCreationFailed, Some("the kernel does not create map `events`".to_owned())),
        })
    }

    #[test]
    fn the_first_member_that_works_serves() {
        let record = record();
        let programs = group(AlternativeKind::Programs, [member("a", "fast"), member("a", "slow")]);
        let service = |group: &AlternativesRecord| [0, 1, 2, 3].map(|kernel| record.service(group, kernel));
        assert_eq!(service(&programs), [Service::By(1), Service::By(0), Service::None, Service::Unknown]);
        let objects = group(AlternativeKind::Objects, [member("a", ""), member("b", "")]);
        assert_eq!(service(&objects), [Service::By(1), Service::By(1), Service::None, Service::Unknown]);
    }

    #[test]
    fn failures_are_excused_only_by_what_is_declared() {
        let mut record = record();
        let mut programs = group(AlternativeKind::Programs, [member("a", "fast"), member("a", "slow")]);
        programs.declared = false;
        record.alternatives.push(programs.clone());
        assert_eq!(record.excuse(0, 0, 0), None);
        programs.declared = true;
        record.alternatives.push(programs);
        assert_eq!(record.excuse(0, 0, 0).as_deref(), Some("`slow` works instead (g)"));
        assert_eq!(record.excuse(0, 1, 1).as_deref(), Some("`fast` works instead (g)"));
        // It loads; none serves; no one knows; another object.
        for (object, kernel, program) in [(0, 0, 1), (0, 2, 0), (0, 3, 0), (1, 2, 0)] {
            assert_eq!(record.excuse(object, kernel, program), None);
        }
        record.optional.push(OptionalRecord { what: member("b", ""), reason: "new".to_owned() });
        assert_eq!(record.excuse(1, 2, 0).as_deref(), Some("optional: new"));
        record.alternatives = vec![group(AlternativeKind::Objects, [member("a", ""), member("b", "")])];
        assert_eq!(record.excuse(0, 0, 0).as_deref(), Some("`b` works instead (g)"));
    }

    #[test]
    fn what_its_loader_never_loads_keeps_no_object_from_serving() {
        let mut record = record();
        let never = ProgramLoading { program: "fast".into(), autoload: Some(false), ..ProgramLoading::default() };
        record.objects[0].loading.programs.push(never);
        record.cells[0].programs[0].verdict = Verdict::NotRun;
        record.cells[2].programs[0].verdict = Verdict::NotRun;
        let objects = group(AlternativeKind::Objects, [member("a", ""), member("b", "")]);
        let service = |group: &AlternativesRecord| [0, 2, 3].map(|kernel| record.service(group, kernel));
        assert_eq!(service(&objects), [Service::By(0), Service::None, Service::Unknown]);
        // It serves nothing itself.
        let programs = group(AlternativeKind::Programs, [member("a", "fast"), member("a", "slow")]);
        assert_eq!(service(&programs), [Service::By(1), Service::None, Service::Unknown]);
    }

    #[test]
    fn what_can_never_attach_serves_nothing() {
        let mut record = record();
        record.cells[0].dangers = vec![sample::unattachable("slow")];
        let programs = group(AlternativeKind::Programs, [member("a", "fast"), member("a", "slow")]);
        assert_eq!(record.service(&programs, 0), Service::None);
        assert_eq!(
            record.fates(&programs, 0),
            [
                "`fast`: map creation failed",
                "`slow` loads, but cannot attach on \
    this kernel"
            ]
        );
        record.alternatives.push(programs);
        assert_eq!(record.excuse(0, 0, 0), None);
        // Beside it in the group, what does attach serves.
        let both = group(AlternativeKind::Programs, [member("a", "slow"), member("b", "only")]);
        assert_eq!(record.service(&both, 0), Service::By(1));
        // So does no object that needs it, unless a suite says that it may fail or that another program does for it.
        let declared = std::mem::take(&mut record.alternatives);
        record.cells[0].programs[0].verdict = Verdict::Loaded;
        let objects = group(AlternativeKind::Objects, [member("a", ""), member("b", "")]);
        assert_eq!(record.service(&objects, 0), Service::By(1));
        record.alternatives = declared;
        assert_eq!(record.service(&objects, 0), Service::By(0));
        record.alternatives.clear();
        record.optional.push(OptionalRecord { what: member("a", "slow"), reason: "extra".to_owned() });
        assert_eq!(record.service(&objects, 0), Service::By(0));
        // It did not fail, so that there is nothing to excuse.
        assert_eq!(record.excuse(0, 0, 1), None);
    }

    #[test]
    fn an_alternative_in_another_object_is_named_with_it() {
        let mut record = record();
        record.alternatives = vec![group(AlternativeKind::Programs, [member("a", "fast"), member("b", "only")])];
        assert_eq!(record.excuse(0, 0, 0).as_deref(), Some("`b/only` works instead (g)"));
        record.alternatives = vec![group(AlternativeKind::Maps, [member("a", "events"), member("b", "events")])];
        record.cells[4].whole = Some(WholeLoad { prepared: true, reason: None, left_out: Vec::new(), expected: None });
        record.cells[0].whole =
            Some(WholeLoad { prepared: false, reason: None, left_out: vec!["events".to_owned()], expected: None });
        assert_eq!(record.excuse(0, 0, 0).as_deref(), Some("`b/events` works instead (g)"));
    }

    #[test]
    fn maps_excuse_their_programs_and_the_whole_object() {
        let mut record = record();
        let left_out = vec!["events".to_owned()];
        record.cells[0].whole =
            Some(WholeLoad { prepared: false, reason: None, left_out: left_out.clone(), expected: None });
        assert!(record.whole_excuse(0, 0).is_none() && record.excuse(0, 0, 0).is_none());
        record.alternatives = vec![group(AlternativeKind::Maps, [member("a", "events"), member("a", "more_events")])];
        assert_eq!(record.service(&record.alternatives[0], 0), Service::By(1));
        assert_eq!(record.excuse(0, 0, 0).as_deref(), Some("`more_events` works instead (g)"));
        assert_eq!(record.whole_excuse(0, 0).as_deref(), Some("`more_events` works instead (g)"));
        // Every program loads without the map.
        record.cells[1].whole = Some(WholeLoad { prepared: false, reason: None, left_out, expected: None });
        record.cells[1].programs[1].verdict = Verdict::Loaded;
        assert!(record.whole_excuse(0, 1).is_some() && record.whole_excuse(0, 2).is_none());
    }
}
