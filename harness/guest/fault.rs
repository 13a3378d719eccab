//! [`Faults`]: makes a real guest misbehave on purpose, so that the host's handling of it can be tested on real kernels.
//!
//! `corematrix.fault=WHAT[@PROGRAM]` on the kernel's command line, where WHAT is `silent` (never say hello), `panic` (the kernel
//! panics just before PROGRAM is loaded), `hang` (the loader stops there), `die` (the loading process is killed there), the three with
//! `attach-` or `exercise-` before them (the same before PROGRAM is attached or made to run), `wake` (the kernel panics when it is
//! restored from a snapshot), `warn` (a splat, as `WARN_ON` makes it, is written into the kernel's log before PROGRAM is loaded), `taint`
//! (the kernel is marked there as one that has warned, without printing anything), `stay` (a process with all that PROGRAM's object has made outlives it),
//! `pin` (a map is pinned where no one looks for pins), `cgroup` (a program is attached to the cgroup, which alone keeps it), `refuse` or `accept` (once PROGRAM's object was judged, every later program
//! of the guest is said to be refused, or to load), `lie` (asked what objects have left behind, the guest says what it said first),
//! `asleep` (a restored guest goes on as if nothing had happened), `no-btf` (the kernel's
//! BTF is hidden from libbpf) or `bare` (nothing is collected, so that
//! the benchmark can measure what collecting costs).

use std::cell::{Cell, OnceCell};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use rustix::mount::{MountFlags, mount};

use corematrix_protocol::residue::GuestState;
use corematrix_protocol::{GuestMessage, Stage};

use super::fork;

const KEY: &str = "corematrix.fault=";
/// What a kernel writes when a condition is met that its authors took for impossible.
const SPLAT: [&str; 6] = [
    "<4>------------[ cut here ]------------",
    "<4>WARNING: CPU: 0 PID: 71 at kernel/bpf/core.c:1407 corematrix_fault+0x12/0x34",
    "<4>Modules linked in: virtio_console",
    "<4>Call Trace:",
    "<4> corematrix_fault+0x12/0x34",
    "<4>---[ end trace 0000000000000000 ]---",
];

/// The faults asked for on the kernel's command line.
#[derive(Debug, Default)]
pub struct Faults {
    words: Vec<(String, Option<String>)>,
    /// What is said of every program from now on.
    said: Cell<Option<Stage>>,
    /// What was said first of what objects leave behind.
    first: OnceCell<GuestState>,
}

impl Faults {
    /// Reads them from `/proc/cmdline`.
    pub fn from_command_line() -> Self {
        Self::parse(&std::fs::read_to_string("/proc/cmdline").unwrap_or_default())
    }

    fn parse(command_line: &str) -> Self {
        let words = command_line.split_whitespace().filter_map(|word| word.strip_prefix(KEY));
        let words = words.map(|fault| match fault.split_once('@') {
            Some((what, program)) => (what.to_owned(), Some(program.to_owned())),
            None => (fault.to_owned(), None),
        });
        Faults { words: words.collect(), ..Faults::default() }
    }

    fn wants(&self, what: &str, program: Option<&str>) -> bool {
        self.words.iter().any(|(fault, at)| fault == what && at.as_deref() == program)
    }

    /// Whether objects are to be loaded without collecting evidence: no fault, but a word of the same kind, for the benchmark.
    pub fn bare(&self) -> bool {
        self.wants("bare", None)
    }

    /// Called when the guest is about to say hello.
    pub fn before_hello(&self) {
        if self.wants("no-btf", None) {
            hide_btf();
        }
        if self.wants("silent", None) {
            hang();
        }
    }

    /// Called when the guest was restored from a snapshot.
    pub fn after_restore(&self) {
        if self.wants("wake", None) {
            panic_the_kernel();
        }
    }

    /// Whether a restored guest keeps the clock and the randomness of its snapshot.
    pub fn asleep(&self) -> bool {
        self.wants("asleep", None)
    }

    /// Called when a program is about to be loaded.
    pub fn before_program(&self, program: &str) {
        if self.wants("panic", Some(program)) {
            panic_the_kernel();
        }
        if self.wants("hang", Some(program)) {
            hang();
        }
        if self.wants("die", Some(program)) {
            std::process::abort();
        }
        if self.wants("warn", Some(program)) {
            // Debian's kernels have no `lkdtm`, which would make them warn.
            for line in SPLAT {
                // Older kernels keep a line without an end to themselves.
                let _ = std::fs::write("/dev/kmsg", format!("{line}\n"));
            }
        }
        if self.wants("stay", Some(program)) {
            let _ = fork::start(|| {
                close_pipes();
                hang()
            });
        }
        if self.wants("pin", Some(program)) {
            pin_elsewhere();
        }
        if self.wants("cgroup", Some(program)) {
            attach_to_cgroup();
        }
        if self.wants("taint", Some(program)) {
            // What `WARN_ON` sets.
            let _ = std::fs::write("/proc/sys/kernel/tainted", "512");
        }
    }

