//! `corematrix bisect`: the two kernels between which a program stops working.

mod findings;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Common;
use super::answer::Print;
use super::cell_runner::{CellRunner, GuestArgs};
use super::failure::Failure;
use super::failure::store_failure;
use super::only_input::OnlyInput;
use super::run::width;
use crate::bisect::{Search, Tried};
use crate::explain::{KernelTypes, KnownTypes};
use crate::manifest::catalogue::declared_name;
use crate::manifest::split_name;
use crate::matrix::{Project, Work};
use crate::nearest::nearest;
use crate::object::btf::Btf;
use crate::object::{BpfObject, ObjectTypes};
use crate::plan::Plan;
use crate::protocol::attach::Reach;
use crate::record::Blame;
use crate::record::Cause;
use crate::record::exit_code;
use crate::record::{KernelState, ProgramRecord, RunRecord};
use crate::report::explain::{CellFacts, explanation};
use crate::report::{counted, paragraph};
use crate::repro::Fate;
use crate::source::AvailableKernel;
use crate::suite::Settings;
use findings::Findings;

#[derive(Debug, Args)]
pub(super) struct BisectArgs {
    /// Object: a file, or an image or archive that holds one object.
    #[arg(value_name = "INPUT")]
    object: PathBuf,
    /// Program to test [default: all programs; the object works if all of them load].
    program: Option<String>,
    /// Set a kernel where the object works: a declared kernel, or a build in the archives of the manifest [default: the
    /// oldest of `--kernel`].
    #[arg(long, value_name = "KERNEL", required_unless_present = "kernel")]
    good: Option<String>,
    /// Set a kernel where the object fails, older or newer [default: the newest of `--kernel`].
    #[arg(long, value_name = "KERNEL", required_unless_present = "kernel")]
    bad: Option<String>,
    /// Search only these kernels, such as the builds of one (el:8@all); may be repeated [default: declared kernels and
    /// all their builds].
    #[arg(long, value_name = "SELECTOR")]
    kernel: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    guests: GuestArgs,
}

/// What happened on one kernel.
struct Step {
    offer: usize,
    tried: Tried,
    /// Of the first program that failed, or the first at all.
    fate: Option<Fate>,
    record: RunRecord,
}

/// A search under way.
struct Bisection<'a> {
    project: &'a Project,
    object: BpfObject,
    /// Those that its programs are loaded for.
    targets: Vec<BpfObject>,
    /// How its own loader loads it, and on what machine.
    settings: Settings,
    program: Option<&'a str>,
    /// From the good end to the bad one.
    offers: Vec<AvailableKernel>,
    /// Whether the good end is the newer one.
    backwards: bool,
    steps: Vec<Step>,
    folder: &'a Path,
}

pub(super) fn run(common: &Common, args: &BisectArgs) -> Result<ExitCode, Failure> {
    let mut project = Project::load(&common.manifest, &common.places()?)?;
    let folder = tempfile::Builder::new().prefix("corematrix-bisect-").tempdir();
    let folder =
        folder.map_err(|error| Failure::infrastructure(format!("cannot create a directory: {error}"), None))?;
    // Kernels that are only looked at in passing are not pinned for the project.
    let lock = folder.path().join("kernels.lock");
    project.lock = project.lock.copied_to(&lock).map_err(store_failure)?;

    let OnlyInput { object, targets, settings } = OnlyInput::find(&project, &args.object, args.guests.offline)?;
    if let (Some(program), Ok(inventory)) = (&args.program, &object.inventory) {
        let names = inventory.programs.iter().map(|program| program.name.as_str());
        super::explain::index_of("program", program, names)?;
    }
    let offline = args.guests.offline;
    let step = |step: String| eprintln!("{step}");
    let offers = match args.kernel.is_empty() {
        true => {
            project.store.offers(&project.manifest.kernels, &project.lock, offline, &step).map_err(store_failure)?
        }
        false => project.offers(&args.kernel, offline, &step)?,
    };
    let (offers, backwards) = between(offers, args.good.as_deref(), args.bad.as_deref())?;
    let [good, bad] = [0, offers.len() - 1].map(|end| offers[end].spec.name.clone());
    let what = args.program.as_ref().map_or_else(String::new, |program| format!("/{program}"));
    eprintln!("bisecting {}{what}: {} from {good} (good) to {bad} (bad)", object.name, counted(offers.len(), "kernel"),);
    let mut search = Search::new(offers.len());
    let program = args.program.as_deref();
    let mut bisection = Bisection {
        project: &project,
        object,
        targets,
        settings,
        program,
        offers,
        backwards,
        steps: Vec::new(),
        folder: folder.path(),
    };
    let mut runner = CellRunner::new(&project, &args.guests)?;
    while let Some(next) = search.next() {
        let tried = bisection.step(&mut runner, next)?;
        if let Some(code) = runner.interrupted() {
            return Ok(code);
        }
        search.tell(next, tried);
        // Both ends are known: what does the BTF of those between show?
        if search.count() == 2 && search.next().is_some() {
            bisection.predict(&mut search);
        }
    }
    bisection.check_ends()?;
    let found = Findings::of(&bisection, &search);
    match args.json {
        true => found.answer().print()?,
        false => print!("{}", found.text(width())),
    }
    Ok(ExitCode::from(if found.is_exact() { exit_code::GOOD } else { exit_code::INFRASTRUCTURE }))
}

