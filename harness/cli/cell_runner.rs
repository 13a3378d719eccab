//! [`CellRunner`]: a kernel and an object at a time, without the show of a whole run.

use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::run::no_signals;
use super::{MachineArgs, say};
use crate::event::Event;
use crate::matrix::{Matrix, Project, Work};
use crate::plan::Plan;
use crate::protocol::attach::Reach;
use crate::record::RunRecord;
use crate::record::exit_code;
use crate::run::Stop;
use crate::vm::Choice;

/// How the guests of a command run that takes no matrix.
#[derive(Debug, Args)]
pub(super) struct GuestArgs {
    /// Choose how guest code runs.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    pub(super) accel: Choice,
    /// Use no network: take only kernels that are stored.
    #[arg(long)]
    pub(super) offline: bool,
}

/// What single cells are tried with.
pub(super) struct CellRunner<'a> {
    matrix: Matrix<'a>,
}

impl<'a> CellRunner<'a> {
    pub(super) fn new(project: &'a Project, guests: &GuestArgs) -> Result<Self, Failure> {
        project.tools()?;
        let stop = Stop::on_signals(|line| eprintln!("{line}")).map_err(no_signals)?;
        let (accel, offline) = (guests.accel, guests.offline);
        let mut options = MachineArgs { kernel: Vec::new(), accel, offline, modules: Vec::new() }.options()?;
        (options.jobs, options.advice) = (NonZero::new(1), false);
        Ok(CellRunner { matrix: Matrix::new(project, options).stopped_by(stop) })
    }

    /// Runs a plan, with its logs in `folder`. Reports on standard error only what takes long. `full_logs` asks for everything that the
    /// verifier can say.
    pub(super) fn run(
        &mut self,
        work: &Work,
        (reach, full_logs): (Reach, bool),
        folder: &Path,
    ) -> Result<RunRecord, Failure> {
        (self.matrix.options.reach, self.matrix.options.full_logs) = (reach, full_logs);
        self.matrix.accelerator(&work.plan.kernels, &say)?;
        let mut observe = |event: &Event| {
            if let Some(line) = line(event, &work.plan) {
                eprintln!("{line}");
            }
        };
        Ok(self.matrix.run(work, folder, &mut observe)?)
    }

    /// The exit code if the user has stopped the command.
    pub(super) fn interrupted(&self) -> Option<ExitCode> {
        self.matrix.stop.requested().then(|| ExitCode::from(exit_code::INTERRUPTED))
    }
}

/// The line for an event that takes long or explains a delay.
pub(super) fn line(event: &Event, plan: &Plan) -> Option<String> {
    let name = |kernel: &usize| &plan.kernels[*kernel].name;
    match event {
        Event::Fetching { kernel, step } => Some(format!("{}: {step}", name(kernel))),
        Event::Booting { kernel, .. } => Some(format!("{}: booting", name(kernel))),
        Event::GuestLost { kernel, reason } => Some(format!("{}: guest lost: {reason}", name(kernel))),
        Event::KernelNote { kernel, note } => Some(format!("{}: {note}", name(kernel))),
        Event::Notice(text) => Some(text.clone()),
        _ => None,
    }
}
