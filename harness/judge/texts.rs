//! [`of_verifier`] and [`of_libbpf`]: the texts that stand for each cause.
//!
//! The verifier's texts are those of kernels from 5.4 to 7.3, libbpf's those of 1.7. The first row that fits counts, so the more
//! telling ones stand first. A row fits a line that has all its pieces in this order.

use crate::cause::Cause;
use crate::verdict::Verdict;
use crate::verifier::Failure;

type Row = (&'static [&'static str], Cause);

/// Complaints of the verifier. libbpf rewrites calls that it poisoned only where they stand in the last lines of a log.
const VERIFIER: &[Row] = &[
    (&["failed to resolve CO-RE relocation <enumval_"], Cause::MissingEnumValue),
    (&["failed to resolve CO-RE relocation <type_"], Cause::MissingType),
    (&["failed to resolve CO-RE relocation <target_type_id>"], Cause::MissingType),
    (&["failed to resolve CO-RE relocation <"], Cause::MissingField),
    (&["unknown#195896080"], Cause::UnresolvedRelocation),
    (&["invalid CO-RE relocation"], Cause::UnresolvedRelocation),
    (&["BPF map '", "is referenced but wasn't created"], Cause::MissingMapType),
    (&["kfunc '", "is referenced but wasn't resolved"], Cause::MissingKfunc),
    (&["invalid func unknown#2001000"], Cause::MissingMapType),
    (&["invalid func unknown#2002000"], Cause::MissingKfunc),
    (&["calling invalid kernel function"], Cause::MissingKfunc),
    (&["cannot find address for kernel function"], Cause::MissingKfunc),
    (&["kernel btf_id ", " is not a function"], Cause::MissingKfunc),
    (&["ldimm64 insn specifies invalid btf_id"], Cause::MissingKsym),
    (&["failed to find the address for kernel symbol"], Cause::MissingKsym),
    // Helpers. A kernel that can name a helper has it.
    (&["invalid func unknown#"], Cause::UnknownHelper),
    (&["unknown func unknown#"], Cause::UnknownHelper),
    (&["unknown func ", "#"], Cause::ForbiddenHelper),
    (&["program of this type cannot use helper "], Cause::ForbiddenHelper),
    (&["cannot call GPL-restricted function"], Cause::Licence),
    (&["cannot call kernel function from non-GPL"], Cause::Licence),
    (&["GPL compatible license"], Cause::Licence),
    (&["calling kernel function ", " is not allowed"], Cause::ForbiddenHelper),
    (&["helper call is not allowed in probe"], Cause::ForbiddenHelper),
    (&["func ", "#", " supported only for "], Cause::ForbiddenHelper),
    (&["func ", "#", " not supported for program type"], Cause::ForbiddenHelper),
    (&["program must be sleepable to call"], Cause::ForbiddenHelper),
    (&["helper access to the packet is not allowed"], Cause::ForbiddenHelper),
    (&["destructive kfunc calls require"], Cause::ForbiddenHelper),
    // Context.
    (&["func '", "' doesn't have ", "-th argument"], Cause::ContextArgumentChanged),
    (&["invalid bpf_context access"], Cause::ContextArgumentChanged),
    (&["variable ctx access"], Cause::ContextArgumentChanged),
    (&["dereference of modified ctx ptr"], Cause::ContextArgumentChanged),
    // Attach targets: not there; there and refused; a form that this kernel does not have.
    (&["attach_btf_id ", " points to disabled hook "], Cause::ForbiddenAttachTarget),
    (&["attach_btf_id "], Cause::MissingAttachTarget),
    (&["The address of function ", " cannot be found"], Cause::MissingAttachTarget),
    (&["Subprog ", " doesn't exist"], Cause::MissingAttachTarget),
    (&["attach to invalid member"], Cause::MissingAttachTarget),
    (&["attach to unsupported member"], Cause::ForbiddenAttachTarget),
    (&["() is not modifiable"], Cause::ForbiddenAttachTarget),
    (&[" is not sleepable"], Cause::ForbiddenAttachTarget),
    (&["can't modify return codes of BPF programs"], Cause::ForbiddenAttachTarget),
    (&["Attaching ", " to __noreturn function"], Cause::ForbiddenAttachTarget),
    (&["Attaching tracing programs to function "], Cause::ForbiddenAttachTarget),
    (&["The function ", " arguments. Too many"], Cause::ForbiddenAttachTarget),
    (&["The function ", " has malformed void argument"], Cause::ForbiddenAttachTarget),
    (&["The function ", " is unsupported"], Cause::ForbiddenAttachTarget),
    (&["The function ", " are unsupported"], Cause::ForbiddenAttachTarget),
    (&["program can only be attached to another program annotated with BTF"], Cause::ForbiddenAttachTarget),
    (&["progs are attachable to another BPF prog"], Cause::ForbiddenAttachTarget),
    (&["programs cannot attach to exception callback"], Cause::ForbiddenAttachTarget),
    (&["Can attach to only JITed progs"], Cause::ForbiddenAttachTarget),
    (&["Cannot attach to a target with arena"], Cause::ForbiddenAttachTarget),
    (&["Cannot recursively attach"], Cause::ForbiddenAttachTarget),
    (&["Cannot extend fentry/fexit"], Cause::ForbiddenAttachTarget),
    (&["Cannot replace kernel functions"], Cause::ForbiddenAttachTarget),
    (&["Cannot replace static functions"], Cause::ForbiddenAttachTarget),
    (&["Only fentry/fexit/fmod_ret", " programs can be sleepable"], Cause::MissingAttachType),
    (&["Program of this type cannot be sleepable"], Cause::MissingAttachType),
    (&["JIT does not support fsession"], Cause::MissingAttachType),
    (&["Tracing programs must provide btf_id"], Cause::NeedsLoader),
    (&["kernel is missing BTF"], Cause::MissingBtf),
    (&["in-kernel BTF is malformed"], Cause::MissingBtf),
    // Too much.
    (&["BPF program is too large"], Cause::ComplexityLimit),
    (&["The sequence of ", " jumps is too complex"], Cause::ComplexityLimit),
    (&["the sequence of ", " jumps is too complex"], Cause::ComplexityLimit),
    (&["back-edge from insn"], Cause::ComplexityLimit),
    (&["infinite loop detected"], Cause::ComplexityLimit),
    (&["the call stack of ", " frames is too deep"], Cause::ComplexityLimit),
    (&["iteration limit reached"], Cause::ComplexityLimit),
    // Calls.
    (&["missing btf func_info"], Cause::UnsupportedCallForm),
    (&["number of funcs in func_info doesn't match"], Cause::UnsupportedCallForm),
    (&["func_info BTF section doesn't match"], Cause::UnsupportedCallForm),
    (&["callbacks are not allowed in non-JITed"], Cause::UnsupportedCallForm),
    (&["callback function not static"], Cause::UnsupportedCallForm),
    (&["rg#", " is not supported yet"], Cause::UnsupportedCallForm),
    (&["cannot pass map_type ", " into func "], Cause::UnsupportedCallForm),
    (&["Caller passes invalid args into func#"], Cause::UnsupportedCallForm),
    (&["tail_calls are not allowed in"], Cause::UnsupportedCallForm),
    (&["tail_call is not allowed in"], Cause::UnsupportedCallForm),
    (&["mixing of tail_calls and bpf-to-bpf calls"], Cause::UnsupportedCallForm),
    (&["function calls to other bpf functions are allowed"], Cause::UnsupportedCallForm),
    (&["calling kernel function is not supported"], Cause::UnsupportedCallForm),
    (&["calling kernel functions are not allowed"], Cause::UnsupportedCallForm),
    (&["JIT does not support"], Cause::UnsupportedCallForm),
    (&["JIT is required for"], Cause::UnsupportedCallForm),
    (&["recursive call from "], Cause::UnsupportedCallForm),
    // Instructions.
    (&["uses reserved fields"], Cause::UnsupportedInstruction),
    (&["unknown opcode"], Cause::UnsupportedInstruction),
    (&["unknown insn class"], Cause::UnsupportedInstruction),
    (&["unrecognized bpf_ld_imm64 insn"], Cause::UnsupportedInstruction),
    (&["invalid bpf_ld_imm64 insn"], Cause::UnsupportedInstruction),
    (&["invalid BPF_"], Cause::UnsupportedInstruction),
    (&["uses invalid atomic opcode"], Cause::UnsupportedInstruction),
    (&["no direct value access support for this map type"], Cause::UnsupportedInstruction),
    (&["BPF_LD_[ABS|IND] instructions not allowed"], Cause::UnsupportedInstruction),
    (&["unreachable insn"], Cause::ObjectBroken),
    (&["jump out of range from insn"], Cause::ObjectBroken),
    (&["last insn is not an exit or jmp"], Cause::ObjectBroken),
    (&["the register R0 ", " should have been in "], Cause::ReturnValue),
    (&["At program exit the register R0 is not a known value"], Cause::ReturnValue),
    // Memory.
    (&["Unreleased reference"], Cause::MemoryLeak),
    (&["would lead to reference leak"], Cause::MemoryLeak),
    (&["Leaking reference id="], Cause::MemoryLeak),
    (&["unlock is missing"], Cause::MemoryLeak),
    (&["invalid mem access '", "_or_null'"], Cause::MemoryNull),
    (&["invalid mem access '", "_or_null_'"], Cause::MemoryNull),
    (&["type=", "_or_null", " expected="], Cause::MemoryNull),
    (&["null-check it first"], Cause::MemoryNull),
    (&["Possibly NULL pointer passed"], Cause::MemoryNull),
    (&["invalid write to stack"], Cause::MemoryStack),
    (&["invalid read from stack"], Cause::MemoryStack),
    (&["invalid", " stack R"], Cause::MemoryStack),
    (&["invalid indirect ", " stack"], Cause::MemoryStack),
    (&["invalid", " to stack R"], Cause::MemoryStack),
    (&["invalid", " from stack"], Cause::MemoryStack),
    (&["invalid stack "], Cause::MemoryStack),
    (&["combined stack size of"], Cause::MemoryStack),
    (&["stack size of subprog"], Cause::MemoryStack),
    (&["variable offset stack"], Cause::MemoryStack),
    (&["reading from stack"], Cause::MemoryStack),
    (&["stack pointer"], Cause::MemoryStack),
    (&["from stack off"], Cause::MemoryStack),
    (&["misaligned stack access"], Cause::MemoryStack),
    (&["attempt to corrupt spilled pointer"], Cause::MemoryStack),
    (&["invalid size of register "], Cause::MemoryStack),
    (&["spilled ptr in range"], Cause::MemoryStack),
    (&["uninit stack in range"], Cause::MemoryStack),
    (&["unbounded memory access"], Cause::MemoryUnbounded),
    (&["unbounded size"], Cause::MemoryUnbounded),
    (&["unbounded min value"], Cause::MemoryUnbounded),
    (&["min value is negative"], Cause::MemoryUnbounded),
    (&["value is outside of the allowed memory range"], Cause::MemoryUnbounded),
    (&["invalid access to map "], Cause::MemoryUnbounded),
    (&["invalid access to packet"], Cause::MemoryUnbounded),
    (&["invalid access to memory"], Cause::MemoryUnbounded),
    (&["offset is outside of the packet"], Cause::MemoryUnbounded),
    (&["maximal bound for a memory access"], Cause::MemoryUnbounded),
    (&["pointer be out of bounds"], Cause::MemoryUnbounded),
    (&["math between ", " pointer and "], Cause::MemoryUnbounded),
    (&["pointer offset ", " is not allowed"], Cause::MemoryUnbounded),
    (&["leads to invalid memory access"], Cause::MemoryUnbounded),
    (&["memory size ", " is too large"], Cause::MemoryUnbounded),
    (&["invalid mem access '"], Cause::MemoryOther),
    (&["!read_ok"], Cause::MemoryOther),
    (&["type=", " expected="], Cause::MemoryOther),
    (&[" is of type ", " expected"], Cause::MemoryOther),
    (&["into map forbidden"], Cause::MemoryOther),
    (&["from map forbidden"], Cause::MemoryOther),
    (&["pointer arithmetic"], Cause::MemoryOther),
    (&["bitwise operator ", " on pointer"], Cause::MemoryOther),
    (&["pointer comparison prohibited"], Cause::MemoryOther),
    (&["tried to subtract pointer from scalar"], Cause::MemoryOther),
    (&["leaks addr"], Cause::MemoryOther),
    (&["misaligned "], Cause::MemoryOther),
    (&[" is ptr_", " access"], Cause::MemoryOther),
    (&["access beyond struct"], Cause::MemoryOther),
    (&["access is allowed only to CAP_PERFMON"], Cause::MemoryOther),
    (&["only read from ", " is supported"], Cause::MemoryOther),
    (&["cannot access ptr member"], Cause::MemoryOther),
    (&["Writes through BTF pointers are not allowed"], Cause::MemoryOther),
    (&["must be referenced or trusted"], Cause::MemoryOther),
    (&["expects referenced"], Cause::MemoryOther),
    (&["reference has not been acquired"], Cause::MemoryOther),
    (&["same insn cannot be used with different pointers"], Cause::MemoryOther),
    (&["ot allowed while holding a lock"], Cause::MemoryOther),
    (&["spin_lock"], Cause::MemoryOther),
    (&["spin_unlock"], Cause::MemoryOther),
    (&["dynptr"], Cause::MemoryOther),
    (&["invalid access to"], Cause::MemoryOther),
    (&["invalid ", " access off="], Cause::MemoryOther),
];

