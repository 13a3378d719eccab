//! [`measure`]: how long a program runs beside the same program of another build, in turns, by the kernel's own count.

use std::fs;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use libbpf_rs::libbpf_sys as sys;
use libbpf_rs::{AsRawLibbpf, OpenProgram};

use super::attach;
use super::exercise::{self, Counting, trigger};
use super::fork::{self, Ending};
use super::loaded;
use super::loader::{Request, Send};
use super::prepared::{Prepared, Which, prepare};
use super::transcript;
use corematrix_protocol::GuestMessage;
use corematrix_protocol::attach::{AttachTo, Step};
use corematrix_protocol::baseline::BaselineObject;
use corematrix_protocol::exercise::{ExercisePlan, TestRunPlan};
use corematrix_protocol::libbpf_log;
use corematrix_record::{CostRecord, CostRound, RunTime};

/// Rounds, if there is time for them.
const ROUNDS: usize = 20;
/// Time for all rounds of a program.
const MOST_TIME: Duration = Duration::from_secs(20);
/// Runs of a test run in a round.
const TEST_RUNS: u32 = 400;
/// How often a round pulls the triggers.
const PULLS: usize = 4;

/// Measures a program that loads, in another process, and reports it.
pub fn measure(
    program: &str,
    baseline: &BaselineObject,
    request: &Request<'_>,
    send: &mut Send<'_>,
) -> Result<(), String> {
    send(&GuestMessage::ProgramStep { step: Step::Exercising }, &[])?;
    let mut alive = || drop(send(&GuestMessage::PreparingAgain, &[]));
    let ended = fork::run_piped(|pipe| {
        let measured = in_turns(program, baseline, request, &mut alive);
        let record = measured.unwrap_or_else(|problem| CostRecord { problem: Some(problem), ..CostRecord::default() });
        i32::from(serde_json::to_writer(pipe, &record).is_err())
    });
    let failed = |problem: String| CostRecord { problem: Some(problem), ..CostRecord::default() };
    let record = match ended {
        Ok((Ending::Code(0), told)) => serde_json::from_slice(&told)
            .unwrap_or_else(|error| failed(format!("the process that measures sent no answer: {error}"))),
        Ok((Ending::Code(code), _)) => failed(format!("the process that measures ended with code {code}")),
        Ok((Ending::Signal(signal), _)) => failed(format!("the process that measures died of signal {signal}")),
        Err(problem) => failed(problem),
    };
    let record = CostRecord { baseline: baseline.name.clone(), ..record };
    send(&GuestMessage::Measured { program: program.to_owned(), record }, &[])
}

/// One of the two builds, loaded.
struct Side<'a> {
    program: OpenProgram<'a>,
    descriptor: RawFd,
    to: Option<&'a AttachTo>,
}

/// What makes both run.
enum Way<'a> {
    TestRuns(Option<&'a TestRunPlan>),
    Triggers(Vec<String>),
}

fn in_turns(
    program: &str,
    baseline: &BaselineObject,
    request: &Request<'_>,
    alive: &mut dyn FnMut(),
) -> Result<CostRecord, String> {
    if !baseline.programs.iter().any(|known| known == program) {
        return Err("it has no such program".to_owned());
    }
    let bytes = fs::read(&baseline.object).map_err(|error| format!("cannot read `{}`: {error}", baseline.object))?;
    let old = Request {
        object: baseline.name.clone(),
        programs: Vec::new(),
        full_logs: false,
        visited: Vec::new(),
        setup: baseline.setup.clone(),
        reach: request.reach,
        extern_users: baseline.extern_users.clone(),
        bytes,
        loader: None,
        compared: false,
        brief: false,
        together: false,
        bare: true,
        faults: request.faults,
    };
    let setup = request.setup.of_program(program);
    let to = setup.and_then(|setup| setup.attach.as_ref());
    let plan = setup.and_then(|setup| setup.exercise.as_ref());
    let counting = Counting::begin();
    if !counting.counts() {
        return Err("this kernel does not count runs".to_owned());
    }
    let of_baseline = format!("of `{}`", baseline.name);
    let (before, after) = (load(program, &old, &of_baseline, alive)?, load(program, request, "itself", alive)?);
    let sides = [side(&before, program, to)?, side(&after, program, to)?];
    let way = way(&sides[1], plan, &counting)?;
    let begin = Instant::now();
    let mut rounds = Vec::new();
    while rounds.len() < ROUNDS && begin.elapsed() < MOST_TIME {
        // Each goes first as often as the other.
        let order = if rounds.len() % 2 == 0 { [0, 1] } else { [1, 0] };
        let mut taken = [RunTime::default(); 2];
        for at in order {
            taken[at] = turn(&sides[at], &way, plan)?;
        }
        rounds.push(CostRound { baseline: taken[0], program: taken[1] });
        alive();
    }
    let by = match way {
        Way::TestRuns(_) => "test runs".to_owned(),
        Way::Triggers(names) => names.join(", "),
    };
    Ok(CostRecord { by, rounds, ..CostRecord::default() })
}

