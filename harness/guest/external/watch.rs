//! [`Watch`]: sees every `bpf(2)` call of a process and of what it starts.
//!
//! A loader says only what it was doing. What it gave to the kernel, and what the kernel answered, is read where it happens, so no loader
//! can leave it out or word it differently. A seccomp filter stops the process at `bpf(2)` alone: all other calls cost nothing.

use std::collections::HashMap;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::bpf_call::{BpfCall, PendingCall};
use crate::fork::Ending;

/// `struct seccomp_data` begins with the number of the call.
const CALL_NUMBER: u32 = 0;

/// Sees what a process does.
pub struct Watch {
    process: Pid,
    pending: HashMap<Pid, PendingCall>,
    calls: Vec<BpfCall>,
    ending: Option<Ending>,
    /// The program whose next load is refused, if it is to be without a log.
    without_log: Option<String>,
}

/// Has the kernel stop this process, and those that it starts, at each `bpf(2)` call. A process that is not watched can no longer make such calls.
pub fn ask_to_be_watched() -> Result<(), Errno> {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let give = (libc::BPF_RET | libc::BPF_K) as u16;
    let insn = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        insn(load, 0, 0, CALL_NUMBER),
        insn(equal, 0, 1, libc::SYS_bpf as u32),
        insn(give, 0, 0, libc::SECCOMP_RET_TRACE),
        insn(give, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: `program` points to a filter of the length that it says, and both outlive the call.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) })?;
    Ok(())
}

impl Watch {
    /// Begins to watch a child that has not made a call yet that counts. It ends with this process.
    pub fn begin(process: Pid) -> Result<Watch, Errno> {
        let family = Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK;
        let calls = Options::PTRACE_O_TRACESECCOMP | Options::PTRACE_O_TRACESYSGOOD;
        ptrace::seize(process, family | calls | Options::PTRACE_O_EXITKILL)?;
        Ok(Watch { process, pending: HashMap::new(), calls: Vec::new(), ending: None, without_log: None })
    }

    /// Lets everything go on that has stopped, without waiting for more.
    pub fn attend(&mut self) -> Result<(), Errno> {
        loop {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(status) => self.on(status),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn on(&mut self, status: WaitStatus) {
        match status {
            WaitStatus::PtraceEvent(thread, _, libc::PTRACE_EVENT_SECCOMP) => {
                self.entered(thread);
                self.go_on(thread, None);
            }
            WaitStatus::PtraceSyscall(thread) => {
                self.left(thread);
                self.go_on(thread, None);
            }
            WaitStatus::PtraceEvent(thread, ..) => self.go_on(thread, None),
            WaitStatus::Stopped(thread, signal) => self.go_on(thread, Some(signal)),
            WaitStatus::Exited(process, code) if process == self.process => self.ending = Some(Ending::Code(code)),
            WaitStatus::Signaled(process, signal, _) if process == self.process => {
                self.ending = Some(Ending::Signal(signal as i32));
            }
            _ => {}
        }
    }

    fn entered(&mut self, thread: Pid) {
        let Ok(info) = ptrace::syscall_info(thread) else { return };
        if info.op != libc::PTRACE_SYSCALL_INFO_SECCOMP {
            return;
        }
        // SAFETY: `op` says which member of the union the kernel filled.
        let [command, attr, size, ..] = unsafe { info.u.seccomp.args };
        if let Some(mut call) = PendingCall::read(thread, command, attr, size) {
            if self.without_log.as_ref().is_some_and(|name| call.loads_without_log(name)) {
                self.without_log = None;
                call.refuse(thread, attr);
            }
            self.pending.insert(thread, call);
        }
    }

    fn left(&mut self, thread: Pid) {
        let Some(call) = self.pending.remove(&thread) else { return };
        let Ok(info) = ptrace::syscall_info(thread) else { return };
        if info.op != libc::PTRACE_SYSCALL_INFO_EXIT {
            return;
        }
        // SAFETY: `op` says which member of the union the kernel filled.
        let value = unsafe { info.u.exit.sval };
        let value = i32::try_from(value).unwrap_or(i32::MAX);
        let result = if value < 0 { Err(-value) } else { Ok(value) };
        self.calls.extend(call.returned(thread, result));
    }

    /// A thread that has died meanwhile is not ours.
    fn go_on(&self, thread: Pid, signal: Option<Signal>) {
        // Of a call that has not returned the end is wanted, too.
        let _ = match self.pending.contains_key(&thread) {
            true => ptrace::syscall(thread, signal),
            false => ptrace::cont(thread, signal),
        };
    }

    /// Has the kernel refuse the next load of this program, if it is requested without a log. That call is not among those that are taken.
    pub fn refuse_without_log(&mut self, program: Option<String>) {
        self.without_log = program;
    }

    /// The calls that have returned since the last time.
    pub fn take_calls(&mut self) -> Vec<BpfCall> {
        std::mem::take(&mut self.calls)
    }

    /// Ends the process, and waits for it.
    pub fn end(&mut self) {
        let _ = nix::sys::signal::kill(self.process, Signal::SIGKILL);
        while self.ending.is_none() {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::__WALL)) {
                Ok(status) => self.on(status),
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    /// How the process ended, if it did.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }
}
