//! The stories of what a program attaches to ([`AttachTarget`]) and of what it calls by name ([`ksym`]).

use super::named::{best, boundary, on};
use super::presence::Presence;
use super::{Explanation, KernelTypes, Replacement, Subject, group, nearest_with, similarity, snippet};
use crate::object::btf::{Btf, Kind, Want};

/// Names less alike than this are not told. Functions are many and named by parts that recur.
const MIN_NAME: f64 = 0.7;

/// What a program attaches to, as far as the kernel's types know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttachTarget {
    /// A function: of `fentry`, `fexit`, `fmod_ret`, `kprobe` and their like.
    Function(String),
    /// What an iterator goes over: of `iter`. Its name is that of the function that stands for it, such as `bpf_iter_task`.
    Iterator(String),
    /// A tracepoint: of `tp_btf` and `raw_tp`.
    Tracepoint(String),
}

impl AttachTarget {
    /// The target in a program's ELF section, such as `fentry/vfs_read`; `None` if the section names none that types
    /// know.
    pub fn from_section(section: &str) -> Option<AttachTarget> {
        let (prefix, rest) = section.strip_prefix('?').unwrap_or(section).split_once('/')?;
        let kind = prefix.strip_suffix(".s").unwrap_or(prefix);
        // `kprobe/f+0x10`; a pattern of several functions names none.
        let name = rest.split('+').next().filter(|name| !name.is_empty() && !name.contains(['*', '?', '/', ':']))?;
        match kind {
            "fentry" | "fexit" | "fmod_ret" | "kprobe" | "kretprobe" | "fsession" => {
                Some(AttachTarget::Function(name.to_owned()))
            }
            "lsm" => Some(AttachTarget::Function(format!("bpf_lsm_{name}"))),
            "iter" => Some(AttachTarget::Iterator(format!("bpf_iter_{name}"))),
            "tp_btf" | "raw_tp" | "raw_tracepoint" => Some(AttachTarget::Tracepoint(name.to_owned())),
            _ => None,
        }
    }

    /// The name of the function or tracepoint.
    pub fn name(&self) -> &str {
        match self {
            AttachTarget::Function(name) | AttachTarget::Iterator(name) | AttachTarget::Tracepoint(name) => name,
        }
    }

    /// What a kernel has of a target of this sort and name.
    fn on(&self, btf: &Btf, name: &str) -> Presence {
        let parameters = match self {
            AttachTarget::Function(_) | AttachTarget::Iterator(_) => {
                btf.find(name, Want::Function).and_then(|id| parameters(btf, id))
            }
            // The first one is the tracepoint's own `void *`, which programs do not see.
            AttachTarget::Tracepoint(_) => btf
                .find(&format!("btf_trace_{name}"), Want::Typedef)
                .and_then(|id| parameters(btf, id))
                .map(|all| all.into_iter().skip(1).collect()),
        };
        match parameters {
            Some(parameters) => Presence::Function { parameters },
            None => Presence::MissingSymbol { name: name.to_owned() },
        }
    }
}

/// Types of the parameters of a function, or of a typedef of a pointer to one.
fn parameters(btf: &Btf, id: u32) -> Option<Vec<String>> {
    match &btf.resolve(id)?.kind {
        Kind::Function(inner) | Kind::Pointer(inner) => parameters_of_prototype(btf, *inner),
        _ => None,
    }
}

fn parameters_of_prototype(btf: &Btf, id: u32) -> Option<Vec<String>> {
    match &btf.resolve(id)?.kind {
        Kind::Prototype { parameters, .. } => Some(parameters.iter().map(|one| btf.type_name(one.type_id)).collect()),
        _ => None,
    }
}

