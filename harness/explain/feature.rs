//! The story of a BPF [`Feature`]: which kernels have it, by what they answered when asked, else by what their types list.

use std::collections::BTreeSet;

use super::{form, helper, snippet};
use crate::feature::Feature;
use crate::object::btf::{Btf, Want};
use crate::protocol::feature_probe::{Answer, FeatureProbe};
use crate::record::{Boundary, Explanation, First, OnKernel, Presence, Subject, Witness};

/// Helpers that take a function of the program. A kernel without them refuses the function's address even where it is
/// never called.
const TAKES_CALLBACK: [&str; 6] =
    ["for_each_map_elem", "timer_set_callback", "find_vma", "loop", "user_ringbuf_drain", "wq_set_callback_impl"];

/// Whether a helper, by its bare name, takes a function of the program.
pub fn takes_callback(helper: &str) -> bool {
    TAKES_CALLBACK.contains(&helper)
}

/// What is known about one kernel's features. Lists of these are in matrix order, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct KernelFeatures<'a> {
    /// Name of the kernel.
    pub name: &'a str,
    /// The BTF of its vmlinux.
    pub btf: Option<&'a Btf>,
    /// What it answered, if it was asked.
    pub probe: Option<&'a FeatureProbe>,
}

/// A feature that a program asks for.
#[derive(Debug, Clone, Copy)]
pub struct WantedFeature<'a> {
    /// What kind.
    pub feature: Feature,
    /// Its name, in any usual form.
    pub name: &'a str,
    /// libbpf's name of the type of the program that asks for it, such as `kprobe`; helpers are not for all types.
    pub program_type: Option<&'a str>,
    /// The section of that program, such as `kprobe/vfs_read`.
    pub section: Option<&'a str>,
}

/// Explains a feature that the kernel `failed` refused. Kernels of which nothing is known are left out.
pub fn feature(wanted: WantedFeature<'_>, matrix: &[KernelFeatures<'_>], failed: &str) -> Explanation {
    let WantedFeature { feature, program_type, .. } = wanted;
    let enumerator = feature.enumerator(wanted.name);
    let bare = feature.bare(wanted.name);
    let mut presence: Vec<OnKernel> = matrix.iter().filter_map(|kernel| on_kernel(wanted, kernel)).collect();
    let own_types = matrix.iter().find(|kernel| kernel.name == failed).and_then(|kernel| kernel.btf);
    let listed_here = own_types.is_some_and(|btf| listed(btf, feature, &enumerator).is_some());
    if listed_here && feature == Feature::Helper {
        // The kernel lists it and refused it: so being listed shows nothing about this program on other kernels either.
        let says_nothing =
            |on: &OnKernel| matches!(on.presence, Presence::Feature { present: true, by: Witness::Btf, .. });
        presence.retain(|on| !says_nothing(on));
    }
    let first = presence.iter().find(|on| on.presence.is_present()).and_then(|on| match on.presence {
        Presence::Feature { by, .. } => Some(First { kernel: on.kernel.clone(), by }),
        _ => None,
    });
    let mut notes = Vec::new();
    let here = presence.iter().find(|on| on.kernel == failed).map(|on| &on.presence);
    let probed = matches!(here, Some(Presence::Feature { present: true, by: Witness::Probe, .. }));
    if probed {
        notes.push(format!(
            "{failed} has it, by probe. It refuses how this object uses it: a flag, a size, or a feature used together \
    with it."
        ));
    }
    if let Some(since) = feature.since(&bare) {
        notes.push(format!("Linux has it since {since}; distributions may have backported it."));
    }
    if matches!(feature, Feature::ProgramType | Feature::AttachType) && !probed {
        notes.extend(wanted.section.and_then(form::older));
    }
    if feature == Feature::Helper {
        if listed_here {
            notes.push(format!(
                "{failed} lists it in `enum bpf_func_id`, so `bpf_core_enum_value_exists` is true there: a guard with \
    it does not hide the call from the verifier."
            ));
            notes.extend(helper::notes(&bare, wanted.section));
        }
        let probe = matrix.iter().find(|kernel| kernel.name == failed).and_then(|kernel| kernel.probe);
        let callers = probe.map(|probe| probe.callers(&bare)).unwrap_or_default();
        if !callers.is_empty() && program_type.is_some_and(|own| !callers.contains(&own)) {
            notes.push(format!("On {failed}, programs of these types may call it, by probe: {}.", callers.join(", ")));
        }
        if takes_callback(&bare) {
            notes.push(
                "It takes a function of the program as argument, which kernels before 5.13 reject even in a branch \
    that is never taken. A guard inside the program does not help: load another program on these kernels."
                    .to_owned(),
            );
        }
    }
    if presence.iter().any(|on| matches!(on.presence, Presence::Feature { by: Witness::Btf, .. })) {
        notes.push(
            "`by BTF` means that the kernel's BTF lists it. The kernel may still be built without it, or refuse it for \
    this program type: `corematrix kernels probe` checks on the kernels themselves."
                .to_owned(),
        );
    }
    let has = presence.iter().map(|on| (on.kernel.as_str(), on.presence.is_present()));
    let boundary = (!presence.is_empty()).then(|| Boundary::of(has));
    let number = feature.known().into_iter().find(|(_, name)| *name == bare).map(|(number, _)| i64::from(number));
    let number = number.or_else(|| matrix.iter().find_map(|kernel| listed(kernel.btf?, feature, &enumerator)));
    let callback = feature == Feature::Helper && takes_callback(&bare);
    // A guard that is true where the program failed would let it fail again; one that is true nowhere guards nothing.
    let nowhere = listed_here && feature == Feature::Helper && first.is_none();
    let drafts = snippet::feature(feature, &enumerator, number.unwrap_or_default(), callback, program_type);
    let of_use = drafts.into_iter().filter(|_| !nowhere).filter_map(|draft| draft.unless_idle(own_types, probed));
    let snippets = of_use.collect();
    Explanation {
        subject: match feature {
            Feature::Helper => Subject::Helper,
            Feature::MapType => Subject::MapType,
            Feature::ProgramType => Subject::ProgramType,
            Feature::AttachType => Subject::AttachType,
        },
        name: if feature == Feature::Helper { format!("bpf_{bare}") } else { enumerator.clone() },
        kernel: failed.to_owned(),
        headline: None,
        boundary,
        first,
        presence,
        in_its_place: Vec::new(),
        history: None,
        notes,
        snippets,
        proof: None,
    }
}

