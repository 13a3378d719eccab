//! [`compose`]: asks virtme-ng for the machine's command line and puts our parts in.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Accelerator, Toolchain};
use crate::guest::INIT_PATH;
use crate::process::{self, ProcessError};
use crate::protocol::PORT_NAME;

/// Composing takes 0.1 to 0.5 s; a minute means that it hangs.
const COMPOSE_LIMIT: Duration = Duration::from_secs(60);

/// What a machine is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// bzImage or uncompressed ELF with a PVH note.
    pub kernel: &'a Path,
    /// Our initramfs.
    pub initramfs: &'a Path,
    /// MiB.
    pub memory_mib: u64,
    /// Extra words for the kernel's command line.
    pub append: &'a [String],
    /// What runs the guest's code.
    pub accelerator: Accelerator,
    /// The machine's own folder: an empty folder `root` and the sockets are in it.
    pub scratch: &'a Path,
}

/// Why no command line came out.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// virtme-ng failed.
    #[error("virtme-ng cannot compose a machine: {0}")]
    Virtme(#[from] ProcessError),
    /// What virtme-ng printed is not a QEMU command.
    #[error("virtme-ng printed something that is not a QEMU command: {0}")]
    Output(String),
}

/// The socket of the virtio port, in the scratch folder.
pub const DATA_SOCKET: &str = "data.sock";
/// The socket of the second serial port, in the scratch folder.
pub const SERIAL_SOCKET: &str = "serial.sock";

/// The words of a QEMU command; the first is the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words(Vec<String>);

impl Words {
    /// The command, for a machine whose folder is `scratch`.
    pub fn command(&self, scratch: &Path) -> Command {
        let mut words = self.0.iter();
        let mut command = Command::new(words.next().map_or("", String::as_str));
        command.args(words).env("TMPDIR", scratch);
        command
    }

    /// The command as a line for a shell.
    pub fn shell_line(&self) -> String {
        shell_words::join(&self.0)
    }

    /// The same words with more behind them.
    pub fn with(mut self, more: impl IntoIterator<Item = String>) -> Words {
        self.0.extend(more);
        self
    }

    /// The same command for another machine: every mention of folder `from` becomes one of `to`.
    pub fn moved(&self, from: &str, to: &str) -> Words {
        Words(self.0.iter().map(|word| word.replace(from, to)).collect())
    }
}

#[cfg(test)]
impl FromIterator<&'static str> for Words {
    fn from_iter<T: IntoIterator<Item = &'static str>>(words: T) -> Words {
        Words(words.into_iter().map(str::to_owned).collect())
    }
}

/// The QEMU command for a machine.
pub fn compose(tools: &Toolchain, parts: &Parts<'_>) -> Result<Words, ComposeError> {
    let printed = process::run(virtme_command(tools, parts), COMPOSE_LIMIT)?;
    let words = qemu_words(&printed, parts.append)?;
    Ok(Words(words).with(our_devices(parts.scratch)))
}

fn virtme_command(tools: &Toolchain, parts: &Parts<'_>) -> Command {
    let mut command = Command::new(&tools.virtme_run);
    // An empty folder as root: the guest is untrusted and must not see the host's files, even read-only.
    command.args(["--mods", "none", "--cpus", "1", "--force-9p", "--disable-monitor", "--show-command", "--dry-run"]);
    command.arg("--root").arg(parts.scratch.join("root"));
    command.arg("--kimg").arg(parts.kernel);
    command.arg("--qemu-bin").arg(&tools.qemu);
    command.arg("--memory").arg(format!("{}M", parts.memory_mib));
    if parts.accelerator == Accelerator::Tcg {
        command.arg("--disable-kvm");
    }
    command.arg("--qemu-opts").arg("-initrd").arg(parts.initramfs).env("TMPDIR", parts.scratch);
    command
}

