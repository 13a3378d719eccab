//! [`ReproCase`]: what the user wants to see again, from a run, out of a bundle, or without either.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::run_place::{RunPlace, only_object};
use crate::bundle::{self, Bundle, BundleError, LaidOut};
use crate::cli::Common;
use crate::cli::explain::{index_of, project_folder, read_record};
use crate::cli::failure::{Failure, store_failure};
use crate::cli::only_input::OnlyInput;
use crate::cli::run::{LATEST, width};
use crate::manifest::{KernelSpec, ModuleChoice, Source};
use crate::matrix::Project;
use crate::object::BpfObject;
use crate::plan::Plan;
use crate::protocol::attach::Reach;
use crate::record::{CellRecord, KernelIdentity, ProgramRecord, RunRecord};
use crate::report::{one_line, shorten_middle};
use crate::suite::{Settings, Shape, patches};

/// What the user says of a bundle's kernel.
pub(crate) struct GivenKernel<'a> {
    /// Its image.
    pub(crate) path: Option<&'a Path>,
    /// Whether it may be fetched from where the bundle says.
    pub(crate) is_trusted: bool,
}

/// The kernel of a bundle as the manifest here declares it, if it is pinned as the same image.
fn same_here(common: &Common, spec: &KernelSpec, image: &KernelIdentity) -> Option<(Project, KernelSpec)> {
    // A manifest that cannot be read is no reason not to reproduce a bundle, which needs none.
    let here = Project::load(&common.manifest, &common.places().ok()?).ok()?;
    let own = here.manifest.kernel(&spec.name)?;
    let is_same = here.lock.kernel(&spec.name).is_some_and(|pinned| pinned.image_sha256 == image.image_sha256);
    is_same.then_some((here, own))
}

/// What the user wants to see again.
pub(super) struct ReproCase {
    pub(super) project: Project,
    pub(super) spec: KernelSpec,
    pub(super) reach: Reach,
    /// The program that was asked for.
    pub(super) program: Option<String>,
    /// What the run said.
    pub(super) recorded: Option<Recorded>,
    pub(super) from_bundle: bool,
    /// Named as in the run, without its settings.
    object: BpfObject,
    /// The objects that its programs are loaded for.
    targets: Vec<BpfObject>,
    /// What is set of it, what its own loader does to it, what loads it, and on what machine.
    settings: Settings,
    /// What came out of the bundle.
    _unpacked: Option<TempDir>,
}

/// The cell of a run.
pub(super) struct Recorded {
    pub(super) record: RunRecord,
    pub(super) object: usize,
    pub(super) kernel: usize,
    /// The run in words.
    pub(super) title: String,
    /// The processor of its machine, if it is known.
    pub(super) cpu: Option<String>,
}

impl Recorded {
    fn cell(&self) -> &CellRecord {
        self.record.cell(self.object, self.kernel)
    }

    /// SHA-256 of the kernel's image.
    pub(super) fn image(&self) -> Option<&str> {
        self.record.kernels[self.kernel].identity.as_ref().map(|identity| identity.image_sha256.as_str())
    }

    /// How far the run took its programs.
    fn reach(&self) -> Reach {
        let programs = &self.cell().programs;
        match () {
            () if programs.iter().any(|program| program.exercise.is_some()) => Reach::Exercise,
            () if programs.iter().any(|program| program.attach.is_some()) => Reach::Attach,
            () => Reach::Load,
        }
    }
}

impl ReproCase {
    /// Understands the words of the command line.
    pub(super) fn find(
        common: &Common,
        what: &[String],
        elsewhere: &GivenKernel<'_>,
        offline: bool,
    ) -> Result<ReproCase, Failure> {
        let first = Path::new(&what[0]);
        if Bundle::is_bundle(first) || what[0].ends_with(bundle::SUFFIX) {
            return ReproCase::of_bundle(common, first, &what[1..], elsewhere);
        }
        if elsewhere.path.is_some() {
            let hint = "declare the kernel in `kernels.toml`, with `source = \"path\"`".to_owned();
            return Err(Failure::input("`--kernel-path` can be used only with a bundle", Some(hint)));
        }
        let is_run = what[0] == LATEST || first.is_dir() || first.extension().is_some_and(|kind| kind == "json");
        match is_run {
            true => ReproCase::of_run(common, first, &what[1..]),
            false => ReproCase::of_file(common, what, offline),
        }
    }

