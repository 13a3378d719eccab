//! [`Lab`]: a directory in which the built `corematrix` runs on a real kernel, and what a test wants to know of such a [`Run`].

// Each test file uses its own part of this.
#![allow(dead_code, unused_imports, unused_macros, clippy::unwrap_used)]

mod executable;
mod full_disk;
mod kernel;
pub mod need;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use corematrix::record::Verdict;
use corematrix::record::json;
use corematrix::record::{KernelState, ProgramRecord, RunRecord};
use rustix::process::{Pid, Signal, kill_process};

pub use executable::write_executable;
pub use full_disk::FullDisk;
use kernel::TestKernel;
pub use kernel::{kernel, virtme_run};
pub(crate) use need::need;

/// For anything that has to happen sooner or later. Machines may be slow; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(180);

/// A directory for one test: a manifest, a scratch directory of its own (`TMPDIR`), a store of its own and the report.
pub struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    /// A lab without a manifest. Its path is short, since sockets lie in it.
    pub fn new() -> Lab {
        let lab = Lab { folder: tempfile::Builder::new().prefix("cm").tempdir().unwrap() };
        fs::create_dir(lab.scratch()).unwrap();
        fs::create_dir(lab.store()).unwrap();
        lab
    }

    /// A lab whose only kernel is the test kernel, with `lines` added to its table.
    pub fn with_kernel(lines: &str) -> Lab {
        Lab::of(kernel(), lines)
    }

    /// The same, where the store has the modules, too, with which commands see the host's files.
    pub fn with_file_systems(lines: &str) -> Lab {
        kernel().fetch_file_systems();
        Lab::with_kernel(lines)
    }

    fn of(kernel: &TestKernel, lines: &str) -> Lab {
        let lab = Lab::new();
        fs::copy(&kernel.lock, lab.path("kernels.lock")).unwrap();
        kernel.copy_to(&lab.store());
        lab.manifest(&format!("{}{lines}\n", kernel.table));
        lab
    }

    /// Writes `kernels.toml`.
    pub fn manifest(&self, text: &str) {
        fs::write(self.path("kernels.toml"), text).unwrap();
    }

    /// A path in the lab.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The run's `TMPDIR`.
    pub fn scratch(&self) -> PathBuf {
        self.path("t")
    }

    /// The run's store.
    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// The directories of the snapshots in the store.
    pub fn snapshots(&self) -> Vec<PathBuf> {
        children(&self.store().join("snapshots"))
    }

    /// The only snapshot in the store.
    #[track_caller]
    pub fn snapshot(&self) -> PathBuf {
        let [snapshot] = <[PathBuf; 1]>::try_from(self.snapshots()).unwrap();
        snapshot
    }

    /// The report's directory.
    pub fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// The report.
    pub fn report(&self) -> RunRecord {
        json::read(&self.out().join("report.json")).unwrap_or_else(|error| panic!("no report: {error}"))
    }

    /// `corematrix run` with these arguments, the report going to [`Lab::out`].
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_to(&self.out(), args)
    }

    /// `corematrix run` with these arguments and this directory for the report.
    pub fn command_to(&self, out: &Path, args: &[&str]) -> Command {
        let mut command = self.tool("run");
        command.arg("--out").arg(out).args(args);
        command
    }

    /// Any command of `corematrix` on this lab's manifest and store.
    pub fn tool(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corematrix"));
        command.arg(verb).arg("--manifest").arg(self.path("kernels.toml"));
        command.env("TMPDIR", self.scratch()).env("COREMATRIX_STORE", self.store());
        command.env_remove("COREMATRIX_SNAPSHOT_BUDGET");
        if let Some(virtme_run) = virtme_run() {
            command.env("COREMATRIX_VIRTME_RUN", virtme_run);
        }
        command
    }

    /// Starts [`Lab::command`].
    pub fn start(&self, args: &[&str]) -> Run {
        Run::start(self.command(args), &self.path("run"))
    }

    /// Runs [`Lab::command`] to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.start(args).wait()
    }

    /// Process ids of the QEMUs that run in this lab.
    pub fn qemus(&self) -> Vec<i32> {
        let ours = self.scratch().join("corematrix-").display().to_string();
        let running = |pid: &i32| {
            let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            // A zombie no longer has a command line.
            String::from_utf8_lossy(&read("cmdline")).contains(&ours) && read("comm").starts_with(b"qemu")
        };
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(running).collect()
    }

    /// Waits until no QEMU of this lab is left.
    pub fn expect_no_qemu(&self) {
        until("QEMU to end", || self.qemus().is_empty().then_some(()));
    }

    /// Checks that a run that has ended left neither a QEMU nor a file in its scratch directory, nor anything half-made in its store.
    #[track_caller]
    pub fn expect_nothing_left(&self) {
        self.expect_no_qemu();
        let left = [children(&self.scratch()), children(&self.store().join("tmp"))].concat();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// What is in a directory; nothing if there is none.
fn children(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// A `corematrix` that is running. Dropping it kills it.
pub struct Run {
    child: Child,
    output: [PathBuf; 2],
}

/// A `corematrix` that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` if a signal killed it.
    pub code: Option<i32>,
    /// What it wrote.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Run {
    /// Starts `command` with its output in the files `name.out` and `name.err`.
    pub fn start(mut command: Command, name: &Path) -> Run {
        let output = ["out", "err"].map(|extension| name.with_extension(extension));
        command.stdin(Stdio::null());
        command.stdout(File::create(&output[0]).unwrap()).stderr(File::create(&output[1]).unwrap());
        Run { child: command.spawn().unwrap(), output }
    }

    /// Waits until standard error has `text`.
    pub fn expect_said(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let said = fs::read_to_string(&self.output[1]).unwrap();
            if said.contains(text) {
                return;
            }
            let running = self.child.try_wait().unwrap().is_none();
            assert!(running && Instant::now() < end, "never said `{text}` (running: {running}):\n{said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.child.id().cast_signed(), signal);
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        let status = until("corematrix to end", || self.child.try_wait().unwrap());
        let [stdout, stderr] = &self.output;
        Ended {
            code: status.code(),
            stdout: fs::read_to_string(stdout).unwrap(),
            stderr: fs::read_to_string(stderr).unwrap(),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Checks the exit code.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Checks that standard error has all of `texts`.
    #[track_caller]
    pub fn expect_said(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stderr.contains(text), "`{text}` is missing in:\n{}", self.stderr);
        }
        self
    }
}

/// Waits until `probe` has an answer.
#[track_caller]
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a signal to a process, which may be gone.
pub fn send(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

/// An object of the fixtures.
pub fn object(name: &str) -> String {
    // `five` stands apart: other tests count what is in the directory of objects.
    let folder = if name == "five" { "faults" } else { "objects" };
    format!("{}/tests/fixtures/{folder}/{name}.bpf.o", env!("CARGO_MANIFEST_DIR"))
}

/// The programs of an object on a kernel.
#[track_caller]
pub fn programs<'a>(record: &'a RunRecord, kernel: &str, object: &str) -> &'a [ProgramRecord] {
    let cell = record.cells.iter().find(|cell| cell.kernel == kernel && cell.object == object);
    &cell.unwrap_or_else(|| panic!("no cell of `{object}` on `{kernel}`")).programs
}

/// The verdicts on an object's programs on a kernel.
#[track_caller]
pub fn verdicts(record: &RunRecord, kernel: &str, object: &str) -> Vec<Verdict> {
    programs(record, kernel, object).iter().map(|program| program.verdict).collect()
}

/// The state of a kernel.
#[track_caller]
pub fn state<'a>(record: &'a RunRecord, kernel: &str) -> &'a KernelState {
    &record.kernels.iter().find(|known| known.name == kernel).unwrap_or_else(|| panic!("no kernel `{kernel}`")).state
}

/// Checks that nothing was run on a kernel, and that the report gives `reason`.
#[track_caller]
pub fn expect_not_run(record: &RunRecord, kernel: &str, reason: &str) {
    for program in record.cells.iter().filter(|cell| cell.kernel == kernel).flat_map(|cell| &cell.programs) {
        assert_eq!((program.verdict, program.reason.as_deref()), (Verdict::NotRun, Some(reason)), "{}", program.name);
    }
}
