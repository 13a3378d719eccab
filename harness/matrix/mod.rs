//! [`Matrix`]: runs objects on a matrix of kernels, as `corematrix run` does, for programs and tests.
//!
//! ```no_run
//! use std::path::{Path, PathBuf};
//!
//! use corematrix::matrix::{Matrix, Options, Places, Project};
//!
//! # fn main() -> Result<(), corematrix::matrix::MatrixError> {
//! let project = Project::load(Path::new("kernels.toml"), &Places::from_environment(None)?)?;
//! let matrix = Matrix::new(&project, Options::default());
//! let work = matrix.plan(&["5.10".to_owned(), "latest".to_owned()], &[PathBuf::from("target/tool.bpf.o")])?;
//! let record = matrix.run(&work, Path::new("reports/tool"), &mut |_| ())?;
//! assert_eq!(corematrix::record::exit_code::of(&record), corematrix::record::exit_code::GOOD);
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here prints, ends the process or listens for signals. Guests are made by QEMU and virtme-ng, which are found by `PATH` and
//! in the project's `.venv`, and where `corematrix setup` installs virtme-ng.

mod acceleration;
mod advice;
mod drive;
mod error;
mod input;
mod inputs;
mod kernel_types;
mod known_types;
mod loader_choice;
mod machine_options;
mod places;
mod point_releases;
mod project;
mod target_search;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::Sender;

use crate::event::Event;
use crate::gate::{Expectations, GateLimits};
use crate::manifest::{KernelSpec, ModuleChoice};
use crate::plan::Plan;
use crate::protocol::attach::Reach;
use crate::record::{LoadingPrivileges, LoadingRecord, Partition, PartitionRecord, RunRecord, ToolRecord};
use crate::run::{self, CommandJob, Isolation, Jobs, Logs, RunContext, RunError, Standby, Stop};
use crate::timestamp;
use crate::vm::{Choice, DebugOptions, ProvenAccelerator};

pub use acceleration::{boot_once, prove_kvm};
pub use error::MatrixError;
pub use inputs::Inputs;
pub use kernel_types::{MatrixTypes, all_types, kernel_probes, kernel_types};
pub use known_types::KnownPlaces;
pub use machine_options::MachineOptions;
pub use places::Places;
pub use point_releases::{MovedBuilds, UnknownBuilds};
pub use project::Project;
pub use target_search::TargetSearch;

/// Bytes of snapshots that a store keeps, if nothing else is said.
pub const SNAPSHOT_BUDGET: u64 = 4 << 30;
/// Where the store remembers whether KVM works.
pub const KVM_MEMORY: &str = "kvm.json";

/// How a matrix is run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Whether to use no network: only kernels that are stored.
    pub offline: bool,
    /// What runs the guests' code.
    pub accelerator: Choice,
    /// How many guests run at once; `None` for what the machine allows.
    pub jobs: Option<NonZero<usize>>,
    /// How far programs are taken.
    pub reach: Reach,
    /// Whether the whole verifier log is kept of programs that load, too.
    pub full_logs: bool,
    /// Whether every guest is booted, and none is restored from a snapshot.
    pub cold: bool,
    /// Whether what earlier runs observed of a cell is taken instead of running it, where nothing that decides it has changed. The record
    /// says of each such cell when it was observed.
    pub reuse: bool,
    /// What separates the cells of a kernel.
    pub isolation: Isolation,
    /// How many bytes of snapshots the store may keep.
    pub snapshot_budget: u64,
    /// Which part of the objects to run; `None` for all.
    pub partition: Option<Partition>,
    /// Whether the record gets what failures mean and what to do about them.
    pub advice: bool,
    /// The loaders that judge every object: `libbpf`, `cilium-ebpf`, `aya`, a path, or `all`. Without any, that which a suite names or the
    /// object is made for.
    pub loaders: Vec<String>,
    /// The modules that guests load, instead of those of suites and the manifest.
    pub modules: Option<ModuleChoice>,
    /// What the guests' machines are like.
    pub machine: MachineOptions,
    /// The privileges that everything is loaded with; `None` for what suites say, else those of root.
    pub privileges: Option<LoadingPrivileges>,
    /// Whether the least privileges are looked for with which objects load.
    pub least_privileges: bool,
    /// TOML files with known failures and kernel warnings, in addition to those of suites: see [`Expectations::read`].
    pub expect: Vec<PathBuf>,
    /// What helps to look into guests. It writes to standard error.
    pub debug: DebugOptions,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            offline: false,
            accelerator: Choice::Auto,
            jobs: None,
            reach: Reach::Load,
            full_logs: false,
            cold: false,
            reuse: false,
            isolation: Isolation::default(),
            snapshot_budget: SNAPSHOT_BUDGET,
            partition: None,
            advice: true,
            loaders: Vec::new(),
            modules: None,
            machine: MachineOptions::default(),
            privileges: None,
            least_privileges: false,
            expect: Vec::new(),
            debug: DebugOptions::default(),
        }
    }
}

