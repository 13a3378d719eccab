// SPDX-License-Identifier: MIT
// The form of network observers (retina, NetObserv, Beyla): classifiers in sections that libbpf does not know, and a perf event array without
// sizes of key and value.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#pragma clang diagnostic ignored "-Wunused-parameter"

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(max_entries, 16384);
} events SEC(".maps");

static __always_inline int observe(struct __sk_buff *skb, __u32 point)
{
	__u32 packet[2] = { point, skb->len };

	bpf_perf_event_output(skb, &events, BPF_F_CURRENT_CPU, packet, sizeof(packet));
	return -1;
}

SEC("classifier_endpoint_ingress")
int from_endpoint(struct __sk_buff *skb)
{
	return observe(skb, 0);
}

SEC("tc_ingress")
int from_network(struct __sk_buff *skb)
{
	return observe(skb, 1);
}

SEC("classifier/tcx_ingress")
int from_tcx(struct __sk_buff *skb)
{
	return observe(skb, 2);
}

char _license[] SEC("license") = "GPL";