    fn of_run(common: &Common, run: &Path, words: &[String]) -> Result<ReproCase, Failure> {
        let (folder, record) = read_record(common, run)?;
        let (object, kernel, program) = cell_of(&record, words)?;
        let project = Project::load(&common.manifest, &common.places()?)?;
        let name = &record.kernels[kernel].name;
        let spec = project.manifest.kernel(name);
        let spec = spec.ok_or_else(|| {
            let message = format!("the manifest no longer declares kernel `{name}`");
            Failure::input(message, Some("restore it, or reproduce from the bundle of the cell".to_owned()))
        })?;
        let place = RunPlace { project: &project_folder(common), store: &project.store, folder: &folder, kernel: name };
        let again = place.object(&record.objects[object])?;
        let targets = place.targets(&record, object)?;
        let title = format!("the run of {}", record.started);
        let recorded = Recorded { record, object, kernel, title, cpu: None };
        let case = ReproCase { targets, ..ReproCase::new(project, spec, again, program) };
        case.recorded(recorded, Path::new("."))
    }

    fn of_bundle(
        common: &Common,
        file: &Path,
        words: &[String],
        elsewhere: &GivenKernel<'_>,
    ) -> Result<ReproCase, Failure> {
        let ([] | [_]) = words else {
            return Err(Failure::input("a bundle holds one cell: name at most one of its programs", None));
        };
        let bundle = Bundle::open(file).map_err(bundle_failure)?;
        let folder = tempfile::Builder::new().prefix("corematrix-repro-").tempdir();
        let folder =
            folder.map_err(|error| Failure::infrastructure(format!("cannot create a directory: {error}"), None))?;
        let LaidOut { mut spec, object: path, targets } = bundle.lay_out(folder.path()).map_err(bundle_failure)?;
        let image = bundle.record.kernels[bundle.kernel].identity.as_ref();
        // What the manifest here declares, pinned as the same image, needs no other image and no trust in anyone.
        let declared = image.filter(|_| elsewhere.path.is_none()).and_then(|image| same_here(common, &spec, image));
        if let Some((_, own)) = &declared {
            spec.source = own.source.clone();
            spec.fallbacks.clone_from(&own.fallbacks);
        }
        match (&spec.source, elsewhere.path) {
            _ if declared.is_some() => {}
            (_, Some(path)) => {
                let image = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                spec.source = Source::Path { image, modules: None, config: None };
            }
            (Source::Path { .. }, None) => {
                let which = image.map_or_else(String::new, |image| {
                    format!(": release {}, sha256 of the image {}", image.release, image.image_sha256)
                });
                let message = format!("kernel `{}` is an image of the run's machine and not in the bundle", spec.name);
                return Err(Failure::input(
                    message,
                    Some(format!("name its image with `--kernel-path PATH`, or declare and pull the kernel{which}")),
                ));
            }
            // Debian's mirror is the machine's own, and mainline is where virtme-ng goes; others are the bundle author's choice.
            (source @ (Source::Oci { .. } | Source::Package { .. }), None) if !elsewhere.is_trusted => {
                let message = format!("kernel `{}` of the bundle comes from `{source}`", spec.name);
                let hint = "`--trust-source` fetches it from there; `--kernel-path PATH` uses a local image";
                return Err(Failure::input(message, Some(hint.to_owned())));
            }
            _ => {}
        }
        let project = Project::load(&folder.path().join("kernels.toml"), &common.places()?)?
            .with_tools_of(&project_folder(common));
        if let Some((here, _)) = declared {
            project.lock.adopt(&spec.name, &here.lock).map_err(store_failure)?;
        }
        let mut object = only_object(&path)?;
        bundle.base().clone_into(&mut object.name);
        let named = |(path, name): (&PathBuf, &str)| {
            only_object(path).map(|object| BpfObject { name: name.to_owned(), ..object })
        };
        let targets = targets.iter().zip(bundle.target_names()).map(named).collect::<Result<_, _>>()?;
        let Bundle { about, record, kernel, .. } = bundle;
        let title = format!("the run of {}", record.started);
        if !about.command.is_empty() {
            let room = width().saturating_sub(16);
            eprintln!("bundle of a run: {}", shorten_middle(&one_line(&about.command.join(" ")), room));
        }
        let recorded = Recorded { record, object: 0, kernel, title, cpu: about.cpu };
        let case =
            ReproCase { from_bundle: true, targets, ..ReproCase::new(project, spec, object, words.first().cloned()) };
        let case = case.recorded(recorded, folder.path())?;
        Ok(ReproCase { _unpacked: Some(folder), ..case })
    }

