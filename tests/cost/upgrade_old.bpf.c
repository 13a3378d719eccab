/* What an object leaves behind: maps that are pinned by their names. `upgrade_new.bpf.c` is the next build of it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct record {
	__u64 count;
	__u32 state;
	__u32 flags;
};

#define PINNED(NAME, TYPE, ENTRIES, KEY, VALUE)                                                                        \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_##TYPE);                                                                     \
		__uint(max_entries, ENTRIES);                                                                          \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                                                   \
		__type(key, KEY);                                                                                      \
		__type(value, VALUE);                                                                                  \
	} NAME SEC(".maps")

struct prefix {
	__u32 bits;
	__u32 address;
};

PINNED(same_array, ARRAY, 4, __u32, struct record);
PINNED(same_hash, HASH, 64, __u64, struct record);
PINNED(same_lru, LRU_HASH, 64, __u32, __u64);
PINNED(same_percpu, PERCPU_ARRAY, 2, __u32, __u64);
PINNED(renamed_field, HASH, 64, __u32, struct record);
PINNED(larger_value, HASH, 64, __u32, struct record);
PINNED(more_entries, ARRAY, 4, __u32, __u64);
PINNED(other_type, HASH, 64, __u32, __u64);
PINNED(no_more_pinned, HASH, 64, __u32, __u64);
PINNED(gone, ARRAY, 4, __u32, __u64);

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct prefix);
	__type(value, __u64);
} same_trie SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 8);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(value, __u64);
} same_queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} not_pinned SEC(".maps");

SEC("socket")
int count(void *context __attribute__((unused)))
{
	__u32 key = 0;
	struct record *record = bpf_map_lookup_elem(&same_array, &key);

	return record ? record->count : 0;
}
