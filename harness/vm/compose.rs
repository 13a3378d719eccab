//! [`compose`]: asks virtme-ng for the machine's command line and puts our parts in.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::guest_cpu::GuestCpu;
use super::toolchain::needed_hint;
use super::{Accelerator, GuestShape, Toolchain};
use crate::process::{self, ProcessError};
use crate::protocol::INIT_PATH;
use crate::protocol::PORT_NAME;

/// What a machine is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// bzImage or uncompressed ELF with a PVH note.
    pub kernel: &'a Path,
    /// Our initramfs.
    pub initramfs: &'a Path,
    /// Its memory and processors.
    pub shape: &'a GuestShape,
    /// Extra words for the kernel's command line, those of the shape among them.
    pub append: &'a [String],
    /// What runs the guest's code.
    pub accelerator: Accelerator,
    /// The machine's own directory: an empty directory `root` and the sockets are in it.
    pub scratch: &'a Path,
    /// How long virtme-ng may take.
    pub limit: Duration,
}

/// Why no command line came out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// virtme-ng failed.
    #[error("virtme-ng cannot compose a machine: {0}")]
    Virtme(ProcessError),
    /// virtme-ng wants a program that is not installed.
    #[error("virtme-ng cannot compose a machine: it needs `{0}`, which is not installed")]
    Needs(String),
    /// What virtme-ng printed is not a QEMU command.
    #[error("virtme-ng printed something that is not a QEMU command: {0}")]
    Output(String),
    /// The machine would run under something else than what was chosen.
    #[error("virtme-ng composed a machine for {composed}, but `{chosen}` was chosen")]
    Accelerator {
        /// What was chosen.
        chosen: Accelerator,
        /// What QEMU would run it with.
        composed: String,
    },
}

impl ComposeError {
    /// What the user can do, if it is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            ComposeError::Virtme(ProcessError::Deadline { .. }) => {
                Some("on a slow machine, raise `boot-timeout` in the manifest, which also raises this limit".to_owned())
            }
            ComposeError::Needs(program) => Some(needed_hint(program)),
            ComposeError::Accelerator { chosen: Accelerator::Kvm, .. } => Some(
                "virtme-ng omits KVM if it cannot open /dev/kvm: check KVM with `corematrix doctor`, or use `--accel \
    tcg`"
                    .to_owned(),
            ),
            ComposeError::Virtme(_) | ComposeError::Output(_) | ComposeError::Accelerator { .. } => None,
        }
    }

    /// A program that failed, in words: of a Python traceback, only the last line is useful to a user.
    fn of_virtme(error: ProcessError) -> ComposeError {
        let ProcessError::Failed { program, status, output } = error else { return ComposeError::Virtme(error) };
        let Some((before, traceback)) = output.split_once("Traceback (most recent call last):") else {
            return ComposeError::Virtme(ProcessError::Failed { program, status, output });
        };
        let last = traceback.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        let needed =
            last.strip_prefix("FileNotFoundError: ").and_then(|rest| rest.split_once("No such file or directory: "));
        match needed.map(|(_, name)| name.trim_matches('\'')) {
            Some(name) if !name.is_empty() && !name.contains('/') => ComposeError::Needs(name.to_owned()),
            _ => {
                let output = format!("{}\n{last}", before.trim()).trim().to_owned();
                ComposeError::Virtme(ProcessError::Failed { program, status, output })
            }
        }
    }
}

/// The socket of the virtio port, in the scratch directory.
pub const DATA_SOCKET: &str = "data.sock";
/// The socket of the second serial port, in the scratch directory.
pub const SERIAL_SOCKET: &str = "serial.sock";

/// Features that the emulated processor does not have. Kernels that find them clear and copy memory byte by byte, with one instruction; QEMU
/// emulates that as a loop, which took a tenth of a cell.
const NOT_EMULATED: &str = ",erms=off,fsrm=off";

/// Options that virtme-ng has for its own init, by how their values begin. Ours uses none of these devices: each takes time in every start,
/// and two of them would show the guest files of the host.
const UNUSED: [(&str, &str); 5] = [
    ("-fsdev", ""),
    ("-device", "virtio-9p-"),
    ("-device", "i6300esb,"),
    ("-device", "virtconsole,"),
    ("-chardev", "file,path=/proc/self/fd/2,id=dmesg"),
];

