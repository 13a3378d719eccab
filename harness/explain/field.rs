//! The story of a field: which kernels have it, and what replaces it.

use std::collections::HashMap;

use super::history::{self, Arms};
use super::known::{AskedKernel, AskedKernels, KnownTypes, series};
use super::layout::{self, Layout};
use super::presence::{FieldOn, field_on};
use super::replacement::{self, Ranked};
use super::snippet::{self, Offer};
use super::spec::{LocalSpec, PathStep, path_text};
use super::walk::Local;
use super::{KernelTypes, group, named, nearest_with};
use crate::object::btf::Btf;
use crate::record::{Arm, Boundary, Explanation, History, OnKernel, Presence, Replacement, Snippet, Subject};

/// Kernels that a note names.
const MOST_NAMES: usize = 4;

/// Paths with the types of what they lead to.
type Places = Vec<(Vec<PathStep>, String)>;

/// What was found on the kernels without the field.
#[derive(Default)]
struct Search<'a> {
    layouts: Vec<Layout<'a>>,
    /// On the kernels of the matrix.
    found: Vec<(String, Places, Vec<Replacement>)>,
    /// Kernel, root type and paths that were found there, good or not.
    paths: Vec<(usize, u32, Vec<Vec<PathStep>>)>,
}

/// Explains a relocation that asks about a field.
pub(super) fn explain(
    spec: &LocalSpec,
    local: &Btf,
    matrix: &[KernelTypes<'_>],
    known: &KnownTypes,
    failed: &str,
) -> Explanation {
    let local = Local::of(spec, local);
    let excerpts = known.excerpts(spec);
    let kernels = known.among(matrix, &excerpts, spec);
    let fields: Vec<FieldOn> = kernels.all.iter().map(|kernel| field_on(spec, local.as_ref(), kernel.types)).collect();
    let Search { layouts, found, .. } = search(spec, local.as_ref(), &kernels, &fields);
    let everywhere = fields.iter().all(|field| field.presence.is_present());
    let (snippet, history, strays) = guard(spec, &layouts, &kernels, everywhere);

    let mut notes = Vec::new();
    if spec.cut {
        notes.push("libbpf truncated the name in its log; its last part may be longer.".to_owned());
    }
    let unknown =
        |field: &FieldOn| matches!(field.presence, Presence::MissingMember { .. } | Presence::MissingType { .. });
    if fields.iter().all(unknown) {
        notes.push(
            "No kernel of this matrix has it: it is the object's own type, a mistyped name, or a name that only other \
    kernels have."
                .to_owned(),
        );
    }
    let own = || kernels.all.iter().zip(&fields).filter(|(kernel, _)| kernel.in_matrix);
    let knows_modules = |kernel: &AskedKernel<'_>| kernel.types.modules.is_some_and(|modules| modules.are_known);
    if own().any(|(kernel, field)| field.root.is_none() && !knows_modules(kernel)) {
        notes.push("A type that vmlinux lacks may be in a module; libbpf also searches loaded modules.".to_owned());
    }
    notes.extend(strays);
    let on = |(kernel, field): (&AskedKernel<'_>, &FieldOn)| OnKernel {
        kernel: kernel.types.name.to_owned(),
        presence: field.presence.clone(),
    };
    let presence: Vec<OnKernel> = own().map(on).collect();
    Explanation {
        first: None,
        subject: Subject::Field,
        name: spec.to_string(),
        kernel: failed.to_owned(),
        headline: None,
        boundary: Some(Boundary::of(presence.iter().map(|on| (on.kernel.as_str(), on.presence.is_present())))),
        presence,
        in_its_place: group(found),
        history: Some(history),
        notes,
        snippets: snippet.into_iter().collect(),
        proof: None,
    }
}

/// Looks for what stands in the field's place, on each kernel without it.
fn search<'a>(
    spec: &LocalSpec,
    local: Option<&Local<'_>>,
    kernels: &AskedKernels<'a>,
    fields: &[FieldOn],
) -> Search<'a> {
    let all = &kernels.all;
    let present: Vec<bool> = fields.iter().map(|field| field.presence.is_present()).collect();
    let in_matrix: Vec<bool> = all.iter().zip(&present).map(|(kernel, present)| kernel.in_matrix && *present).collect();
    let mut search = Search::default();
    // Kernels whose types are the same have the same in the field's place.
    let mut ranked: HashMap<(*const Btf, Option<*const Btf>), Vec<Ranked>> = HashMap::new();
    for (number, (kernel, field)) in all.iter().zip(fields).enumerate() {
        let types = kernel.types;
        let replacements = match (&field.walked, field.root) {
            (Some(Ok(_)), Some(root)) => {
                layout::add(&mut search.layouts, (number, types), root, &spec.path, true);
                continue;
            }
            (Some(Err(miss)), Some(root)) => {
                let mut chosen: Vec<Ranked> = Vec::new();
                for (attempt, with) in references(&present, &in_matrix, number).into_iter().enumerate() {
                    let reference = with.and_then(|with| Some((all[with].types, fields[with].root?)));
                    let key =
                        (std::ptr::from_ref(types.btf), reference.map(|(kernel, _)| std::ptr::from_ref(kernel.btf)));
                    let found =
                        ranked.entry(key).or_insert_with(|| replacement::find(spec, local, types, *miss, reference));
                    let is_good = found.first().is_some_and(Ranked::is_good);
                    if attempt == 0 || is_good {
                        chosen.clone_from(found);
                    }
                    if is_good {
                        break;
                    }
                }
                let ranked = chosen;
                if let Some(best) = ranked.first().filter(|best| best.is_good()) {
                    layout::add(&mut search.layouts, (number, types), root, &best.path, false);
                }
                search.paths.push((number, root, ranked.iter().map(|one| one.path.clone()).collect()));
                let key = ranked.iter().map(|one| (one.path.clone(), one.replacement.type_name.clone())).collect();
                (key, ranked.iter().map(|one| one.replacement.clone()).collect())
            }
            // Beyond the matrix only what is like the field itself is at hand.
            _ if !kernel.in_matrix => continue,
            _ => {
                let with = nearest_with(&in_matrix, number).or_else(|| nearest_with(&present, number));
                let old = with.and_then(|with| Some((all[with].types.btf, fields[with].root?)));
                let old = old.or_else(|| local.map(|local| (local.btf, local.root)));
                let replacements = named::similar_types(spec, types.btf, old);
                (replacements.iter().map(|one| (Vec::new(), one.path.clone())).collect(), replacements)
            }
        };
        if kernel.in_matrix {
            let (key, replacements): (Places, Vec<Replacement>) = replacements;
            search.found.push((types.name.to_owned(), key, replacements));
        }
    }
    settle(&mut search, kernels);
    search
}

