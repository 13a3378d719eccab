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
        format!("{what} requires a GPL-compatible licence, but {own}"),
        "The kernel compares the text: `GPL`, `GPL v2`, `Dual BSD/GPL`, `Dual MIT/GPL`, `Dual MPL/GPL` or `GPL and \
    additional rights`. With another licence, do not use GPL-only functions. This is the same on every kernel.",
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
            format!("`{section}`: {failed} does not allow sleepable programs there"),
            format!(
                "A program may sleep in functions that the kernel marks for error injection (these include system \
    calls if `CONFIG_FUNCTION_ERROR_INJECTION` is set), and in sleepable LSM hooks (`lsm.s`). Elsewhere, write \
    `SEC(\"{plain}\")` and avoid sleeping functions: use `bpf_probe_read_user` instead of `bpf_copy_from_user`."
            ),
        )
    } else if line.contains("modifiable") || kind.starts_with("fmod_ret") {
        (
            format!("`{section}`: {failed} does not allow programs to change the return value of this function"),
            "`fmod_ret` attaches to functions that the kernel marks for error injection (`ALLOW_ERROR_INJECTION`), and \
    to `security_` hooks. Elsewhere, observe with `fentry` or `fexit`, or deny with an `lsm` program."
                .to_owned(),
        )
    } else {
        (
            format!("`{section}`: {failed} has it, but does not allow programs of this kind to attach to it"),
            "The kernel excludes some functions from tracing (`notrace`, deny lists) and some LSM hooks from BPF. \
    Attach to a caller of the function, or to a tracepoint near it."
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
        format!("{failed} has the kfunc `{name}`, but does not allow `{kind}` programs to call it"),
        "The kernel registers each kfunc for some program types, and some kfuncs only for sleepable programs. \
    `bpf_ksym_exists` is true there, so a guard in the program does not help: call the kfunc from a program of another \
    type, such as `tp_btf`, `fentry`, `lsm` or `syscall`.",
    )
}

/// A kfunc that the kernel has, and whose address it lets no program read.
pub fn kfunc_address(failed: &str) -> Explanation {
    rule(
        "the address of a kfunc",
        failed,
        format!("{failed} does not allow the program to read the address of a kfunc"),
        "`bpf_ksym_exists` reads the address of a kfunc, which the verifier accepts from Linux 6.4. An older kernel that has \
    the kfunc refuses the guard itself. Test something else that came with the kfunc, such as a type or a field \
    (`bpf_core_type_exists`, `bpf_core_field_exists`), or call the kfunc in a program of its own that the loader skips.",
    )
}

/// A config option that the kernel is built without and the program needs.
pub fn config_option(option: &str, needed_by: &str, failed: &str) -> Explanation {
    rule(
        option,
        failed,
        format!("{failed} is built without `{option}`, which {needed_by} needs"),
        format!(
            "This depends on the kernel build, not on the version: other builds of the same version have the option. \
    Load the program only if the option is set: read it as `extern int {option} __kconfig __weak;` (libbpf reads \
    `/proc/config.gz` or `/boot/config-RELEASE`), or let the loader try and continue without the program."
        ),
    )
}

/// A kconfig extern that the kernel's config does not have.
pub fn kconfig_extern(option: &str, failed: &str) -> Explanation {
    let mut explanation = rule(
        option,
        failed,
        format!("the config of {failed} lacks `{option}`, and the object's extern is strong"),
        "A strong extern that is not found fails every program of the object, even programs that do not read it. A \
    weak extern is zero if the config lacks it.",
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

/// Something that is in a module of another kernel, where nothing is known about the modules of `failed`.
pub fn module_elsewhere(subject: &str, module: &str, kernel: &str, failed: &str) -> Explanation {
    let what =
        format!("`{subject}` is in the kernel module `{module}` of {kernel}; the modules of {failed} are unknown");
    in_module(subject, failed, what)
}

fn in_module(subject: &str, failed: &str, what: String) -> Explanation {
    rule(
        subject,
        failed,
        what,
        "libbpf also searches the BTF of loaded modules, so the program may load on a machine that has the module \
    loaded; this is not judged here. For other machines, guard reads with `bpf_core_type_exists`, and let the loader \
    skip programs that attach to it. If the name is a placeholder that the loader replaces, set `target` in a \
    `[[program]]` table of a suite.",
    )
}

/// An object that libbpf does not open because BTF is missing.
pub fn without_debug_info(failed: &str) -> Explanation {
    rule(
        ".BTF",
        failed,
        "the object has no BTF, but libbpf requires it for BTF-defined maps".to_owned(),
        "Compile with `clang -g -O2 -target bpf`: clang writes BTF only with `-g`. `llvm-strip -g` removes the debug \
    information but keeps BTF; a plain `strip` removes both.",
    )
}