/// What a matrix is to do: checked, and nothing is run yet.
#[derive(Debug)]
pub struct Work {
    /// Every cell.
    pub plan: Plan,
    /// What the user should know before it begins.
    pub notices: Vec<String>,
    /// The failures that are expected: the record says so, and they do not count.
    pub expectations: Expectations,
    /// Which part of a matrix the plan is.
    pub partition: Option<PartitionRecord>,
}

impl Work {
    /// A plan that is a whole matrix.
    pub fn new(plan: Plan, notices: Vec<String>) -> Work {
        Work { plan, notices, expectations: Expectations::default(), partition: None }
    }
}

/// A matrix of kernels, ready to run objects.
#[derive(Debug)]
pub struct Matrix<'a> {
    /// Where kernels come from.
    pub project: &'a Project,
    /// How they are run.
    pub options: Options,
    /// Ask it to stop from another thread: [`Stop::ask`] once lets running cells end, twice drops them.
    pub stop: Stop,
    proof: OnceLock<ProvenAccelerator>,
    standby: Option<Standby>,
}

impl<'a> Matrix<'a> {
    /// A matrix of a project's kernels.
    pub fn new(project: &'a Project, options: Options) -> Matrix<'a> {
        Matrix { project, options, stop: Stop::default(), proof: OnceLock::new(), standby: None }
    }

    /// The same, stopped by `stop`.
    #[must_use]
    pub fn stopped_by(self, stop: Stop) -> Matrix<'a> {
        let heard = stop.clone();
        self.project.store.stop_when(move || heard.requested());
        Matrix { stop, ..self }
    }

