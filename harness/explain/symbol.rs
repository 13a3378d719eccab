//! The stories of what a program attaches to ([`AttachTarget`]) and of what it calls by name ([`ksym`]).

use memchr::memmem::Finder;

use super::compatible::compatible;
use super::module::Answered;
use super::named::{NEW, best, boundary, on};
use super::{KernelTypes, group, nearest_with, similarity, snippet};
use crate::object::btf::{Btf, TypeKind, Want, essential_name};
use crate::record::{Explanation, OnKernel, Presence, Replacement, Subject, span};

/// Names less alike than this are not shown. Functions are many and named by parts that recur.
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

    fn sort(&self) -> &'static str {
        match self {
            AttachTarget::Function(_) => "function",
            AttachTarget::Iterator(_) => "iterator",
            AttachTarget::Tracepoint(_) => "tracepoint",
        }
    }

    /// The name that stands for it in BTF.
    pub fn btf_name(&self) -> String {
        match self {
            AttachTarget::Function(name) | AttachTarget::Iterator(name) => name.clone(),
            AttachTarget::Tracepoint(name) => format!("btf_trace_{name}"),
        }
    }

    /// What a kernel has of a target of this sort and name.
    fn on(&self, btf: &Btf, name: &str) -> Presence {
        match self.parameters_of(btf, name) {
            Some(parameters) => Presence::Function { parameters },
            None => Presence::MissingSymbol { name: name.to_owned() },
        }
    }

    /// The parameters that a program of this target gets; `None` if the kernel does not have the target.
    pub(super) fn parameters(&self, btf: &Btf) -> Option<Vec<String>> {
        self.parameters_of(btf, self.name())
    }

    fn parameters_of(&self, btf: &Btf, name: &str) -> Option<Vec<String>> {
        match self {
            AttachTarget::Function(_) | AttachTarget::Iterator(_) => {
                btf.find(name, Want::Function).and_then(|id| parameters(btf, id))
            }
            // The first one is the tracepoint's own `void *`, which programs do not see.
            AttachTarget::Tracepoint(_) => btf
                .find(&format!("btf_trace_{name}"), Want::Typedef)
                .and_then(|id| parameters(btf, id))
                .map(|all| all.into_iter().skip(1).collect()),
        }
    }
}

/// Types of the parameters of a function, or of a typedef of a pointer to one.
fn parameters(btf: &Btf, id: u32) -> Option<Vec<String>> {
    match &btf.resolve(id)?.kind {
        TypeKind::Function(inner) | TypeKind::Pointer(inner) => parameters_of_prototype(btf, *inner),
        _ => None,
    }
}

fn parameters_of_prototype(btf: &Btf, id: u32) -> Option<Vec<String>> {
    match &btf.resolve(id)?.kind {
        TypeKind::Prototype { parameters, .. } => {
            Some(parameters.iter().map(|one| btf.type_name(one.type_id)).collect())
        }
        _ => None,
    }
}

