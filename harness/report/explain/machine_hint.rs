//! [`machine_hint`]: what to do where a setting of the machine forbids a program, or where the machine is not as it was wanted.

use crate::judge::machine::{JIT_ENABLE, JIT_HARDEN};
use crate::record::{Cause, ProgramRecord};

/// What to do, as whole sentences.
pub(super) fn machine_hint(program: &ProgramRecord) -> Vec<String> {
    let subject = program.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref()).unwrap_or_default();
    let line = match program.cause {
        Some(Cause::MachineUnavailable) => {
            "choose a kernel that has the setting, or do not use the profile on this one"
        }
        Some(Cause::MachineSetting) if subject == "lockdown=confidentiality" => {
            "read through typed pointers (`tp_btf`, `fentry`, `fexit`, `lsm`): this needs no helper, and lockdown does \
    not forbid it"
        }
        Some(Cause::MachineSetting) if subject.starts_with("lockdown=") => {
            "the program cannot work under kernel lockdown: let its loader skip it there"
        }
        Some(Cause::MachineSetting) if subject.starts_with(JIT_HARDEN) => {
            "keep constants in a map or in `.rodata`, and use loops instead of unrolling: constant blinding replaces \
    each instruction with a constant by three"
        }
        Some(Cause::MachineSetting) if subject.starts_with(JIT_ENABLE) => {
            "kernel functions, callbacks, and tail calls from functions need the JIT: avoid them, or require \
    `net.core.bpf_jit_enable=1`"
        }
        _ => return Vec::new(),
    };
    vec![line.to_owned()]
}
