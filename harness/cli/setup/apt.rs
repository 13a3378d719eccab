//! [`Apt`]: Debian packages, installed as root.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::survey::on_path;
use crate::cli::failure::Failure;
use crate::process;

/// How packages are installed, as the user would write it.
pub(super) const INSTALL: &str = "apt-get install --no-install-recommends";
/// Installs QEMU from the backports of a release.
const BACKPORTS: &str = include_str!("../../../images/qemu-backports.sh");
/// For a question to the lists of packages.
const LIMIT: Duration = Duration::from_secs(60);

/// `apt-get`, with what makes it root.
#[derive(Debug)]
pub(super) struct Apt {
    as_root: Root,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    Already,
    Sudo,
    No,
}

impl Apt {
    /// `None` where there is no `apt-get`.
    pub fn find() -> Option<Apt> {
        on_path("apt-get")?;
        let as_root = match (rustix::process::geteuid().is_root(), on_path("sudo")) {
            (true, _) => Root::Already,
            (false, Some(_)) => Root::Sudo,
            (false, None) => Root::No,
        };
        Some(Apt { as_root })
    }

    /// Fetches the lists of packages. One source of several that fails is no reason to give up: what cannot be installed says so.
    pub fn update(&self) -> Result<(), Failure> {
        match self.run("apt-get update", &["apt-get", "update", "-q"]) {
            Err(failure) if self.as_root != Root::No => {
                eprintln!("{failure}\nnote: continuing with the existing package lists");
                Ok(())
            }
            other => other,
        }
    }

    /// Installs packages; without any nothing is done.
    pub fn install(&self, packages: &[&str]) -> Result<(), Failure> {
        if packages.is_empty() {
            return Ok(());
        }
        let install =
            ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-q", "-y", "--no-install-recommends"];
        let shown = format!("{INSTALL} {}", packages.join(" "));
        println!("installing: {}", packages.join(" "));
        self.run(&shown, &[&install, packages].concat())
    }

    pub fn install_qemu_from_backports(&self, release: &str) -> Result<(), Failure> {
        println!("installing: qemu-system-x86 from {release}-backports");
        let shown = format!("{INSTALL} -t {release}-backports qemu-system-x86");
        self.run(&shown, &["sh", "-c", BACKPORTS, "qemu-backports.sh", release])
    }

    /// The version that would be installed.
    pub fn candidate(&self, package: &str) -> Option<String> {
        let mut command = Command::new("apt-cache");
        command.args(["policy", package]);
        candidate_in(&process::run(command, LIMIT).ok()?)
    }

    /// Runs a command as root; what it prints is for the user.
    fn run(&self, shown: &str, words: &[&str]) -> Result<(), Failure> {
        let words = match self.as_root {
            Root::Already => words.to_vec(),
            Root::Sudo => [&["sudo"], words].concat(),
            Root::No => {
                let message = "installing packages needs root, but `sudo` is not installed";
                return Err(Failure::infrastructure(message, Some(format!("as root: {shown}"))));
            }
        };
        let status = Command::new(words[0]).args(&words[1..]).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let hint = "its output is above; check the network, and the archives in `/etc/apt`";
                Err(Failure::infrastructure(format!("`{shown}` failed: {status}"), Some(hint.to_owned())))
            }
            Err(error) => Err(Failure::infrastructure(format!("cannot run `{}`: {error}", words[0]), None)),
        }
    }
}

/// The release of Debian or Ubuntu, such as `trixie`.
pub(super) fn codename() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    line.unwrap_or_default().trim_matches('"').to_owned()
}

/// What `apt-cache policy` says.
fn candidate_in(policy: &str) -> Option<String> {
    let line = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (line != "(none)").then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidate_is_read_as_apt_prints_it() {
        let policy = "virtme-ng:\n  Installed: (none)\n  Candidate: 1.35-1\n  Version table:\n     1.35-1 500\n";
        assert_eq!(candidate_in(policy).as_deref(), Some("1.35-1"));
        assert_eq!(candidate_in("x:\n  Installed: (none)\n  Candidate: (none)\n"), None);
        assert_eq!(candidate_in(""), None);
    }
}
