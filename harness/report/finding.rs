//! [`Finding`]: one thing to look at, once for all the programs and kernels that share it. Markdown,
//! annotations, SARIF and code quality are all made of these.

mod headroom;
mod kernels;
mod loaders;
mod modules;
mod not_whole;
mod predictions;

use std::path::Path;

use super::place::{SourceLocation, place};
use super::reused;
use super::table::{all_programs, change, kernels, nameless, names, shown_kernels};
use super::text::{one_line, shorten_middle};
use crate::checksum;
use crate::judge::same_everywhere;
use crate::record::{Blame, Verdict};
use crate::record::{Cause, DangerEffect};
use crate::record::{ProgramRecord, RunRecord};

/// Columns of a name in the text of a finding.
const LONGEST_NAME: usize = 60;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingLevel {
    /// The object or the kernel is to blame.
    Error,
    /// It loads and reads wrong data, cannot attach or is close to a limit, or could not be judged although it should.
    Warning,
    /// No one can fix it in the object.
    Note,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// A program ended with this verdict, for this cause.
    Program(Verdict, Option<Cause>),
    /// The object does not load as a whole, or cannot be read.
    Object,
    /// A relocation is resolved and reads wrong data.
    Danger,
    /// The kernel has no way to attach a program that it loads.
    CannotAttach,
    /// A program loads and is close to a limit of the kernel.
    NearLimit,
    /// Two loaders make different things of an object.
    Loaders,
    /// A relocation came to something else than the types of its kernel say.
    Prediction,
    /// BTF shows that a program will not load on a kernel that was not booted.
    PredictedFailure,
    /// A kernel complained about something while it judged the object.
    KernelWarning,
    /// A kernel refused a module that a guest had to load.
    Module,
    /// Some cells are of earlier runs.
    Reused,
    /// A kernel could not be used.
    Kernel,
}

/// One thing that someone should look at.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// How much it weighs.
    pub level: FindingLevel,
    /// What it is about.
    pub kind: FindingKind,
    /// The object, as an index; `None` for a kernel.
    pub object: Option<usize>,
    /// The programs that share it; empty if it is none's.
    pub programs: Vec<String>,
    /// The kernels that share it, as indexes.
    pub kernels: Vec<usize>,
    /// What was asked for and is not there, if it has a name.
    pub subject: Option<String>,
    /// What happened, where and since when, as one line without the object's name.
    pub story: String,
    /// Where in the source.
    pub place: Option<SourceLocation>,
}

impl Finding {
    /// One that is about no single program: about an object, an index, or a kernel.
    fn of_cells(
        (level, kind): (FindingLevel, FindingKind),
        object: Option<usize>,
        kernels: Vec<usize>,
        story: &str,
    ) -> Finding {
        let story = one_line(story);
        Finding { level, kind, object, programs: Vec::new(), kernels, subject: None, story, place: None }
    }

    /// Its rule, by which tools distinguish sorts of findings: the cause, such as `missing_field`.
    pub fn rule(&self) -> String {
        let plain = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        match self.kind {
            FindingKind::Program(_, Some(cause)) => plain(serde_json::json!(cause)),
            FindingKind::Program(verdict, None) => plain(serde_json::json!(verdict)),
            FindingKind::Object => "object_not_whole".to_owned(),
            FindingKind::Danger => "silent_danger".to_owned(),
            FindingKind::CannotAttach => "cannot_attach".to_owned(),
            FindingKind::NearLimit => "near_limit".to_owned(),
            FindingKind::Loaders => "loaders_differ".to_owned(),
            FindingKind::Prediction => "prediction_differs".to_owned(),
            FindingKind::PredictedFailure => "predicted_failure".to_owned(),
            FindingKind::KernelWarning => "kernel_warning".to_owned(),
            FindingKind::Module => "module_refused".to_owned(),
            FindingKind::Reused => "results_reused".to_owned(),
            FindingKind::Kernel => "kernel_not_usable".to_owned(),
        }
    }

    /// The rule in words.
    pub fn rule_label(&self) -> &'static str {
        match self.kind {
            FindingKind::Program(_, Some(cause)) => cause.label(),
            FindingKind::Program(verdict, None) => verdict.label(),
            FindingKind::Object => "object does not load as a whole",
            FindingKind::Danger => "loads, but reads wrong data",
            FindingKind::CannotAttach => "loads, but cannot attach",
            FindingKind::NearLimit => "close to a limit",
            FindingKind::Loaders => "loaders differ",
            FindingKind::Prediction => "prediction differs",
            FindingKind::PredictedFailure => "predicted to fail",
            FindingKind::KernelWarning => "kernel warning",
            FindingKind::Module => "kernel module refused",
            FindingKind::Reused => "results of earlier runs",
            FindingKind::Kernel => "kernel could not be used",
        }
    }

    /// The object's name and what happened, as one line.
    pub fn message(&self, record: &RunRecord) -> String {
        match self.object.and_then(|o| record.objects.get(o)) {
            Some(object) => format!("{}: {}", short_name(&object.name), self.story),
            None => self.story.clone(),
        }
    }
}

