// SPDX-License-Identifier: MIT
// Maps as they were defined before BTF, beside one that is defined by BTF: libbpf refuses the object, other loaders take it.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#pragma clang diagnostic ignored "-Wunused-parameter"

struct legacy_map {
	unsigned int type;
	unsigned int key_size;
	unsigned int value_size;
	unsigned int max_entries;
	unsigned int map_flags;
};

struct legacy_map SEC("maps") counts = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(int),
	.value_size = sizeof(long),
	.max_entries = 4,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, int);
	__type(value, long);
	__uint(max_entries, 16);
} by_key SEC(".maps");

SEC("socket")
int both(struct __sk_buff *skb)
{
	int key = 0;
	long *count = bpf_map_lookup_elem(&counts, &key);
	long *found = bpf_map_lookup_elem(&by_key, &key);

	return (count ? *count : 0) + (found ? *found : 0);
}

char _license[] SEC("license") = "GPL";
