//! The command line: [`Cli`] and what its commands do.

mod answer;
mod attended;
mod bisect;
mod btf;
mod bundle;
mod compare;
mod coverage;
mod debug;
mod doctor;

mod cell_runner;
mod exec;
mod explain;
mod failure;
mod gate;
mod guest_machine;
mod init;
mod kernels;
mod lint;
mod list;
mod merge;
mod nightly;
mod older_build;
mod only_input;
mod open;
mod plan;
mod predict;
mod privileges;
mod report;
mod repro;
mod run;
mod runner;
mod schema;
mod setup;
mod shell;
mod store;
mod threshold;
mod upgrade;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::manifest::{ManifestPlace, ModuleChoice};
use crate::matrix::Options;
use crate::matrix::{MatrixError, Places};
use crate::record::exit_code;
use crate::vm::Choice;
pub use failure::Failure;

/// Boots a matrix of kernels, loads the same CO-RE object in each, and reports what happened and why.
#[derive(Debug, Parser)]
#[command(version, after_help = exit_code::HELP)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, Default, Args)]
struct Common {
    /// The kernels that exist [default: `kernels.toml` of this folder or of one above it in the same repository; without one, the
    /// built-in manifest].
    #[arg(long = "manifest", global = true, value_name = "FILE")]
    named_manifest: Option<PathBuf>,
    /// What is taken; known as soon as the command begins.
    #[arg(skip)]
    manifest: ManifestPlace,
    /// The kernel store [default: $COREMATRIX_STORE, or corematrix in the user's cache folder].
    #[arg(long, global = true, value_name = "DIR")]
    store: Option<PathBuf>,
}

impl Common {
    /// Where the store and the programs are.
    fn places(&self) -> Result<Places, MatrixError> {
        Places::from_environment(self.store.clone())
    }

    /// Chooses the manifest.
    fn find_manifest(&mut self) {
        self.manifest = match &self.named_manifest {
            Some(file) => ManifestPlace::File(file.clone()),
            None => std::env::current_dir().map(|here| ManifestPlace::find(&here)).unwrap_or_default(),
        };
    }

    /// The file of the manifest, for commands that change it or its lock file.
    fn changeable_manifest(&self) -> Result<PathBuf, Failure> {
        let hint = || Some("`corematrix init` writes a `kernels.toml` of your own".to_owned());
        let file = self.manifest.file().map(Path::to_owned);
        file.ok_or_else(|| {
            Failure::input("there is no `kernels.toml`, and the built-in manifest is not changed", hint())
        })
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load objects on every kernel of the matrix and report.
    Run(run::RunArgs),
    /// Run a command in every kernel of the matrix, such as a real loader, on the files of this machine.
    Exec(exec::ExecArgs),
    /// Run a test executable in a kernel, as the runner of `cargo test`, `cargo nextest` or `go test -exec`.
    Runner(runner::RunnerArgs),
    /// A shell in a kernel, on the files of this machine.
    Shell(shell::ShellArgs),
    /// Load a new build of an object over the pinned maps of the old one, on every kernel: which maps are reused, and which data survives.
    Upgrade(upgrade::UpgradeArgs),
    /// Explain why programs of a report failed on a kernel, and what to do about it.
    Explain(explain::ExplainArgs),
    /// See a failure of a run again: one cell on its kernel, with everything that the verifier can tell.
    Repro(repro::ReproArgs),
    /// Put a cell of a run into one file, for `corematrix repro` on another machine.
    Bundle(bundle::BundleArgs),
    /// Find the two kernels between which an object stops working, package by package.
    Bisect(bisect::BisectArgs),
    /// Render a saved report in other formats, without booting anything.
    Report(report::ReportArgs),
    /// Open the page of a run in a browser.
    Open(open::OpenArgs),
    /// Decide whether a saved run is good enough to go on: against what is expected of it, and against a baseline.
    Gate(gate::GateArgs),
    /// Show what a run would do, in parts for an engine of continuous integration.
    Plan(plan::PlanArgs),
    /// Predict what the types of kernels say of objects, on as many kernels as there are types of, without booting anything.
    Predict(predict::PredictArgs),
    /// Find the fewest capabilities with which objects load, program by program and kernel by kernel.
    Privileges(privileges::PrivilegesArgs),
    /// Find what is wrong in objects, at their source lines, from the types of kernels alone: for editors and hooks.
    Lint(lint::LintArgs),
    /// Make one report of the reports of all parts of a run.
    Merge(merge::MergeArgs),
    /// Show what differs between two runs, two kernels, or builds of an object.
    Compare(compare::CompareArgs),
    /// Run the matrix, tell what changed since the last time, and add it to a history with trends.
    Nightly(nightly::NightlyArgs),
    /// Show which side of which guard was proven on which kernel, and which fallbacks no kernel has proven.
    Coverage(coverage::CoverageArgs),
    /// Write the files that a repository needs: `kernels.toml`, a first suite for its objects, and a file for continuous integration.
    Init(init::InitArgs),
    /// List objects or programs.
    List(list::ListArgs),
    /// Look after the kernel store: what is in it, and how much room it takes.
    Store(store::StoreArgs),
    /// Look into the types of kernels: who has a field, headers in C, minimal BTF.
    Btf(btf::BtfArgs),
    /// Look after kernels: what is declared, pinned and stored, what they can do, and what differs between them.
    Kernels(kernels::KernelsArgs),
    /// Install the programs that corematrix needs and that are missing: QEMU, virtme-ng, curl, binutils.
    Setup(setup::SetupArgs),
    /// Print the JSON Schemas of what is read and written, for editors and tools.
    Schema(schema::SchemaArgs),
    /// Check that this machine can run the matrix, and say what to do where it cannot.
    Doctor(doctor::DoctorArgs),
}

impl Command {
    /// Whether it looks for kernels in the manifest.
    fn takes_kernels(&self) -> bool {
        use Command::{Bundle, Compare, Doctor, Gate, Init, List, Merge, Open, Report, Runner, Schema, Setup, Store};
        !matches!(
            self,
            Bundle(_)
                | Compare(_)
                | Doctor(_)
                | Gate(_)
                | Init(_)
                | List(_)
                | Merge(_)
                | Open(_)
                | Report(_)
                | Runner(_)
                | Schema(_)
                | Setup(_)
                | Store(_)
        )
    }
}

/// Which kernels, and how they run.
#[derive(Debug, Args)]
struct MachineArgs {
    /// Which kernels: a name (5.10, el:8), a range (">=6.1,<6.13"), latest, all, a glob (6.*), or the builds of one (el:8@last:5); may be repeated [default: the matrix of
    /// the manifest].
    #[arg(long, value_name = "SELECTOR")]
    kernel: Vec<String>,
    /// What runs the guests' code; auto takes KVM if a boot proves that it works, kvm fails where it cannot be used.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    accel: Choice,
    /// Do without the network: take only kernels that the store has.
    #[arg(long)]
    offline: bool,
    /// Load these kernel modules in guests, by name or as paths of `.ko` files, besides those that an object needs; none loads no module
    /// at all [default: auto, those that an object needs, or what the suite or the manifest says].
    #[arg(long, value_name = "MODULE", value_delimiter = ',')]
    modules: Vec<String>,
}

impl MachineArgs {
    /// How a matrix is run without other options.
    fn options(&self) -> Result<Options, Failure> {
        let words = self.modules.iter().map(String::as_str);
        let choice = std::env::current_dir()
            .map_err(|error| error.to_string())
            .and_then(|folder| ModuleChoice::of(words, &folder))
            .map_err(|reason| Failure::input(format!("`--modules`: {reason}"), None))?;
        Ok(Options {
            modules: Some(choice).filter(|_| !self.modules.is_empty()),
            offline: self.offline,
            accelerator: self.accel,
            snapshot_budget: store::snapshot_budget()?,
            ..Options::default()
        })
    }
}

/// Tells a step that takes time.
fn say(step: String) {
    eprintln!("{step}");
}

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    /// The exit code, if it is wrong or asks for help; it was said then.
    pub fn from_arguments() -> Result<Cli, ExitCode> {
        Cli::try_parse().map_err(|error| {
            // If that fails there is nowhere left to say so.
            let _ = error.print();
            let words = std::env::args_os().skip(1).take_while(|word| word != "--");
            match error.exit_code() {
                0 => ExitCode::SUCCESS,
                // Its other codes are those of tests.
                _ if words.into_iter().any(|word| word == "runner") => ExitCode::from(runner::TROUBLE),
                _ => ExitCode::from(exit_code::BAD_CONFIGURATION),
            }
        })
    }

