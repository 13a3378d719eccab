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
#[cfg(test)]
mod help;
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

/// Load an eBPF CO-RE object on a matrix of Linux kernels, and report which programs fail and why.
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
    /// Read kernel declarations from this manifest [default: `kernels.toml` of the working directory or of the nearest
    /// parent in the same repository, else the built-in manifest].
    #[arg(long = "manifest", global = true, value_name = "FILE")]
    named_manifest: Option<PathBuf>,
    /// What is taken; known as soon as the command begins.
    #[arg(skip)]
    manifest: ManifestPlace,
    /// Use this kernel store [default: $COREMATRIX_STORE, else `corematrix` in the user's cache directory].
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
        let hint = || Some("`corematrix init` writes a `kernels.toml`".to_owned());
        let file = self.manifest.file().map(Path::to_owned);
        file.ok_or_else(|| {
            Failure::input("no `kernels.toml` found, and the built-in manifest cannot be changed", hint())
        })
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load objects on every kernel of the matrix, and write a report.
    Run(run::RunArgs),
    /// Run a command, such as your own loader, on every kernel of the matrix.
    ///
    /// Guests see the files of the host. Writes go to the guest's memory and are lost at its end.
    Exec(exec::ExecArgs),
    /// Run a test executable in a guest, as the runner of `cargo test`, `cargo nextest` or `go test -exec`.
    Runner(runner::RunnerArgs),
    /// Open a shell in a guest.
    ///
    /// The guest sees the files of the host. Writes go to the guest's memory and are lost at its end.
    Shell(shell::ShellArgs),
    /// Load a new build of an object over the pinned maps of the old build.
    ///
    /// Shows for each kernel which maps are reused and which data survives.
    Upgrade(upgrade::UpgradeArgs),
    /// Explain why programs failed on a kernel, and what to change.
    Explain(explain::ExplainArgs),
    /// Reproduce one cell of a run on its kernel, with the most detailed verifier log.
    Repro(repro::ReproArgs),
    /// Pack one cell of a run into a file for `corematrix repro` on another machine.
    Bundle(bundle::BundleArgs),
    /// Find the two adjacent kernel packages between which an object stops working.
    Bisect(bisect::BisectArgs),
    /// Write the report of a saved run in other formats, without booting a kernel.
    Report(report::ReportArgs),
    /// Open the HTML page of a run in a browser.
    Open(open::OpenArgs),
    /// Decide whether a saved run passes: compare it with expectations, limits and a baseline.
    Gate(gate::GateArgs),
    /// Show what a run would do, split into parts for parallel CI jobs.
    Plan(plan::PlanArgs),
    /// Predict from kernel BTF how objects behave on many kernels, without booting a kernel.
    Predict(predict::PredictArgs),
    /// Find the fewest capabilities with which each program loads on each kernel.
    Privileges(privileges::PrivilegesArgs),
    /// Find CO-RE errors in objects, at their source lines, from kernel BTF alone.
    Lint(lint::LintArgs),
    /// Merge the reports of all parts of a run into one report.
    Merge(merge::MergeArgs),
    /// Show the differences between two runs, two kernels, or builds of an object.
    Compare(compare::CompareArgs),
    /// Run the matrix, show what changed since the last night, and add the run to a history.
    Nightly(nightly::NightlyArgs),
    /// Show which guard sides are proven on which kernels, and which fallbacks are unproven.
    Coverage(coverage::CoverageArgs),
    /// Write the files that a repository needs: `kernels.toml`, a first suite, and a CI configuration.
    Init(init::InitArgs),
    /// List objects, or objects with their programs and maps.
    List(list::ListArgs),
    /// Manage the kernel store: list its contents with sizes, and remove them.
    Store(store::StoreArgs),
    /// Query kernel BTF: find types and fields, write `vmlinux.h` and minimal BTF.
    Btf(btf::BtfArgs),
    /// Manage kernels: declare, fetch, pin, verify, probe and compare them.
    Kernels(kernels::KernelsArgs),
    /// Install the missing programs that corematrix needs: QEMU, virtme-ng, curl, binutils.
    Setup(setup::SetupArgs),
    /// Print the JSON Schemas of the files and output formats, for editors and tools.
    Schema(schema::SchemaArgs),
    /// Check whether this machine can run the matrix, and print how to fix what is missing.
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
    /// Select kernels: a name (5.10, el:8), a range of releases (">=6.1,<6.13"), a glob (6.*), `latest`, `all`, or builds of a
    /// kernel (el:8@last:5); may be repeated [default: the default matrix of the manifest].
    #[arg(long, value_name = "SELECTOR")]
    kernel: Vec<String>,
    /// Choose how guest code runs.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    accel: Choice,
    /// Use no network: take only kernels that are stored.
    #[arg(long)]
    offline: bool,
    /// Load these kernel modules in guests, by name or by path of a `.ko` file, in addition to those that an object
    /// needs; `none` loads no modules [default: `auto`: the modules that an object needs, or what the suite or the
    /// manifest sets].
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

/// Reports a step that takes time.
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
            say("no `kernels.toml` found: using the built-in manifest".to_owned());
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
