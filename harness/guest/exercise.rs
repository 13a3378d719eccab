//! [`exercise`]: makes a program run that is loaded and, where that is possible, attached; the kernel's run count is the proof.

pub(super) mod trigger;

use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Instant;

use libbpf_rs::libbpf_sys::*;
use libbpf_rs::{AsRawLibbpf, OpenProgram};

use super::attach::Held;
use corematrix_protocol::exercise::{ExercisePlan, TestRunPlan};
use corematrix_record::{ExerciseRecord, RunTime, TestRun, TriggerRuns};

/// An Ethernet frame with an empty UDP packet from and to 127.0.0.1, padded.
const PACKET: [u8; 64] = {
    let mut bytes = [0; 64];
    let head = [
        0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0x08, 0x00, // Ethernet: to, from, IPv4
        0x45, 0, 0, 50, 0, 1, 0, 0, 64, 17, 0x7c, 0xb8, 127, 0, 0, 1, 127, 0, 0, 1, // IPv4: UDP
        0x1f, 0x90, 0x1f, 0x90, 0, 30, 0, 0, // UDP: ports, length
    ];
    let mut at = 0;
    while at < head.len() {
        bytes[at] = head[at];
        at += 1;
    }
    bytes
};

/// Arguments that a raw tracepoint may have at most.
const MOST_ARGUMENTS: usize = 12;

/// Where kernels before 5.8 are set to count.
const COUNTING: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Counts runs for as long as it lives.
pub struct Counting {
    descriptor: Option<OwnedFd>,
    by_sysctl: bool,
}

impl Counting {
    /// Begins to count, if the kernel can (5.1). To be called before the program is attached, which may forbid it.
    pub fn begin() -> Counting {
        // SAFETY: a plain number.
        let descriptor = unsafe { bpf_enable_stats(BPF_STATS_RUN_TIME) };
        // SAFETY: the call has just made it, and nothing else owns it.
        let descriptor = (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor) });
        let by_sysctl = descriptor.is_none() && std::fs::write(COUNTING, "1").is_ok();
        Counting { descriptor, by_sysctl }
    }

    /// Whether it does.
    pub fn counts(&self) -> bool {
        self.descriptor.is_some() || self.by_sysctl
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        if self.by_sysctl {
            let _ = std::fs::write(COUNTING, "0");
        }
    }
}

/// Makes the program run as the plan says; without one first by what the guest does while it is attached, and if that did not help by
/// a test run. Detaches it.
pub fn exercise(
    program: &OpenProgram<'_>,
    held: Option<Held>,
    counting: &Counting,
    plan: Option<&ExercisePlan>,
) -> ExerciseRecord {
    let begin = Instant::now();
    let pointer = program.as_libbpf_object().as_ptr();
    // SAFETY: the program is alive; one that is not loaded has a negative descriptor, of which nothing is known.
    let (descriptor, kind) = unsafe { (bpf_program__fd(pointer), bpf_program__type(pointer)) };
    let time = || counting.counts().then(|| run_time(descriptor)).flatten();
    let runs = || time().map(|time| time.runs);
    let mut record = ExerciseRecord::default();
    match held {
        Some(held) => {
            let mut before = runs().unwrap_or(0);
            let mut note = |trigger: String| {
                let after = runs().unwrap_or(before);
                if after > before {
                    record.triggers.push(TriggerRuns { trigger, runs: after - before });
                }
                before = after;
            };
            let wanted = |name: &str| plan.is_none_or(|plan| plan.triggers.iter().any(|wanted| wanted == name));
            for (name, pull) in trigger::ALL.into_iter().filter(|(name, _)| wanted(name)) {
                pull(&held);
                note(name.to_owned());
            }
            if let Some(command) = plan.and_then(|plan| plan.command.as_ref()) {
                let ended = trigger::command(command);
                note(command.join(" "));
                record.problem = ended.err();
            }
            drop(held);
        }
        None if plan.is_some_and(ExercisePlan::is_triggered) => {
            record.problem = Some("it is not attached".to_owned());
        }
        None => {}
    }
    record.runs = runs();
    let test_run_plan = plan.and_then(|plan| plan.test_run.as_ref());
    if test_run_plan.is_some() || (plan.is_none() && record.runs.unwrap_or(0) == 0) {
        record.test_run = test_run(descriptor, kind, test_run_plan);
        record.runs = runs();
    }
    record.run_time_ns = time().filter(|time| time.runs > 0).map(|time| time.ns);
    record.took_us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
    record
}