    /// Does what the command line asks for.
    ///
    /// # Errors
    /// What kept it from being done, with hints, for the user to read.
    pub fn run(mut self) -> Result<ExitCode, Failure> {
        self.common.find_manifest();
        if self.common.manifest == ManifestPlace::BuiltIn && self.command.takes_kernels() {
            say("no `kernels.toml` here: taking the kernels of the built-in manifest".to_owned());
        }
        match self.command {
            Command::Run(args) => run::run(&self.common, &args),
            Command::Exec(args) => exec::run(&self.common, &args),
            Command::Runner(args) => Ok(runner::run(&self.common, &args)),
            Command::Shell(args) => shell::run(&self.common, &args),
            Command::Upgrade(args) => upgrade::run(&self.common, &args),
            Command::Explain(args) => explain::run(&self.common, &args),
            Command::Repro(args) => repro::run(&self.common, &args),
            Command::Bundle(args) => bundle::run(&self.common, &args),
            Command::Bisect(args) => bisect::run(&self.common, &args),
            Command::Report(args) => report::run(&self.common, &args),
            Command::Open(args) => open::run(&self.common, &args),
            Command::Gate(args) => gate::run(&self.common, &args),
            Command::Plan(args) => plan::run(&self.common, &args),
            Command::Merge(args) => merge::run(&self.common, &args),
            Command::Compare(args) => compare::run(&self.common, &args),
            Command::Nightly(args) => nightly::run(&self.common, &args),
            Command::Coverage(args) => coverage::run(&self.common, &args),
            Command::Init(args) => init::run(&self.common, &args),
            Command::List(args) => list::run(&self.common, &args),
            Command::Store(args) => store::run(&self.common, &args),
            Command::Predict(args) => predict::run(&self.common, &args),
            Command::Privileges(args) => privileges::run(&self.common, &args),
            Command::Lint(args) => lint::run(&self.common, &args),
            Command::Btf(args) => btf::run(&self.common, &args),
            Command::Kernels(args) => kernels::run(&self.common, &args),
            Command::Setup(args) => setup::run(&self.common, &args),
            Command::Schema(args) => schema::run(&args),
            Command::Doctor(args) => doctor::run(&self.common, &args),
        }
    }
}
