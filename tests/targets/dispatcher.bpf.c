/* A program with places that others fill, as the dispatcher of libxdp has them, and a variable that its loader sets. */
#include "../../programs/story.h"

const volatile __u32 enabled = 0;

__attribute__((noinline)) int place0(struct xdp_md *ctx)
{
	volatile int verdict = XDP_PASS;

	return ctx ? verdict : XDP_ABORTED;
}

__attribute__((noinline)) int place1(struct xdp_md *ctx)
{
	volatile int verdict = XDP_DROP;

	return ctx ? verdict : XDP_ABORTED;
}

SEC("xdp")
int dispatch(struct xdp_md *ctx)
{
	int verdict = XDP_PASS;

	if (enabled > 0)
		verdict = place0(ctx);
	if (enabled > 1 && verdict == XDP_PASS)
		verdict = place1(ctx);
	return verdict;
}

/* Refused everywhere: it reads beyond the packet. */
SEC("xdp")
int broken(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;

	return *data + place0(ctx);
}
