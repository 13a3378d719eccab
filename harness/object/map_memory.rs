//! [`MapInfo::bytes`]: the memory that a kernel takes for a map when it creates it.
//!
//! Counted as Linux 5.10 to 7.3 do it on x86-64, without what is allocated later: entries of hashes that are not preallocated,
//! local storage, pages of an arena. Where kernels differ the larger number counts.

use super::MapInfo;

const PAGE: u64 = 4096;
/// The struct that begins each map, with its bookkeeping.
const MAP: u64 = 1024;
const POINTER: u64 = 8;
/// `struct htab_elem` without key and value.
const HASH_ELEMENT: u64 = 48;
/// `struct bucket` of hashes and of sockhashes.
const BUCKET: u64 = 16;
/// `struct stack_map_bucket` without the stack.
const STACK: u64 = 24;
/// Pages of a ring buffer besides its data.
const RINGBUF_PAGES: u64 = 3;

impl MapInfo {
    /// The memory that a kernel with so many CPUs takes for it, its inner map included; 0 for a type that is not known.
    pub fn bytes(&self, cpus: u64) -> u64 {
        let entries = u64::from(self.max_entries.unwrap_or_default());
        let key = up(self.key_size, 8);
        let value = up(self.value_size, 8);
        let no_prealloc = self.flags & 1 != 0;
        let buckets = entries.max(1).next_power_of_two().saturating_mul(BUCKET);
        let own = match self.map_type.as_deref().unwrap_or_default() {
            "array" => entries.saturating_mul(value),
            "percpu_array" => entries.saturating_mul(POINTER + value.saturating_mul(cpus)),
            "prog_array"
            | "perf_event_array"
            | "cgroup_array"
            | "array_of_maps"
            | "reuseport_sockarray"
            | "devmap"
            | "cpumap"
            | "xskmap"
            | "sockmap" => entries.saturating_mul(POINTER),
            "hash" | "lru_hash" | "percpu_hash" | "lru_percpu_hash" | "hash_of_maps" if no_prealloc => buckets,
            "hash" | "lru_hash" | "hash_of_maps" => {
                // Besides the entries there is one to spare for each CPU.
                let elements = (entries + cpus).saturating_mul(HASH_ELEMENT + key + value);
                elements.saturating_add(buckets)
            }
            "percpu_hash" | "lru_percpu_hash" => {
                let elements = (entries + cpus).saturating_mul(HASH_ELEMENT + key + POINTER);
                elements.saturating_add(entries.saturating_mul(value.saturating_mul(cpus))).saturating_add(buckets)
            }
            "devmap_hash" => entries.max(1).next_power_of_two().saturating_mul(POINTER),
            "sockhash" => buckets,
            "stack_trace" => {
                let buckets = entries.max(1).next_power_of_two().saturating_mul(POINTER);
                entries.saturating_mul(STACK + value).saturating_add(buckets)
            }
            "queue" | "stack" => (entries + 1).saturating_mul(self.value_size.unwrap_or_default().into()),
            // The data is mapped twice and there once. Each mapping takes a pointer for a page.
            "ringbuf" | "user_ringbuf" => {
                let data = ringbuf_bytes(entries);
                data + RINGBUF_PAGES * PAGE + 2 * data / PAGE * POINTER
            }
            "bloom_filter" => {
                let functions = if self.extra & 15 == 0 { 5 } else { self.extra & 15 };
                (entries * functions * 7 / 5).next_power_of_two() / 8
            }
            _ => return 0,
        };
        // Tables of pages for what is mapped.
        let mapped = own / PAGE * POINTER;
        let inner = self.inner.as_ref().map_or(0, |inner| inner.bytes(cpus));
        own.saturating_add(mapped).saturating_add(MAP).div_ceil(PAGE).saturating_mul(PAGE).saturating_add(inner)
    }
}

