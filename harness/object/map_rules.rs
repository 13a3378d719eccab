//! [`MapInfo::flaws`]: what keeps every kernel from creating a map as it is defined.
//!
//! The rules are those of the map types' `map_alloc_check` in Linux 5.4 to 7.3. A type without a rule is not judged.

mod map_flag;
mod type_rule;

use super::MapInfo;
use map_flag::{BUILD_ID, NO_COMMON_LRU, NO_PREALLOC, NUMA_NODE, RDONLY, RDONLY_PROG, WRONLY, WRONLY_PROG, flag_names};
pub use map_flag::{MAP_FLAGS, MapFlag};
use type_rule::{Size, TypeRule, rule};

/// Deepest stack that kernels keep, `kernel.perf_event_max_stack`, unless the machine's owner allows more.
const MOST_FRAMES: u32 = 127;
const PAGE: u64 = 4096;
const UNSET: &str = "is not set";

/// Something in a map's definition that no kernel takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The field, as the definition writes it: `max_entries`.
    pub field: &'static str,
    /// What is wrong with it, as a fragment that begins with the field.
    pub what: String,
    /// Who can do something about it.
    pub mend: Mend,
}

impl Flaw {
    /// Whether the definition lacks the field, and does not have it wrong.
    pub fn is_unset(&self) -> bool {
        self.field == "values" || self.what.ends_with(UNSET)
    }

    /// A value that kernels take for the field of a map of type `kind`, if a suite can set it: what the object's own loader sets
    /// no one else knows.
    pub fn proposal(&self, kind: &str) -> Option<u32> {
        if self.mend != Mend::Loader {
            return None;
        }
        Some(match (self.field, kind) {
            ("max_entries", "ringbuf" | "user_ringbuf") => 1 << 18,
            ("max_entries", "arena") => 64,
            ("max_entries", _) => 4096,
            ("key_size" | "value_size", "ringbuf" | "user_ringbuf") => 0,
            ("value_size", "stack_trace") => 8 * MOST_FRAMES,
            ("key_size", _) => 4,
            ("value_size", _) => 4,
            _ => return None,
        })
    }
}

/// Who can do something about a [`Flaw`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    /// A loader, between opening and loading.
    Loader,
    /// Who sets up the machine: what the definition asks for is no mistake.
    Machine,
    /// Only the object's author.
    Author,
}

impl MapInfo {
    /// What keeps every kernel that has its type from creating it; what only its author can fix comes first. None if its type is
    /// not known.
    pub fn flaws(&self) -> Vec<Flaw> {
        let Some((kind, rule)) = self.map_type.as_deref().and_then(|kind| Some((kind, rule(kind)?))) else {
            return Vec::new();
        };
        let mut flaws = Vec::new();
        let mut add = |field, mend, what: String| flaws.push(Flaw { field, what: format!("`{field}` {what}"), mend });
        if matches!(kind, "array_of_maps" | "hash_of_maps") && self.inner.is_none() {
            add("values", Mend::Loader, "does not define its inner maps".to_owned());
        }
        for (field, size, allowed) in
            [("key_size", self.key_size, rule.key), ("value_size", self.value_size, rule.value)]
        {
            if let Some((mend, what)) = size_flaw(size.unwrap_or_default(), allowed, kind) {
                add(field, mend, what);
            }
        }
        if kind == "stack_trace" {
            let frame = if self.flags & BUILD_ID == 0 { 8 } else { 32 };
            let frames = self.value_size.unwrap_or_default() / frame;
            if frames > MOST_FRAMES {
                let what = format!("holds {frames} frames, more than the sysctl `kernel.perf_event_max_stack` allows");
                add("value_size", Mend::Machine, what);
            }
        }
        match (self.lacks_size(), self.max_entries.unwrap_or_default()) {
            (true, _) => add("max_entries", Mend::Loader, UNSET.to_owned()),
            (false, 1..) if !rule.sized => add("max_entries", Mend::Author, format!("is set, but `{kind}` has none")),
            _ => {}
        }
        self.flag_flaws(kind, &rule, &mut add);
        let extra = match kind {
            "bloom_filter" if self.extra > 15 => {
                Some("is more than 15, the maximum number of hash functions".to_owned())
            }
            "arena" if !self.extra.is_multiple_of(PAGE) => Some("is not a page-aligned address".to_owned()),
            "bloom_filter" | "arena" => None,
            _ => (self.extra != 0).then(|| format!("is set, but `{kind}` has none")),
        };
        extra.into_iter().for_each(|what| add("map_extra", Mend::Author, what));
        if self.flags & rule.takes & NUMA_NODE != 0 && self.numa_node > 0 {
            add("numa_node", Mend::Machine, format!("is {}, but the guest has only node 0", self.numa_node));
        }
        if kind.ends_with("_storage") && !rule.sized && rule.needs == NO_PREALLOC && !self.is_typed {
            let what = "and `value` must be declared with types: the kernel requires their BTF".to_owned();
            add("key", Mend::Author, what);
        }
        flaws.sort_by_key(|flaw| flaw.mend != Mend::Author);
        flaws
    }

