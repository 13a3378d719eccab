//! [`features`]: asks the running kernel which BPF features it has.
//!
//! libbpf's own probes answer for map and program types. For helpers they take every failure that they do not recognise for a
//! yes, and they cannot ask for tracing and LSM programs at all, so helpers and attach types are requested here: with two
//! instructions, and with what the verifier's log says. A failure without a log is no answer.

use libbpf_sys as sys;

use corematrix_protocol::feature_probe::{Answer, FeatureProbe, ProbeRequest, ProbeTargets};

/// The kernel's own errno for "not supported", which it does not translate.
const ENOTSUPP: i32 = 524;
/// What the verifier says of a helper's number that is beyond its list.
const OUT_OF_RANGE: &str = "invalid func ";
/// What it says of a helper that it does not have for this type of program, or that its config leaves out.
const NOT_FOR_THIS_TYPE: [&str; 2] = ["unknown func ", "program of this type cannot use helper "];
/// How the lines begin that end every log, of programs too that the verifier never came to.
const STATISTICS: [&str; 3] = ["processed ", "verification time ", "stack depth "];
/// No kernel has so many.
const NO_ATTACH_TYPE: u32 = 0x7fff;
/// More than the verifier says of two instructions.
const LOG_SIZE: usize = 4096;

/// `r0 = 0`.
pub(super) const RETURN_ZERO: sys::bpf_insn = instruction(0xb7, 0);
/// `exit`.
pub(super) const EXIT: sys::bpf_insn = instruction(0x95, 0);

/// Attach types that the kernel looks at while it loads a program of this type. The others only matter when it is attached, or
/// need a target that takes them, such as iterators.
const ATTACH_TYPES: &[(u32, &[u32])] = &[
    (sys::BPF_PROG_TYPE_CGROUP_SKB, &[sys::BPF_CGROUP_INET_INGRESS, sys::BPF_CGROUP_INET_EGRESS]),
    (
        sys::BPF_PROG_TYPE_CGROUP_SOCK,
        &[
            sys::BPF_CGROUP_INET_SOCK_CREATE,
            sys::BPF_CGROUP_INET_SOCK_RELEASE,
            sys::BPF_CGROUP_INET4_POST_BIND,
            sys::BPF_CGROUP_INET6_POST_BIND,
        ],
    ),
    (
        sys::BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
        &[
            sys::BPF_CGROUP_INET4_BIND,
            sys::BPF_CGROUP_INET6_BIND,
            sys::BPF_CGROUP_INET4_CONNECT,
            sys::BPF_CGROUP_INET6_CONNECT,
            sys::BPF_CGROUP_UNIX_CONNECT,
            sys::BPF_CGROUP_INET4_GETPEERNAME,
            sys::BPF_CGROUP_INET6_GETPEERNAME,
            sys::BPF_CGROUP_UNIX_GETPEERNAME,
            sys::BPF_CGROUP_INET4_GETSOCKNAME,
            sys::BPF_CGROUP_INET6_GETSOCKNAME,
            sys::BPF_CGROUP_UNIX_GETSOCKNAME,
            sys::BPF_CGROUP_UDP4_SENDMSG,
            sys::BPF_CGROUP_UDP6_SENDMSG,
            sys::BPF_CGROUP_UNIX_SENDMSG,
            sys::BPF_CGROUP_UDP4_RECVMSG,
            sys::BPF_CGROUP_UDP6_RECVMSG,
            sys::BPF_CGROUP_UNIX_RECVMSG,
        ],
    ),
    (sys::BPF_PROG_TYPE_CGROUP_SOCKOPT, &[sys::BPF_CGROUP_GETSOCKOPT, sys::BPF_CGROUP_SETSOCKOPT]),
    (sys::BPF_PROG_TYPE_SK_LOOKUP, &[sys::BPF_SK_LOOKUP]),
    (sys::BPF_PROG_TYPE_SK_REUSEPORT, &[sys::BPF_SK_REUSEPORT_SELECT, sys::BPF_SK_REUSEPORT_SELECT_OR_MIGRATE]),
    (sys::BPF_PROG_TYPE_NETFILTER, &[sys::BPF_NETFILTER]),
    (
        sys::BPF_PROG_TYPE_TRACING,
        &[
            sys::BPF_TRACE_RAW_TP,
            sys::BPF_TRACE_FENTRY,
            sys::BPF_TRACE_FEXIT,
            sys::BPF_MODIFY_RETURN,
            sys::BPF_TRACE_FSESSION,
        ],
    ),
    (sys::BPF_PROG_TYPE_LSM, &[sys::BPF_LSM_MAC, sys::BPF_LSM_CGROUP]),
];