    fn of_file(common: &Common, what: &[String], offline: bool) -> Result<ReproCase, Failure> {
        let [kernel, file, program @ ..] = what else {
            let hint = "`corematrix repro RUN KERNEL OBJECT`, `repro BUNDLE`, or `repro KERNEL INPUT`".to_owned();
            return Err(Failure::input(format!("`{}` is neither a run nor a bundle", what[0]), Some(hint)));
        };
        if program.len() > 1 {
            return Err(Failure::input("too many arguments: without a run, name `KERNEL INPUT [PROGRAM]`", None));
        }
        let project = Project::load(&common.manifest, &common.places()?)?;
        let chosen = project.select(std::slice::from_ref(kernel)).map_err(|error| {
            let hint = error.hint();
            Failure::input(error, hint)
        })?;
        let [spec] = &chosen[..] else {
            return Err(Failure::input(
                format!("`{kernel}` matches {} kernels, but one is needed", chosen.len()),
                None,
            ));
        };
        let spec = spec.clone();
        let OnlyInput { object, targets, settings } = OnlyInput::find(&project, Path::new(file), offline)?;
        let case = ReproCase::new(project, spec, object, program.first().cloned());
        Ok(ReproCase { targets, settings, ..case })
    }

    /// The object as it is, loaded by libbpf.
    fn new(project: Project, spec: KernelSpec, object: BpfObject, program: Option<String>) -> ReproCase {
        ReproCase {
            project,
            spec,
            reach: Reach::Load,
            program,
            recorded: None,
            from_bundle: false,
            object,
            targets: Vec::new(),
            settings: Settings::default(),
            _unpacked: None,
        }
    }

    /// The case as a run recorded it. Paths of modules start at `folder`.
    fn recorded(mut self, recorded: Recorded, folder: &Path) -> Result<ReproCase, Failure> {
        let unfit = |why: String| Failure::input(format!("the settings of the run do not fit the object: {why}"), None);
        let of = &recorded.record.objects[recorded.object];
        let name = self.object.name.clone();
        if let Some(shape) = &of.shape {
            let shape = Shape::recorded(shape, &self.object).map_err(unfit)?;
            self.settings.shapes.push((name.clone(), shape));
        }
        patches(&of.loading, &self.object).map_err(unfit)?;
        self.settings.loading.push((name.clone(), of.loading.clone()));
        for target in &self.targets {
            let known = recorded.record.objects.iter().find(|known| known.base_name() == target.name);
            self.settings.loading.extend(known.map(|known| (target.name.clone(), known.loading.clone())));
        }
        if let Some(loader) = &of.loader {
            self.settings.loaders.push((name, self.project.recorded_loader(loader, &|line| eprintln!("{line}"))?));
        }
        self.settings.run_machine = of.machine.clone();
        let modules = &recorded.record.kernels[recorded.kernel].modules;
        let modules = ModuleChoice::of(modules.iter().map(String::as_str), folder).map_err(unfit)?;
        self.settings.modules = Some(modules);
        self.reach = recorded.reach();
        self.recorded = Some(recorded);
        Ok(self)
    }

    /// The object, in its shape, on the kernel.
    pub(super) fn plan(&self) -> Plan {
        let mut plan = Plan::of_one(self.spec.clone(), &self.object, &self.targets, &self.settings);
        let is_shaped = !self.settings.shapes.is_empty();
        plan.objects.retain(|object| object.shape.is_some() == is_shaped);
        plan
    }