impl Finding {
    /// Names the finding over runs: it stays while lines move and kernels come and go. In hex.
    pub fn fingerprint(&self, record: &RunRecord) -> String {
        let object = self.object.map_or("", |o| record.objects[o].name.as_str());
        let text = self.place.as_ref().map_or("", |place| place.text.as_str());
        let rule = self.rule();
        let mut parts = vec![rule.as_str(), object, self.subject.as_deref().unwrap_or(""), text];
        parts.extend(self.programs.iter().map(String::as_str));
        let mut digits = checksum::of_bytes(parts.join("\0").as_bytes());
        digits.truncate(32);
        digits
    }
}

/// Every finding, the heavier ones first, otherwise in the order of the record.
pub fn findings(record: &RunRecord) -> Vec<Finding> {
    let shown = shown_kernels(record);
    let mut found = Vec::new();
    for o in 0..record.objects.len() {
        found.extend(not_whole::of_object(record, &shown, o));
        found.extend(of_programs(record, &shown, o));
        found.extend(of_dangers(record, &shown, o));
        found.extend(headroom::of_headroom(record, &shown, o));
        found.extend(predictions::of_predictions(record, &shown, o));
        found.extend(predictions::of_predicted_failures(record, o));
        found.extend(of_kernel_log(record, &shown, o));
    }
    found.extend(loaders::of_loaders(record));
    found.extend(modules::of_modules(record, &shown));
    found.extend(kernels::of_kernels(record));
    reused::tell(record, &mut found);
    found.sort_by_key(|finding| finding.level);
    found
}

/// Programs that failed alike at one place.
struct Group<'a> {
    programs: Vec<&'a str>,
    kernels: Vec<usize>,
    first: &'a ProgramRecord,
    since: Option<String>,
    place: Option<SourceLocation>,
}

fn subject(program: &ProgramRecord) -> Option<&str> {
    program.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref())
}

fn reason(program: &ProgramRecord) -> Option<&str> {
    program.reason.as_deref().map(|reason| nameless(reason, &program.name))
}

fn of_programs(record: &RunRecord, shown: &[usize], o: usize) -> Vec<Finding> {
    if record.objects[o].broken.is_some() {
        return Vec::new();
    }
    let mut groups: Vec<Group<'_>> = Vec::new();
    for p in 0..record.objects[o].programs.len() {
        let since = change(record, shown, o, p);
        let mut mine: Vec<Group<'_>> = Vec::new();
        for &k in shown {
            let Some(program) = record.cell(o, k).programs.get(p) else { continue };
            if !program.verdict.is_finding() {
                continue;
            }
            let at = place(record, o, k, program);
            let since = since.clone().filter(|_| program.verdict.blame() != Blame::Harness);
            match mine.iter_mut().find(|known| alike(known, program, at.as_ref())) {
                Some(known) => known.kernels.push(k),
                None => mine.push(Group {
                    programs: vec![&program.name],
                    kernels: vec![k],
                    first: program,
                    since,
                    place: at,
                }),
            }
        }
        for group in mine {
            let same = |known: &&mut Group<'_>| {
                alike(known, group.first, group.place.as_ref())
                    && known.kernels == group.kernels
                    && known.since == group.since
            };
            match groups.iter_mut().find(same) {
                Some(known) => known.programs.extend(group.programs),
                None => groups.push(group),
            }
        }
    }
    groups.into_iter().map(|group| finding_of(record, shown, o, group)).collect()
}

fn alike(known: &Group<'_>, program: &ProgramRecord, at: Option<&SourceLocation>) -> bool {
    let same_cause = match (known.first.cause, program.cause) {
        // What was not judged for one cause is one thing to know, regardless of its words.
        (Some(a), Some(b)) if a == b && program.verdict == Verdict::HarnessLimit => {
            a != Cause::ModuleNotLoaded || reason(known.first) == reason(program)
        }
        (Some(a), Some(b)) if a == b && subject(known.first) != subject(program) => {
            same_everywhere([Some((a, subject(known.first))), Some((b, subject(program)))])
        }
        (a, b) => a == b && (a.is_some_and(|_| subject(program).is_some()) || reason(known.first) == reason(program)),
    };
    known.first.verdict == program.verdict && same_cause && known.place.as_ref() == at
}

