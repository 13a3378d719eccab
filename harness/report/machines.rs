//! [`machine_views`]: for each machine that objects were tried on beside the kernel's own, what it changed.

use super::text::{counted, one_line};
use crate::record::{Cause, ChangedBy, MachineChange, MachineRow, ProgramRecord, RunRecord};

/// Lines of one machine that a reader is going to read; the rest is in `report.json`.
const MOST: usize = 24;

/// One machine, and what it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineView {
    /// Its name: that of the profile, or of the shape.
    pub name: String,
    /// The names of its profiles.
    pub profiles: Vec<String>,
    /// What it sets, in words.
    pub settings: String,
    /// The rows that were tried on it.
    pub rows: Vec<MachineRow>,
    /// What it changed.
    pub changes: Vec<MachineChange>,
    /// What could not be judged on it for its own sake: why, and the kernels, as indexes.
    pub unavailable: Vec<(String, Vec<usize>)>,
    /// The kernels on which it was compared, as indexes.
    pub compared: Vec<usize>,
}

/// The machines of a run in the record's order.
pub fn machine_views(record: &RunRecord) -> Vec<MachineView> {
    let mut views: Vec<MachineView> = Vec::new();
    let changes = record.machine_changes();
    for rows in record.machine_rows() {
        let Some(shape) = &record.objects[rows.row].shape else { continue };
        let settings = shape.machine.in_words();
        let at = views.iter().position(|view| view.name == shape.name && view.settings == settings);
        let at = at.unwrap_or_else(|| {
            views.push(MachineView {
                name: shape.name.clone(),
                profiles: shape.machine.profile_names(),
                settings,
                rows: Vec::new(),
                changes: Vec::new(),
                unavailable: Vec::new(),
                compared: Vec::new(),
            });
            views.len() - 1
        });
        let view = &mut views[at];
        view.rows.push(rows);
        view.changes.extend(changes.iter().filter(|change| change.rows == rows).cloned());
        for kernel in 0..record.kernels.len() {
            if record.is_compared(rows, kernel) && !view.compared.contains(&kernel) {
                view.compared.push(kernel);
            }
            let is_unavailable = |program: &&ProgramRecord| program.cause == Some(Cause::MachineUnavailable);
            let why = record.cell(rows.row, kernel).programs.iter().find(is_unavailable);
            let Some(why) = why.and_then(|program| program.reason.clone()) else { continue };
            match view.unavailable.iter_mut().find(|(known, _)| *known == why) {
                Some((_, kernels)) if kernels.contains(&kernel) => {}
                Some((_, kernels)) => kernels.push(kernel),
                None => view.unavailable.push((why, vec![kernel])),
            }
        }
        view.compared.sort_unstable();
    }
    views
}

/// The machines that have this name, or a profile of this name.
///
/// # Errors
/// None has: the names that there are.
pub fn machines_named<'a>(views: &'a [MachineView], name: &str) -> Result<Vec<&'a MachineView>, Vec<&'a str>> {
    let is_named = |view: &&MachineView| view.name == name || view.profiles.iter().any(|profile| profile == name);
    let found: Vec<&MachineView> = views.iter().filter(is_named).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let mut names: Vec<&str> = Vec::new();
    for known in views.iter().flat_map(|view| std::iter::once(&view.name).chain(&view.profiles)) {
        if !names.contains(&known.as_str()) {
            names.push(known);
        }
    }
    Err(names)
}

impl MachineView {
    /// `jit-harden-2 (`net.core.bpf_jit_harden=2`)`.
    pub fn title(&self) -> String {
        format!("{} ({})", self.name, self.settings)
    }