    /// A program as the run saw it.
    pub(super) fn recorded_program(&self, name: &str) -> Option<&ProgramRecord> {
        self.recorded.as_ref()?.cell().programs.iter().find(|program| program.name == name)
    }

    /// The record to explain the cell from: that of the run, with the cell as it is here; and its object and kernel.
    pub(super) fn shown(&self, here: &RunRecord) -> (RunRecord, usize, usize) {
        let Some(Recorded { record, object, kernel, .. }) = &self.recorded else { return (here.clone(), 0, 0) };
        let mut shown = record.clone();
        shown.objects[*object] = here.objects[0].clone();
        let width = shown.kernels.len();
        shown.cells[object * width + kernel] = here.cells[0].clone();
        shown.kernels[*kernel] = here.kernels[0].clone();
        (shown, *object, *kernel)
    }
}

pub(crate) fn bundle_failure(error: BundleError) -> Failure {
    let hint = error.hint();
    match error {
        BundleError::Write { .. } => Failure::infrastructure(error, hint),
        _ => Failure::input(error, hint),
    }
}

/// `KERNEL OBJECT [PROGRAM]` or `KERNEL/OBJECT[/PROGRAM]` as indexes, and the program's name.
pub(crate) fn cell_of(record: &RunRecord, words: &[String]) -> Result<(usize, usize, Option<String>), Failure> {
    let kernels = || record.kernels.iter().map(|kernel| kernel.name.as_str());
    let objects = || record.objects.iter().map(|object| object.name.as_str());
    let (kernel, object, program) = match words {
        [cell] if cell.contains('/') => {
            let (kernel, rest) = cell.split_once('/').unwrap_or((cell, ""));
            // The name of an object may have a `/` itself: the longest that fits.
            let is_start =
                |name: &&str| rest.strip_prefix(*name).is_some_and(|more| more.is_empty() || more.starts_with('/'));
            let object = objects().filter(is_start).max_by_key(|name| name.len());
            let object = object.unwrap_or_else(|| rest.split('/').next().unwrap_or(rest));
            let program = rest.get(object.len() + 1..).filter(|program| !program.is_empty());
            (kernel, object, program)
        }
        [kernel, object] => (kernel.as_str(), object.as_str(), None),
        [kernel, object, program] => (kernel.as_str(), object.as_str(), Some(program.as_str())),
        _ => {
            let hint = "write `KERNEL OBJECT [PROGRAM]` or `KERNEL/OBJECT/PROGRAM`".to_owned();
            return Err(Failure::input("no cell of the run is named", Some(hint)));
        }
    };
    let kernel = index_of("kernel", kernel, kernels())?;
    let object = index_of("object", object, objects())?;
    if let Some(program) = program {
        index_of("program", program, record.objects[object].programs.iter().map(|program| program.name.as_str()))?;
    }
    Ok((object, kernel, program.map(str::to_owned)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn cells_are_named_in_words_or_by_a_path() {
        let mut record = sample::record();
        record.objects[1].name = format!("{}/x", record.objects[0].name);
        let (kernel, object) = (record.kernels[0].name.clone(), record.objects[0].name.clone());
        let program = record.objects[0].programs[0].name.clone();
        let cell = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            cell_of(&record, &words)
        };
        let whole = (0, 0, Some(program.clone()));
        assert_eq!(cell(&[&kernel, &object, &program]).unwrap(), whole);
        assert_eq!(cell(&[&format!("{kernel}/{object}/{program}")]).unwrap(), whole);
        assert_eq!(cell(&[&format!("{kernel}/{object}")]).unwrap(), (0, 0, None));
        assert_eq!(cell(&[&format!("{kernel}/{object}/x")]).unwrap(), (1, 0, None));
        assert!(cell(&[&format!("{kernel}/nothing")]).unwrap_err().to_string().contains("no object `nothing`"));
        assert!(cell(&[&kernel]).unwrap_err().to_string().contains("no cell of the run is named"));
        assert!(cell(&[&kernel, &object, "nine"]).unwrap_err().to_string().contains("no program `nine`"));
    }
}