/// Explains what a program attaches to: on which kernels it is, and with which parameters.
pub fn target(target: &AttachTarget, matrix: &[KernelTypes<'_>], failed: &str) -> Explanation {
    let mut explanation = story(
        Subject::Target,
        target.name(),
        matrix,
        failed,
        |btf, name| target.on(btf, name),
        |btf| match target {
            AttachTarget::Iterator(_) => btf
                .named(Want::Function)
                .map(|(_, name)| name.into_owned())
                .filter(|name| name.starts_with("bpf_iter_"))
                .collect(),
            AttachTarget::Function(_) => btf.named(Want::Function).map(|(_, name)| name.into_owned()).collect(),
            AttachTarget::Tracepoint(_) => btf
                .named(Want::Typedef)
                .filter_map(|(_, name)| name.strip_prefix("btf_trace_").map(str::to_owned))
                .collect(),
        },
    );
    let counts: Vec<usize> = explanation
        .presence
        .iter()
        .filter_map(|on| match &on.presence {
            Presence::Function { parameters } => Some(parameters.len()),
            _ => None,
        })
        .collect();
    let changed = counts.windows(2).any(|pair| pair[0] != pair[1]);
    if changed {
        explanation.notes.push(
            "Its parameters differ between kernels. The verifier refuses a context access beyond them, so write one \
             program for each form and load the one that fits."
                .to_owned(),
        );
    }
    if matches!(target, AttachTarget::Function(_)) && explanation.presence.iter().any(|on| !on.presence.is_present()) {
        explanation.notes.push(
            "A function that is missing was removed, renamed or inlined; a module may have it, or another build of the \
             same version."
                .to_owned(),
        );
    }
    let all_have_it = explanation.presence.iter().all(|on| on.presence.is_present());
    if changed {
        let from = counts.iter().max().copied().unwrap_or_default();
        explanation.snippets.push(snippet::parameter_count(target, from));
    } else if !all_have_it {
        explanation.snippets.push(snippet::target_exists(target));
    }
    explanation
}

/// Explains the struct of a kernel's subsystem that a struct_ops map fills in, such as `sched_ext_ops`.
pub fn struct_ops(name: &str, matrix: &[KernelTypes<'_>], failed: &str) -> Explanation {
    // What stands in a type's place matters little here: the struct is the subsystem.
    let presence = |btf: &Btf, name: &str| match btf.find(&format!("bpf_struct_ops_{name}"), Want::Struct) {
        Some(id) => Presence::Type { size: btf.size_of(id) },
        None => Presence::MissingType { type_name: format!("struct bpf_struct_ops_{name}") },
    };
    let mut explanation = story(Subject::Target, name, matrix, failed, presence, |_| Vec::new());
    explanation.in_its_place.clear();
    explanation.notes.push(
        "The kernel does not offer this struct_ops: it is too old, or built without it. Its programs cannot be loaded \
         either."
            .to_owned(),
    );
    if explanation.presence.iter().any(|on| !on.presence.is_present()) {
        explanation.snippets.push(snippet::struct_ops(name));
    }
    explanation
}

/// Explains a kernel function or variable that a program uses as `__ksym`.
pub fn ksym(name: &str, matrix: &[KernelTypes<'_>], failed: &str) -> Explanation {
    let presence = |btf: &Btf, name: &str| {
        if let Some(parameters) = btf.find(name, Want::Function).and_then(|id| parameters(btf, id)) {
            return Presence::Function { parameters };
        }
        match btf.find(name, Want::Variable) {
            Some(id) => Presence::Variable { type_name: btf.type_name(id) },
            None => Presence::MissingSymbol { name: name.to_owned() },
        }
    };
    let names = |btf: &Btf| btf.named(Want::Function).map(|(_, name)| name.into_owned()).collect();
    let mut explanation = story(Subject::Ksym, name, matrix, failed, presence, names);
    let declaration = matrix.iter().find_map(|kernel| {
        let btf = kernel.btf;
        if let Some(Kind::Function(prototype)) =
            btf.find(name, Want::Function).and_then(|id| btf.get(id)).map(|found| &found.kind)
        {
            return Some((btf, *prototype));
        }
        None
    });
    explanation.snippets.extend(declaration.and_then(|(btf, prototype)| snippet::ksym(name, btf, prototype)));
    explanation
}

/// The presence of a symbol on each kernel, and the likest new names where it is missing.
fn story(
    subject: Subject,
    name: &str,
    matrix: &[KernelTypes<'_>],
    failed: &str,
    presence_of: impl Fn(&Btf, &str) -> Presence,
    names: impl Fn(&Btf) -> Vec<String>,
) -> Explanation {
    let presence: Vec<_> = matrix.iter().map(|kernel| on(kernel, presence_of(kernel.btf, name))).collect();
    let present: Vec<bool> = presence.iter().map(|on| on.presence.is_present()).collect();
    // Comparing names costs; one that shares no longer word is not alike.
    let words: Vec<&str> = name.split('_').filter(|word| word.len() >= 4).collect();
    let found = matrix.iter().enumerate().filter(|(index, _)| !present[*index]).map(|(index, kernel)| {
        let old = nearest_with(&present, index).map(|with| matrix[with].btf);
        let like = names(kernel.btf).into_iter().filter_map(|candidate| {
            if !words.iter().any(|word| candidate.contains(word)) {
                return None;
            }
            let score = similarity::names(name, &candidate);
            let underscores = score >= 0.99;
            let new = || old.is_some_and(|old| !presence_of(old, &candidate).is_present());
            (score >= MIN_NAME && (underscores || new())).then(|| Replacement {
                score,
                type_name: String::new(),
                offset: None,
                why: vec![if underscores { "same name but for underscores" } else { "like name" }.to_owned()],
                path: candidate,
            })
        });
        let replacements = best(like.collect());
        let key: Vec<String> = replacements.iter().map(|one| one.path.clone()).collect();
        (kernel.name.to_owned(), key, replacements)
    });
    Explanation {
        first: None,
        subject,
        name: name.to_owned(),
        kernel: failed.to_owned(),
        in_its_place: group(found),
        boundary: boundary(matrix, &present),
        presence,
        notes: Vec::new(),
        snippets: Vec::new(),
    }
}