/// What is known about it on one kernel: the kernel's own answer, or what its types list.
fn on_kernel(wanted: WantedFeature<'_>, kernel: &KernelFeatures<'_>) -> Option<OnKernel> {
    let WantedFeature { feature, name, program_type, .. } = wanted;
    let bare = feature.bare(name);
    let listed = kernel.btf.map(|btf| listed(btf, feature, &feature.enumerator(name)).is_some());
    let probe = kernel.probe;
    let answer = probe.map_or(Answer::Unknown, |probe| {
        let of = |answers: &std::collections::BTreeMap<String, Answer>| answers.get(&bare).copied();
        match feature {
            Feature::MapType => of(&probe.map_types).unwrap_or(Answer::Unknown),
            Feature::ProgramType => of(&probe.program_types).unwrap_or(Answer::Unknown),
            Feature::AttachType => of(&probe.attach_types).unwrap_or(Answer::Unknown),
            Feature::Helper => match program_type.map(|own| probe.helper(own, &bare)) {
                // What no type of program has, this one does not have either.
                None | Some(Answer::Unknown) if probe.helper_anywhere(&bare) == Answer::No => Answer::No,
                None => probe.helper_anywhere(&bare),
                Some(answer) => answer,
            },
        }
    });
    let elsewhere =
        feature == Feature::Helper && probe.is_some_and(|probe| probe.helper_anywhere(&bare) == Answer::Yes);
    let presence = match (answer, listed) {
        (Answer::Yes, _) => Presence::Feature { present: true, by: Witness::Probe, but: None },
        (Answer::No, _) if elsewhere => {
            let but = program_type.map(|own| {
                format!(
                    "programs of other types may call it, but not those of type \
    `{own}`"
                )
            });
            Presence::Feature { present: false, by: Witness::Probe, but }
        }
        (Answer::No, Some(true)) => {
            let but = match feature {
                Feature::Helper => "its BTF lists it, but not for this program type, or its config disables it",
                _ => "its BTF lists it, but its config disables it",
            };
            Presence::Feature { present: false, by: Witness::Probe, but: Some(but.to_owned()) }
        }
        (Answer::No, _) => Presence::Feature { present: false, by: Witness::Probe, but: None },
        (Answer::Unknown, Some(present)) => Presence::Feature { present, by: Witness::Btf, but: None },
        (Answer::Unknown, None) => return None,
    };
    Some(OnKernel { kernel: kernel.name.to_owned(), presence })
}

/// The feature's number, if the kernel's types list it.
fn listed(btf: &Btf, feature: Feature, enumerator: &str) -> Option<i64> {
    let mut lists = btf.candidates(feature.listing().0, Want::Enum);
    lists.find_map(|id| btf.enumerator(id, enumerator)).map(|found| found.value)
}

/// The names of all features of a kind that the kernel's types list, as [`FeatureProbe`] names them; marks of the end left out.
pub fn listed_features(btf: &Btf, feature: Feature) -> BTreeSet<String> {
    let (listing, prefix) = feature.listing();
    let lists = btf.candidates(listing, Want::Enum);
    lists
        .flat_map(|id| btf.enumerators(id))
        .filter_map(|one| btf.string(one.name_offset))
        .filter(|name| name.starts_with(prefix))
        .map(|name| feature.bare(&name))
        .collect()
}