/// The kernels from the good one to the bad one, both included, and whether the good one is the newer. Without their names the oldest is
/// good and the newest bad.
fn between(
    mut offers: Vec<AvailableKernel>,
    good: Option<&str>,
    bad: Option<&str>,
) -> Result<(Vec<AvailableKernel>, bool), Failure> {
    let place = |wanted: &str| {
        let is_it = |offer: &AvailableKernel| {
            let (_, build) = split_name(&offer.spec.name);
            offer.spec.name == declared_name(wanted) || build == Some(wanted)
        };
        offers.iter().position(is_it).ok_or_else(|| {
            let names = offers.iter().map(|offer| offer.spec.name.as_str());
            let hint = match nearest(wanted, names.clone(), 1).first() {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("available: {}", names.collect::<Vec<_>>().join(", ")),
            };
            Failure::input(
                format!("neither the manifest nor its sources have a kernel `{wanted}` of a known version"),
                Some(hint),
            )
        })
    };
    let (good, bad) = (good.map_or(Ok(0), place)?, bad.map_or_else(|| Ok(offers.len().saturating_sub(1)), place)?);
    if good == bad {
        let message = match offers.len() {
            0 | 1 => "nothing to search: the kernels have one build",
            _ => "`--good` and `--bad` are the same kernel",
        };
        return Err(Failure::input(message, None));
    }
    let range = offers.drain(good.min(bad)..=good.max(bad));
    Ok(if good < bad { (range.collect(), false) } else { (range.rev().collect(), true) })
}