/// Kernels with the field to compare with, best first. The nearest may have the field and its replacement, as while one was replaced by the
/// other, so that the replacement seems to have stood beside it always; one that is farther away tells then.
fn references(present: &[bool], in_matrix: &[bool], number: usize) -> Vec<Option<usize>> {
    let farthest = (0..present.len()).filter(|&kernel| present[kernel]).max_by_key(|kernel| kernel.abs_diff(number));
    let mut found = vec![nearest_with(present, number)];
    for other in [nearest_with(in_matrix, number), farthest] {
        if other.is_some() && !found.contains(&other) {
            found.push(other);
        }
    }
    found
}

/// What is too little for a guard by itself serves where other kernels have it in the field's place.
fn settle(search: &mut Search<'_>, kernels: &AskedKernels<'_>) {
    for (number, root, paths) in &search.paths {
        let is_settled = |layouts: &[Layout<'_>]| layouts.iter().any(|layout| layout.kernels.contains(number));
        for path in paths {
            if !is_settled(&search.layouts) {
                layout::join(&mut search.layouts, (*number, kernels.all[*number].types), *root, path);
            }
        }
    }
}

/// The guard, the history that it is made from, and what it does not tell apart. Where every kernel has the field there is no guard.
fn guard(
    spec: &LocalSpec,
    layouts: &[Layout<'_>],
    kernels: &AskedKernels<'_>,
    everywhere: bool,
) -> (Option<Snippet>, History, Vec<String>) {
    let arms = Arms::new(kernels, layouts.iter().map(|layout| layout.kernels.as_slice()));
    let mut all: Vec<Arm> = layouts
        .iter()
        .map(|layout| history::arm(Some(path_text(&layout.path)), layout.type_name.clone(), layout.own))
        .collect();
    if everywhere {
        return (None, arms.history(all), Vec::new());
    }
    let oldest = layouts.iter().min_by_key(|layout| layout.kernels.first());
    let like_oldest = |layout: &Layout<'_>| oldest.is_some_and(|oldest| layout.gives_like(oldest));
    let mut chain = layout::chain(layouts, &kernels.all, &like_oldest);
    let offer = |number: usize| {
        let first = arms.first(number)?;
        let name = first.types.name;
        let label = if first.in_matrix { None } else { series(name) };
        let (label, comment) = (label.unwrap_or_else(|| name.to_owned()), arms.text(number));
        Some(Offer { number, layout: &layouts[number], label, comment })
    };
    let offers: Vec<Offer<'_>> = chain.order.iter().filter_map(|&number| offer(number)).collect();
    let others = (0..layouts.len()).rev().filter(|&number| !like_oldest(&layouts[number]));
    let others: Vec<Offer<'_>> = others.filter_map(offer).collect();
    let rest: Vec<String> = chain.rest.iter().map(|&kernel| kernels.all[kernel].types.name.to_owned()).collect();
    let written = snippet::field(spec, (&offers, &others), &rest_words(&rest));
    let mut notes = Vec::new();
    if written.is_some() && rest.is_empty() && kernels.all.len() > 1 {
        notes.push(
            "Every known kernel takes one of the branches: no run can prove the last `return 0`, and `corematrix coverage` \
    lists that side as unproven. It is for kernels that are not known yet; if these should refuse the program instead, remove \
    the last `if` and keep its `return`."
                .to_owned(),
        );
    }
    let snippet = written.map(|written| {
        for (number, words) in written.arms {
            let arm = &mut all[number];
            [arm.flavour, arm.condition, arm.expression] = words.map(Some);
        }
        // What cannot be written as C is read nowhere.
        let unwritten = chain.order.iter().filter(|&&number| all[number].condition.is_none());
        let unwritten =
            unwritten.flat_map(|&number| layouts[number].kernels.iter().map(move |&kernel| (number, kernel)));
        chain.unproven.extend(unwritten.collect::<Vec<_>>());
        written.snippet
    });
    let name = |kernel: usize| kernels.all[kernel].types.name;
    for (number, arm) in all.iter_mut().enumerate() {
        let of = |found: &[(usize, usize)]| -> Vec<String> {
            let own = found.iter().filter(|(layout, _)| *layout == number);
            own.map(|&(_, kernel)| name(kernel).to_owned()).collect()
        };
        let (path, strays) = (arm.path.as_deref().unwrap_or_default(), of(&chain.strays));
        if snippet.is_some() && !strays.is_empty() {
            notes.push(format!(
                "`{path}` also exists on {}, where it may have another meaning than the field; the guard reads it \
    there, too.",
                some(&strays)
            ));
        }
        // What is only mentioned is read nowhere, as it says.
        let unproven = if like_oldest(&layouts[number]) { of(&chain.unproven) } else { Vec::new() };
        if snippet.is_some() && !unproven.is_empty() {
            notes.push(format!("No condition selects `{path}` on {}: the guard is wrong there.", some(&unproven)));
        }
        arm.unproven = unproven;
    }
    (snippet, arms.history(all), notes)
}

/// What the guard says of the kernels that take none of its branches.
fn rest_words(kernels: &[String]) -> String {
    match kernels.is_empty() {
        true => "no known kernel gets here".to_owned(),
        false => format!("taken on {}", some(kernels)),
    }
}

/// A few names.
fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(MOST_NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    names[..names.len().min(MOST_NAMES)].join(", ") + &more
}