/// Loads one program of an object.
fn load(program: &str, request: &Request<'_>, whose: &str, alive: &mut dyn FnMut()) -> Result<Prepared, String> {
    let failed = |warnings: Vec<String>| {
        let why = warnings.into_iter().next().unwrap_or_else(|| "libbpf gives no reason".to_owned());
        format!("program `{program}` {whose} does not load: {why}")
    };
    let prepared = prepare(request, Which::One(program), &mut None, alive).map_err(|error| failed(error.warnings()))?;
    // SAFETY: the object is prepared, and loaded once, in this process.
    let result = unsafe { sys::bpf_object__load(prepared.open.as_libbpf_object().as_ptr()) };
    if result != 0 {
        return Err(failed(libbpf_log::warnings(&transcript::take())));
    }
    Ok(prepared)
}

fn side<'a>(prepared: &'a Prepared, program: &str, to: Option<&'a AttachTo>) -> Result<Side<'a>, String> {
    let found = prepared.open.progs().find(|candidate| candidate.name() == program);
    let found = found.ok_or_else(|| format!("libbpf finds no program `{program}`"))?;
    let descriptor = loaded::descriptor(&found);
    Ok(Side { program: found, descriptor, to })
}

/// What makes it run: a test run if the plan has one or nothing else does, otherwise what it was seen to run during.
fn way<'a>(side: &Side<'_>, plan: Option<&'a ExercisePlan>, counting: &Counting) -> Result<Way<'a>, String> {
    if let Some(test_run) = plan.and_then(|plan| plan.test_run.as_ref()) {
        return Ok(Way::TestRuns(Some(test_run)));
    }
    let (_, held) = attach::attach(&side.program, side.to, None);
    let seen = exercise::exercise(&side.program, held, counting, plan);
    let names: Vec<String> = seen.triggers.into_iter().map(|one| one.trigger).collect();
    match (names.is_empty(), seen.test_run.and_then(|run| run.returned)) {
        (false, _) => Ok(Way::Triggers(names)),
        (true, Some(_)) => Ok(Way::TestRuns(None)),
        (true, None) => Err("it was not seen to run".to_owned()),
    }
}

/// Makes one of them run for a while.
fn turn(side: &Side<'_>, way: &Way<'_>, plan: Option<&ExercisePlan>) -> Result<RunTime, String> {
    let before = exercise::run_time(side.descriptor).unwrap_or_default();
    match way {
        Way::TestRuns(plan) => exercise::test_runs(&side.program, *plan, TEST_RUNS),
        Way::Triggers(names) => {
            let (_, held) = attach::attach(&side.program, side.to, None);
            let held = held.ok_or("it cannot be attached again")?;
            for _ in 0..PULLS {
                for (name, pull) in trigger::ALL {
                    if names.iter().any(|wanted| wanted == name) {
                        pull(&held);
                    }
                }
                if let Some(command) = plan.and_then(|plan| plan.command.as_ref()) {
                    trigger::command(command)?;
                }
            }
        }
    }
    let after = exercise::run_time(side.descriptor).unwrap_or_default();
    Ok(RunTime { runs: after.runs.saturating_sub(before.runs), ns: after.ns.saturating_sub(before.ns) })
}
