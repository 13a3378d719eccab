/* Programs that fill places of a dispatcher, or look at it. */
#include "../../programs/story.h"

struct xdp_buff;

/* An XDP program of its own, which a suite makes an extension. */
SEC("xdp")
int filter(struct xdp_md *ctx)
{
	return ctx->data_end - ctx->data > 60 ? XDP_PASS : XDP_DROP;
}

SEC("freplace/place1")
int named(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("freplace/place2")
int nowhere(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("freplace/place0")
int of_broken(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("fentry/dispatch")
int BPF_PROG(watch, struct xdp_buff *xdp)
{
	seen++;
	return 0;
}

SEC("freplace/hook")
int of_own(struct xdp_md *ctx)
{
	return XDP_DROP;
}

__attribute__((noinline)) int hook(struct xdp_md *ctx)
{
	volatile int verdict = XDP_PASS;

	return ctx ? verdict : XDP_ABORTED;
}

SEC("xdp")
int base(struct xdp_md *ctx)
{
	return hook(ctx);
}

SEC("freplace/place0")
int unnamed(struct xdp_md *ctx)
{
	return XDP_PASS;
}
