//! What to do about failures that no list of kernels' types explains: licences, config options, modules, attach targets.

use super::snippet;
use crate::record::{Explanation, Subject};

fn rule(name: &str, failed: &str, headline: String, note: impl Into<String>) -> Explanation {
    let mut explanation = Explanation::rule(Subject::Rule, name, failed, headline);
    explanation.notes.push(note.into());
    explanation
}

/// A program whose licence does not let it call `called`, or be loaded at all.
pub fn licence(called: Option<&str>, licence: Option<&str>, failed: &str) -> Explanation {
    let own = match licence {
        Some(licence) if !licence.is_empty() => format!("the object's licence is `{licence}`"),
        _ => "the object has no licence".to_owned(),
    };
    let what = called.map_or_else(|| "the program".to_owned(), |called| format!("`{called}`"));
    let mut explanation = rule(
        called.unwrap_or("licence"),
        failed,
        format!("{what} is for programs with a GPL-compatible licence, and {own}"),
        "The kernel goes by the text alone: `GPL`, `GPL v2`, `Dual BSD/GPL`, `Dual MIT/GPL`, `Dual MPL/GPL` or `GPL and \
         additional rights`. Without one of them, do without what is for such programs only. It is the same on every kernel.",
    );
    explanation.snippets.push(snippet::licence());
    explanation
}

/// An attach target that the kernel has and to which it lets no program of this form attach.
pub fn attach_target(section: &str, line: &str, failed: &str) -> Explanation {
    let kind = section.split('/').next().unwrap_or(section);
    let plain = kind.strip_suffix(".s").map(|plain| section.replacen(kind, plain, 1));
    let (headline, note) = if line.contains("sleepable") {
        let plain = plain.unwrap_or_else(|| section.to_owned());
        (
            format!("`{section}`: {failed} lets no program sleep there"),
            format!(
                "A program may sleep in functions that the kernel marks for error injection (system calls are among them \
                 where `CONFIG_FUNCTION_ERROR_INJECTION` is on), and in LSM hooks that may sleep (`lsm.s`). Elsewhere write \
                 `SEC(\"{plain}\")` and do without what sleeps: `bpf_probe_read_user` in the place of \
                 `bpf_copy_from_user`."
            ),
        )
    } else if line.contains("modifiable") || kind.starts_with("fmod_ret") {
        (
            format!("`{section}`: {failed} lets no program change what this function returns"),
            "`fmod_ret` attaches to functions that the kernel marks for error injection (`ALLOW_ERROR_INJECTION`), and to \
             `security_` hooks. Elsewhere watch by `fentry` or `fexit`, or deny by an `lsm` program."
                .to_owned(),
        )
    } else {
        (
            format!("`{section}`: {failed} has it, and lets no program of this kind attach to it"),
            "The kernel keeps some functions from being traced (`notrace`, its deny lists), and some LSM hooks from BPF. A \
             caller of it, or a tracepoint near it, may do."
                .to_owned(),
        )
    };
    rule(section, failed, headline, note)
}

/// A kfunc that the kernel has and does not let programs of this kind call.
pub fn kfunc(name: &str, section: &str, failed: &str) -> Explanation {
    let kind = section.split('/').next().unwrap_or(section);
    rule(
        name,
        failed,
        format!("{failed} has the kfunc `{name}`, and does not let `{kind}` programs call it"),
        "The kernel registers each kfunc for some types of programs, and some of these take it only where they may sleep. \
         `bpf_ksym_exists` is true there, so no guard in the program helps: call it from a program of another type, such as \
         `tp_btf`, `fentry`, `lsm` or `syscall`.",
    )
}

/// A config option that the kernel is built without and the program needs.
pub fn config_option(option: &str, needed_by: &str, failed: &str) -> Explanation {
    rule(
        option,
        failed,
        format!("{failed} is built without `{option}`, which {needed_by} needs"),
        format!(
            "It is a fact of this build, not of the kernel's version: others of the same version have it. Load the program only \
             where it is on: read it as `extern int {option} __kconfig __weak;` (libbpf takes `/proc/config.gz` or \
             `/boot/config-RELEASE`), or let the loader try and go on without."
        ),
    )
}

/// A kconfig extern that the kernel's config does not have.
pub fn kconfig_extern(option: &str, failed: &str) -> Explanation {
    let mut explanation = rule(
        option,
        failed,
        format!("the config of {failed} has no `{option}`, and the object's extern is strong"),
        "One strong extern that is not found fails every program of the object, also those that do not read it. A weak one is \
         zero where the config does not have it.",
    );
    explanation.snippets.extend(snippet::kconfig(option));
    explanation
}

/// Something in modules that the guest has not loaded.
pub fn module(subject: &str, modules: &[String], is_without_types: bool, failed: &str) -> Explanation {
    let plural = if modules.len() == 1 { "module" } else { "modules" };
    let names = modules.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    in_module(
        subject,
        failed,
        match is_without_types {
            true => {
                format!("`{subject}` is in the kernel {plural} {names}, which {failed} loaded without taking its types")
            }
            false => {
                format!("`{subject}` is in the kernel {plural} {names} of {failed}, which the guest had not loaded")
            }
        },
    )
}

/// Something that is in a module of another kernel, where nothing is known of the modules of `failed`.
pub fn module_elsewhere(subject: &str, module: &str, kernel: &str, failed: &str) -> Explanation {
    let what = format!(
        "`{subject}` is in the kernel module `{module}` of {kernel}; what the modules of {failed} have is not known"
    );
    in_module(subject, failed, what)
}

fn in_module(subject: &str, failed: &str, what: String) -> Explanation {
    rule(
        subject,
        failed,
        what,
        "libbpf looks into the types of modules that are loaded, so the program may well load on a machine that has it \
         loaded: whether it does is not judged here. For machines that do not, ask by `bpf_core_type_exists` before reading \
         it, and let the loader leave programs out that attach to it. If the name only stands in for what the loader sets, say \
         what with `target` in a `[[program]]` of a suite.",
    )
}

/// An object that libbpf does not open for want of BTF.
pub fn without_debug_info(failed: &str) -> Explanation {
    rule(
        ".BTF",
        failed,
        "the object has no BTF, and libbpf opens no object with BTF-defined maps without it".to_owned(),
        "Compile with `clang -g -O2 -target bpf`: `-g` is what makes clang write BTF. `llvm-strip -g` removes the debug \
         information and keeps BTF; a plain `strip` does not.",
    )
}