/// The words of a QEMU command; the first is the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words(Vec<String>);

impl Words {
    /// The command, for a machine whose directory is `scratch`.
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

    /// The same command without a kernel to start.
    pub fn without_kernel(&self) -> Words {
        Words(without(&self.0, |option, _| ["-kernel", "-initrd", "-append"].contains(&option)))
    }

    /// The same command for another machine: every mention of directory `from` becomes one of `to`.
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
    let printed = process::run(virtme_command(tools, parts), parts.limit).map_err(ComposeError::of_virtme)?;
    let cpu = (parts.accelerator == Accelerator::Kvm).then(|| tools.guest_cpu(parts.limit));
    let words = qemu_words(&printed, parts.append, cpu)?;
    Ok(Words(words).with(our_devices(parts.scratch)))
}

fn virtme_command(tools: &Toolchain, parts: &Parts<'_>) -> Command {
    let mut command = Command::new(&tools.virtme_run);
    // An empty directory as root: the guest is untrusted and must not see the host's files, even read-only.
    command.args(["--mods", "none", "--force-9p", "--disable-monitor", "--show-command", "--dry-run"]);
    command.arg("--root").arg(parts.scratch.join("root"));
    command.arg("--kimg").arg(parts.kernel);
    command.arg("--qemu-bin").arg(&tools.qemu);
    command.arg("--memory").arg(format!("{}M", parts.shape.memory_mib));
    command.arg("--cpus").arg(parts.shape.cpus.to_string());
    if parts.accelerator == Accelerator::Tcg {
        command.arg("--disable-kvm");
    }
    command.arg("--qemu-opts").arg("-initrd").arg(parts.initramfs).env("TMPDIR", parts.scratch);
    command
}

/// Splits what virtme-ng printed and adapts it: our init instead of virtme-ng's, and no accelerator but the chosen one, which is KVM
/// with this CPU, or emulation.
fn qemu_words(printed: &str, append_words: &[String], kvm_cpu: Option<&GuestCpu>) -> Result<Vec<String>, ComposeError> {
    // Not known by QEMU's name: a QEMU of one's own may have another.
    let line = printed.lines().rfind(|line| line.contains(" -append "));
    let line = line.ok_or_else(|| ComposeError::Output(printed.trim().to_owned()))?;
    let words = shell_words::split(line).map_err(|error| ComposeError::Output(format!("{error}: {line}")))?;
    let mut words = without(&words, |option, value| {
        UNUSED.iter().any(|(unused, start)| option == *unused && value.starts_with(start))
    });
    let append = words.iter().position(|word| word == "-append").and_then(|at| words.get_mut(at + 1));
    let append = append.ok_or_else(|| ComposeError::Output(line.to_owned()))?;
    *append = kernel_command_line(append, append_words);
    // With a fallback in it a failing KVM would go unnoticed, and the report would name the wrong accelerator.
    words.iter_mut().filter(|word| *word == "accel=kvm:tcg").for_each(|word| "accel=kvm".clone_into(word));
    let own_cpu = words.iter().position(|word| word == "-cpu").and_then(|at| words.get_mut(at + 1));
    match (kvm_cpu, own_cpu) {
        (Some(cpu), Some(own)) => *own = cpu.option(own),
        (Some(cpu), None) => words.extend(["-cpu".to_owned(), cpu.option("host")]),
        (None, Some(own)) if own == "max" => own.push_str(NOT_EMULATED),
        (None, _) => {}
    }
    let composed = accelerators(&words);
    match kvm_cpu.map_or(Accelerator::Tcg, |_| Accelerator::Kvm) {
        // Without the option a QEMU whose name ends with `kvm` would take KVM.
        Accelerator::Tcg if composed.is_empty() => words.extend(["-machine", "accel=tcg"].map(str::to_owned)),
        Accelerator::Kvm if !composed.is_empty() && composed.iter().all(|one| *one == "kvm") => {}
        chosen => {
            let composed =
                if composed.is_empty() { "emulation".to_owned() } else { format!("`{}`", composed.join("`, `")) };
            return Err(ComposeError::Accelerator { chosen, composed });
        }
    }
    Ok(words)
}