/// Explains what a program attaches to: on which kernels it is, and with which parameters. `elsewhere` says, of a name in
/// BTF, which other known kernel or module has it; it is searched only where no kernel of the matrix has the target.
pub fn target(
    target: &AttachTarget,
    matrix: &[KernelTypes<'_>],
    failed: &str,
    elsewhere: &dyn Fn(&str) -> Option<String>,
) -> Explanation {
    let want = match target {
        AttachTarget::Tracepoint(_) => Want::Typedef,
        AttachTarget::Function(_) | AttachTarget::Iterator(_) => Want::Function,
    };
    let name = target.btf_name();
    let kernels = Answered::of(matrix, &name);
    let explanation = target_story(target, &kernels.known, failed, elsewhere);
    kernels.told(explanation, Some(want))
}

fn target_story(
    target: &AttachTarget,
    matrix: &[KernelTypes<'_>],
    failed: &str,
    elsewhere: &dyn Fn(&str) -> Option<String>,
) -> Explanation {
    let mut explanation = story(
        Subject::Target,
        (target.sort(), target.name()),
        matrix,
        failed,
        |btf, name| target.on(btf, name),
        |btf, alike| {
            // Programs name tracepoints without the prefix of their BTF.
            let (want, prefix, is_named_with_it) = match target {
                AttachTarget::Iterator(_) => (Want::Function, "bpf_iter_", true),
                AttachTarget::Function(_) => (Want::Function, "", true),
                AttachTarget::Tracepoint(_) => (Want::Typedef, "btf_trace_", false),
            };
            let name = |found: &str| {
                let rest = found.strip_prefix(prefix)?;
                let name = if is_named_with_it { found } else { rest };
                alike(name).then(|| name.to_owned())
            };
            btf.named(want).filter_map(|(_, found)| name(&found)).collect()
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
            "Its parameters differ between kernels, and the verifier rejects a context access beyond them. Write one \
    program for each prototype, and load the one that fits."
                .to_owned(),
        );
    }
    let is_missing = |on: &OnKernel| !on.presence.is_present();
    let nothing_alike = explanation.in_its_place.iter().all(|place| place.replacements.is_empty());
    let nowhere = !matrix.is_empty() && explanation.presence.iter().all(is_missing);
    if let Some(place) = nowhere.then(|| elsewhere(&target.btf_name())).flatten() {
        explanation.notes.push(format!("None of these kernels has it in vmlinux; {place}."));
    } else if nowhere && nothing_alike {
        explanation.notes.push(format!(
            "No known kernel has it or a similar name. It may be a placeholder: loaders often set the target (libbpf: \
    `bpf_program__set_attach_target`). In that case, name the target with `target` in a `[[program]]` table of a suite \
    or in `SEC()`, or run the loader with `corematrix exec`. Otherwise, only kernels that are not known here have \
    `{}`.",
            target.name()
        ));
    } else if matches!(target, AttachTarget::Function(_)) && explanation.presence.iter().any(is_missing) {
        let knows_modules = |kernel: &KernelTypes<'_>| kernel.modules.is_some_and(|modules| modules.are_known);
        let mut lacking = matrix.iter().zip(&explanation.presence).filter(|(_, on)| is_missing(on));
        let other = match lacking.all(|(kernel, _)| knows_modules(kernel)) {
            true => "another build of the same version may have it.",
            false => "a module, or another build of the same version, may have it.",
        };
        explanation.notes.push(format!("A missing function was removed, renamed or inlined; {other}"));
    }
    let all_have_it = explanation.presence.iter().all(|on| on.presence.is_present());
    // The program fails where it is; it may be loaded where the target has another form.
    let here = matrix.iter().find(|kernel| kernel.name == failed).and_then(|kernel| target.parameters(kernel.btf));
    let elsewhere = counts.iter().copied().filter(|&count| here.as_ref().is_none_or(|here| here.len() != count));
    let mut drafts = Vec::new();
    if changed {
        drafts.extend(elsewhere.max().map(|count| snippet::parameter_count(target, count)));
    } else if !all_have_it {
        drafts.push(snippet::target_exists(target));
    }
    let here = super::types_of(matrix, failed);
    explanation.snippets.extend(drafts.into_iter().filter_map(|draft| draft.unless_idle(here, false)));
    explanation
}

/// A kernel function or variable that a program uses as `__ksym`.
#[derive(Debug, Clone, Copy)]
pub struct Ksym<'a> {
    /// Its name, as the object has it.
    pub name: &'a str,
    /// The object's own types, which have its prototype.
    pub local: Option<&'a Btf>,
}

impl Ksym<'_> {
    /// The prototype that the object declares it with.
    fn declared(&self) -> Option<(&Btf, u32)> {
        let local = self.local?;
        let id = local.candidates(self.name, Want::Function).find(|&id| local.name(id) == self.name)?;
        Some((local, prototype(local, id)?))
    }
}

fn prototype(btf: &Btf, function: u32) -> Option<u32> {
    match btf.get(function)?.kind {
        TypeKind::Function(prototype) => Some(prototype),
        _ => None,
    }
}

/// Explains a kernel function or variable that a program uses as `__ksym`.
pub fn ksym(asked: &Ksym<'_>, matrix: &[KernelTypes<'_>], failed: &str) -> Explanation {
    let kernels = Answered::of(matrix, asked.name);
    let explanation = ksym_story(asked, &kernels.known, failed);
    kernels.told(explanation, Some(Want::Function))
}

