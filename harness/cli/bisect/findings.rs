//! [`Findings`]: what a bisection found, as text and as JSON.

use std::collections::HashMap;

use super::{Bisection, Step};
use crate::bisect::config::{ConfigDifference, differences};
use crate::bisect::{KernelChange, Search, Tried};
use crate::cli::answer::{BisectedObject, BisectedRelocation, BisectionChange, BisectionStep};
use crate::explain::{self, KernelTypes, KnownTypes, LocalSpec};
use crate::object::ObjectTypes;
use crate::object::btf::Btf;
use crate::record::Presence;
use crate::record::RunRecord;
use crate::report::explain::{CellFacts, render};
use crate::report::{counted, paragraph};
use crate::store::StoredKernel;

/// Differences of one sort that are shown.
const MOST: usize = 12;

/// What a bisection found.
pub(super) struct Findings<'b, 'a> {
    bisection: &'b Bisection<'a>,
    changes: Vec<KernelChange>,
    /// What differs for the object's relocations, and how many only moved.
    relocations: (Vec<BisectedRelocation>, usize),
    config: Option<(Vec<ConfigDifference>, usize)>,
    explanation: String,
}

impl<'b, 'a> Findings<'b, 'a> {
    /// Looks at the first change of a search that has ended.
    pub(super) fn of(bisection: &'b Bisection<'a>, search: &Search) -> Self {
        let changes = search.changes();
        let mut found =
            Findings { bisection, changes, relocations: (Vec::new(), 0), config: None, explanation: String::new() };
        let Some((good, bad)) = found.sides() else { return found };
        let stored = [good, bad].map(|step| found.stored(step));
        let [Some(with), Some(without)] = stored else { return found };
        let asked: Vec<String> = bad.record.cells[0].externs.iter().map(|one| one.name.clone()).collect();
        let read = |kernel: &StoredKernel| std::fs::read_to_string(kernel.config.as_ref()?).ok();
        if let (Some(good), Some(bad)) = (read(&with), read(&without)) {
            found.config = Some(differences(&good, &bad, &asked));
        }
        let btf = |kernel: &StoredKernel| Btf::parse(&std::fs::read(kernel.btf.as_ref()?).ok()?).ok();
        if let (Some(with), Some(without)) = (btf(&with), btf(&without)) {
            let names = [good, bad].map(|step| bisection.name(step.offer));
            let kernels = [(names[0], &with), (names[1], &without)].map(|(name, btf)| KernelTypes {
                name,
                btf,
                booted: true,
                modules: None,
            });
            found.relocations = relocations(&bisection.object.bytes, &kernels);
            found.explanation = explanation(bisection, good, bad, &kernels);
        }
        found
    }

    /// The steps on either side of the first change from good to bad.
    fn sides(&self) -> Option<(&'b Step, &'b Step)> {
        let change = self.changes.first()?;
        let step = |offer: usize| self.bisection.steps.iter().find(|step| step.offer == offer);
        Some((step(change.before)?, step(change.after)?))
    }

    fn stored(&self, step: &Step) -> Option<StoredKernel> {
        let (store, lock) = (&self.bisection.project.store, &self.bisection.project.lock);
        store.kernel(&self.bisection.offers[step.offer].spec, lock, true, &|_| ()).ok()
    }

    /// Whether no kernel lies between the two that could not be tried, except those that a matrix may omit.
    pub(super) fn is_exact(&self) -> bool {
        let offers = &self.bisection.offers;
        !self.changes.is_empty() && self.skipped().all(|step| offers[step.offer].spec.optional)
    }