impl Bisection<'_> {
    /// Whether a kernel is newer than another one.
    fn is_newer(&self, one: usize, other: usize) -> bool {
        (one > other) != self.backwards
    }

    fn name(&self, offer: usize) -> &str {
        &self.offers[offer].spec.name
    }

    /// Tries the object on a kernel and says how that went.
    fn step(&mut self, runner: &mut CellRunner<'_>, offer: usize) -> Result<Tried, Failure> {
        let spec = self.offers[offer].spec.clone();
        let plan = Plan::of_one(spec, &self.object, &self.targets, &self.settings);
        let record = runner.run(&Work::new(plan, Vec::new()), (Reach::Load, false), &self.folder(offer)?)?;
        let programs: Vec<&ProgramRecord> = self.judged(&record).collect();
        let failed = programs.iter().find(|one| one.verdict.is_failure());
        let unjudged = programs.iter().find(|one| one.verdict.blame() == Blame::Harness);
        let (tried, word) = match (failed, unjudged) {
            (Some(_), _) => (Tried::Bad, "bad"),
            (None, Some(_)) => (Tried::Skipped, "skipped"),
            (None, None) => (Tried::Good, "good"),
        };
        let fate = failed.or(unjudged).or(programs.first()).map(|program| Fate::of(program));
        let fault = match &record.kernels[0].state {
            KernelState::Unavailable { reason, .. }
            | KernelState::BootFailed { reason, .. }
            | KernelState::HarnessFailed { reason, .. } => format!(": {reason}"),
            _ => String::new(),
        };
        let number = self.steps.iter().filter(|step| step.tried != Tried::Skipped).count() + 1;
        let number = if tried == Tried::Skipped { String::new() } else { format!("{number}. ") };
        let how = fate.as_ref().map_or_else(String::new, |fate| format!("{fate}{fault}"));
        eprint!("{}", paragraph(&format!("{number}{}: {word}: {how}", self.name(offer)), 2, width()));
        self.steps.push(Step { offer, tried, fate, record });
        Ok(tried)
    }

    /// The directory of what is found on a kernel.
    fn folder(&self, offer: usize) -> Result<PathBuf, Failure> {
        let folder = self.folder.join(offer.to_string());
        let made = std::fs::create_dir_all(&folder);
        made.map(|()| folder)
            .map_err(|error| Failure::infrastructure(format!("cannot create a directory: {error}"), None))
    }

    /// The programs that matter.
    fn judged<'r>(&self, record: &'r RunRecord) -> impl Iterator<Item = &'r ProgramRecord> {
        let wanted = self.program.map(str::to_owned);
        record.cells[0].programs.iter().filter(move |one| wanted.as_ref().is_none_or(|wanted| *wanted == one.name))
    }

    /// The program that failed first on a kernel, with its place.
    fn failure<'r>(&self, record: &'r RunRecord) -> Option<(usize, &'r ProgramRecord)> {
        let failed = self.judged(record).find(|one| one.verdict.is_failure())?;
        let place = record.cells[0].programs.iter().position(|one| one.name == failed.name)?;
        Some((place, failed))
    }

    /// The types of the kernels that the store has. Nothing is fetched for them.
    fn types(&self) -> Vec<Option<Btf>> {
        let read = |offer: &AvailableKernel| {
            let stored = self.project.store.kernel(&offer.spec, &self.project.lock, true, &|_| ()).ok()?;
            Btf::parse(&std::fs::read(stored.btf?).ok()?).ok()
        };
        self.offers.iter().map(read).collect()
    }

    /// Where the bad end fails for something that a kernel's types have or have not, gives the search what they show.
    fn predict(&self, search: &mut Search) {
        let last = self.offers.len() - 1;
        let Some(bad) = self.steps.iter().find(|step| step.offer == last) else { return };
        let Some((_, program)) = self.failure(&bad.record) else { return };
        let is_known = matches!(
            program.cause,
            Some(
                Cause::MissingField
                    | Cause::MissingType
                    | Cause::MissingEnumValue
                    | Cause::MissingKfunc
                    | Cause::MissingKsym
                    | Cause::MissingAttachTarget
            )
        );
        if !is_known {
            return;
        }
        let known = self.types();
        let named = known.iter().enumerate().filter_map(|(offer, btf)| Some((offer, btf.as_ref()?)));
        let tried = |offer: usize| self.steps.iter().any(|step| step.offer == offer);
        let matrix: Vec<KernelTypes<'_>> = named
            .map(|(offer, btf)| KernelTypes { name: self.name(offer), btf, booted: tried(offer), modules: None })
            .collect();
        let types = ObjectTypes::read(&self.object.bytes);
        let facts = CellFacts {
            record: &bad.record,
            object: 0,
            kernel: 0,
            matrix: &matrix,
            known: &KnownTypes::default(),
            prove: &|_| None,
            probes: &std::collections::HashMap::new(),
            types: types.as_ref(),
            inventory: self.object.inventory.as_ref().ok(),
            log: &|_| Err(std::io::ErrorKind::Unsupported.into()),
            elsewhere: &|_| None,
            missing: &[],
        };
        let Some(explanation) = explanation(&facts, program) else { return };
        let answer = |offer: usize| {
            let on = explanation.presence.iter().find(|on| on.kernel == self.name(offer))?;
            Some(on.presence.is_present())
        };
        let predicted: Vec<Option<bool>> = (0..self.offers.len()).map(answer).collect();
        // Types that do not even explain the ends explain nothing.
        if predicted[0] == Some(true) && predicted[last] == Some(false) {
            if let Some(boundary) = &explanation.boundary {
                eprint!("{}", paragraph(&format!("by BTF `{}` is {boundary}", explanation.name), 2, width()));
            }
            search.predict(predicted);
        }
    }

    /// The ends have to be what the user says they are.
    fn check_ends(&self) -> Result<(), Failure> {
        for (offer, said, word) in [(0, Tried::Good, "good"), (self.offers.len() - 1, Tried::Bad, "bad")] {
            let Some(step) = self.steps.iter().find(|step| step.offer == offer) else { continue };
            let fate = step.fate.as_ref().map_or_else(String::new, ToString::to_string);
            let message = format!("`{}` is not {word}: {fate}", self.name(offer));
            match step.tried {
                tried if tried == said => {}
                Tried::Skipped => return Err(Failure::infrastructure(message, None)),
                Tried::Bad if self.program.is_none() => {
                    let (_, program) = self.failure(&step.record).unzip();
                    let which = program.map_or("another", |program| program.name.as_str());
                    let hint = format!("`{which}` fails there as well: name the program to bisect");
                    return Err(Failure::input(message, Some(hint)));
                }
                _ => return Err(Failure::input(message, Some("choose another kernel for this end".to_owned()))),
            }
        }
        Ok(())
    }
}