fn ksym_story(asked: &Ksym<'_>, matrix: &[KernelTypes<'_>], failed: &str) -> Explanation {
    let name = essential_name(asked.name);
    let declared = asked.declared();
    // libbpf takes a function of another prototype for a missing one.
    let presence = |btf: &Btf, name: &str| {
        if let Some(id) = btf.find(name, Want::Function)
            && let Some(parameters) = parameters(btf, id)
        {
            let theirs = prototype(btf, id).unwrap_or_default();
            return match declared {
                Some((local, own)) if !compatible(local, own, btf, theirs) && name == essential_name(asked.name) => {
                    Presence::OtherPrototype { parameters }
                }
                _ => Presence::Function { parameters },
            };
        }
        match btf.find(name, Want::Variable) {
            Some(id) => Presence::Variable { type_name: btf.type_name(id) },
            None => Presence::MissingSymbol { name: name.to_owned() },
        }
    };
    let names = |btf: &Btf, alike: &dyn Fn(&str) -> bool| {
        let all = btf.named(Want::Function).filter(|(_, candidate)| candidate != name && alike(candidate));
        all.map(|(_, name)| name.into_owned()).collect()
    };
    let mut explanation = story(Subject::Ksym, ("ksym", name), matrix, failed, presence, names);
    for place in &mut explanation.in_its_place {
        let Some(kernel) = matrix.iter().find(|kernel| Some(kernel.name) == place.kernels.first().map(String::as_str))
        else {
            continue;
        };
        for replacement in &mut place.replacements {
            let id = kernel.btf.find(&replacement.path, Want::Function);
            let prototype =
                id.and_then(|id| snippet::prototype(kernel.btf, prototype(kernel.btf, id)?, &replacement.path));
            replacement.type_name = prototype.unwrap_or_default();
        }
    }
    let is_other = |on: &&OnKernel| matches!(on.presence, Presence::OtherPrototype { .. });
    let others: Vec<&str> = explanation.presence.iter().filter(is_other).map(|on| on.kernel.as_str()).collect();
    let of = |kernel: &str| {
        let kernel = matrix.iter().find(|types| types.name == kernel)?;
        let id = kernel.btf.find(name, Want::Function)?;
        Some((kernel.btf, prototype(kernel.btf, id)?))
    };
    let here = others.iter().find(|kernel| **kernel == failed).or(others.first());
    match (here, here.and_then(|kernel| of(kernel)), declared) {
        (Some(kernel), Some((btf, theirs)), Some((local, own))) => {
            let declared = |btf: &Btf, id: u32| snippet::prototype(btf, id, name).unwrap_or_else(|| name.to_owned());
            explanation.notes.push(format!(
                "The object declares `{}`, but {kernel} has `{}`. libbpf treats a function with another prototype as \
    missing.",
                declared(local, own),
                declared(btf, theirs)
            ));
            let same: Vec<&str> = others
                .iter()
                .copied()
                .filter(|other| of(other).is_some_and(|(other, id)| compatible(btf, theirs, other, id)))
                .collect();
            let span = same.first().zip(same.last()).map(|(first, last)| span(first, last));
            let flavour = format!("k{kernel}");
            explanation.snippets.extend(snippet::other_prototype(
                name,
                &flavour,
                &span.unwrap_or_default(),
                btf,
                theirs,
            ));
        }
        _ => {
            let (on, id) = match declared {
                Some(declared) => (Some(declared.0), declared.1),
                None => matrix.iter().find_map(|kernel| of(kernel.name)).map_or((None, 0), |(btf, id)| (Some(btf), id)),
            };
            explanation.snippets.extend(on.and_then(|btf| snippet::ksym(name, btf, id)));
        }
    }
    if !explanation.snippets.is_empty()
        && explanation.snippets.iter().any(|snippet| snippet.code.starts_with("struct "))
    {
        explanation.notes.push(
            "Use the structs of `vmlinux.h`, or define them: libbpf treats a struct that is only declared as another \
    type."
                .to_owned(),
        );
    }
    explanation
}

/// The presence of a symbol on each kernel, and the likest new names where it is missing. `names` finds names of sort `sort` in a kernel.
pub(super) fn story(
    subject: Subject,
    (sort, name): (&'static str, &str),
    matrix: &[KernelTypes<'_>],
    failed: &str,
    presence_of: impl Fn(&Btf, &str) -> Presence,
    names: impl Fn(&Btf, &dyn Fn(&str) -> bool) -> Vec<String>,
) -> Explanation {
    let presence: Vec<_> = matrix.iter().map(|kernel| on(kernel, presence_of(kernel.btf, name))).collect();
    let present: Vec<bool> = presence.iter().map(|on| on.presence.is_present()).collect();
    // Comparing names costs; one that shares no longer word is not alike.
    let words: Vec<Finder<'_>> = name.split('_').filter(|word| word.len() >= 4).map(Finder::new).collect();
    let alike = |candidate: &str| words.iter().any(|word| word.find(candidate.as_bytes()).is_some());
    let scored = |candidate: String| {
        let score = similarity::names(name, &candidate);
        (score >= MIN_NAME).then_some((score, candidate))
    };
    let found = matrix.iter().enumerate().filter(|(index, _)| !present[*index]).map(|(index, kernel)| {
        let old = nearest_with(&present, index).map(|with| matrix[with].btf);
        let search = || names(kernel.btf, &alike).into_iter().filter_map(scored).collect();
        let similar = kernel.btf.similar_names((sort, name), search);
        let like = similar.iter().filter_map(|(score, candidate)| {
            let underscores = *score >= 0.99;
            let is_new = old.is_some_and(|old| !presence_of(old, candidate).is_present());
            (underscores || is_new).then(|| {
                let mut why =
                    vec![if underscores { "same name except for underscores" } else { "similar name" }.to_owned()];
                why.extend(is_new.then(|| NEW.to_owned()));
                Replacement { score: *score, type_name: String::new(), offset: None, why, path: candidate.clone() }
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
        headline: None,
        in_its_place: group(found),
        history: None,
        boundary: Some(boundary(matrix, &present)),
        presence,
        notes: Vec::new(),
        snippets: Vec::new(),
        proof: None,
    }
}
