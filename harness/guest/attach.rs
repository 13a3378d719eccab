//! [`attach`]: attaches a program that was just loaded, to what its section names or to something that the guest has.

mod binary;
mod netkit;
mod target;

use std::ffi::CString;
use std::fs::{self, File};
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::ptr;
use std::time::Instant;

use libbpf_rs::libbpf_sys::*;
use libbpf_rs::{AsRawLibbpf, OpenMap, OpenProgram};

use super::transcript;
use binary::resolve;
use corematrix_protocol::attach::{AttachFacts, AttachTo, AttachTry};
use corematrix_protocol::libbpf_log;
use netkit::NetkitPair;
use target::Target;

/// What the guest's file system holds, in words.
pub const CONTENTS: &str =
    "only corematrix itself as `/init`, and a shell with its libraries for probes of the C library";
/// Where the guest has its cgroups.
const CGROUPS: &str = "/sys/fs/cgroup";
/// The only network interface of the guest.
const LOOPBACK: &str = "lo";

/// What keeps a program attached; it is detached when this is dropped.
pub enum Held {
    /// libbpf's link, which is never null.
    Link(*mut bpf_link),
    /// A link, or something that the program hangs on.
    Descriptor(OwnedFd),
    /// A filter of the loopback device, which would outlive its maker.
    Filter(Box<(bpf_tc_hook, bpf_tc_opts)>),
    /// libbpf's link, which is never null, to a device that is gone with it.
    Netkit {
        /// The link.
        link: *mut bpf_link,
        /// The device, which goes with it.
        _pair: NetkitPair,
    },
}

impl Drop for Held {
    fn drop(&mut self) {
        match self {
            // SAFETY: the link came from libbpf and is destroyed once.
            Held::Link(link) | Held::Netkit { link, .. } => unsafe {
                bpf_link__destroy(*link);
            },
            Held::Descriptor(_) => {}
            Held::Filter(filter) => {
                let (hook, opts) = filter.as_mut();
                (opts.prog_fd, opts.prog_id, opts.flags) = (0, 0, 0);
                // SAFETY: both are the ones that the filter was made with.
                unsafe {
                    bpf_tc_detach(hook, opts);
                }
            }
        }
    }
}

/// Why nothing was attached.
enum Refusal {
    /// A call failed with this errno, positive.
    Errno(i32),
    /// The guest has nothing to attach it to.
    NotPossible(String),
}

type Tried = Result<Held, Refusal>;

/// Attaches a loaded program, to what a suite says if it does; `loaded_for` is the program of which it replaces or traces a function. The
/// second value keeps it attached.
pub fn attach(
    program: &OpenProgram<'_>,
    wanted: Option<&AttachTo>,
    loaded_for: Option<&str>,
) -> (AttachFacts, Option<Held>) {
    let begin = Instant::now();
    let section = program.section().to_string_lossy().into_owned();
    let pointer = program.as_libbpf_object().as_ptr();
    // SAFETY: the program is alive, and libbpf only reads it.
    let (kind, attach_type) =
        unsafe { (bpf_program__type(pointer), bpf_program__expected_attach_type(pointer.cast_const())) };
    let target = match (wanted, loaded_for) {
        (Some(to), _) => Target::Declared(to.clone()),
        (None, Some(name)) => Target::Program { name: name.to_owned(), extends: kind == BPF_PROG_TYPE_EXT },
        (None, None) => Target::of(kind, attach_type, &section),
    };
    transcript::take();
    let tried = to(&target, pointer, attach_type, &section);
    let took_us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (tried, held) = match tried {
        Ok(held) => (AttachTry::Attached, Some(held)),
        Err(Refusal::NotPossible(reason)) => (AttachTry::NotPossible { reason }, None),
        Err(Refusal::Errno(errno)) => {
            let warnings = libbpf_log::warnings(&transcript::take());
            let target = target.section(&section).and_then(|section| target::facts(&section, errno));
            (AttachTry::Failed { errno, warnings, target }, None)
        }
    };
    (AttachFacts { to: target.words(), tried, took_us }, held)
}

