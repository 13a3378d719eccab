//! [`install`]: Python packages at pinned versions, into a directory of the user's own.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::cli::failure::Failure;
use crate::process::{self, ProcessError};
use crate::venv::{PinnedPackages, Venv};
use crate::vm::VirtmeNg;

/// For Python to start.
const START: Duration = Duration::from_secs(60);
/// For a few megabytes from PyPI.
const INSTALL: Duration = Duration::from_secs(600);

/// Whether there is a Python that can make the directory.
pub(super) fn has_python() -> bool {
    python_with_venv().is_ok()
}

fn python_with_venv() -> Result<(), ProcessError> {
    let mut command = Command::new("python3");
    command.args(["-c", "import ensurepip, venv"]);
    process::run(command, START).map(drop)
}

/// Whether they are installed and work. A Python that was upgraded since leaves a directory that is whole and does not.
pub(super) fn is_installed(packages: PinnedPackages) -> bool {
    Venv::of_user(packages).is_some_and(|own| own.is_whole() && works(&own))
}

/// Installs them, from the beginning where an earlier installation did not come to its end.
pub(super) fn install(packages: PinnedPackages) -> Result<(), Failure> {
    let name = packages.name();
    let Some(own) = Venv::of_user(packages) else {
        let hint = format!("set `HOME`, or {}", otherwise(packages));
        return Err(Failure::infrastructure(format!("{name} cannot be installed: `HOME` is not set"), Some(hint)));
    };
    python_with_venv().map_err(|error| {
        let hint = format!("install Python 3 with venv (`python3-venv` on Debian), or {}", otherwise(packages));
        Failure::infrastructure(format!("{name} needs Python 3 with venv: {error}"), Some(hint))
    })?;
    let folder = own.folder();
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(|error| unwritable(parent, &error))?;
    // Two at once would take each other's directory away.
    let guard = File::open(parent).map_err(|error| unwritable(parent, &error))?;
    flock(&guard, FlockOperation::LockExclusive).map_err(|error| unwritable(parent, &error.into()))?;
    if own.is_whole() && works(&own) {
        return Ok(());
    }
    println!("installing: {name} {} into {}", packages.version(), folder.display());
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritable(folder, &error)),
        _ => {}
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    process::run(venv, INSTALL)
        .map_err(|error| Failure::infrastructure(format!("cannot create `{}`: {error}", folder.display()), None))?;
    let list = folder.join("requirements.txt");
    fs::write(&list, packages.requirements()).map_err(|error| unwritable(&list, &error))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]);
    pip.args(["--only-binary", ":all:", "-r"]).arg(&list);
    process::run(pip, INSTALL).map_err(|error| {
        let hint = format!("check that pip can reach PyPI, or {}", otherwise(packages));
        Failure::infrastructure(format!("{name} cannot be installed: {error}"), Some(hint))
    })?;
    own.set_whole().map_err(|error| unwritable(folder, &error))
}

/// What else the user can do.
fn otherwise(packages: PinnedPackages) -> String {
    match packages {
        PinnedPackages::VirtmeNg => {
            format!("install virtme-ng {} or later with `virtme-run` on the PATH", VirtmeNg::oldest())
        }
        PinnedPackages::PythonTuf => {
            "install the packages `tuf` (6 or later) and `cryptography` for the `python3` on the PATH".to_owned()
        }
    }
}

fn works(own: &Venv) -> bool {
    let mut command = match own.packages() {
        PinnedPackages::VirtmeNg => Command::new(own.program().with_file_name("vng")),
        PinnedPackages::PythonTuf => Command::new(own.program()),
    };
    match own.packages() {
        PinnedPackages::VirtmeNg => command.arg("--version"),
        PinnedPackages::PythonTuf => command.args(["-I", "-c", "import tuf.ngclient, cryptography"]),
    };
    process::run(command, START).is_ok()
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let hint = "set `XDG_DATA_HOME` to another directory".to_owned();
    Failure::infrastructure(format!("cannot write `{}`: {error}", path.display()), Some(hint))
}
