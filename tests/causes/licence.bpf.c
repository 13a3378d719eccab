// A licence that is not compatible with the GPL: some helpers need one that is, others do not.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "Proprietary";

SEC("xdp") int prints(struct xdp_md *xdp)
{
	static const char format[] = "%d";

	bpf_trace_printk(format, sizeof(format), xdp->ingress_ifindex);
	return XDP_PASS;
}

SEC("xdp") int counts(struct xdp_md *xdp)
{
	return bpf_get_smp_processor_id() == xdp->rx_queue_index ? XDP_PASS : XDP_DROP;
}