/// Asks for all that is named. Helpers are most of the work: 211 loads for each program type.
pub fn features(request: &ProbeRequest) -> FeatureProbe {
    let targets = &request.targets;
    let mut probe = FeatureProbe { whole: request.helpers_of.is_none(), ..Default::default() };
    for (number, name) in &request.names.map_types {
        probe.map_types.insert(name.clone(), has_map_type(*number));
    }
    for (program_type, name) in &request.names.program_types {
        let answer = has_program_type(*program_type);
        if answer != Answer::No
            && request.helpers_of.as_ref().is_none_or(|wanted| wanted.contains(name))
            && let Some(form) = Form::of(*program_type, targets)
            && form.load(&[RETURN_ZERO, EXIT]).was_seen()
        {
            let answers = probe.helpers.entry(name.clone()).or_default();
            for (number, helper) in &request.names.helpers {
                let (answer, exists) = has_helper(&form, *number);
                answers.insert(helper.clone(), answer);
                if exists != Answer::Unknown {
                    probe.existing_helpers.insert(helper.clone(), exists);
                }
            }
        }
        probe.program_types.insert(name.clone(), answer);
    }
    let named = &request.names.attach_types;
    for (program_type, attach_types) in ATTACH_TYPES {
        let answers = has_attach_types(*program_type, attach_types, targets);
        for (attach_type, answer) in attach_types.iter().zip(answers) {
            let name = named.iter().find(|(number, _)| number == attach_type);
            probe.attach_types.extend(name.map(|(_, name)| (name.clone(), answer)));
        }
    }
    probe
}

fn has_map_type(map_type: u32) -> Answer {
    if map_type == sys::BPF_MAP_TYPE_STRUCT_OPS {
        return has_struct_ops_map();
    }
    clear_errno();
    // SAFETY: takes no options and keeps nothing.
    of_libbpf(unsafe { sys::libbpf_probe_bpf_map_type(map_type, std::ptr::null()) })
}

/// libbpf 1.7 sets a field that kernels before 6.9 do not have, which makes them refuse every such map.
fn has_struct_ops_map() -> Answer {
    let options = sys::bpf_map_create_opts {
        sz: size_of::<sys::bpf_map_create_opts>() as u64,
        btf_vmlinux_value_type_id: 1,
        ..Default::default()
    };
    // SAFETY: the options are valid for the call; the type has no name.
    let descriptor = unsafe { sys::bpf_map_create(sys::BPF_MAP_TYPE_STRUCT_OPS, std::ptr::null(), 4, 4, 1, &options) };
    close(descriptor);
    match -descriptor {
        // The type is there, and BTF type 1 is no struct_ops.
        ENOTSUPP => Answer::Yes,
        errno => refused(errno),
    }
}

fn has_program_type(program_type: u32) -> Answer {
    clear_errno();
    // SAFETY: takes no options and keeps nothing.
    of_libbpf(unsafe { sys::libbpf_probe_bpf_prog_type(program_type, std::ptr::null()) })
}

/// libbpf answers no to every failure; the errno behind it may say that it knows nothing.
fn of_libbpf(result: i32) -> Answer {
    match result {
        1.. => Answer::Yes,
        0 => refused(std::io::Error::last_os_error().raw_os_error().unwrap_or_default()),
        _ => Answer::Unknown,
    }
}

