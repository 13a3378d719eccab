//! How alike two names and two types are, from 0 to 1: [`names`], [`types`].

use crate::object::btf::{Btf, TypeKind};

/// How alike two names of members, types or functions are. 1 if they differ only in underscores around them.
pub(super) fn names(a: &str, b: &str) -> f64 {
    let (a, b) = (a.trim_matches('_').to_lowercase(), b.trim_matches('_').to_lowercase());
    if a == b {
        return 1.0;
    }
    let words = |name: &str| name.split('_').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (a_words, b_words) = (words(&a), words(&b));
    let (short, long) = if a_words.len() < b_words.len() { (&a_words, &b_words) } else { (&b_words, &a_words) };
    // `i_ctime` and `i_ctime_sec`, `rq_disk` and `disk`; but not `i` and `i_lock`.
    if short.concat().len() >= 4 && (long.starts_with(short) || long.ends_with(short)) {
        return 0.9;
    }
    let shared = a_words.iter().filter(|word| b_words.contains(word)).count();
    // A first word that both share is the prefix of the struct's members and shows nothing.
    let prefix = usize::from(a_words.first() == b_words.first() && a_words.len() > 1 && b_words.len() > 1);
    let dice = 2.0 * (shared - prefix.min(shared)) as f64
        / (a_words.len() + b_words.len()).saturating_sub(2 * prefix).max(1) as f64;
    let rest = |words: &[String]| words[prefix.min(words.len())..].join("_");
    let edits = strsim::normalized_damerau_levenshtein(&rest(&a_words), &rest(&b_words));
    (dice.max(edits) * 0.85).clamp(0.0, 1.0)
}

/// How alike two types of two BTFs are. 1 if C names them alike.
pub(super) fn types(a_btf: &Btf, a: u32, b_btf: &Btf, b: u32) -> f64 {
    types_within(a_btf, a, b_btf, b, 4)
}

fn types_within(a_btf: &Btf, a: u32, b_btf: &Btf, b: u32, depth: usize) -> f64 {
    let (Some(a), Some(b)) = (a_btf.resolve_id(a), b_btf.resolve_id(b)) else {
        return 0.0;
    };
    let (Some(depth), Some(ours), Some(theirs)) = (depth.checked_sub(1), a_btf.get(a), b_btf.get(b)) else {
        return 0.0;
    };
    let same_name = || a_btf.type_name(a) == b_btf.type_name(b);
    match (&ours.kind, &theirs.kind) {
        (TypeKind::Pointer(_), TypeKind::Pointer(_)) => {
            if same_name() {
                1.0
            } else {
                0.4
            }
        }
        (TypeKind::Array { element: a, .. }, TypeKind::Array { element: b, .. }) => {
            types_within(a_btf, *a, b_btf, *b, depth)
        }
        (TypeKind::Array { element, .. }, _) => 0.8 * types_within(a_btf, *element, b_btf, b, depth),
        (_, TypeKind::Array { element, .. }) => 0.8 * types_within(a_btf, a, b_btf, *element, depth),
        (TypeKind::Composite { .. }, TypeKind::Composite { .. }) => {
            let named = a_btf.get(a).is_some_and(|found| found.name_offset != 0);
            if named && same_name() { 1.0 } else { 0.1 + 0.8 * shared_members(a_btf, a, b_btf, b) }
        }
        // `i_ctime` of type `struct timespec64` became its seconds and its nanoseconds.
        (TypeKind::Composite { .. }, TypeKind::Int { .. }) => {
            let members = a_btf.members(a);
            let alike = |id: u32| a_btf.size_of(id) == b_btf.size_of(b) && a_btf.is_signed(id) == b_btf.is_signed(b);
            if members.len() <= 4 && members.iter().any(|member| alike(member.type_id)) { 0.5 } else { 0.0 }
        }
        (TypeKind::Int { .. } | TypeKind::Enum { .. }, TypeKind::Int { .. } | TypeKind::Enum { .. }) => {
            if same_name() {
                1.0
            } else if a_btf.size_of(a) == b_btf.size_of(b) {
                0.8
            } else {
                0.5
            }
        }
        (TypeKind::Float { .. }, TypeKind::Float { .. }) => 1.0,
        _ => 0.0,
    }
}

/// The share of members that two structs have in common, by name; of the smaller one's.
pub(super) fn shared_members(a_btf: &Btf, a: u32, b_btf: &Btf, b: u32) -> f64 {
    let names = |btf: &Btf, id: u32| -> std::collections::HashSet<String> {
        btf.members(id).iter().filter_map(|place| btf.string(place.name_offset)).collect()
    };
    let (ours, theirs) = (names(a_btf, a), names(b_btf, b));
    let smaller = ours.len().min(theirs.len());
    // One member in common is chance.
    let shared = ours.intersection(&theirs).count();
    if smaller < 2 || shared < 2 { 0.0 } else { shared as f64 / smaller as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_were_changed_are_alike() {
        assert_eq!(names("state", "__state"), 1.0);
        assert_eq!(names("i_ctime", "__i_ctime"), 1.0);
        assert_eq!(names("i_ctime", "i_ctime_sec"), 0.9);
        assert_eq!(names("rq_disk", "disk"), 0.9);
        assert!(names("real_start_time", "start_boottime") > names("real_start_time", "exit_code"));
        assert!(names("bi_disk", "bi_bdev") < 0.3, "the prefix alone says nothing");
        assert!(
            names("blk_account_io_start", "blk_account_io_done")
                < names("blk_account_io_start", "__blk_account_io_start")
        );
        assert_eq!(names("", ""), 1.0);
        assert!(names("a", "") < 0.1 && names("_", "a") < 0.1);
    }
}