/// The classes of the explanations that kernels from 7.x on give, for complaints that no row knows.
const CLASSES: &[(&str, Cause)] = &[
    ("Resource Lifetime Safety", Cause::MemoryLeak),
    ("Memory Safety", Cause::MemoryOther),
    ("Register Type Safety", Cause::MemoryOther),
    ("Call Type Safety", Cause::MemoryOther),
    ("Execution Context Safety", Cause::MemoryOther),
    ("Policy", Cause::ForbiddenHelper),
];

/// Warnings of libbpf. One may follow from another in any order, so the more telling rows come first. Those about maps are in `map.rs`.
const LIBBPF: &[(&[&str], Verdict, Cause)] = &[
    (&["kernel BTF is missing"], Verdict::MissingBtf, Cause::MissingBtf),
    (&["failed to find valid kernel BTF"], Verdict::MissingBtf, Cause::MissingBtf),
    (&["Error loading vmlinux BTF"], Verdict::MissingBtf, Cause::MissingBtf),
    (&["BTF is mandatory, can't proceed"], Verdict::MissingBtf, Cause::MissingBtf),
    // The next need something that only the object's own loader knows.
    (&["missing BPF prog type"], Verdict::HarnessLimit, Cause::NeedsLoader),
    (&["no BTF-based attach target is specified"], Verdict::HarnessLimit, Cause::NeedsLoader),
    (&["attach program FD is not set"], Verdict::HarnessLimit, Cause::NeedsLoader),
    (&["SEC(\"struct_ops\") program isn't referenced anywhere"], Verdict::HarnessLimit, Cause::NeedsLoader),
    // The kernel's package ships no config, which on a real machine is there.
    (&["failed to open system Kconfig"], Verdict::HarnessLimit, Cause::KernelConfigMissing),
    (&["extern 'CONFIG_", "(strong): not resolved"], Verdict::RelocationFailed, Cause::KernelConfigMissing),
    (&["extern (kcfg)"], Verdict::RelocationFailed, Cause::KernelConfigMissing),
    (&["struct_ops init_kern"], Verdict::AttachTargetMissing, Cause::MissingAttachTarget),
    (&["failed to find kernel BTF type ID of"], Verdict::AttachTargetMissing, Cause::MissingAttachTarget),
    (&["is not found in vmlinux BTF"], Verdict::AttachTargetMissing, Cause::MissingAttachTarget),
    (&["extern (func ksym)"], Verdict::RelocationFailed, Cause::MissingKfunc),
    (&["extern (var ksym)"], Verdict::RelocationFailed, Cause::MissingKsym),
    (&["extern (ksym)"], Verdict::RelocationFailed, Cause::MissingKsym),
    (&["extern '", "(strong): not resolved"], Verdict::RelocationFailed, Cause::MissingKsym),
    (&["unrecognized CO-RE relocation"], Verdict::RelocationFailed, Cause::ObjectTooNew),
    (&["nsupported BTF_KIND"], Verdict::FailedToOpen, Cause::ObjectTooNew),
    (&["unrecognized kind "], Verdict::FailedToOpen, Cause::ObjectTooNew),
    (&["map '", "unknown field '"], Verdict::FailedToOpen, Cause::ObjectTooNew),
    (&["unrecognized extern"], Verdict::FailedToOpen, Cause::ObjectTooNew),
    (&["bad relo type"], Verdict::FailedToOpen, Cause::ObjectTooNew),
    (&["unrecognized ELF section"], Verdict::FailedToOpen, Cause::ObjectTooNew),
    (&["doesn't support anonymous types"], Verdict::RelocationFailed, Cause::ObjectBroken),
    (&[": relo #"], Verdict::RelocationFailed, Cause::UnresolvedRelocation),
    (&["target candidate search failed"], Verdict::RelocationFailed, Cause::UnresolvedRelocation),
    (&["failed to perform CO-RE relocations"], Verdict::RelocationFailed, Cause::UnresolvedRelocation),
    (&["failed to relocate"], Verdict::RelocationFailed, Cause::UnresolvedRelocation),
    (&["elf: "], Verdict::FailedToOpen, Cause::ObjectBroken),
    (&["corrupted"], Verdict::FailedToOpen, Cause::ObjectBroken),
    (&["non-native endianness"], Verdict::FailedToOpen, Cause::ObjectBroken),
    (&["permission error while running as root"], Verdict::HarnessError, Cause::Harness),
];

