// Built without `-g` and without maps: nothing needs BTF.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int without_maps(struct xdp_md *xdp)
{
	return xdp->data_end - xdp->data > 60 ? XDP_PASS : XDP_DROP;
}

SEC("kprobe/do_exit") int probe_without_maps(void *ctx)
{
	return ctx == 0;
}

char _license[] SEC("license") = "GPL";
