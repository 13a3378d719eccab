/* M01: with `net.core.bpf_jit_harden=2` the JIT blinds constants: it makes three instructions of each that has one.
 *
 * naive   mixes the constants of a hash right in its code, behind one branch. Three times as long, the branch reaches further than an
 *         instruction can tell, so that the JIT gives the program up. Kernels interpret such a program, but not one that makes tail
 *         calls from a function.
 * guarded has the constants in a map and loops over them.
 */
#include "story.h"

#define ROUNDS 6000

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

static const __u32 keys[16] = {
	0x9e3779b9, 0x7f4a7c15, 0xf39cc060, 0x5cedc834, 0x1082276b, 0xf3a27251, 0xf86c6a11, 0xd0c18e95,
	0x2767f0b1, 0x53d27b7f, 0x0347045b, 0x5bf1827f, 0x01886f09, 0x28403002, 0xc1d64ba4, 0x0f335e36,
};

static __noinline int unrolled(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 hash = ctx->args[0];

	if (ctx->args[1] > 64) {
#pragma clang loop unroll(full)
		for (int i = 0; i < ROUNDS; i++)
			hash = (hash ^ (0x9e3779b9u * (i + 1))) + (0x7f4a7c15u ^ i);
	}
	seen = hash;
	bpf_tail_call(ctx, &next, 0);
	return 0;
}

static __noinline int looped(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 hash = ctx->args[0];

	if (ctx->args[1] > 64) {
		for (int i = 0; i < 64; i++)
			hash = (hash ^ keys[i & 15]) + hash;
	}
	seen = hash;
	bpf_tail_call(ctx, &next, 0);
	return 0;
}

SEC("raw_tp/sched_switch")
int naive(struct bpf_raw_tracepoint_args *ctx)
{
	return unrolled(ctx);
}

SEC("raw_tp/sched_switch")
int guarded(struct bpf_raw_tracepoint_args *ctx)
{
	return looped(ctx);
}
