//! [`rule`]: what each map type asks of a definition.

use super::map_flag::{
    ACCESS, BUILD_ID, CLONE, FILE, INNER_MAP, MMAPABLE, NO_COMMON_LRU, NO_PREALLOC, NO_USER_CONV, NUMA_NODE, PRESERVE,
    RB_OVERWRITE, SEGV_ON_FAULT, ZERO_SEED,
};

/// What a size has to be.
#[derive(Clone, Copy)]
pub(super) enum Size {
    /// More than 0.
    Any,
    /// One of these.
    Of(&'static [u32]),
    /// From, to.
    Within(u32, u32),
    /// A multiple of the number.
    MultipleOf(u32),
    /// 0. Some loaders set it to that, since the type serves to make their own types.
    NoneButByLoader,
    /// 0.
    None,
}

/// What a map type asks for.
pub(super) struct TypeRule {
    pub key: Size,
    pub value: Size,
    /// Whether it has `max_entries`; otherwise they have to be 0.
    pub sized: bool,
    /// Flags without which it cannot be.
    pub needs: u32,
    /// Further flags that it may have on some kernel.
    pub takes: u32,
}

const ID: Size = Size::Of(&[4]);
const ID_OR_COOKIE: Size = Size::Of(&[4, 8]);

/// What a type asks for; `None` if it has no rule.
pub(super) fn rule(kind: &str) -> Option<TypeRule> {
    let sized = |key, value, takes| Some(TypeRule { key, value, sized: true, needs: 0, takes });
    match kind {
        "array" => sized(ID, Size::Any, NUMA_NODE | ACCESS | MMAPABLE | INNER_MAP),
        "percpu_array" => sized(ID, Size::Any, ACCESS),
        "prog_array" | "cgroup_array" | "array_of_maps" => sized(ID, ID, NUMA_NODE | FILE),
        // libbpf takes as many entries as there are CPUs if none are set.
        "perf_event_array" => sized(ID, ID, NUMA_NODE | FILE | PRESERVE),
        "reuseport_sockarray" => sized(ID, ID_OR_COOKIE, NUMA_NODE | ACCESS),
        "hash" => sized(Size::Any, Size::Any, NO_PREALLOC | NUMA_NODE | ACCESS | ZERO_SEED),
        "percpu_hash" => sized(Size::Any, Size::Any, NO_PREALLOC | ACCESS | ZERO_SEED),
        "lru_hash" => sized(Size::Any, Size::Any, NO_COMMON_LRU | NUMA_NODE | ACCESS | ZERO_SEED),
        "lru_percpu_hash" => sized(Size::Any, Size::Any, NO_COMMON_LRU | ACCESS | ZERO_SEED),
        "hash_of_maps" => sized(Size::Any, ID, NO_PREALLOC | NUMA_NODE | ACCESS | ZERO_SEED),
        "lpm_trie" => {
            let takes = NUMA_NODE | ACCESS;
            Some(TypeRule { key: Size::Within(5, 260), value: Size::Any, sized: true, needs: NO_PREALLOC, takes })
        }
        "stack_trace" => sized(ID, Size::MultipleOf(8), NUMA_NODE | FILE | BUILD_ID),
        "queue" | "stack" => sized(Size::None, Size::Any, NUMA_NODE | ACCESS),
        "ringbuf" | "user_ringbuf" => {
            let takes = NUMA_NODE | if kind == "ringbuf" { RB_OVERWRITE } else { 0 };
            sized(Size::NoneButByLoader, Size::NoneButByLoader, takes)
        }
        "bloom_filter" => sized(Size::None, Size::Any, NUMA_NODE | ACCESS | ZERO_SEED),
        "sk_storage" | "task_storage" | "inode_storage" | "cgrp_storage" => {
            Some(TypeRule { key: ID, value: Size::Any, sized: false, needs: NO_PREALLOC, takes: CLONE })
        }
        "cgroup_storage" | "percpu_cgroup_storage" => {
            let takes = NUMA_NODE | ACCESS;
            Some(TypeRule { key: Size::Of(&[8, 16]), value: Size::Any, sized: false, needs: 0, takes })
        }
        "devmap" | "devmap_hash" | "sockmap" => sized(ID, ID_OR_COOKIE, NUMA_NODE | FILE),
        "sockhash" => sized(Size::Any, ID_OR_COOKIE, NUMA_NODE | FILE),
        "cpumap" => sized(ID, ID_OR_COOKIE, NUMA_NODE),
        "xskmap" => sized(ID, ID, NUMA_NODE | FILE),
        // What else it takes is not known here.
        "rhash" => {
            Some(TypeRule { key: Size::Any, value: Size::Any, sized: true, needs: NO_PREALLOC, takes: u32::MAX })
        }
        "arena" => {
            let takes = SEGV_ON_FAULT | NO_USER_CONV;
            Some(TypeRule { key: Size::None, value: Size::None, sized: true, needs: MMAPABLE, takes })
        }
        _ => None,
    }
}
