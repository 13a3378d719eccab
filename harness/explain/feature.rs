//! The story of a [`Feature`]: a helper, map type or program type, of which every kernel lists in its types what it has.

use super::named::{boundary, on};
use super::presence::Presence;
use super::{Explanation, KernelTypes, Subject, snippet};
use crate::object::btf::{Btf, Want};
use crate::probe::Feature;

/// Helpers that take a function of the program. A kernel without them refuses the function's address even where it is
/// never called.
const TAKES_CALLBACK: [&str; 6] =
    ["for_each_map_elem", "timer_set_callback", "find_vma", "loop", "user_ringbuf_drain", "wq_set_callback_impl"];

fn value(btf: &Btf, listing: &str, enumerator: &str) -> Option<i64> {
    btf.candidates(listing, Want::Enum).find_map(|id| btf.enumerator(id, enumerator)).map(|found| found.value)
}

/// The name of a feature by its number, such as `BPF_FUNC_loop` for helper 181, from the newest kernel that knows it: a
/// kernel without it can only tell the number.
pub fn feature_name(feature: Feature, number: i64, matrix: &[KernelTypes<'_>]) -> Option<String> {
    let (listing, prefix) = feature.listing();
    matrix.iter().rev().find_map(|kernel| {
        let btf = kernel.btf;
        let id = btf.find(listing, Want::Enum)?;
        let found = btf.enumerators(id).iter().find(|found| found.value == number)?;
        btf.string(found.name_offset).filter(|name| name.starts_with(prefix))
    })
}

/// Explains a helper, map type or program type that a kernel does not have. `name` may be in any usual form, see the
/// enums' names without their prefix.
pub fn feature(feature: Feature, name: &str, matrix: &[KernelTypes<'_>], failed: &str) -> Explanation {
    let listing = feature.listing().0;
    let enumerator = feature.enumerator(name);
    let values: Vec<Option<i64>> = matrix.iter().map(|kernel| value(kernel.btf, listing, &enumerator)).collect();
    let presence = matrix.iter().zip(&values).map(|(kernel, value)| {
        let missing =
            || Presence::MissingEnumerator { in_type: format!("enum {listing}"), enumerator: enumerator.clone() };
        on(kernel, value.map_or_else(missing, |value| Presence::Value { value }))
    });
    let present: Vec<bool> = values.iter().map(Option::is_some).collect();
    let mut notes = Vec::new();
    let bare = enumerator.strip_prefix(feature.listing().1).unwrap_or_default().to_owned();
    if feature == Feature::Helper && TAKES_CALLBACK.contains(&bare.as_str()) {
        notes.push(
            "It takes a function of the program, and kernels before 5.13 refuse that even in a branch that is never \
             taken: no guard inside the program helps, load another program there."
                .to_owned(),
        );
    }
    notes.push(
        "A kernel that lists it may still lack it by its config, or refuse it to this type of program.".to_owned(),
    );
    let number = values.iter().flatten().next().copied().unwrap_or_default();
    Explanation {
        subject: Subject::Feature,
        name: enumerator.clone(),
        kernel: failed.to_owned(),
        presence: presence.collect(),
        boundary: boundary(matrix, &present),
        in_its_place: Vec::new(),
        notes,
        snippets: snippet::feature(feature, &enumerator, number),
    }
}
