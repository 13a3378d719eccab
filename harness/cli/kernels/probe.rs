//! `corematrix kernels probe`: the features of kernels, asked once and then read from the store.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use rayon::prelude::*;

use super::super::answer::{Print, ProbedKernel, ProbedKernels};
use super::super::failure::Failure;
use super::super::run::width;
use super::super::say;
use super::super::{Common, MachineArgs};
use crate::feature::{Feature, libbpf_version};
use crate::manifest::KernelSpec;
use crate::matrix::{Matrix, Project};
use crate::nearest::nearest;
use crate::protocol::feature_probe::FeatureProbe;
use crate::record::exit_code;
use crate::report::features;
use crate::run::{self, Jobs, Stop};
use crate::store::StoredKernel;
use crate::vm::{Accelerator, Deadlines, GuestLink, GuestShape, Machine, MachineSpec, Toolchain};

/// Names in a hint.
const MOST_NAMES: usize = 3;

#[derive(Debug, Args)]
pub(in super::super) struct ProbeArgs {
    #[command(flatten)]
    machine: MachineArgs,
    /// Probe only this helper, such as bpf_loop, and show which program types may call it.
    #[arg(long, value_name = "NAME")]
    helper: Option<String>,
    /// Probe only this map type, such as ringbuf.
    #[arg(long, value_name = "NAME")]
    map_type: Option<String>,
    /// Probe only this program type, such as kprobe, and the helpers that its programs may call.
    #[arg(long, value_name = "NAME")]
    program_type: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is known about one kernel.
struct Probed {
    name: String,
    optional: bool,
    release: Option<String>,
    /// Or why it is not known, and what the user can do.
    answer: Result<FeatureProbe, (String, Option<String>)>,
}

pub(in super::super) fn run(common: &Common, args: &ProbeArgs) -> Result<ExitCode, Failure> {
    let only = Only::checked(args)?;
    let project = Project::load(&common.manifest, &common.places()?)?;
    project.learn_builds(&args.machine.kernel, args.machine.offline, &say)?;
    let kernels = project.kernels(&args.machine.kernel)?;
    let stop = Stop::on_signals(|line| eprintln!("{line}"));
    let stop = stop.map_err(|error| Failure::infrastructure(format!("cannot listen for signals: {error}"), None))?;
    let mut probed = probe_all(&project, kernels, &args.machine, &stop)?;
    for kernel in &mut probed {
        if let Ok(probe) = &mut kernel.answer {
            only.narrow(probe);
        }
    }
    match args.json {
        true => answer(&probed).print()?,
        false => {
            let known: Vec<(&str, &FeatureProbe)> =
                probed.iter().filter_map(|one| Some((one.name.as_str(), one.answer.as_ref().ok()?))).collect();
            print!("{}", features::render(&known, width()));
        }
    }
    for kernel in &probed {
        if let Err((reason, hint)) = &kernel.answer {
            eprintln!("kernel `{}` was not probed: {reason}", kernel.name);
            hint.iter().for_each(|hint| eprintln!("hint: {hint}"));
        }
    }
    let failed = probed.iter().any(|kernel| kernel.answer.is_err() && !kernel.optional);
    let nothing = probed.iter().all(|kernel| kernel.answer.is_err());
    Ok(ExitCode::from(match (stop.requested(), failed || nothing) {
        (true, _) => exit_code::INTERRUPTED,
        (false, true) => exit_code::INFRASTRUCTURE,
        (false, false) => exit_code::GOOD,
    }))
}

/// The features that were asked for, by their bare names.
struct Only {
    helper: Option<String>,
    map_type: Option<String>,
    program_type: Option<String>,
}

impl Only {
    /// # Errors
    /// A name that the linked libbpf does not know.
    fn checked(args: &ProbeArgs) -> Result<Only, Failure> {
        Ok(Only {
            helper: args.helper.as_deref().map(|name| known(Feature::Helper, name)).transpose()?,
            map_type: args.map_type.as_deref().map(|name| known(Feature::MapType, name)).transpose()?,
            program_type: args.program_type.as_deref().map(|name| known(Feature::ProgramType, name)).transpose()?,
        })
    }

