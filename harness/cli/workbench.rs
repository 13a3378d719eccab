//! [`Workbench`]: a kernel and an object at a time, without the show of a whole run.

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;

use clap::Args;

use super::failure::Failure;
use super::run::{no_signals, report_failure, tool_record};
use super::setup::Setup;
use super::{MachineArgs, acceleration, exit_code};
use crate::attach::Reach;
use crate::event::Event;
use crate::plan::Plan;
use crate::record::RunRecord;
use crate::run::{self, Bench, Collector, Jobs, Logs, Stop};
use crate::timestamp::now;
use crate::vm::{Aids, Choice, Proof, Toolchain};

/// How the guests of a command run that takes no matrix.
#[derive(Debug, Args)]
pub(super) struct GuestArgs {
    /// What runs the guests' code; auto takes KVM if a boot proves that it works, kvm fails where it cannot be used.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    pub(super) accel: Choice,
    /// Do without the network: take only kernels that the store has.
    #[arg(long)]
    pub(super) offline: bool,
}

/// What single cells are tried with.
pub(super) struct Workbench<'a> {
    setup: &'a Setup,
    tools: &'a Toolchain,
    machine: MachineArgs,
    pub(super) stop: Stop,
    snapshot_budget: u64,
    proof: Option<Proof>,
}

impl<'a> Workbench<'a> {
    pub(super) fn new(setup: &'a Setup, guests: &GuestArgs) -> Result<Self, Failure> {
        let tools = super::doctor::tools(setup)?;
        let stop = Stop::on_signals(|line| eprintln!("{line}")).map_err(no_signals)?;
        setup.hear(&stop);
        let machine = MachineArgs { kernel: Vec::new(), accel: guests.accel, offline: guests.offline };
        let snapshot_budget = super::store::snapshot_budget()?;
        Ok(Workbench { setup, tools, machine, stop, snapshot_budget, proof: None })
    }

    /// Runs a plan, with its logs in `folder`. Tells on standard error only what takes long. `full_logs` asks for everything that the
    /// verifier can tell.
    pub(super) fn run(
        &mut self,
        plan: &Plan,
        (reach, full_logs): (Reach, bool),
        folder: &Path,
    ) -> Result<RunRecord, Failure> {
        let Workbench { setup, tools, machine, stop, snapshot_budget, proof } = self;
        let proof = match proof {
            Some(proof) => proof,
            None => proof.insert(acceleration::choose(setup, tools, &plan.kernels, machine, stop)?),
        };
        let record = plan.record(tool_record(tools, proof), now());
        let (memory_mib, larger) = plan.guest_sizes();
        let logs = Logs::new(folder);
        let bench = Bench {
            plan,
            store: &setup.store,
            lock: &setup.lock,
            offline: machine.offline,
            tools,
            accelerator: proof.accelerator,
            jobs: &Jobs::choose(Some(1), memory_mib, larger),
            full_logs,
            reach,
            cold: false,
            snapshot_budget: *snapshot_budget,
            logs: &logs,
            stop,
            aids: Aids::default(),
        };
        let mut collector = Collector::new(record, folder.to_owned()).map_err(|error| report_failure(&error))?;
        let (sender, events) = mpsc::channel();
        let ran = std::thread::scope(|scope| {
            let runner = scope.spawn(|| run::run(&bench, &{ sender }));
            for event in events {
                if let Some(line) = told(&event, plan) {
                    eprintln!("{line}");
                }
                // The end tries once more to save.
                let _ = collector.take(&event);
            }
            runner.join()
        });
        match ran {
            Ok(Ok(())) => Ok(collector.finish(now(), stop.requested())),
            Ok(Err(error)) => Err(Failure::infrastructure(error, None)),
            Err(_) => Err(Failure::infrastructure("the runner panicked; this is a bug in corematrix", None)),
        }
    }

    /// The exit code if the user has stopped the command.
    pub(super) fn interrupted(&self) -> Option<ExitCode> {
        self.stop.requested().then(|| ExitCode::from(exit_code::INTERRUPTED))
    }
}

/// The line for an event that takes long or explains a delay.
fn told(event: &Event, plan: &Plan) -> Option<String> {
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
