// Legacy maps beside one of `.maps`, one of them static.
#include "legacy.h"

struct bpf_map_def SEC("maps") legacy_hash = {
	.type = BPF_MAP_TYPE_HASH,
	.key_size = 4,
	.value_size = 8,
	.max_entries = 16,
};

static struct bpf_map_def SEC("maps") legacy_static = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = 4,
	.value_size = 4,
	.max_entries = 2,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} beside SEC(".maps");

SEC("tc") int on_legacy(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *legacy = bpf_map_lookup_elem(&legacy_hash, &key);
	__u64 *modern = bpf_map_lookup_elem(&beside, &key);

	seen = (legacy ? *legacy : 0) + (modern ? *modern : 0);
	return 0;
}

// Reads 4 bytes of a value: of another map's there would be 8, but no more.
SEC("tc") int on_static(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u32 *value = bpf_map_lookup_elem(&legacy_static, &key);

	seen = value ? *value : 0;
	return 0;
}
