// SPDX-License-Identifier: MIT
// Sections that libbpf does not know, and others do.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#pragma clang diagnostic ignored "-Wunused-parameter"

SEC("classifier/ingress")
int from_network(struct __sk_buff *skb)
{
	return skb->len > 64;
}

SEC("tc_egress")
int to_network(struct __sk_buff *skb)
{
	return 0;
}

SEC("socket/filter")
int filters(struct __sk_buff *skb)
{
	return skb->len;
}

char _license[] SEC("license") = "GPL";