    /// The same, for runs one after the other with pauses between them: see [`Matrix::pause`].
    #[must_use]
    pub fn with_pauses(self) -> Matrix<'a> {
        // Without a thread guests are started when they are needed.
        Matrix { standby: Standby::new().ok(), ..self }
    }

    /// Starts guests while nothing runs, of those kernels that the last runs started guests of. The next run takes them.
    pub fn pause(&self) {
        self.standby.iter().for_each(Standby::begin);
    }

    /// Plans to run the objects of `inputs` (objects, directories, executables that embed objects, suite files) on the kernels that
    /// `selectors` choose; without selectors on the manifest's matrix.
    ///
    /// # Errors
    /// Anything that is wrong with the inputs, before anything boots.
    pub fn plan(&self, selectors: &[String], inputs: &[PathBuf]) -> Result<Work, MatrixError> {
        self.plan_with(selectors, inputs, &|_| ())
    }

    /// The same; `say` gets a line for each step that takes time.
    ///
    /// # Errors
    /// As [`Matrix::plan`].
    pub fn plan_with(
        &self,
        selectors: &[String],
        inputs: &[PathBuf],
        say: &dyn Fn(String),
    ) -> Result<Work, MatrixError> {
        self.project.learn_builds(selectors, self.options.offline, say)?;
        let kernels = self.project.kernels(selectors)?;
        let mut inputs = self.project.inputs(inputs, self.options.offline, say)?;
        self.project.assign_loaders(&mut inputs, &self.options.loaders)?;
        self.project.apply_machines(&mut inputs, &self.options.machine)?;
        let Inputs { objects, mut notices, mut settings, mut expectations, .. } = inputs;
        for file in &self.options.expect {
            expectations.extend(Expectations::read(file)?);
        }
        notices.extend(self.project.beyond_ranges(selectors, &kernels));
        notices.extend(self.project.without_btf(&kernels));
        notices.extend(self.project.to_be_fetched(&kernels));
        settings.least_privileges |= self.options.least_privileges;
        if let Some(privileges) = &self.options.privileges {
            let loading = LoadingRecord { privileges: Some(privileges.clone()), ..LoadingRecord::default() };
            settings.loading.extend(objects.iter().map(|object| (object.name.clone(), loading.clone())));
        }
        let mut plan = Plan::new(kernels, objects, &settings);
        if let Some((object, reason, hint)) = plan.contradiction() {
            return Err(MatrixError::Input { input: object.to_owned(), reason, hint });
        }
        self.project.tools()?;
        let partition = self.options.partition.map(|part| plan.keep(part));
        Ok(Work { plan, notices, expectations, partition })
    }

    /// Chooses the accelerator, by a test boot of one of these kernels if KVM is not proven yet. It is chosen once; `say` gets a
    /// line for each step that takes time.
    ///
    /// # Errors
    /// [`MatrixError::NoKvm`] if KVM was asked for and cannot be used, [`MatrixError::Toolchain`].
    pub fn accelerator(&self, kernels: &[KernelSpec], say: &dyn Fn(String)) -> Result<&ProvenAccelerator, MatrixError> {
        if let Some(known) = self.proof.get() {
            return Ok(known);
        }
        let proof = acceleration::choose(self.project, kernels, &self.options, &self.stop, say)?;
        Ok(self.proof.get_or_init(|| proof))
    }

    /// What the user should know about the accelerator, once it is chosen: that guests are emulated and why.
    pub fn notices(&self) -> Vec<String> {
        let (Some(proof), Ok(tools)) = (self.proof.get(), self.project.tools()) else { return Vec::new() };
        acceleration::notices(tools, proof, self.options.accelerator)
    }

    /// Runs the work to its end. The record is saved in `folder` as `report.json` as results arrive, verifier logs below it; `observe`
    /// sees each event on the calling thread.
    ///
    /// # Errors
    /// What kept the run from beginning. What goes wrong with kernels, objects and programs is in the record.
    pub fn run(&self, work: &Work, folder: &Path, observe: &mut dyn FnMut(&Event)) -> Result<RunRecord, MatrixError> {
        self.run_apart(work, folder, folder, observe)
    }

    /// The same with the logs below `logs` and the record in `live`.
    ///
    /// # Errors
    /// As [`Matrix::run`].
    pub fn run_apart(
        &self,
        work: &Work,
        logs: &Path,
        live: &Path,
        observe: &mut dyn FnMut(&Event),
    ) -> Result<RunRecord, MatrixError> {
        self.standby.iter().for_each(Standby::end);
        let mut record = self.begin(work, observe)?;
        if work.plan.objects.is_empty() && work.partition.is_some() {
            record.finished = Some(timestamp::now());
        } else {
            record = self.drive(work, record, (logs, live), observe, run::run)?;
        }
        // Who stopped the run waits for its end.
        if self.options.advice && !record.interrupted {
            advice::advise(&mut record, &work.plan, self.project);
            advice::prove_settings(&mut record);
        }
        work.expectations.mark(&mut record, GateLimits::now().today);
        Ok(record)
    }

    /// Runs a command on every kernel of the work, whose plan is [`Plan::of_command`].
    ///
    /// # Errors
    /// As [`Matrix::run`].
    pub fn run_command(
        &self,
        work: &Work,
        job: &CommandJob,
        folder: &Path,
        observe: &mut dyn FnMut(&Event),
    ) -> Result<RunRecord, MatrixError> {
        let record = self.begin(work, observe)?;
        let mut tests = vec![None; work.plan.kernels.len()];
        let mut note_tests = |event: &Event| {
            if let Event::CellDone { kernel, outcome, .. } = event {
                tests[*kernel].clone_from(&outcome.tests);
            }
            observe(event);
        };
        let run = |context: &RunContext<'_>, events: &Sender<Event>| run::run_command(context, job, events);
        let mut record = self.drive(work, record, (folder, folder), &mut note_tests, run)?;
        run::put_tests(&mut record, tests);
        Ok(record)
    }

    /// The record before anything is run.
    fn begin(&self, work: &Work, observe: &mut dyn FnMut(&Event)) -> Result<RunRecord, MatrixError> {
        let steps = std::cell::RefCell::new(observe);
        let proof = self.accelerator(&work.plan.kernels, &|step| (steps.borrow_mut())(&Event::Notice(step)))?;
        let tools = self.project.tools()?;
        let tool = ToolRecord {
            corematrix: env!("CARGO_PKG_VERSION").to_owned(),
            libbpf: crate::feature::libbpf_version(),
            qemu: tools.qemu_version.clone(),
            virtme_ng: tools.virtme_version.clone(),
            accel: proof.accelerator.to_string(),
            accel_reason: proof.reason.clone(),
            isolation: if self.options.cold { String::new() } else { self.options.isolation.to_string() },
        };
        let mut record = work.plan.record(tool, timestamp::now());
        for (kernel, spec) in record.kernels.iter_mut().zip(&work.plan.kernels) {
            let choice = work.plan.modules_of(spec, self.options.modules.as_ref());
            kernel.modules = choice.map(ModuleChoice::words).unwrap_or_default();
        }
        record.notices.extend(self.project.notice());
        record.notices.extend_from_slice(&work.notices);
        record.partition.clone_from(&work.partition);
        Ok(record)
    }

    fn drive(
        &self,
        work: &Work,
        record: RunRecord,
        (logs, live): (&Path, &Path),
        observe: &mut dyn FnMut(&Event),
        run: impl FnOnce(&RunContext<'_>, &Sender<Event>) -> Result<(), RunError> + Send,
    ) -> Result<RunRecord, MatrixError> {
        let (logs, jobs) = (Logs::new(logs), self.jobs());
        let context = self.run_context(&work.plan, &jobs, &logs)?;
        drive::drive(record, &work.notices, live, &self.stop, observe, |events| run(&context, events))
    }

    /// How many guests run at once.
    pub fn jobs(&self) -> Jobs {
        Jobs::choose(self.options.jobs.map(NonZero::get))
    }

    /// What a run of the plan works with. The accelerator has to be chosen.
    ///
    /// # Errors
    /// As [`Matrix::accelerator`].
    pub fn run_context<'b>(
        &'b self,
        plan: &'b Plan,
        jobs: &'b Jobs,
        logs: &'b Logs,
    ) -> Result<RunContext<'b>, MatrixError> {
        let options = &self.options;
        Ok(RunContext {
            plan,
            store: &self.project.store,
            lock: &self.project.lock,
            offline: options.offline,
            tools: self.project.tools()?,
            accelerator: self.accelerator(&plan.kernels, &|_| ())?.accelerator,
            jobs,
            full_logs: options.full_logs,
            reach: options.reach,
            cold: options.cold || options.debug.need_boot(),
            reuse: options.reuse,
            isolation: options.isolation,
            snapshot_budget: options.snapshot_budget,
            logs,
            stop: &self.stop,
            standby: self.standby.as_ref().filter(|_| options.debug == DebugOptions::default()),
            modules: options.modules.as_ref(),
            debug: options.debug,
        })
    }
}
