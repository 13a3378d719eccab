//! [`of`]: what a line of evidence is about.

use crate::feature::Feature;
use crate::record::Cause;

/// The name that `line` is about, if it names one.
pub(super) fn of(cause: Cause, line: &str) -> Option<String> {
    let subject = match cause {
        Cause::MissingField | Cause::MissingType | Cause::MissingEnumValue => relocated(line),
        Cause::UnknownHelper | Cause::ForbiddenHelper | Cause::Licence | Cause::UnsupportedCallForm => {
            return kernel_function(line).or(helper(line)).or(quoted(line)).map(with_its_name);
        }
        Cause::MissingAttachTarget => {
            let unquoted = line.split_once(" is not found in ").map(|(name, _)| name);
            // `struct_ops init_kern: struct bpf_x is not found ...`
            let unquoted = unquoted.map(|name| name.rsplit_once(": ").map_or(name, |(_, name)| name));
            return quoted(line).or(unquoted).map(without_wrapper).or_else(|| target(line).map(str::to_owned));
        }
        Cause::ForbiddenAttachTarget => return member(line).or_else(|| target(line).map(str::to_owned)),
        Cause::MissingAttachType => flag(line),
        Cause::MissingKfunc
        | Cause::MissingKsym
        | Cause::MissingMapType
        | Cause::ContextArgumentChanged
        | Cause::KernelConfigMissing => quoted(line),
        _ => None,
    };
    subject.map(str::to_owned)
}

/// A kernel that lacks a helper has no name for it: `unknown#169` is `bpf_timer_init#169`.
fn with_its_name(helper: &str) -> String {
    let number = helper.strip_prefix("unknown#").and_then(|number| number.parse::<u32>().ok());
    let known = number.and_then(|number| Feature::Helper.known().into_iter().find(|(known, _)| *known == number));
    known.map_or_else(|| helper.to_owned(), |(number, name)| format!("bpf_{name}#{number}"))
}

/// The kernel wraps the struct that it offers: `struct bpf_struct_ops_sched_ext_ops` is about `struct sched_ext_ops`.
fn without_wrapper(name: &str) -> String {
    name.strip_prefix("struct bpf_struct_ops_").map_or_else(|| name.to_owned(), |name| format!("struct {name}"))
}

/// `<byte_off> [6] struct task_struct.gone (0:1 @ offset 4)` is about `struct task_struct.gone`.
fn relocated(line: &str) -> Option<&str> {
    let (_, spec) = line.split_once("CO-RE relocation <")?;
    let (_, spec) = spec.split_once("] ")?;
    Some(of_spec(spec))
}

/// `struct task_struct.gone (0:1 @ offset 4)` is about `struct task_struct.gone`, `enum x::Y = 7` about `enum x::Y`.
pub(super) fn of_spec(spec: &str) -> &str {
    let end = spec.find(" (").into_iter().chain(spec.find(" = ")).min();
    spec[..end.unwrap_or(spec.len())].trim_end_matches("...")
}

/// The attach target of a complaint of the verifier: `vfs_read is not sleepable`, `The function vfs_read has ...`.
fn target(line: &str) -> Option<&str> {
    const BEFORE: [&str; 4] = ["The function ", "The address of function ", "Subprog ", " points to disabled hook "];
    const BEHIND: [&str; 2] = ["() is not modifiable", " is not sleepable"];
    if let Some((name, _)) = BEHIND.iter().find_map(|words| line.split_once(words)) {
        return (!name.contains(' ')).then_some(name);
    }
    match BEFORE.iter().find_map(|words| line.split_once(words)) {
        Some((_, rest)) => rest.split_ascii_whitespace().next(),
        None => line.starts_with("Attaching ").then(|| quoted(line)).flatten(),
    }
}

/// `attach to unsupported member init of struct tcp_congestion_ops` is about `tcp_congestion_ops.init`.
fn member(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("attach to unsupported member ")?;
    let (member, in_struct) = rest.split_once(" of struct ")?;
    Some(format!("{in_struct}.{member}"))
}

/// The flag that a program is loaded with, and that the kernel does not take for its type.
fn flag(line: &str) -> Option<&'static str> {
    line.contains("sleepable").then_some("BPF_F_SLEEPABLE")
}

/// The word that ends in `#` and a number, such as `bpf_loop#181`; else the one that ends in `()`.
pub(super) fn helper(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace().map(|word| word.trim_end_matches([',', ':', '.']));
    let numbered = words.clone().find(|word| match word.split_once('#') {
        // `Arg#0` and `func#1` count, they do not name.
        Some((name, number)) => !number.is_empty() && is_number(number) && !["", "Arg", "arg", "func"].contains(&name),
        None => false,
    });
    numbered.or_else(|| words.find_map(|word| word.strip_suffix("()")))
}

/// The name behind the words that stand for a kfunc. The number that kernels put behind it is an id of their own BTF.
fn kernel_function(line: &str) -> Option<&str> {
    const WORDS: [&str; 4] = ["kernel function ", "kernel func ", "sleepable kfunc ", "kfunc "];
    let (_, rest) = WORDS.iter().find_map(|words| line.split_once(words))?;
    let name = rest.split(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_').next()?;
    // `cannot call kernel function from non-GPL compatible program` names nothing.
    (name.contains('_')).then_some(name)
}

/// What a call instruction calls: `(85) call bpf_loop#181` is about `bpf_loop#181`, that of a kfunc about its name alone.
pub(super) fn called(insn_text: &str, line: &str) -> Option<String> {
    let named = helper(insn_text)?;
    let of_kernel = line.contains("kernel func") || line.contains("kfunc");
    Some(if of_kernel { named.split('#').next().unwrap_or(named).to_owned() } else { with_its_name(named) })
}

/// The first quoted name behind `prog 'name': `.
fn quoted(line: &str) -> Option<&str> {
    let line = match line.strip_prefix("prog '") {
        Some(rest) => rest.split_once("': ")?.1,
        None => line,
    };
    let (_, rest) = line.split_once(" '").or_else(|| line.split_once('\''))?;
    rest.split_once('\'').map(|(name, _)| name)
}

/// What has to be equal for two subjects to be the same: kernels that do not know a helper's name still print its number.
pub(super) fn essence(subject: &str) -> &str {
    match subject.split_once('#') {
        Some((_, number)) if is_number(number) => number,
        _ => subject,
    }
}

/// `struct task_struct___old.state` is of the type `task_struct`.
pub(super) fn type_name(subject: &str) -> &str {
    let name = subject.split_once(' ').map_or(subject, |(_, name)| name);
    let name = name.split(['.', ':', '[', ' ']).next().unwrap_or(name);
    name.split_once("___").map_or(name, |(name, _)| name)
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
