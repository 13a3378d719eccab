// SPDX-License-Identifier: MIT
// The form of Cilium's datapath: sections `tc/entry` and `tc/tail`, tail calls through a program array whose `pinning` is a number that only
// its own loader knows (replace the pin), beside a map that is pinned by its name.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#pragma clang diagnostic ignored "-Wunused-parameter"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 4);
	__uint(pinning, 1 << 4);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} metrics SEC(".maps");

SEC("tc/entry")
int from_container(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &calls, 1);
	return 0;
}

SEC("tc/tail")
int tail_handle(struct __sk_buff *skb)
{
	__u32 key = skb->len;
	__u64 *count = bpf_map_lookup_elem(&metrics, &key);

	return count ? (int)*count : 0;
}

char _license[] SEC("license") = "GPL";
