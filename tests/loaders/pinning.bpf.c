// SPDX-License-Identifier: MIT
// A map with a value of `pinning` of its author's own, and one that is pinned by its name.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#pragma clang diagnostic ignored "-Wunused-parameter"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, int);
	__type(value, long);
	__uint(max_entries, 16);
	__uint(pinning, 100);
} own_pinning SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, int);
	__type(value, long);
	__uint(max_entries, 16);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} by_name SEC(".maps");

SEC("socket")
int on_own_pinning(struct __sk_buff *skb)
{
	int key = 0;

	return bpf_map_lookup_elem(&own_pinning, &key) != 0;
}

SEC("socket")
int on_by_name(struct __sk_buff *skb)
{
	int key = 0;

	return bpf_map_lookup_elem(&by_name, &key) != 0;
}

char _license[] SEC("license") = "GPL";
