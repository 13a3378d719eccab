//! [`machine_hint`]: what to do where a setting of the machine forbids a program, or where the machine is not as it was wanted.

use crate::judge::machine::{JIT_ENABLE, JIT_HARDEN};
use crate::record::{Cause, ProgramRecord};

/// What to do, as whole sentences.
pub(super) fn machine_hint(program: &ProgramRecord) -> Vec<String> {
    let subject = program.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref()).unwrap_or_default();
    let line = match program.cause {
        Some(Cause::MachineUnavailable) => {
            "choose a kernel that has the setting, or leave the profile away on this one"
        }
        Some(Cause::MachineSetting) if subject == "lockdown=confidentiality" => {
            "read through pointers whose types the verifier knows (`tp_btf`, `fentry`, `fexit`, `lsm`): no lockdown forbids that, and no \
             helper is called"
        }
        Some(Cause::MachineSetting) if subject.starts_with("lockdown=") => {
            "the program cannot work on a machine that is locked down: let its loader leave it out there"
        }
        Some(Cause::MachineSetting) if subject.starts_with(JIT_HARDEN) => {
            "keep constants in a map or in `.rodata`, and loop instead of unrolling: blinding makes three instructions of each that has a \
             constant"
        }
        Some(Cause::MachineSetting) if subject.starts_with(JIT_ENABLE) => {
            "kernel functions, callbacks, and tail calls from functions need the JIT: do without them, or ask for `net.core.bpf_jit_enable=1`"
        }
        _ => return Vec::new(),
    };
    vec![line.to_owned()]
}