impl MapInfo {
    /// The memory that a machine must have for it: kernels map no more pages than there are, and a ring buffer's data twice.
    pub fn room(&self, cpus: u64) -> u64 {
        let twice = match self.map_type.as_deref() {
            Some("ringbuf" | "user_ringbuf") => 2 * ringbuf_bytes(self.max_entries.unwrap_or_default().into()),
            _ => 0,
        };
        self.bytes(cpus).max(twice)
    }
}

/// The size that libbpf gives a ring buffer: the next power of two of pages.
fn ringbuf_bytes(asked: u64) -> u64 {
    if asked == 0 { 0 } else { asked.div_ceil(PAGE).next_power_of_two() * PAGE }
}

fn up(size: Option<u32>, to: u64) -> u64 {
    u64::from(size.unwrap_or_default()).next_multiple_of(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn map(kind: &str, (key, value, entries): (u32, u32, u32)) -> MapInfo {
        MapInfo {
            map_type: Some(kind.into()),
            key_size: Some(key),
            value_size: Some(value),
            max_entries: Some(entries),
            ..MapInfo::default()
        }
    }

    fn mib(map: &MapInfo, cpus: u64) -> u64 {
        map.bytes(cpus) / MIB
    }

    #[test]
    fn what_is_allocated_at_once_is_counted() {
        const M: u32 = 1 << 20;
        // Values are rounded up to 8 bytes.
        assert_eq!(mib(&map("array", (4, 60, M)), 1), 64);
        assert_eq!(mib(&map("percpu_array", (4, 56, M)), 4), 8 + 4 * 56);
        // 48 bytes of element, key and value up to 8 bytes each, 16 bytes of bucket.
        assert_eq!(mib(&map("hash", (4, 192, M)), 1), 48 + 8 + 192 + 16);
        assert_eq!(mib(&map("hash", (4, 4, M + 1)), 1), 64 + 32);
        assert_eq!(mib(&map("percpu_hash", (4, 8, M)), 2), 48 + 8 + 8 + 2 * 8 + 16);
        assert_eq!(mib(&MapInfo { flags: 1, ..map("hash", (4, 1000, M)) }, 1), 16);
        assert_eq!(mib(&map("stack_trace", (4, 1000, M)), 1), 24 + 1000 + 8 + 2);
        assert_eq!(mib(&map("queue", (0, 5, M)), 1), 5);
        assert_eq!(mib(&map("perf_event_array", (4, 4, M)), 1), 8);
        assert_eq!(mib(&map("bloom_filter", (0, 4, 8 * M)), 1), 8);
    }

    #[test]
    fn ring_buffers_are_rounded_as_libbpf_does_and_counted_once() {
        assert_eq!(mib(&map("ringbuf", (0, 0, 64 << 20)), 1), 64);
        assert_eq!(mib(&map("ringbuf", (0, 0, (64 << 20) + 1)), 1), 128);
        assert!(map("ringbuf", (0, 0, 1)).bytes(1) < 64 << 10);
        assert_eq!(map("ringbuf", (0, 0, 64 << 20)).room(1), 128 << 20);
        assert_eq!(map("array", (4, 8, 1)).room(1), map("array", (4, 8, 1)).bytes(1));
    }

    #[test]
    fn what_comes_later_is_not_counted() {
        for kind in ["task_storage", "arena", "lpm_trie", "struct_ops", "cgroup_storage"] {
            assert_eq!(map(kind, (4, 1 << 20, 1 << 20)).bytes(1), 0, "{kind}");
        }
    }

    #[test]
    fn inner_maps_count_and_no_number_overflows() {
        let inner = Some(Box::new(map("array", (4, 1024, 1 << 20))));
        assert_eq!(mib(&MapInfo { inner, ..map("array_of_maps", (4, 4, 1)) }, 1), 1024 + 2);
        for kind in ["array", "percpu_array", "hash", "percpu_hash", "stack_trace", "queue", "ringbuf", "bloom_filter"]
        {
            let huge = MapInfo { extra: 15, ..map(kind, (u32::MAX, u32::MAX, u32::MAX)) };
            assert!(huge.bytes(1 << 20) >= u64::from(u32::MAX) / 8, "{kind}");
        }
    }
}