/// Splits what virtme-ng printed and adapts it: our init instead of virtme-ng's, and no accelerator but the chosen one.
fn qemu_words(printed: &str, append_words: &[String]) -> Result<Vec<String>, ComposeError> {
    // Not known by QEMU's name: a QEMU of one's own may have another.
    let line = printed.lines().rfind(|line| line.contains(" -append "));
    let line = line.ok_or_else(|| ComposeError::Output(printed.trim().to_owned()))?;
    let mut words = shell_words::split(line).map_err(|error| ComposeError::Output(format!("{error}: {line}")))?;
    let append = words.iter().position(|word| word == "-append").and_then(|at| words.get_mut(at + 1));
    let append = append.ok_or_else(|| ComposeError::Output(line.to_owned()))?;
    *append = kernel_command_line(append, append_words);
    for word in &mut words {
        // With a fallback in it a failing KVM would go unnoticed, and the report would name the wrong accelerator.
        if word == "accel=kvm:tcg" {
            *word = "accel=kvm".to_owned();
        }
    }
    Ok(words)
}

/// virtme-ng's kernel command line up to its own init, then ours, then the manifest's: of two words for one setting the kernel
/// obeys the last, so the user has the last word.
fn kernel_command_line(composed: &str, append: &[String]) -> String {
    let kept = composed.split_once(" init=").map_or(composed, |(before, _)| before);
    let mut line = [
        // The virtio console would repeat everything, and shows nothing where its driver is a module that is yet to be loaded.
        &kept.replace("console=hvc0", "console=ttyS0"),
        "loglevel=4",
        // A crash must end the machine at once, and an oops is a crash.
        "panic=-1 oops=panic",
        // The kernel's tests of its own cryptography take a fifth of an emulated boot, and no object depends on them.
        "cryptomgr.notests",
        // LSM programs attach only with `bpf` among the modules; unknown names are ignored.
        "lsm=landlock,lockdown,yama,integrity,bpf",
        &format!("rdinit={INIT_PATH}"),
    ]
    .join(" ");
    for word in append {
        line.push(' ');
        line.push_str(word);
    }
    line
}

fn our_devices(scratch: &Path) -> Vec<String> {
    let socket = |id: &str, name: &str| format!("socket,id={id},path={}", scratch.join(name).display());
    let port = format!("virtserialport,chardev=corematrix-data,name={PORT_NAME}");
    [
        "-no-reboot",
        "-chardev",
        &socket("corematrix-data", DATA_SOCKET),
        "-device",
        &port,
        "-chardev",
        &socket("corematrix-serial", SERIAL_SOCKET),
        "-device",
        "isa-serial,chardev=corematrix-serial",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composed_line_gets_our_init_and_one_accelerator() {
        let printed = "some notice\n/usr/bin/qemu-system-x86_64 -m 512M -machine accel=kvm:tcg -cpu host \
                       -append 'console=hvc0 quiet loglevel=1 foo=bar init=/x/virtme-ng-init' -initrd '/tmp/a b'\n";
        let words = qemu_words(printed, &["loglevel=7".to_owned()]).expect("is a command");
        assert_eq!(words[0], "/usr/bin/qemu-system-x86_64");
        assert!(words.contains(&"accel=kvm".to_owned()));
        assert!(words.contains(&"/tmp/a b".to_owned()));
        let append = words.iter().find(|word| word.contains("rdinit=")).expect("has a kernel command line");
        assert!(append.starts_with("console=ttyS0 quiet loglevel=1 foo=bar loglevel=4"), "{append}");
        assert!(append.ends_with("rdinit=/init loglevel=7") && !append.contains("virtme-ng-init"), "{append}");
    }

    #[test]
    fn qemu_may_have_any_name() {
        let words = qemu_words("/opt/emulator -m 512M -append 'quiet'", &[]).expect("is a command");
        assert_eq!(words[0], "/opt/emulator");
    }

    #[test]
    fn other_output_is_shown_not_run() {
        let error = qemu_words("virtme-run: error: no such kernel", &[]).expect_err("is no command");
        assert!(error.to_string().contains("no such kernel"), "{error}");
        assert!(qemu_words("/usr/bin/qemu-system-x86_64 -m 512M", &[]).is_err(), "has no kernel command line");
    }
}