    /// What it changed, one line each: that nothing did is said, too.
    pub fn lines(&self, record: &RunRecord) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let names = |kernels: &[usize]| {
            let names: Vec<&str> = kernels.iter().map(|&k| record.kernels[k].name.as_str()).collect();
            names.join(", ")
        };
        // What is the same on several kernels is reported once.
        let mut told: Vec<(&MachineChange, String, Vec<usize>)> = Vec::new();
        for change in &self.changes {
            let why = self.why(record, change);
            let same = |(known, reason, _): &&mut (&MachineChange, String, Vec<usize>)| {
                known.rows == change.rows
                    && known.program == change.program
                    && known.what == change.what
                    && *reason == why
            };
            match told.iter_mut().find(same) {
                Some((_, _, kernels)) => kernels.push(change.kernel),
                None => told.push((change, why, vec![change.kernel])),
            }
        }
        let more = told.len().saturating_sub(MOST);
        for (change, why, kernels) in told.into_iter().take(MOST) {
            let object = &record.objects[change.rows.base].name;
            let line = format!("{object}: `{}` on {}: {}{why}", change.program, names(&kernels), change.what);
            lines.push(one_line(&line));
        }
        if more > 0 {
            lines.push(format!("... {} in report.json", counted(more, "more change")));
        }
        if self.changes.is_empty() && !self.compared.is_empty() {
            let programs: usize = self.rows.iter().map(|rows| record.objects[rows.row].programs.len()).sum();
            lines.push(format!("changes nothing: {} on {}", counted(programs, "program"), names(&self.compared)));
        }
        for (why, kernels) in &self.unavailable {
            lines.push(one_line(&format!("not judged on {}: {why}", names(kernels))));
        }
        if lines.is_empty() {
            lines.push("no program was judged both with and without it".to_owned());
        }
        lines
    }

    /// The reason of a program that fails on this machine.
    fn why(&self, record: &RunRecord, change: &MachineChange) -> String {
        let ChangedBy::Verdict { after, .. } = change.what else { return String::new() };
        let cell = record.cell(change.rows.row, change.kernel);
        let program = cell.programs.iter().find(|program| program.name == change.program);
        let reason = program.filter(|_| !after.is_pass()).and_then(|program| program.reason.as_deref());
        reason.map(|reason| format!(": {reason}")).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(in crate::report) mod tests {
    use super::*;
    use crate::record::{MachineProfile, MachineSettings, ShapeRecord, Verdict, sample};

    pub(in crate::report) fn record() -> RunRecord {
        let programs = [("p", "kprobe/x"), ("q", "kprobe/y")];
        let names = ["a", "a@harden", "a@quiet", "a@gone"];
        let objects = names.map(|name| sample::object(name, &programs));
        let kernels = vec![sample::kernel("5.10"), sample::kernel("7.3")];
        let mut record = sample::assemble(kernels, objects.to_vec(), |_, _, _| (Verdict::Loaded, None));
        for (at, name) in [(1, "harden"), (2, "quiet"), (3, "gone")] {
            let profile = MachineProfile {
                name: name.to_owned(),
                sysctls: [("net.core.x".to_owned(), at.to_string())].into(),
                ..MachineProfile::default()
            };
            let machine = MachineSettings { profiles: vec![profile], ..MachineSettings::default() };
            record.objects[at].machine = machine.clone();
            let settings = vec![format!("machine.profile = [\"{name}\"]")];
            record.objects[at].shape = Some(ShapeRecord { of: "a".into(), name: name.into(), settings, machine });
        }
        for kernel in [0, 1] {
            let program = &mut record.cells[2 + kernel].programs[0];
            (program.verdict, program.reason) = (Verdict::VerifierRejected, Some("too large".to_owned()));
            for program in &mut record.cells[6 + kernel].programs {
                (program.verdict, program.cause) = (Verdict::HarnessLimit, Some(Cause::MachineUnavailable));
                program.reason = Some("the kernel has no sysctl `net.core.x`".to_owned());
            }
        }
        record
    }

    #[test]
    fn each_machine_says_what_it_changed_or_that_it_changed_nothing() {
        let record = record();
        let views = machine_views(&record);
        let told: Vec<String> =
            views.iter().map(|view| format!("{}: {}", view.title(), view.lines(&record).join(" | "))).collect();
        assert_eq!(
            told,
            [
                "harden (`net.core.x=1`): a: `p` on 5.10, 7.3: loaded -> verifier rejected: too large",
                "quiet (`net.core.x=2`): changes nothing: 2 programs on 5.10, 7.3",
                "gone (`net.core.x=3`): not judged on 5.10, 7.3: the kernel has no sysctl `net.core.x`",
            ]
        );
    }

    #[test]
    fn machine_is_named_by_its_shape_or_by_a_profile_of_it() {
        let mut record = record();
        let shape = record.objects[2].shape.as_mut().unwrap();
        shape.machine.profiles[0].name = "harden".to_owned();
        let views = machine_views(&record);
        let named = |name: &str| machines_named(&views, name).map(|found| found.len());
        assert_eq!((named("harden"), named("quiet"), named("gone")), (Ok(2), Ok(1), Ok(1)));
        assert_eq!(named("hard"), Err(vec!["harden", "quiet", "gone"]));
    }

    #[test]
    fn terminal_and_markdown_have_a_block_for_machines() {
        let record = record();
        let table = crate::report::table::render(&record, 120);
        assert!(
            table.contains("Effects of machine settings\n  harden (`net.core.x=1`)\n    a: `p` on 5.10, 7.3"),
            "{table}"
        );
        let markdown =
            crate::report::markdown::render(&record, &crate::report::SourceRoot::around(std::path::Path::new("/")));
        assert!(markdown.contains("### Effects of machine settings"), "{markdown}");
        assert!(markdown.contains("changes nothing: 2 programs"), "{markdown}");
    }
}
