//! What findings say.

use super::kernel_span::KnownKernels;
use super::report::Merged;
use super::rule::LintRule;
use super::sighting::Fault;
use crate::coverage::FixedRead;
use crate::record::{GuardKind, GuardRecord};

/// What is wrong, as one line.
pub(super) fn message(merged: &Merged, guards: &[GuardRecord], kind: &str, known: KnownKernels<'_>) -> String {
    let span = known.span(&merged.kernels);
    let subject = match &merged.sighting.module {
        Some(module) => format!("`{}` of kernel module {module}", merged.sighting.subject),
        None => format!("`{}`", merged.sighting.subject),
    };
    match &merged.sighting.fault {
        Fault::Danger(danger) => format!("on {span}, {subject} has {danger}"),
        Fault::Refused => format!("libbpf refuses {subject} on {span}: {}", merged.sighting.reason),
        Fault::CannotAdapt => {
            format!(
                "{subject} is read by an instruction that libbpf cannot adapt to its size on {span}: the verifier rejects it"
            )
        }
        Fault::Call => call(merged, &span),
        Fault::Missing(side) => {
            let verb = if kind == "byte_off" { "read" } else { "used" };
            match side.and_then(|(guard, side)| Some((guards.get(guard)?, side))) {
                None => format!("{subject} is {verb} without a guard and is missing on {span}"),
                Some((guard, side)) if guard.kind == GuardKind::Rodata => format!(
                    "{subject} is {verb} and is missing on {span}, unless the loader sets `{}` (`{}`)",
                    guard.asked, guard.sides[side].when
                ),
                Some((guard, side)) => format!(
                    "{subject} is {verb} and is missing on {span}, where the guard at {} selects this side (`{} {}`)",
                    guard.place(),
                    guard.asked,
                    guard.sides[side].when
                ),
            }
        }
    }
}

/// What to do about it, as far as the rule alone shows. `is_unknown` says that the whole type is missing.
pub(super) fn hint(rule: LintRule, kind: &str, is_unknown: bool) -> Option<&'static str> {
    Some(match rule {
        LintRule::UnguardedRead | LintRule::MissingFallback if is_unknown => "guard it with `bpf_core_type_exists()`",
        LintRule::UnguardedRead | LintRule::MissingFallback if kind.starts_with("enumval") => {
            "guard it with `bpf_core_enum_value_exists()`"
        }
        LintRule::UnguardedRead | LintRule::MissingFallback => "guard it with `bpf_core_field_exists()`",
        LintRule::UnguardedCall => "guard it with `bpf_ksym_exists()`",
        LintRule::FieldSize => {
            "query the size with `bpf_core_field_size()`, or read it through one flavour of the struct for each size"
        }
        LintRule::FieldSign => {
            "query the sign with `__builtin_preserve_field_info(..., BPF_FIELD_SIGNED)`, or read it through one \
    flavour of the struct for each sign"
        }
        LintRule::FieldBitfield => "read it with `BPF_CORE_READ_BITFIELD()` or `BPF_CORE_READ_BITFIELD_PROBED()`",
        LintRule::PointerTarget => {
            "read it through one flavour of the struct for each type, with a guard that distinguishes them"
        }
        LintRule::EnumeratorValue => "read the kernel's value with `bpf_core_enum_value()`",
        LintRule::TypeSize => "guard it with `bpf_core_type_exists()`",
        LintRule::FixedOffset => {
            "declare the struct with `preserve_access_index`, as `vmlinux.h` does, and compile with `-g`"
        }
        _ => return None,
    })
}

/// What nothing is known about, since a module may have it.
pub(super) const MAYBE_MODULE: &str = "a module may have it; the BTF of the modules of these kernels is not stored";

/// That no known kernel has something of the name, in itself.
pub(super) fn nowhere(merged: &Merged, known: KnownKernels<'_>) -> String {
    let span = known.span(&merged.kernels);
    match merged.sighting.fault {
        Fault::Call => call(merged, &span),
        _ => format!("`{}` is used and is missing on {span}", root(&merged.sighting.subject)),
    }
}

fn call(merged: &Merged, span: &str) -> String {
    let names: Vec<String> = merged.names().map(|name| format!("`{name}`")).collect();
    let (noun, verb) = if names.len() == 1 { ("kfunc", "is") } else { ("kfuncs", "are") };
    format!("{noun} {} {verb} called without a guard and {verb} missing on {span}", names.join(", "))
}

/// The type of a field or enumerator.
pub(super) fn root(subject: &str) -> &str {
    let end = subject.find(['.', '[']).or_else(|| subject.find("::")).unwrap_or(subject.len());
    &subject[..end]
}

/// Why a program is not judged.
pub(super) fn not_judged(program: &str, reason: &str) -> String {
    format!("the reads of `{program}` are not checked, because no known kernel can load it: {reason}")
}

/// Reads at offsets that are compiled in, of one program.
pub(super) fn fixed(reads: &[&FixedRead]) -> String {
    let Some(farthest) = reads.iter().max_by_key(|read| read.offset) else { return String::new() };
    let by = farthest.helper.map(|helper| format!(" by `{helper}`")).unwrap_or_default();
    let more = match reads.len() {
        1 => String::new(),
        count => format!(", the largest of {count} such offsets"),
    };
    format!(
        "kernel memory is read{by} at a fixed offset, {} bytes after a pointer{more}; the object has no CO-RE field \
    relocations",
        farthest.offset
    )
}

/// How many instructions, in words.
pub(super) fn instructions(count: usize) -> String {
    format!("{count} instruction{}", if count == 1 { "" } else { "s" })
}