    /// Leaves only what was asked for.
    fn narrow(&self, probe: &mut FeatureProbe) {
        let Only { helper, map_type, program_type } = self;
        if helper.is_none() && map_type.is_none() && program_type.is_none() {
            return;
        }
        probe.attach_types.clear();
        probe.map_types.retain(|name, _| Some(name) == map_type.as_ref());
        if helper.is_none() && program_type.is_none() {
            probe.helpers.clear();
            probe.existing_helpers.clear();
        }
        if program_type.is_some() {
            probe.helpers.retain(|name, _| Some(name) == program_type.as_ref());
        }
        // A type that the kernel does not have calls no helper: that has to stay known.
        if helper.is_none() || program_type.is_some() {
            probe.program_types.retain(|name, _| Some(name) == program_type.as_ref());
        }
        if let Some(helper) = helper {
            probe.existing_helpers.retain(|name, _| name == helper);
            probe.helpers.values_mut().for_each(|answers| answers.retain(|name, _| name == helper));
        }
    }
}

/// The bare name of a feature that libbpf knows.
fn known(feature: Feature, name: &str) -> Result<String, Failure> {
    let bare = feature.bare(name);
    let names: Vec<String> = feature.known().into_iter().map(|(_, name)| name).collect();
    if names.contains(&bare) {
        return Ok(bare);
    }
    let quoted = |name: &str| match feature {
        Feature::Helper => format!("`bpf_{name}`"),
        _ => format!("`{name}`"),
    };
    let near = nearest(&bare, names.iter().map(String::as_str), MOST_NAMES);
    let hint = match near.is_empty() {
        true => format!(
            "libbpf {} knows {} {}s; omit the option to show all",
            libbpf_version(),
            names.len(),
            feature.label()
        ),
        false => format!("the nearest are {}", near.into_iter().map(quoted).collect::<Vec<_>>().join(", ")),
    };
    Err(Failure::input(format!("unknown {} `{}`", feature.label(), name.escape_debug()), Some(hint)))
}

fn answer(probed: &[Probed]) -> ProbedKernels {
    let kernel = |one: &Probed| ProbedKernel {
        kernel: one.name.clone(),
        release: one.release.clone(),
        probe: one.answer.as_ref().ok().cloned(),
        failure: one.answer.as_ref().err().map(|(reason, _)| reason.clone()),
    };
    ProbedKernels { libbpf: libbpf_version(), kernels: probed.iter().map(kernel).collect() }
}

/// Takes what the store knows, and boots the rest.
fn probe_all(
    project: &Project,
    kernels: Vec<KernelSpec>,
    args: &MachineArgs,
    stop: &Stop,
) -> Result<Vec<Probed>, Failure> {
    let mut open = Vec::new();
    let mut probed: Vec<Probed> = Vec::new();
    for spec in &kernels {
        let step = |step: String| eprintln!("{}: {step}", spec.name);
        let mut one = Probed {
            name: spec.name.clone(),
            optional: spec.optional,
            release: None,
            answer: Err(("stopped by the user".to_owned(), None)),
        };
        match project.store.kernel(spec, &project.lock, args.offline, &step) {
            Ok(stored) => {
                one.release = Some(stored.identity.release.clone());
                match project.store.probe(&stored.identity).filter(|probe| probe.covers(None)) {
                    Some(probe) => one.answer = Ok(probe),
                    None => open.push((probed.len(), spec, stored)),
                }
            }
            Err(error) => one.answer = Err((error.reason(), error.hint())),
        }
        probed.push(one);
    }
    if open.is_empty() {
        return Ok(probed);
    }
    let tools = project.tools()?;
    let kernels: Vec<KernelSpec> = open.iter().map(|(_, spec, _)| (*spec).clone()).collect();
    let matrix = Matrix::new(project, args.options()?).stopped_by(stop.clone());
    let proof = matrix.accelerator(&kernels, &say)?;
    let memory_mib = open.iter().map(|(_, spec, _)| spec.memory_mib).max().unwrap_or_default();
    let jobs = Jobs::choose(None).count_of(memory_mib);
    // Its threads last as long as the machines that they start.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build();
    let pool = pool.map_err(|error| Failure::infrastructure(format!("cannot start threads: {error}"), None))?;
    let answers: Vec<_> = pool.install(|| {
        let asked = open.par_iter().with_max_len(1).filter(|_| !stop.requested());
        asked
            .map(|(at, spec, stored)| (*at, boot_and_ask(project, tools, proof.accelerator, spec, stored, stop)))
            .collect()
    });
    for (at, answer) in answers {
        probed[at].answer = answer;
    }
    Ok(probed)
}

fn boot_and_ask(
    project: &Project,
    tools: &Toolchain,
    accelerator: Accelerator,
    spec: &KernelSpec,
    stored: &StoredKernel,
    stop: &Stop,
) -> Result<FeatureProbe, (String, Option<String>)> {
    let deadlines = Deadlines::scaled(spec.boot_timeout, spec.program_timeout, accelerator);
    let at_once = || stop.at_once();
    eprintln!("{}: booting", spec.name);
    let shape = GuestShape::plain(spec);
    let machine = Machine::boot(&MachineSpec::new(tools, spec, (stored, &shape), accelerator, &at_once));
    let hint = "`corematrix doctor` checks whether this machine can boot a guest".to_owned();
    let mut machine = machine.map_err(|failure| (failure.reason().to_owned(), Some(hint)))?;
    let begin = Instant::now();
    let probe = run::probe(&mut machine, stored, &project.store, None, deadlines.boot, &at_once);
    let probe = probe.map_err(|error| (error.to_string(), None))?;
    eprintln!("{}: probed in {:.1}s", spec.name, begin.elapsed().as_secs_f64());
    machine.shut_down();
    Ok(probe)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol::feature_probe::Answer;

    #[test]
    fn unknown_names_are_told_with_the_nearest() {
        assert_eq!(known(Feature::Helper, "BPF_FUNC_loop"), Ok("loop".to_owned()));
        let slip = known(Feature::MapType, "ring_buf").unwrap_err().to_string();
        assert!(slip.starts_with("error: unknown map type `ring_buf`\nhint: the nearest are `ringbuf`"), "{slip}");
        let far = known(Feature::Helper, "bpf_make_me_a_sandwich").unwrap_err().to_string();
        assert!(far.contains("211 helpers"), "{far}");
    }

    #[test]
    fn only_what_was_asked_for_is_left() {
        let yes = |names: &[&str]| names.iter().map(|name| (name.to_string(), Answer::Yes)).collect();
        let whole = FeatureProbe {
            whole: true,
            map_types: yes(&["hash", "arena"]),
            program_types: yes(&["kprobe", "xdp"]),
            attach_types: yes(&["trace_fentry"]),
            existing_helpers: yes(&["loop", "probe_read"]),
            helpers: [("kprobe".into(), yes(&["loop", "probe_read"])), ("xdp".into(), yes(&["loop"]))].into(),
        };
        let narrowed = |only: Only| {
            let mut probe = whole.clone();
            only.narrow(&mut probe);
            probe
        };
        let none = Only { helper: None, map_type: None, program_type: None };
        assert_eq!(narrowed(Only { ..none }), whole);
        let map = narrowed(Only { map_type: Some("arena".into()), helper: None, program_type: None });
        assert_eq!(map, FeatureProbe { whole: true, map_types: yes(&["arena"]), ..Default::default() });
        let both = narrowed(Only { helper: Some("loop".into()), program_type: Some("xdp".into()), map_type: None });
        assert_eq!(both.helpers, [("xdp".to_owned(), yes(&["loop"]))].into());
        assert_eq!(both.program_types, yes(&["xdp"]));
    }
}