/// Attaches a map of struct_ops, whose programs are loaded. The second value keeps it attached.
pub fn attach_map(map: &OpenMap<'_>) -> (AttachFacts, Option<Held>) {
    let begin = Instant::now();
    transcript::take();
    // SAFETY: the map is alive, and its object is loaded.
    let tried = held(unsafe { bpf_map__attach_struct_ops(map.as_libbpf_object().as_ptr()) });
    let took_us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
    let to = format!("its struct_ops map `{}`", map.name().to_string_lossy());
    match tried {
        Ok(held) => (AttachFacts { to, tried: AttachTry::Attached, took_us }, Some(held)),
        Err(Refusal::NotPossible(reason)) => {
            (AttachFacts { to, tried: AttachTry::NotPossible { reason }, took_us }, None)
        }
        Err(Refusal::Errno(errno)) => {
            let warnings = libbpf_log::warnings(&transcript::take());
            (AttachFacts { to, tried: AttachTry::Failed { errno, warnings, target: None }, took_us }, None)
        }
    }
}

fn to(target: &Target, program: *mut bpf_program, attach_type: bpf_attach_type, section: &str) -> Tried {
    // SAFETY: the program is alive; every call below only reads it.
    let descriptor = unsafe { bpf_program__fd(program) };
    if descriptor < 0 {
        let reason = "libbpf unloaded it again, since its map of programs needs the others";
        return Err(Refusal::NotPossible(reason.to_owned()));
    }
    match target {
        Target::Nowhere(reason) => Err(Refusal::NotPossible(reason.clone())),
        // SAFETY: as above.
        Target::Section => held(unsafe { bpf_program__attach(program) }),
        // SAFETY: as above.
        Target::Xdp => held(unsafe { bpf_program__attach_xdp(program, device(LOOPBACK)?) }),
        // SAFETY: as above; it is attached to what it was loaded for.
        Target::Program { extends: true, .. } => held(unsafe { bpf_program__attach_freplace(program, 0, ptr::null()) }),
        // SAFETY: as above.
        Target::Program { extends: false, .. } => held(unsafe { bpf_program__attach_trace(program) }),
        Target::Tcx => tcx(program, device(LOOPBACK)?),
        Target::Netkit => on_netkit(program),
        Target::Tc { egress } => traffic_control(descriptor, *egress, device(LOOPBACK)?),
        Target::Cgroup => cgroup(program, Path::new(CGROUPS)),
        Target::Declared(declared) => as_declared(declared, program, descriptor, attach_type, section),
        Target::NetNs => {
            let namespace = open(Path::new("/proc/self/ns/net"))?;
            // SAFETY: as above, and the descriptor is open.
            held(unsafe { bpf_program__attach_netns(program, namespace.as_raw_fd()) })
        }
        Target::Socket => to_socket(descriptor, libc::SO_ATTACH_BPF, false),
        Target::ReusePort => to_socket(descriptor, libc::SO_ATTACH_REUSEPORT_EBPF, true),
        Target::SockMap => to_sockets(descriptor, attach_type),
        Target::PerfEvent => {
            let clock = clock()?;
            // SAFETY: as above; the link takes the descriptor over.
            let link = unsafe { bpf_program__attach_perf_event(program, clock.as_raw_fd()) };
            let attached = held(link)?;
            std::mem::forget(clock);
            Ok(attached)
        }
        Target::Netfilter => {
            // Packets of IPv4 that arrive for this machine; any priority but the two that are taken.
            let opts = bpf_netfilter_opts {
                sz: size_of::<bpf_netfilter_opts>() as size_t,
                pf: 2,
                hooknum: 1,
                priority: -128,
                flags: 0,
            };
            // SAFETY: as above, and the options are valid for the call.
            held(unsafe { bpf_program__attach_netfilter(program, &opts) })
        }
    }
}

/// Takes a link, or the errno that libbpf left instead.
fn held(link: *mut bpf_link) -> Tried {
    if link.is_null() { Err(last_errno()) } else { Ok(Held::Link(link)) }
}