/// The words of a command without those options, and their values, that are `dropped`.
fn without(words: &[String], dropped: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        match words.peek() {
            Some(value) if dropped(word, value) => drop(words.next()),
            _ => kept.push(word.clone()),
        }
    }
    kept
}

/// The accelerators that a QEMU command names; without any QEMU chooses.
fn accelerators(words: &[String]) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let value = words.get(at + 1).map_or("", String::as_str);
        match word.trim_start_matches('-') {
            _ if !word.starts_with('-') => {}
            "machine" | "M" => found.extend(value.split(',').filter_map(|part| part.strip_prefix("accel="))),
            "accel" => found.extend(value.split(',').next().map(|first| first.trim_start_matches("accel="))),
            "enable-kvm" => found.push("kvm"),
            _ => {}
        }
    }
    found
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
        // No drives, and none of the modules that QEMU looks for to play sound.
        "-nodefaults",
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

    fn own() -> GuestCpu {
        GuestCpu::Own { because: "which lacks vme".to_owned() }
    }

    #[test]
    fn composed_line_gets_our_init_and_one_accelerator() {
        let printed = "some notice\n/usr/bin/qemu-system-x86_64 -m 512M -machine accel=kvm:tcg -cpu host \
                       -fsdev local,id=f,path=/r -device virtio-9p-pci,fsdev=f -device virtio-serial-pci \
                       -chardev file,path=/proc/self/fd/2,id=dmesg -device virtconsole,chardev=dmesg \
                       -append 'console=hvc0 quiet loglevel=1 foo=bar init=/x/virtme-ng-init' -initrd '/tmp/a b'\n";
        let words = qemu_words(printed, &["loglevel=7".to_owned()], Some(&own())).expect("is a command");
        assert_eq!(words[0], "/usr/bin/qemu-system-x86_64");
        assert_eq!(accelerators(&words), ["kvm"]);
        let devices =
            |words: &[String]| words.iter().filter(|word| word.contains("dmesg") || word.contains("virtio")).count();
        assert_eq!(devices(&words), 1, "no file of the host, and QEMU's standard error is QEMU's alone");
        assert!(words.contains(&"/tmp/a b".to_owned()));
        let append = words.iter().find(|word| word.contains("rdinit=")).expect("has a kernel command line");
        assert!(append.starts_with("console=ttyS0 quiet loglevel=1 foo=bar loglevel=4"), "{append}");
        assert!(append.ends_with("rdinit=/init loglevel=7") && !append.contains("virtme-ng-init"), "{append}");
    }

    #[test]
    fn command_of_a_restored_guest_starts_no_kernel() {
        let words = ["qemu", "-kernel", "/k", "-m", "512M", "-append", "-initrd", "-initrd", "/i", "-no-reboot"];
        let kept = words.into_iter().collect::<Words>().without_kernel();
        assert_eq!(kept, ["qemu", "-m", "512M", "-no-reboot"].into_iter().collect());
    }

    #[test]
    fn guests_under_kvm_have_the_chosen_cpu_and_emulated_ones_what_is_fast_to_emulate() {
        let printed = "qemu -machine accel=kvm:tcg -cpu host,topoext=on -append quiet";
        let cpu = |printed: &str, cpu: Option<&GuestCpu>| {
            let words = qemu_words(printed, &[], cpu).expect("is a command");
            assert_eq!(words.iter().filter(|word| *word == "-cpu").count(), 1);
            let at = words.iter().position(|word| word == "-cpu").expect("has one");
            words[at + 1].clone()
        };
        let never = "pmu=off,kvm-steal-time=off,invtsc=off";
        let pinned = GuestCpu::Pinned { vendor: "AuthenticAMD".to_owned(), model: "EPYC-v1,-svm".to_owned() };
        assert_eq!(cpu(printed, Some(&pinned)), format!("EPYC-v1,-svm,{never},enforce"));
        assert_eq!(cpu(printed, Some(&own())), format!("host,topoext=on,{never}"));
        assert_eq!(cpu("qemu -enable-kvm -append quiet", Some(&own())), format!("host,{never}"));
        assert_eq!(cpu("qemu -machine q35 -cpu max -append quiet", None), "max,erms=off,fsrm=off");
        assert_eq!(cpu("qemu -machine q35 -cpu qemu64 -append quiet", None), "qemu64");
    }

    #[test]
    fn qemu_may_have_any_name() {
        let words = qemu_words("/opt/emulator -m 512M -append 'quiet'", &[], None).expect("is a command");
        assert_eq!(words[0], "/opt/emulator");
    }

    #[test]
    fn machine_for_another_accelerator_than_the_chosen_one_is_refused() {
        let composed = |options: &str, chosen| {
            let cpu = (chosen == Accelerator::Kvm).then(own);
            let words = qemu_words(&format!("/usr/bin/qemu-kvm {options} -append quiet"), &[], cpu.as_ref())?;
            Ok::<_, ComposeError>(accelerators(&words).join(","))
        };
        // Without access to /dev/kvm virtme-ng leaves KVM out.
        let error = composed("-machine q35 -cpu max", Accelerator::Kvm).expect_err("would emulate");
        assert_eq!(error.to_string(), "virtme-ng composed a machine for emulation, but `kvm` was chosen");
        assert!(error.hint().is_some_and(|hint| hint.contains("/dev/kvm") && hint.contains("`--accel tcg`")));
        for fallback in ["-accel kvm -accel tcg", "-machine q35,accel=kvm:tcg", "-M accel=tcg"] {
            composed(fallback, Accelerator::Kvm).expect_err(fallback);
        }
        for kvm in ["-machine accel=kvm:tcg", "-enable-kvm", "-accel kvm,thread=multi"] {
            assert_eq!(composed(kvm, Accelerator::Kvm).expect(kvm), "kvm");
            composed(kvm, Accelerator::Tcg).expect_err(kvm);
        }
        // Emulation is never left to QEMU, which would take KVM here, for its name.
        assert_eq!(composed("-machine q35 -cpu max", Accelerator::Tcg).expect("emulates"), "tcg");
    }

    #[test]
    fn program_that_virtme_ng_lacks_is_named_instead_of_a_traceback() {
        let failed = |output: &str| {
            let (program, status) = ("/venv/bin/virtme-run".to_owned(), "exit status: 1".to_owned());
            ComposeError::of_virtme(ProcessError::Failed { program, status, output: output.to_owned() })
        };
        let traceback = "Traceback (most recent call last):\n  File \"run.py\", line 621, in get_kernel_version\n    result = subprocess.run(\n";
        let error = failed(&format!(
            "warning: `file` is not installed in the system\n{traceback}FileNotFoundError: [Errno 2] No such file or directory: 'strings'"
        ));
        assert_eq!(error.to_string(), "virtme-ng cannot compose a machine: it needs `strings`, which is not installed");
        assert_eq!(error.hint().as_deref(), Some("`corematrix setup` installs the package `binutils`"));
        let file = failed(&format!("{traceback}FileNotFoundError: [Errno 2] No such file or directory: 'file'"));
        assert_eq!(file.hint().as_deref(), Some("install the package that contains `file`"));
        // Of any other traceback the last line is left.
        let other =
            failed(&format!("notice\n{traceback}FileNotFoundError: [Errno 2] No such file or directory: '/a/b'"));
        assert_eq!(
            other.to_string(),
            "virtme-ng cannot compose a machine: `/venv/bin/virtme-run` ended with exit status: 1: notice\n\
             FileNotFoundError: [Errno 2] No such file or directory: '/a/b'"
        );
        assert!(failed("virtme-run: error: no such kernel").to_string().ends_with("no such kernel"));
    }

    #[test]
    fn other_output_is_shown_not_run() {
        let error = qemu_words("virtme-run: error: no such kernel", &[], None).expect_err("is no command");
        assert!(error.to_string().contains("no such kernel"), "{error}");
        assert!(qemu_words("/usr/bin/qemu-system-x86_64 -m 512M", &[], None).is_err(), "has no kernel command line");
    }
}
