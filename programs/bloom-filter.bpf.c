/* X11: BPF_MAP_TYPE_BLOOM_FILTER (5.16).
 *
 * naive   asks a Bloom filter.
 * guarded asks it only where the kernel knows the map type, and a hash map elsewhere. The loader must not create the filter there
 *         (`bpf_map__set_autocreate`): the guard keeps the verifier away from the map, not libbpf.
 *
 * The value is written inside the branch on purpose. The verifier of 7.3 takes what `bpf_map_peek_elem` gets for a buffer to be
 * written, forgets what was in it at the next branch, and then refuses the call: "slot poisoned by dead code elimination".
 */
#include "story.h"

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 64);
	__type(value, __u32);
} filter SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u8);
} table SEC(".maps");

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	__u32 value = 1;

	seen = bpf_map_peek_elem(&filter, &value) == 0;
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	__u32 value;

	if (bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_BLOOM_FILTER)) {
		barrier();
		value = 1;
		seen = bpf_map_peek_elem(&filter, &value) == 0;
	} else {
		value = 1;
		seen = bpf_map_lookup_elem(&table, &value) != NULL;
	}
	return 0;
}