/// What a refusal without words means. A feature that a kernel does not know is an invalid argument; lack of memory or of
/// privileges is no answer.
fn refused(errno: i32) -> Answer {
    match errno {
        libc::EINVAL | libc::EOPNOTSUPP | ENOTSUPP => Answer::No,
        _ => Answer::Unknown,
    }
}

/// Whether programs of this form may call a helper, and whether the kernel has it at all.
fn has_helper(form: &Form, number: u32) -> (Answer, Answer) {
    match form.load(&[instruction(0x85, number.cast_signed()), EXIT]) {
        Tried::Loaded => (Answer::Yes, Answer::Yes),
        Tried::Refused(words, _) if words.contains(OUT_OF_RANGE) => (Answer::No, Answer::No),
        Tried::Refused(words, _) if NOT_FOR_THIS_TYPE.iter().any(|other| words.contains(other)) => {
            (Answer::No, Answer::Unknown)
        }
        // The verifier came as far as the call's arguments.
        Tried::Refused(words, _) if !words.is_empty() => (Answer::Yes, Answer::Yes),
        Tried::Refused(..) => (Answer::Unknown, Answer::Unknown),
    }
}

/// Answers of one program type. Old kernels do not look at the attach types of some, and load them with any number.
fn has_attach_types(program_type: u32, attach_types: &[u32], targets: &ProbeTargets) -> Vec<Answer> {
    let ask = |attach_type| {
        let Some(form) = Form::of(program_type, targets) else { return Answer::Unknown };
        match (Form { attach_type, ..form }).load(&[RETURN_ZERO, EXIT]) {
            Tried::Loaded => Answer::Yes,
            // The verifier was asked at all; it dislikes the target or the value returned.
            Tried::Refused(words, _) if !words.is_empty() => Answer::Yes,
            Tried::Refused(_, errno) => refused(errno),
        }
    };
    let looks = ask(NO_ATTACH_TYPE) == Answer::No;
    attach_types.iter().map(|attach_type| if looks { ask(*attach_type) } else { Answer::Unknown }).collect()
}

/// How a program of some type has to be loaded.
#[derive(Debug, Clone, Copy)]
struct Form {
    program_type: u32,
    attach_type: u32,
    flags: u32,
    btf_id: u32,
}

/// What became of a load.
#[derive(Debug)]
enum Tried {
    Loaded,
    /// What the verifier said, without statistics, and the errno.
    Refused(String, i32),
}

impl Tried {
    /// Whether the verifier looked at the program.
    fn was_seen(&self) -> bool {
        match self {
            Tried::Loaded => true,
            Tried::Refused(words, _) => !words.is_empty() && !words.contains("attach_btf_id"),
        }
    }
}

impl Form {
    /// `None` if programs of this type need more than the kernel or the host can give here.
    fn of(program_type: u32, targets: &ProbeTargets) -> Option<Form> {
        let plain = Form { program_type, attach_type: 0, flags: 0, btf_id: 0 };
        let attached = |attach_type| Form { attach_type, ..plain };
        Some(match program_type {
            sys::BPF_PROG_TYPE_STRUCT_OPS | sys::BPF_PROG_TYPE_EXT => return None,
            sys::BPF_PROG_TYPE_TRACING => Form { btf_id: targets.function?, ..attached(sys::BPF_TRACE_FENTRY) },
            sys::BPF_PROG_TYPE_LSM => Form { btf_id: targets.hook?, ..attached(sys::BPF_LSM_MAC) },
            sys::BPF_PROG_TYPE_CGROUP_SOCK => attached(sys::BPF_CGROUP_INET_SOCK_CREATE),
            sys::BPF_PROG_TYPE_CGROUP_SOCK_ADDR => attached(sys::BPF_CGROUP_INET4_CONNECT),
            sys::BPF_PROG_TYPE_CGROUP_SOCKOPT => attached(sys::BPF_CGROUP_GETSOCKOPT),
            sys::BPF_PROG_TYPE_SK_LOOKUP => attached(sys::BPF_SK_LOOKUP),
            sys::BPF_PROG_TYPE_LIRC_MODE2 => attached(sys::BPF_LIRC_MODE2),
            sys::BPF_PROG_TYPE_NETFILTER => attached(sys::BPF_NETFILTER),
            sys::BPF_PROG_TYPE_SYSCALL => Form { flags: sys::BPF_F_SLEEPABLE, ..plain },
            _ => plain,
        })
    }