/// Makes a program run so many times in test runs.
pub(super) fn test_runs(program: &OpenProgram<'_>, plan: Option<&TestRunPlan>, times: u32) {
    let pointer = program.as_libbpf_object().as_ptr();
    // SAFETY: the program is alive and loaded.
    let (descriptor, kind) = unsafe { (bpf_program__fd(pointer), bpf_program__type(pointer)) };
    let each = plan.map_or(1, |plan| plan.repeat.max(1));
    for _ in 0..times.div_ceil(each) {
        test_run(descriptor, kind, plan);
    }
}

/// How often a program ran, and for how long; `None` if the kernel does not show anything about it.
pub(super) fn run_time(descriptor: RawFd) -> Option<RunTime> {
    let mut info = bpf_prog_info::default();
    let mut length = u32::try_from(size_of::<bpf_prog_info>()).ok()?;
    // SAFETY: `info` is plain data that the call fills, and `length` is its size; a bad descriptor is an error.
    let result = unsafe { bpf_prog_get_info_by_fd(descriptor, &mut info, &mut length) };
    (result == 0).then_some(RunTime { runs: info.run_cnt, ns: info.run_time_ns })
}

/// Asks the kernel to run a program on what the plan gives, or on a packet or arguments that are all zero; `None` for types that it runs in no
/// such way.
#[allow(non_upper_case_globals)]
fn test_run(descriptor: RawFd, kind: bpf_prog_type, test_run_plan: Option<&TestRunPlan>) -> Option<TestRun> {
    let arguments = [0u64; MOST_ARGUMENTS];
    let mut opts = bpf_test_run_opts { sz: size_of::<bpf_test_run_opts>() as size_t, ..bpf_test_run_opts::default() };
    match kind {
        BPF_PROG_TYPE_SOCKET_FILTER
        | BPF_PROG_TYPE_SCHED_CLS
        | BPF_PROG_TYPE_SCHED_ACT
        | BPF_PROG_TYPE_XDP
        | BPF_PROG_TYPE_CGROUP_SKB
        | BPF_PROG_TYPE_LWT_IN
        | BPF_PROG_TYPE_LWT_OUT
        | BPF_PROG_TYPE_LWT_XMIT
        | BPF_PROG_TYPE_LWT_SEG6LOCAL
        | BPF_PROG_TYPE_FLOW_DISSECTOR
        | BPF_PROG_TYPE_NETFILTER => {
            opts.data_in = PACKET.as_ptr().cast();
            opts.data_size_in = PACKET.len() as u32;
        }
        BPF_PROG_TYPE_RAW_TRACEPOINT => {
            opts.ctx_in = arguments.as_ptr().cast();
            opts.ctx_size_in = size_of_val(&arguments) as u32;
        }
        BPF_PROG_TYPE_SYSCALL => {}
        _ if test_run_plan.is_none() => return None,
        _ => {}
    }
    if let Some(test_run_plan) = test_run_plan {
        if let Some(input) = &test_run_plan.input {
            (opts.data_in, opts.data_size_in) = (input.as_ptr().cast(), input.len() as u32);
        }
        if let Some(context) = &test_run_plan.context {
            (opts.ctx_in, opts.ctx_size_in) = (context.as_ptr().cast(), context.len() as u32);
        }
        opts.repeat = test_run_plan.repeat.cast_signed();
    }
    // SAFETY: the options are valid, and what they point to outlives the call.
    let result = unsafe { bpf_prog_test_run_opts(descriptor, &mut opts) };
    Some(match result {
        0 => TestRun { returned: Some(opts.retval), errno: None },
        error => TestRun { returned: None, errno: Some(-error) },
    })
}

/// The descriptor of what holds a program, to be used by triggers.
fn descriptor_of(held: &Held) -> Option<RawFd> {
    match held {
        // SAFETY: the link is alive as long as it is held.
        Held::Link(link) | Held::Netkit { link, .. } => Some(unsafe { bpf_link__fd(*link) }),
        Held::Descriptor(descriptor) => Some(descriptor.as_raw_fd()),
        Held::Filter(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_are_what_suites_may_name() {
        assert_eq!(trigger::ALL.map(|(name, _)| name), corematrix_protocol::exercise::TRIGGERS);
    }
}