fn last_errno() -> Refusal {
    Refusal::Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// Takes ownership of what a system call or libbpf returned.
fn owned(descriptor: RawFd) -> Result<OwnedFd, Refusal> {
    if descriptor < 0 {
        return Err(last_errno());
    }
    // SAFETY: the call that returned it made it, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn open(path: &Path) -> Result<File, Refusal> {
    File::open(path).map_err(|error| Refusal::NotPossible(format!("the guest has no `{}`: {error}", path.display())))
}

/// Attaches a program to what a suite says.
fn as_declared(
    declared: &AttachTo,
    program: *mut bpf_program,
    descriptor: RawFd,
    attach_type: bpf_attach_type,
    section: &str,
) -> Tried {
    let returns = ["kretprobe", "uretprobe"].iter().any(|kind| section.starts_with(kind));
    match declared {
        AttachTo::Function(name) => {
            let name = text(name)?;
            // SAFETY: the program is alive, and the name is a valid C string.
            held(unsafe { bpf_program__attach_kprobe(program, returns, name.as_ptr()) })
        }
        AttachTo::UserFunction { binary, function } => {
            let nowhere = || Refusal::NotPossible(format!("the guest has no `{binary}`, {CONTENTS}"));
            let path = resolve(binary).ok_or_else(nowhere)?;
            let (path, function) = (text(&path.to_string_lossy())?, text(function)?);
            let opts = bpf_uprobe_opts {
                sz: size_of::<bpf_uprobe_opts>() as size_t,
                retprobe: returns,
                func_name: function.as_ptr(),
                ..bpf_uprobe_opts::default()
            };
            // SAFETY: the program is alive, and all that the options point to outlives the call; -1 stands for every process.
            held(unsafe { bpf_program__attach_uprobe_opts(program, -1, path.as_ptr(), 0, &opts) })
        }
        AttachTo::Tracepoint { category, name } => {
            let (category, name) = (text(category)?, text(name)?);
            // SAFETY: the program is alive, and both are valid C strings.
            held(unsafe { bpf_program__attach_tracepoint(program, category.as_ptr(), name.as_ptr()) })
        }
        AttachTo::RawTracepoint(name) => {
            let name = text(name)?;
            // SAFETY: the program is alive, and the name is a valid C string.
            held(unsafe { bpf_program__attach_raw_tracepoint(program, name.as_ptr()) })
        }
        AttachTo::Interface(name) if section.starts_with("xdp") => {
            let device = device(name)?;
            // SAFETY: the program is alive.
            held(unsafe { bpf_program__attach_xdp(program, device) })
        }
        AttachTo::Interface(name) if target::is_tcx(section) => tcx(program, device(name)?),
        AttachTo::Interface(name) => traffic_control(descriptor, attach_type == BPF_TCX_EGRESS, device(name)?),
        AttachTo::Cgroup(path) => {
            let path = Path::new(CGROUPS).join(path);
            let cannot = |error| Refusal::NotPossible(format!("the guest cannot use `{}`: {error}", path.display()));
            fs::create_dir_all(&path).map_err(cannot)?;
            // What this process does from now on happens there.
            fs::write(path.join("cgroup.procs"), "0").map_err(cannot)?;
            cgroup(program, &path)
        }
    }
}

fn text(text: &str) -> Result<CString, Refusal> {
    CString::new(text).map_err(|_| Refusal::NotPossible("a name has a zero byte".to_owned()))
}

fn cgroup(program: *mut bpf_program, path: &Path) -> Tried {
    let cgroup = open(path)?;
    // SAFETY: the program is alive, and the descriptor is open.
    held(unsafe { bpf_program__attach_cgroup(program, cgroup.as_raw_fd()) })
}

fn device(name: &str) -> Result<i32, Refusal> {
    let name_text = text(name)?;
    // SAFETY: the name is a valid C string.
    match unsafe { libc::if_nametoindex(name_text.as_ptr()) } {
        0 => Err(Refusal::NotPossible(format!("the guest has no network interface `{name}`, only `{LOOPBACK}`"))),
        index => Ok(i32::try_from(index).unwrap_or(1)),
    }
}

/// By a link of tcx. A kernel that has none must not pass for one that has.
fn tcx(program: *mut bpf_program, device: i32) -> Tried {
    // SAFETY: the program is alive; null options are allowed.
    held(unsafe { bpf_program__attach_tcx(program, device, ptr::null()) })
}

/// To the primary device of a pair that is made for it; that is where programs for its peer are attached, too.
fn on_netkit(program: *mut bpf_program) -> Tried {
    let pair = NetkitPair::new()
        .map_err(|error| Refusal::NotPossible(format!("the kernel makes no netkit device: {error}")))?;
    // SAFETY: the program is alive; null options are allowed.
    let link = unsafe { bpf_program__attach_netkit(program, pair.index, ptr::null()) };
    if link.is_null() { Err(last_errno()) } else { Ok(Held::Netkit { link, _pair: pair }) }
}

/// By a link where the kernel has such links (6.6), and as a filter of a queueing discipline before.
fn traffic_control(program: RawFd, egress: bool, device: i32) -> Tried {
    let attach_type = if egress { BPF_TCX_EGRESS } else { BPF_TCX_INGRESS };
    // SAFETY: plain numbers; null options are allowed.
    if let Ok(link) = owned(unsafe { bpf_link_create(program, device, attach_type, ptr::null()) }) {
        return Ok(Held::Descriptor(link));
    }
    let attach_point = if egress { BPF_TC_EGRESS } else { BPF_TC_INGRESS };
    let mut hook =
        bpf_tc_hook { sz: size_of::<bpf_tc_hook>() as size_t, ifindex: device, attach_point, ..bpf_tc_hook::default() };
    // SAFETY: the hook is valid for the call.
    let made = unsafe { bpf_tc_hook_create(&mut hook) };
    if made != 0 && made != -libc::EEXIST {
        let reason = "the kernel has the queueing discipline `clsact` in a module, which the guest does not have";
        return Err(if made == -libc::ENOENT {
            Refusal::NotPossible(reason.to_owned())
        } else {
            Refusal::Errno(-made)
        });
    }
    let mut opts = bpf_tc_opts { sz: size_of::<bpf_tc_opts>() as size_t, prog_fd: program, ..bpf_tc_opts::default() };
    // SAFETY: both are valid for the call.
    match unsafe { bpf_tc_attach(&hook, &mut opts) } {
        0 => Ok(Held::Filter(Box::new((hook, opts)))),
        error if error == -libc::ENOENT => Err(Refusal::NotPossible(
            "the kernel has its BPF filters in a module, which the guest does not have".to_owned(),
        )),
        error => Err(Refusal::Errno(-error)),
    }
}

fn to_socket(program: RawFd, option: libc::c_int, shared: bool) -> Tried {
    // SAFETY: plain numbers.
    let socket = owned(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    if shared {
        set(&socket, libc::SO_REUSEPORT, 1)?;
        // SAFETY: `sockaddr_in` is plain data for which zeroes are valid.
        let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_addr.s_addr = libc::INADDR_LOOPBACK.to_be();
        let size = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        // SAFETY: the socket is open, and address and size fit.
        if unsafe { libc::bind(socket.as_raw_fd(), ptr::from_ref(&address).cast(), size) } != 0 {
            return Err(last_errno());
        }
    }
    set(&socket, option, program)?;
    Ok(Held::Descriptor(socket))
}

fn set(socket: &OwnedFd, option: libc::c_int, value: libc::c_int) -> Result<(), Refusal> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the socket is open, and the value is an int of that size.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, ptr::from_ref(&value).cast(), size) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

fn to_sockets(program: RawFd, attach_type: bpf_attach_type) -> Tried {
    // SAFETY: name and options may be null.
    let map = unsafe { bpf_map_create(BPF_MAP_TYPE_SOCKMAP, ptr::null(), 4, 4, 1, ptr::null()) };
    let no_map = |_| Refusal::NotPossible("the kernel has no maps of sockets".to_owned());
    let map = owned(map).map_err(no_map)?;
    // SAFETY: plain numbers.
    match unsafe { bpf_prog_attach(program, map.as_raw_fd(), attach_type, 0) } {
        0 => Ok(Held::Descriptor(map)),
        _ => Err(last_errno()),
    }
}

/// A clock of the first processor, a thousand times a second.
fn clock() -> Result<OwnedFd, Refusal> {
    const SOFTWARE: u32 = 1;
    const CPU_CLOCK: u64 = 0;
    /// `PERF_ATTR_SIZE_VER0`, which every kernel takes: type, size, config, period, and five words more.
    const SIZE: u32 = 64;
    const PERIOD_NS: u64 = 1_000_000;
    let mut attributes = [0u64; SIZE as usize / 8];
    attributes[0] = u64::from(SOFTWARE) | u64::from(SIZE) << 32;
    attributes[1] = CPU_CLOCK;
    attributes[2] = PERIOD_NS;
    // SAFETY: the attributes are valid for the call and of the size that they state.
    let descriptor = unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), -1, 0, -1, 0) };
    owned(RawFd::try_from(descriptor).unwrap_or(-1))
        .map_err(|_| Refusal::NotPossible("the guest has no clock for it".to_owned()))
}
