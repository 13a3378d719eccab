//! [`DebugArgs`]: what helps to look into guests, and [`Phases`], which tells each step of a run with its time.

use std::time::Instant;

use clap::Args;

use crate::event::Event;
use crate::vm::DebugOptions;

/// What helps to look into guests.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Debugging")]
pub(super) struct DebugArgs {
    /// Open a QEMU gdb server for each guest, and print the command that attaches gdb. Disables KASLR; implies
    /// `--cold`.
    #[arg(long)]
    gdb: bool,
    /// Print guest consoles to standard error, each line prefixed with its kernel.
    #[arg(long)]
    console: bool,
    /// Keep the scratch directories of guests, and print their paths.
    #[arg(long)]
    keep: bool,
    /// Print the complete QEMU command line, ready to paste, and keep its files. Implies `--cold` and `--keep`.
    #[arg(long)]
    qemu_command: bool,
    /// Print each step with its duration.
    #[arg(long, short)]
    verbose: bool,
}

impl DebugArgs {
    /// What machines need to know.
    pub(super) fn options(self) -> DebugOptions {
        let DebugArgs { gdb, console, keep, qemu_command, .. } = self;
        DebugOptions { gdb, console, keep: keep || qemu_command, command: qemu_command }
    }

    /// Tells steps if that was asked for.
    pub(super) fn phases(self, kernels: &[String], objects: &[String]) -> Option<Phases> {
        self.verbose.then(|| Phases {
            begin: Instant::now(),
            kernels: kernels.to_vec(),
            objects: objects.to_vec(),
            last: vec![Instant::now(); kernels.len()],
        })
    }
}

/// Tells each step of a run with the time since the kernel's step before it.
pub(super) struct Phases {
    begin: Instant,
    kernels: Vec<String>,
    objects: Vec<String>,
    last: Vec<Instant>,
}

impl Phases {
    /// Prints what an event says.
    pub(super) fn on(&mut self, event: &Event) {
        let object = |object: &usize| self.objects.get(*object).map_or("", String::as_str);
        let (kernel, what) = match event {
            Event::Fetching { kernel, step } => (*kernel, step.clone()),
            Event::KernelReady { kernel, .. } => (*kernel, "kernel stored and verified".to_owned()),
            Event::Booting { kernel, attempt } => (*kernel, format!("booting, attempt {attempt}")),
            Event::Booted { kernel, took, .. } => {
                (*kernel, format!("guest ready after {:.3} s of boot", took.as_secs_f64()))
            }
            Event::Saved { kernel, took } => (*kernel, format!("snapshot saved in {:.3} s", took.as_secs_f64())),
            Event::Restored { kernel, took, .. } => {
                (*kernel, format!("guest ready after {:.3} s of restore", took.as_secs_f64()))
            }
            Event::KernelNote { kernel, note } => (*kernel, note.clone()),
            Event::KernelFailed { kernel, .. } => (*kernel, "removed from the run".to_owned()),
            Event::KernelPredicted { kernel, .. } => (*kernel, "not booted: predicted from BTF".to_owned()),
            Event::CellPredicted { kernel, object: of, .. } => (*kernel, format!("{}: predicted", object(of))),
            Event::GuestLost { kernel, reason } => (*kernel, format!("guest lost: {reason}")),
            Event::CellStarted { kernel, object: of } => (*kernel, format!("{}: started", object(of))),
            Event::ProgramDone { kernel, object: of, record, .. } => {
                (*kernel, format!("{}: `{}` {} in {} ms", object(of), record.name, record.verdict, record.load_ms))
            }
            Event::CellDone { kernel, object: of, outcome } => {
                (*kernel, format!("{}: done, {:.3} s in the guest", object(of), outcome.took.as_secs_f64()))
            }
            Event::CellReused { kernel, object: of, record, .. } => {
                let observed = record.observed.as_deref().unwrap_or_default();
                (*kernel, format!("{}: not run, observed {observed}", object(of)))
            }
            Event::KernelDone { kernel } => (*kernel, "done".to_owned()),
            Event::ProgramStarted { .. } | Event::Waiting | Event::Notice(_) | Event::Unsaved(_) => return,
        };
        let now = Instant::now();
        let Some(last) = self.last.get_mut(kernel) else { return };
        let (at, step) = (now - self.begin, now - std::mem::replace(last, now));
        let name = &self.kernels[kernel];
        eprintln!("{:9.3}s +{:.3}s [{name}] {what}", at.as_secs_f64(), step.as_secs_f64());
    }
}