fn finding_of(record: &RunRecord, shown: &[usize], o: usize, group: Group<'_>) -> Finding {
    let Group { programs, kernels: affected, first, since, place } = group;
    let programs: Vec<String> = programs.into_iter().map(one_line).collect();
    let named = match programs.len() {
        all if all > 1 && all == record.objects[o].programs.len() => all_programs(all),
        _ => names(&programs),
    };
    let story = since.unwrap_or_else(|| {
        let reason = reason(first).unwrap_or("no reason was recorded");
        format!(" {}: {}: {reason}", kernels(record, shown, &affected), first.verdict)
    });
    let known =
        record.objects[o].programs.iter().enumerate().filter(|(_, one)| programs.contains(&one_line(&one.name)));
    let mut excuses = known.flat_map(|(p, _)| affected.iter().map(move |&k| record.excuse(o, k, p)));
    // Where a suite allows all of it.
    let excuse = excuses.try_fold(None, |_, excuse| excuse.map(Some)).flatten();
    let story = excuse.as_ref().map_or(story.clone(), |excuse| format!("{story}; {excuse}"));
    let level = match (first.verdict, first.verdict.blame()) {
        _ if excuse.is_some() => FindingLevel::Note,
        (_, Blame::Object | Blame::Kernel) => FindingLevel::Error,
        (Verdict::HarnessError, _) => FindingLevel::Warning,
        _ => FindingLevel::Note,
    };
    Finding {
        level,
        kind: FindingKind::Program(first.verdict, first.cause),
        object: Some(o),
        programs,
        kernels: affected,
        subject: subject(first).map(one_line),
        story: one_line(&format!("{named}{story}")),
        place,
    }
}

fn of_dangers(record: &RunRecord, shown: &[usize], o: usize) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for &k in shown {
        // What fails elsewhere is a separate finding there.
        for danger in record.cell(o, k).dangers.iter().filter(|danger| danger.difference.is_wrong_here()) {
            let place = danger.source.as_ref().map(SourceLocation::of_relocation);
            let finding = Finding {
                level: FindingLevel::Warning,
                kind: match danger.difference.effect() {
                    DangerEffect::CannotAttach => FindingKind::CannotAttach,
                    _ => FindingKind::Danger,
                },
                object: Some(o),
                programs: if danger.programs.is_empty() {
                    vec![one_line(&danger.function)]
                } else {
                    danger.programs.iter().map(|name| one_line(name)).collect()
                },
                kernels: vec![k],
                subject: Some(one_line(&danger.subject)),
                story: one_line(&danger.to_string()),
                place,
            };
            match found.iter_mut().find(|known| (&known.story, &known.place) == (&finding.story, &finding.place)) {
                Some(known) if known.kernels.last() == Some(&k) => {}
                Some(known) => known.kernels.push(k),
                None => found.push(finding),
            }
        }
    }
    for finding in &mut found {
        let on = kernels(record, shown, &finding.kernels);
        let program = finding.programs.first().map_or("a program", String::as_str);
        let effect = match finding.kind {
            FindingKind::CannotAttach => DangerEffect::CannotAttach,
            _ => DangerEffect::WrongData,
        };
        finding.story = one_line(&format!("`{program}` loads and {} {on}: {}", effect.label(), finding.story));
    }
    found
}

/// What kernels complained about while they judged an object: no failure of it by itself, so that the gate has the last word.
fn of_kernel_log(record: &RunRecord, shown: &[usize], o: usize) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for &k in shown {
        for warning in &record.cell(o, k).kernel_log {
            let headline = one_line(&warning.headline);
            let programs: Vec<String> = warning.program.iter().map(|name| one_line(name)).collect();
            let same = |known: &&mut Finding| known.story == headline && known.programs == programs;
            match found.iter_mut().find(same) {
                Some(known) => known.kernels.push(k),
                None => found.push(Finding {
                    level: if warning.is_noise(&record.tool.accel) {
                        FindingLevel::Note
                    } else {
                        FindingLevel::Warning
                    },
                    kind: FindingKind::KernelWarning,
                    object: Some(o),
                    programs,
                    kernels: vec![k],
                    subject: Some(headline.clone()),
                    story: headline,
                    place: None,
                }),
            }
        }
    }
    for finding in &mut found {
        let on = kernels(record, shown, &finding.kernels);
        let with = finding.programs.first().map_or(String::new(), |program| format!(" while loading `{program}`"));
        let noise = if finding.level == FindingLevel::Note { " (a busy machine can cause this)" } else { "" };
        finding.story = one_line(&format!("the kernel logged a warning {on}{with}: {}{noise}", finding.story));
    }
    found
}

/// A name that leaves room for what is said about it.
pub fn short_name(name: &str) -> String {
    shorten_middle(&one_line(name), LONGEST_NAME)
}

/// The file that stands for a finding without a place in the source: the object's.
pub fn object_file<'r>(record: &'r RunRecord, finding: &Finding) -> Option<&'r Path> {
    let origin = record.objects.get(finding.object?)?.origin.as_str();
    Some(Path::new(origin.rsplit_once(": ").map_or(origin, |(file, _)| file)))
}
