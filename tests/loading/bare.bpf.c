// Legacy maps in sections of their own, of an object without BTF.
#include "legacy.h"

struct bpf_map_def SEC("maps/first") first = {
	.type = BPF_MAP_TYPE_HASH,
	.key_size = 8,
	.value_size = 8,
	.max_entries = 16,
	.map_flags = BPF_F_NO_PREALLOC,
};

struct bpf_map_def SEC("maps/second") second = {
	.type = BPF_MAP_TYPE_PERCPU_ARRAY,
	.key_size = 4,
	.value_size = 16,
	.max_entries = 1,
};

SEC("tc") int on_bare(struct __sk_buff *skb)
{
	__u64 key = 0;
	__u32 index = 0;
	__u64 *value = bpf_map_lookup_elem(&first, &key);
	__u64 *pair = bpf_map_lookup_elem(&second, &index);

	return (value && *value) || (pair && pair[1]);
}