    fn flag_flaws(&self, kind: &str, rule: &TypeRule, add: &mut impl FnMut(&'static str, Mend, String)) {
        let lacking = rule.needs & !self.flags;
        if lacking != 0 {
            add("map_flags", Mend::Author, format!("lacks {}, which `{kind}` needs", flag_names(lacking)));
        }
        // What has no name here may be that of a newer kernel.
        let known = MAP_FLAGS.iter().fold(0, |known, flag| known | flag.bit);
        let foreign = self.flags & known & !(rule.needs | rule.takes);
        if foreign != 0 {
            add("map_flags", Mend::Author, format!("has {}, which `{kind}` does not accept", flag_names(foreign)));
        }
        for both in [RDONLY | WRONLY, RDONLY_PROG | WRONLY_PROG, NO_COMMON_LRU | NUMA_NODE] {
            if self.flags & both & !foreign == both {
                add("map_flags", Mend::Author, format!("has {}, which exclude each other", flag_names(both)));
            }
        }
    }

    /// Whether no size is set, and the type needs one: a loader sets it.
    pub fn lacks_size(&self) -> bool {
        let kind = self.map_type.as_deref().unwrap_or_default();
        // libbpf gives this one its size.
        let by_libbpf = kind == "perf_event_array";
        rule(kind).is_some_and(|rule| rule.sized) && !by_libbpf && self.max_entries.unwrap_or_default() == 0
    }

    /// The flags that it has and that its type takes, as far as they have names.
    pub fn sound_flags(&self) -> impl Iterator<Item = MapFlag> {
        let rule = self.map_type.as_deref().and_then(rule);
        let takes = rule.map_or(0, |rule| rule.needs | rule.takes) & self.flags;
        MAP_FLAGS.into_iter().filter(move |flag| takes & flag.bit != 0)
    }

    /// The bits of its flags that have no name.
    pub fn nameless_flags(&self) -> u32 {
        MAP_FLAGS.iter().fold(self.flags, |left, flag| left & !flag.bit)
    }
}

/// What is wrong with a size, if anything, and who can fix it.
fn size_flaw(size: u32, allowed: Size, kind: &str) -> Option<(Mend, String)> {
    let unset = || (Mend::Loader, UNSET.to_owned());
    let wrong = |wanted: String| (Mend::Author, format!("is {size}, but `{kind}` takes {wanted}"));
    match allowed {
        Size::None if size != 0 => Some(wrong("none".to_owned())),
        Size::NoneButByLoader if size != 0 => Some((Mend::Loader, format!("is {size}, but `{kind}` takes none"))),
        Size::None | Size::NoneButByLoader => None,
        _ if size == 0 => Some(unset()),
        Size::Of(sizes) if !sizes.contains(&size) => {
            let sizes: Vec<String> = sizes.iter().map(u32::to_string).collect();
            Some(wrong(sizes.join(" or ")))
        }
        Size::Within(from, to) if !(from..=to).contains(&size) => Some(wrong(format!("{from} to {to}"))),
        Size::MultipleOf(unit) if !size.is_multiple_of(unit) => Some(wrong(format!("a multiple of {unit}"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::map_flag::{FILE, MMAPABLE, RB_OVERWRITE, SEGV_ON_FAULT};
    use super::*;

    fn map(kind: &str, (key, value, entries): (u32, u32, u32), flags: u32) -> MapInfo {
        let set = |number: u32| (number != 0).then_some(number);
        MapInfo {
            name: "m".into(),
            map_type: Some(kind.into()),
            key_size: set(key),
            value_size: set(value),
            max_entries: set(entries),
            flags,
            is_typed: true,
            ..MapInfo::default()
        }
    }

    /// The first flaw in words.
    fn first(map: &MapInfo) -> Option<(Mend, String)> {
        map.flaws().into_iter().next().map(|flaw| (flaw.mend, flaw.what))
    }

    #[test]
    fn maps_that_kernels_take_have_no_flaw() {
        let sound = [
            map("array", (4, 1, 1), MMAPABLE),
            map("array", (4, 8, 1), NUMA_NODE),
            map("hash", (1, 1, 1), NO_PREALLOC),
            map("lru_hash", (1, 1, 1), NO_COMMON_LRU),
            map("perf_event_array", (4, 4, 0), 0),
            map("ringbuf", (0, 0, 4097), RB_OVERWRITE),
            map("lpm_trie", (8, 1, 1), NO_PREALLOC),
            map("stack_trace", (4, 1016, 1), 0),
            map("stack_trace", (4, 4064, 1), BUILD_ID),
            map("queue", (0, 4, 1), 0),
            map("task_storage", (4, 4, 0), NO_PREALLOC),
            map("cgroup_storage", (16, 8, 0), 0),
            map("devmap", (4, 8, 1), 0),
            map("sockhash", (20, 8, 1), 0),
            map("arena", (0, 0, 4), MMAPABLE | SEGV_ON_FAULT),
            MapInfo { extra: 3, ..map("bloom_filter", (0, 4, 1), 0) },
            MapInfo { inner: Some(Box::default()), ..map("array_of_maps", (4, 4, 1), 0) },
            map("a type of tomorrow", (0, 0, 0), 1 << 30),
        ];
        for map in sound {
            assert_eq!(first(&map), None, "{map:?}");
        }
    }

    #[test]
    fn what_a_loader_sets_is_told_from_what_is_wrong() {
        let loader = |what: &str| Some((Mend::Loader, what.to_owned()));
        let author = |what: &str| Some((Mend::Author, what.to_owned()));
        assert_eq!(first(&map("hash", (4, 4, 0), 0)), loader("`max_entries` is not set"));
        assert_eq!(first(&map("ringbuf", (0, 0, 0), 0)), loader("`max_entries` is not set"));
        assert_eq!(first(&map("ringbuf", (0, 8, 4096), 0)), loader("`value_size` is 8, but `ringbuf` takes none"));
        assert_eq!(first(&map("perf_event_array", (0, 0, 0), 0)), loader("`key_size` is not set"));
        assert_eq!(first(&map("stack_trace", (4, 0, 1), 0)), loader("`value_size` is not set"));
        let no_inner = first(&map("hash_of_maps", (4, 4, 1), 0));
        assert_eq!(no_inner, loader("`values` does not define its inner maps"));
        assert_eq!(first(&map("array", (8, 4, 1), 0)), author("`key_size` is 8, but `array` takes 4"));
        assert_eq!(first(&map("devmap", (4, 2, 1), 0)), author("`value_size` is 2, but `devmap` takes 4 or 8"));
        assert_eq!(first(&map("lpm_trie", (4, 4, 1), NO_PREALLOC)).map(|(mend, _)| mend), Some(Mend::Author));
        let flagless = author("`map_flags` lacks BPF_F_NO_PREALLOC, which `task_storage` needs");
        assert_eq!(first(&map("task_storage", (4, 4, 0), 0)), flagless);
        let lru = author("`map_flags` has BPF_F_NO_PREALLOC, which `lru_hash` does not accept");
        assert_eq!(first(&map("lru_hash", (4, 4, 1), NO_PREALLOC)), lru);
        assert_eq!(first(&map("sk_storage", (4, 4, 1), 1)), author("`max_entries` is set, but `sk_storage` has none"));
        assert_eq!(
            first(&map("array", (4, 4, 1), FILE)),
            author("`map_flags` has BPF_F_RDONLY | BPF_F_WRONLY, which exclude each other")
        );
        let untyped = MapInfo { is_typed: false, ..map("task_storage", (4, 4, 0), NO_PREALLOC) };
        assert_eq!(first(&untyped).map(|(mend, _)| mend), Some(Mend::Author));
        let extra = MapInfo { extra: 16, ..map("bloom_filter", (0, 4, 1), 0) };
        assert_eq!(first(&extra), author("`map_extra` is more than 15, the maximum number of hash functions"));
        // What only the author can fix decides.
        assert_eq!(first(&map("array", (8, 4, 0), 0)).map(|(mend, _)| mend), Some(Mend::Author));
    }

    #[test]
    fn what_the_machine_lacks_is_nobodys_fault() {
        let machine = |map: &MapInfo| first(map).map(|(mend, _)| mend) == Some(Mend::Machine);
        assert!(machine(&MapInfo { numa_node: 1, ..map("array", (4, 4, 1), NUMA_NODE) }));
        assert!(!machine(&MapInfo { numa_node: 1, ..map("array", (4, 4, 1), 0) }));
        assert!(machine(&map("stack_trace", (4, 1024, 1), 0)));
    }

    #[test]
    fn sizes_that_somebody_else_sets_are_not_missed() {
        for kind in ["hash", "array", "ringbuf", "lpm_trie", "queue", "bloom_filter", "xskmap", "arena", "prog_array"] {
            assert!(map(kind, (0, 0, 0), 0).lacks_size(), "{kind}");
        }
        for kind in ["perf_event_array", "task_storage", "cgroup_storage", "struct_ops", "a type of tomorrow"] {
            assert!(!map(kind, (0, 0, 0), 0).lacks_size(), "{kind}");
        }
    }

    #[test]
    fn flags_without_a_name_are_no_flaw() {
        let map = map("hash", (4, 4, 1), NO_PREALLOC | 1 << 30);
        assert_eq!((first(&map), map.nameless_flags()), (None, 1 << 30));
        assert_eq!(map.sound_flags().map(|flag| flag.name).collect::<Vec<_>>(), ["BPF_F_NO_PREALLOC"]);
    }
}
