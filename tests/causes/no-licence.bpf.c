// No licence at all, which is one that is not compatible with the GPL.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int says(struct xdp_md *xdp)
{
	static const char format[] = "%d";

	bpf_trace_printk(format, sizeof(format), xdp->ingress_ifindex);
	return XDP_PASS;
}

SEC("xdp") int stays_silent(struct xdp_md *xdp)
{
	return xdp->rx_queue_index ? XDP_PASS : XDP_DROP;
}
