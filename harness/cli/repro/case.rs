//! [`ReproCase`]: what the user wants to see again, from a run, out of a bundle, or without either.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::bundle::{self, Bundle, BundleError};
use crate::cli::Common;
use crate::cli::explain::{found_again, index_of, project_folder, read_record};
use crate::cli::failure::Failure;
use crate::cli::only_input::only_input;
use crate::cli::run::{LATEST, width};
use crate::loader::AssignedLoaders;
use crate::manifest::{KernelSpec, Source};
use crate::matrix::Project;
use crate::object::{BpfObject, find_objects};
use crate::plan::Plan;
use crate::protocol::attach::Reach;
use crate::record::{CellRecord, LoadingRecord, MachineSettings, ObjectRecord, ProgramRecord, RunRecord};
use crate::report::{one_line, shorten_middle};
use crate::store::Store;
use crate::suite::{Settings, Shape, patches};

/// What the user says of a bundle's kernel.
pub(crate) struct GivenKernel<'a> {
    /// Its image.
    pub(crate) path: Option<&'a Path>,
    /// Whether it may be fetched from where the bundle says.
    pub(crate) is_trusted: bool,
}

/// What the user wants to see again.
pub(super) struct ReproCase {
    pub(super) project: Project,
    pub(super) spec: KernelSpec,
    pub(super) reach: Reach,
    /// What its machine was like, where the run said it.
    machine: MachineSettings,
    /// The program that was asked for.
    pub(super) program: Option<String>,
    /// What the run said.
    pub(super) recorded: Option<Recorded>,
    pub(super) from_bundle: bool,
    /// Named as in the run, without its settings.
    object: BpfObject,
    shape: Option<Shape>,
    /// What its own loader does to it.
    loading: Option<LoadingRecord>,
    /// What loads it, if not libbpf.
    loader: Option<AssignedLoaders>,
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
            return Err(Failure::input("`--kernel-path` is for bundles", Some(hint)));
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
            let message = format!("the manifest does not declare kernel `{name}` any more");
            Failure::input(message, Some("put it back, or reproduce from the bundle of the cell".to_owned()))
        })?;
        let object_again =
            object_of_run(&record.objects[object], (&project_folder(common), &project.store), &folder, name)?;
        let title = format!("the run of {}", record.started);
        ReproCase::recorded(project, spec, object_again, program, Recorded { record, object, kernel, title, cpu: None })
    }

    fn of_bundle(
        common: &Common,
        file: &Path,
        words: &[String],
        elsewhere: &GivenKernel<'_>,
    ) -> Result<ReproCase, Failure> {
        let ([] | [_]) = words else {
            return Err(Failure::input("a bundle is one cell: name at most a program of it", None));
        };
        let bundle = Bundle::open(file).map_err(bundle_failure)?;
        let folder = tempfile::Builder::new().prefix("corematrix-repro-").tempdir();
        let folder = folder.map_err(|error| Failure::infrastructure(format!("cannot make a folder: {error}"), None))?;
        let (mut spec, path) = bundle.lay_out(folder.path()).map_err(bundle_failure)?;
        let image = bundle.record.kernels[bundle.kernel].identity.as_ref();
        match (&spec.source, elsewhere.path) {
            (_, Some(path)) => {
                let image = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                spec.source = Source::Path { image, modules: None, config: None };
            }
            (Source::Path { .. }, None) => {
                let which = image.map_or_else(String::new, |image| {
                    format!(": release {}, sha256 of the image {}", image.release, image.image_sha256)
                });
                let message = format!("kernel `{}` is an image of the run's machine and not in the bundle", spec.name);
                return Err(Failure::input(message, Some(format!("give it by `--kernel-path PATH`{which}"))));
            }
            // Debian's mirror is the machine's own, and mainline is where virtme-ng goes; others are the bundle author's choice.
            (source @ (Source::Oci { .. } | Source::Package { .. }), None) if !elsewhere.is_trusted => {
                let message = format!("kernel `{}` of the bundle comes from `{source}`", spec.name);
                let hint = "`--trust-source` fetches it from there; `--kernel-path PATH` takes an image of yours";
                return Err(Failure::input(message, Some(hint.to_owned())));
            }
            _ => {}
        }
        let project = Project::load(&folder.path().join("kernels.toml"), &common.places()?)?
            .with_tools_of(&project_folder(common));
        let mut object = only_object(&path)?;
        bundle.base().clone_into(&mut object.name);
        let Bundle { about, record, kernel, .. } = bundle;
        let title = format!("the run of {}", record.started);
        if !about.command.is_empty() {
            let room = width().saturating_sub(16);
            eprintln!("bundle of a run: {}", shorten_middle(&one_line(&about.command.join(" ")), room));
        }
        let recorded = Recorded { record, object: 0, kernel, title, cpu: about.cpu };
        let case = ReproCase::recorded(project, spec, object, words.first().cloned(), recorded)?;
        Ok(ReproCase { from_bundle: true, _unpacked: Some(folder), ..case })
    }

    fn of_file(common: &Common, what: &[String], offline: bool) -> Result<ReproCase, Failure> {
        let [kernel, file, program @ ..] = what else {
            let hint = "`corematrix repro RUN KERNEL OBJECT`, `repro BUNDLE`, or `repro KERNEL INPUT`".to_owned();
            return Err(Failure::input(format!("`{}` is neither a run nor a bundle", what[0]), Some(hint)));
        };
        if program.len() > 1 {
            return Err(Failure::input("`KERNEL INPUT PROGRAM` is all there is to name without a run", None));
        }
        let project = Project::load(&common.manifest, &common.places()?)?;
        let chosen = project.manifest.select(std::slice::from_ref(kernel)).map_err(|error| {
            let hint = error.hint();
            Failure::input(error, hint)
        })?;
        let [spec] = &chosen[..] else {
            return Err(Failure::input(format!("`{kernel}` means {} kernels, and one is needed", chosen.len()), None));
        };
        let spec = spec.clone();
        let (object, settings) = only_input(&project, Path::new(file), offline)?;
        let loading = settings.loading.into_iter().next().map(|(_, loading)| loading);
        let loader = settings.loaders.into_iter().next().map(|(_, loader)| loader);
        Ok(ReproCase { loading, loader, ..ReproCase::new(project, spec, object, program.first().cloned()) })
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
            shape: None,
            machine: MachineSettings::default(),
            loading: None,
            loader: None,
            _unpacked: None,
        }
    }

    fn recorded(
        project: Project,
        spec: KernelSpec,
        object: BpfObject,
        program: Option<String>,
        recorded: Recorded,
    ) -> Result<ReproCase, Failure> {
        let shape = recorded.record.objects[recorded.object].shape.as_ref();
        let shape = shape
            .map(|shape| Shape::recorded(shape, &object))
            .transpose()
            .map_err(|why| Failure::input(format!("the settings of the run do not fit the object: {why}"), None))?;
        let loading = &recorded.record.objects[recorded.object].loading;
        patches(loading, &object)
            .map_err(|why| Failure::input(format!("the settings of the run do not fit the object: {why}"), None))?;
        let reach = recorded.reach();
        let loader = recorded.record.objects[recorded.object].loader.as_ref();
        let loader = loader.map(|loader| project.recorded_loader(loader, &|line| eprintln!("{line}"))).transpose()?;
        let machine = recorded.record.objects[recorded.object].machine.clone();
        let (loading, recorded) = (Some(loading.clone()), Some(recorded));
        let case = ReproCase::new(project, spec, object, program);
        Ok(ReproCase { reach, recorded, shape, machine, loading, loader, ..case })
    }

    /// The object, in its shape, on the kernel.
    pub(super) fn plan(&self) -> Plan {
        let shapes = self.shape.iter().map(|shape| (self.object.name.clone(), shape.clone())).collect();
        let loading = self.loading.iter().map(|loading| (self.object.name.clone(), loading.clone())).collect();
        let loaders = self.loader.iter().map(|loader| (self.object.name.clone(), loader.clone())).collect();
        let settings = Settings { shapes, loading, loaders, run_machine: self.machine.clone(), ..Settings::default() };
        let mut plan = Plan::new(vec![self.spec.clone()], vec![self.object.clone()], &settings);
        plan.objects.retain(|object| object.shape.is_some() == self.shape.is_some());
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

/// The one object in a file.
pub(crate) fn only_object(path: &Path) -> Result<BpfObject, Failure> {
    let found = find_objects(std::slice::from_ref(&path.to_owned())).map_err(|errors| {
        Failure::inputs(errors.into_iter().map(|error| {
            let hint = error.hint();
            (error.to_string(), hint)
        }))
    })?;
    one(found.objects, path)
}

/// The one among `objects`, which are those of `path`.
pub(crate) fn one(objects: Vec<BpfObject>, path: &Path) -> Result<BpfObject, Failure> {
    let count = objects.len();
    <[BpfObject; 1]>::try_from(objects).map(|[object]| object).map_err(|_| {
        let hint = "make a run of it, and name one of its objects: `corematrix repro latest KERNEL OBJECT`".to_owned();
        Failure::input(format!("`{}` holds {count} objects, and one is needed", path.display()), Some(hint))
    })
}

/// The object of a run: where it was, even if it is another by now; else out of the bundle of its cell.
fn object_of_run(
    record: &ObjectRecord,
    (project, store): (&Path, &Store),
    folder: &Path,
    kernel: &str,
) -> Result<BpfObject, Failure> {
    let base = record.base_name();
    let named = |mut object: BpfObject| {
        base.clone_into(&mut object.name);
        object
    };
    let mut missing = Vec::new();
    if let Some(same) = found_again(record, project, store, &mut missing) {
        return Ok(named(same));
    }
    let file = record.origin.rsplit_once(": ").map_or(record.origin.as_str(), |(file, _)| file);
    let places: Vec<PathBuf> =
        [PathBuf::from(file), project.join(file)].into_iter().filter(|at| at.is_file()).collect();
    if let Some(place) = places.first() {
        eprintln!("`{}` has changed since the run", place.display());
        let found = find_objects(std::slice::from_ref(place)).map(|found| found.objects).unwrap_or_default();
        let alone = found.len() == 1;
        let same = found.into_iter().find(|object| alone || object.name == base);
        return same
            .map(named)
            .ok_or_else(|| Failure::input(format!("`{}` has no object `{base}` any more", place.display()), None));
    }
    let bundle = folder.join(bundle::FOLDER).join(bundle::file_name(kernel, &record.name));
    if bundle.is_file() {
        eprintln!("the object is not at `{file}` any more: taking it from `{}`", bundle.display());
        let kept = Bundle::open(&bundle).map_err(bundle_failure)?;
        let scratch = tempfile::tempdir();
        let scratch =
            scratch.map_err(|error| Failure::infrastructure(format!("cannot make a folder: {error}"), None))?;
        let (_, path) = kept.lay_out(scratch.path()).map_err(bundle_failure)?;
        return only_object(&path).map(named);
    }
    let hint = match file.contains("://") {
        true => "run the matrix again: it fetches the object anew",
        false => "build it again",
    };
    Err(Failure::input(format!("the object is not at `{file}` any more"), Some(hint.to_owned())))
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
            return Err(Failure::input("a cell of the run is to be named", Some(hint)));
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
        assert!(cell(&[&kernel]).unwrap_err().to_string().contains("a cell of the run is to be named"));
        assert!(cell(&[&kernel, &object, "nine"]).unwrap_err().to_string().contains("no program `nine`"));
    }
}