    /// The steps between the sides of changes that decided nothing.
    fn skipped(&self) -> impl Iterator<Item = &'b Step> {
        let within = |step: &&Step| {
            step.tried == Tried::Skipped
                && self.changes.iter().any(|change| change.before < step.offer && step.offer < change.after)
        };
        self.bisection.steps.iter().filter(within)
    }

    fn guests(&self) -> usize {
        self.bisection.steps.iter().filter(|step| step.tried != Tried::Skipped).count()
    }

    /// What was found, for people.
    pub(super) fn text(&self, width: usize) -> String {
        let Some((good, bad)) = self.sides() else { return String::new() };
        let mut text = String::new();
        for (word, step) in [("last good", good), ("first bad", bad)] {
            let offer = &self.bisection.offers[step.offer];
            let release = step.record.kernels[0].identity.as_ref().map_or("", |identity| &identity.release);
            let fate = step.fate.as_ref().map_or_else(String::new, ToString::to_string);
            let line = format!("{word}: {} ({release}, version {}): {fate}", offer.spec.name, offer.version);
            text += &paragraph(&line, 0, width);
        }
        let total = self.bisection.offers.len();
        text += &format!("{} for {}\n", counted(self.guests(), "guest"), counted(total, "kernel"));
        let skipped: Vec<&str> = self.skipped().map(|step| self.bisection.name(step.offer)).collect();
        if !skipped.is_empty() {
            text += &paragraph(
                &format!("unknown, because these kernels could not be tried: {}", skipped.join(", ")),
                0,
                width,
            );
        }
        for change in self.changes.iter().skip(1) {
            let works = if self.is_good(change.after) { "works again" } else { "fails again" };
            let (before, after) = (self.bisection.name(change.before), self.bisection.name(change.after));
            let line = format!("not monotonic: it {works} from {after} (not yet on {before})");
            text += &paragraph(&line, 0, width);
        }
        if !self.explanation.is_empty() {
            text += &format!("\n{}", self.explanation);
        }
        let (differ, moved) = &self.relocations;
        text += "\nRelocations of the object:\n";
        for BisectedRelocation { name, good, bad } in differ.iter().take(MOST) {
            text += &paragraph(&format!("`{name}`: {good} -> {bad}"), 2, width);
        }
        if differ.len() > MOST {
            text += &format!("  ... {} more\n", differ.len() - MOST);
        }
        if differ.is_empty() {
            text += "  no differences\n";
        }
        if *moved > 0 {
            text += &format!("  {} only moved\n", counted(*moved, "field"));
        }
        text += "Config options that affect BPF or that the object reads:\n";
        match &self.config {
            None => text += "  not compared: one of the kernels has no config\n",
            Some((settings, others)) => {
                let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
                for ConfigDifference { name, good, bad } in settings {
                    text += &paragraph(&format!("{name}: {} -> {}", value(good), value(bad)), 2, width);
                }
                text += &format!(
                    "  {}{} differ\n",
                    if settings.is_empty() { "none; " } else { "" },
                    counted(*others, "other")
                );
            }
        }
        text
    }

    fn is_good(&self, offer: usize) -> bool {
        self.bisection.steps.iter().any(|step| step.offer == offer && step.tried == Tried::Good)
    }

    /// What was found, for programs.
    pub(super) fn answer(&self) -> BisectedObject {
        let bisection = self.bisection;
        let step = |step: &Step| {
            let fate = step.fate.as_ref();
            BisectionStep {
                kernel: bisection.name(step.offer).to_owned(),
                version: bisection.offers[step.offer].version.to_string(),
                release: step.record.kernels[0].identity.as_ref().map(|identity| identity.release.clone()),
                outcome: match step.tried {
                    Tried::Good => "good",
                    Tried::Bad => "bad",
                    Tried::Skipped => "skipped",
                },
                verdict: fate.map(|fate| fate.verdict),
                cause: fate.and_then(|fate| fate.cause),
            }
        };
        let change = |change: &KernelChange| BisectionChange {
            before: bisection.name(change.before).to_owned(),
            after: bisection.name(change.after).to_owned(),
            works: self.is_good(change.after),
        };
        BisectedObject {
            object: bisection.object.name.clone(),
            program: bisection.program.map(str::to_owned),
            last_good: self.sides().map(|(good, _)| step(good)),
            first_bad: self.sides().map(|(_, bad)| step(bad)),
            kernels: bisection.offers.len(),
            guests: self.guests(),
            steps: bisection.steps.iter().map(step).collect(),
            changes: self.changes.iter().map(change).collect(),
            relocations: self.relocations.0.clone(),
            config: self.config.as_ref().map(|(settings, _)| settings.clone()),
        }
    }
}

/// What the object's relocations find on the two kernels, where that differs by more than a place.
fn relocations(object: &[u8], kernels: &[KernelTypes<'_>; 2]) -> (Vec<BisectedRelocation>, usize) {
    let Some(types) = ObjectTypes::read(object) else { return (Vec::new(), 0) };
    let (mut differ, mut moved, mut seen) = (Vec::new(), 0, Vec::new());
    let none = KnownTypes::default();
    for relocation in &types.relocations {
        let Some(spec) = LocalSpec::of(relocation, &types.btf) else { continue };
        let Some(explanation) = explain::relocation(&spec, &types.btf, kernels, &none, kernels[1].name) else {
            continue;
        };
        let [good, bad] = &explanation.presence[..] else { continue };
        if good.presence == bad.presence || seen.contains(&explanation.name) {
            continue;
        }
        seen.push(explanation.name.clone());
        match is_only_moved(&good.presence, &bad.presence) {
            true => moved += 1,
            false => differ.push(BisectedRelocation {
                name: explanation.name,
                good: good.presence.to_string(),
                bad: bad.presence.to_string(),
            }),
        }
    }
    (differ, moved)
}

fn is_only_moved(good: &Presence, bad: &Presence) -> bool {
    match (good, bad) {
        (
            Presence::Field { bitfield_size: a, size: b, signed: c, type_name: d, .. },
            Presence::Field { bitfield_size: e, size: f, signed: g, type_name: h, .. },
        ) => (a, b, c, d) == (e, f, g, h),
        // That a struct has grown changes no program.
        (Presence::Type { .. }, Presence::Type { .. }) => true,
        _ => false,
    }
}

/// The failure on the bad kernel, explained with the types of both.
fn explanation(bisection: &Bisection<'_>, good: &Step, bad: &Step, kernels: &[KernelTypes<'_>; 2]) -> String {
    let Some((program, _)) = bisection.failure(&bad.record) else { return String::new() };
    // Two kernels in their order of age, as a matrix is.
    let is_newer = bisection.is_newer(bad.offer, good.offer);
    let mut kernels = kernels.to_vec();
    let steps = if is_newer { [good, bad] } else { [bad, good] };
    if !is_newer {
        kernels.reverse();
    }
    let mut record = RunRecord {
        kernels: steps.iter().map(|step| step.record.kernels[0].clone()).collect(),
        cells: steps.iter().map(|step| step.record.cells[0].clone()).collect(),
        ..bad.record.clone()
    };
    // `corematrix repro` shows the verifier's log.
    for program in record.cells.iter_mut().flat_map(|cell| &mut cell.programs) {
        (program.log_file, program.log_tail) = (None, Vec::new());
    }
    let types = ObjectTypes::read(&bisection.object.bytes);
    let facts = CellFacts {
        record: &record,
        object: 0,
        kernel: usize::from(is_newer),
        matrix: &kernels,
        known: &KnownTypes::default(),
        prove: &|_| None,
        probes: &HashMap::new(),
        types: types.as_ref(),
        inventory: bisection.object.inventory.as_ref().ok(),
        log: &|_| Err(std::io::ErrorKind::Unsupported.into()),
        elsewhere: &|_| None,
        missing: &[],
    };
    render(&facts, &[program], super::width())
}