/// The cause that the verifier's complaint stands for, and the line that says so.
pub(super) fn of_verifier(failure: &Failure) -> Option<(Cause, &str)> {
    // What is said first is the most specific; the lines behind it only tell what follows from it.
    let of_line = |line: &'_ String| VERIFIER.iter().find(|(pieces, _)| fits(line, pieces)).map(|(_, cause)| *cause);
    if let Some(found) = failure.said.iter().find_map(|line| Some((of_line(line)?, line.as_str()))) {
        return Some(found);
    }
    let summary = &failure.explanation.as_ref()?.summary;
    let (_, cause) = CLASSES.iter().find(|(class, _)| summary.starts_with(class))?;
    Some((*cause, &failure.message))
}

/// The verdict and cause that libbpf's warnings stand for, and the one that says so.
pub(super) fn of_libbpf(warnings: &[String]) -> Option<(Verdict, Cause, &str)> {
    LIBBPF.iter().find_map(|(pieces, verdict, cause)| {
        let line = warnings.iter().find(|line| fits(line, pieces))?;
        Some((*verdict, *cause, line.as_str()))
    })
}

fn fits(line: &str, pieces: &[&str]) -> bool {
    let mut rest = line;
    pieces.iter().all(|piece| match rest.split_once(piece) {
        Some((_, behind)) => {
            rest = behind;
            true
        }
        None => false,
    })
}