    /// Called when an object with these programs was judged.
    pub fn after_object(&self, programs: &[String]) {
        for (what, stage) in [("refuse", Stage::Load), ("accept", Stage::Loaded)] {
            if programs.iter().any(|program| self.wants(what, Some(program))) {
                self.said.set(Some(stage));
            }
        }
    }

    /// What the guest says instead of a message.
    pub fn twisted(&self, message: &GuestMessage) -> Option<GuestMessage> {
        match (message, self.said.get()) {
            (GuestMessage::ProgramDone(outcome), Some(stage)) => {
                let mut outcome = outcome.clone();
                outcome.stage = stage;
                outcome.errno = if stage == Stage::Loaded { 0 } else { libc::EPERM };
                Some(GuestMessage::ProgramDone(outcome))
            }
            _ => None,
        }
    }

    /// What the guest says that objects have left behind.
    pub fn state(&self, state: GuestState) -> GuestState {
        if self.wants("lie", None) { self.first.get_or_init(|| state).clone() } else { state }
    }

    /// Called when something else is about to be done with a program: `attach`, `exercise`.
    pub fn before_step(&self, step: &str, program: &str) {
        let wants = |what: &str| self.wants(&format!("{step}-{what}"), Some(program));
        if wants("panic") {
            panic_the_kernel();
        }
        if wants("hang") {
            hang();
        }
        if wants("die") {
            std::process::abort();
        }
    }
}

/// Closes the pipe that the parent reads to its end.
fn close_pipes() {
    for entry in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let is_pipe = std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("pipe:"));
        if let (true, Some(number)) = (is_pipe, entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok())) {
            // SAFETY: this process no longer uses the pipe.
            unsafe { libc::close(number) };
        }
    }
}

/// Pins a map in a BPF file system of its own.
fn pin_elsewhere() {
    let folder = "/tmp/pins";
    let options = libbpf_rs::libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_rs::libbpf_sys::bpf_map_create_opts>() as libbpf_rs::libbpf_sys::size_t,
        ..Default::default()
    };
    let pinned = std::fs::create_dir_all(folder).map_err(libbpf_rs::Error::from).and_then(|()| {
        mount("bpf", folder, "bpf", MountFlags::empty(), c"")
            .map_err(|error| libbpf_rs::Error::from(std::io::Error::from(error)))?;
        libbpf_rs::MapHandle::create(libbpf_rs::MapType::Array, None::<&str>, 4, 4, 1, &options)?
            .pin(format!("{folder}/map"))
    });
    if let Err(error) = pinned {
        eprintln!("corematrix guest: cannot pin a map: {error}");
    }
}

/// Attaches a program that lets every packet in. The cgroup keeps it when the last process that knows it has ended.
fn attach_to_cgroup() {
    use libbpf_rs::libbpf_sys as sys;
    /// `r0 = 1; exit`.
    const LET_IN: [u64; 2] = [0x1_0000_00b7, 0x95];
    let group = match std::fs::File::open("/sys/fs/cgroup") {
        Ok(group) => group,
        Err(error) => return eprintln!("corematrix guest: cannot open the cgroup: {error}"),
    };
    // SAFETY: the instructions are of 8 bytes each and outlive the call, the strings are constant, and name and options may be null.
    let program = unsafe {
        let (name, options) = (std::ptr::null(), std::ptr::null_mut());
        let instructions = LET_IN.as_ptr().cast();
        sys::bpf_prog_load(sys::BPF_PROG_TYPE_CGROUP_SKB, name, c"GPL".as_ptr(), instructions, 2, options)
    };
    // SAFETY: plain numbers.
    let attached = unsafe { sys::bpf_prog_attach(program, group.as_raw_fd(), sys::BPF_CGROUP_INET_INGRESS, 0) };
    if attached != 0 {
        eprintln!("corematrix guest: cannot attach a program to the cgroup: error {attached} of program {program}");
    }
    // SAFETY: the descriptor is this function's alone.
    unsafe { libc::close(program) };
}

/// Puts an empty directory over the one where the kernel shows its BTF.
fn hide_btf() {
    if let Err(error) = mount("none", "/sys/kernel/btf", "tmpfs", MountFlags::RDONLY, c"") {
        eprintln!("corematrix guest: cannot hide the BTF: {error}");
    }
}

fn panic_the_kernel() {
    // Enabled even if it is off by default; it is our guest.
    let _ = std::fs::write("/proc/sys/kernel/sysrq", "1");
    let _ = std::fs::write("/proc/sysrq-trigger", "c");
}

fn hang() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_from_the_command_line() {
        let faults = Faults::parse("quiet corematrix.fault=silent corematrix.fault=panic@third ro");
        assert!(faults.wants("silent", None));
        assert!(faults.wants("panic", Some("third")));
        assert!(!faults.wants("panic", Some("first")));
        assert!(!Faults::parse("quiet ro").wants("silent", None));
    }
}
