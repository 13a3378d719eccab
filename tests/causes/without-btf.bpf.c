// Built without `-g`, with a map, which cannot be opened then.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} sums SEC(".maps");

SEC("xdp") int with_a_map(struct xdp_md *xdp)
{
	__u32 key = 0;
	__u64 *sum = bpf_map_lookup_elem(&sums, &key);

	if (sum)
		*sum += 1;
	return xdp->rx_queue_index ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