    /// Gives a program to the kernel, and takes it back.
    fn load(&self, instructions: &[sys::bpf_insn]) -> Tried {
        let mut log = [0u8; LOG_SIZE];
        let mut options = sys::bpf_prog_load_opts {
            sz: size_of::<sys::bpf_prog_load_opts>() as u64,
            expected_attach_type: self.attach_type,
            prog_flags: self.flags,
            attach_btf_id: self.btf_id,
            log_level: 1,
            log_size: LOG_SIZE as u32,
            log_buf: log.as_mut_ptr().cast(),
            ..Default::default()
        };
        let (name, license) = (std::ptr::null(), c"GPL".as_ptr());
        let (first, count) = (instructions.as_ptr(), instructions.len() as u64);
        // SAFETY: instructions, licence, options and the log that they point to outlive the call.
        let descriptor = unsafe { sys::bpf_prog_load(self.program_type, name, license, first, count, &mut options) };
        close(descriptor);
        match descriptor {
            0.. => Tried::Loaded,
            _ => {
                let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
                Tried::Refused(words(&String::from_utf8_lossy(&log[..end])), -descriptor)
            }
        }
    }
}

/// A log without its statistics.
fn words(log: &str) -> String {
    let is_words = |line: &&str| !line.is_empty() && !STATISTICS.iter().any(|begin| line.starts_with(begin));
    log.lines().filter(is_words).collect::<Vec<_>>().join("\n")
}

const fn instruction(code: u8, imm: i32) -> sys::bpf_insn {
    sys::bpf_insn { code, _bitfield_align_1: [], _bitfield_1: sys::__BindgenBitfieldUnit::new([0]), off: 0, imm }
}

fn close(descriptor: i32) {
    if descriptor >= 0 {
        // SAFETY: the descriptor was just opened, and nothing else has it.
        unsafe { libc::close(descriptor) };
    }
}

fn clear_errno() {
    // SAFETY: points to this thread's own errno.
    unsafe { *libc::__errno_location() = 0 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_of_the_kernel_are_a_no() {
        assert_eq!(refused(libc::EINVAL), Answer::No);
        for nothing_said in [libc::EPERM, libc::ENOMEM, libc::E2BIG, 0] {
            assert_eq!(refused(nothing_said), Answer::Unknown, "{nothing_said}");
        }
        assert_eq!(of_libbpf(-libc::EOPNOTSUPP), Answer::Unknown);
    }

    #[test]
    fn statistics_are_no_words() {
        let log = "verification time 45 usec\nstack depth 0\nprocessed 0 insns (limit 1000000) max_states_per_insn 0\n";
        assert_eq!(words(log), "");
        assert_eq!(words(&format!("invalid func unknown#181\n{log}")), "invalid func unknown#181");
    }

    #[test]
    fn programs_that_need_a_target_are_not_tried_without_one() {
        let without = ProbeTargets::default();
        assert!(Form::of(sys::BPF_PROG_TYPE_TRACING, &without).is_none());
        let with = ProbeTargets { function: Some(7), hook: None };
        assert_eq!(Form::of(sys::BPF_PROG_TYPE_TRACING, &with).map(|form| form.btf_id), Some(7));
        assert!(Form::of(sys::BPF_PROG_TYPE_KPROBE, &without).is_some());
    }
}
