/* X15: cong_control of a TCP congestion control gets the acknowledged sequence number and flags before the rate sample (6.10).
 *
 * naive   takes its second argument for the rate sample, and follows a number from 6.10 on.
 * guarded asks for the version, and takes the fourth where there is one.
 *
 * Either is the cong_control of a struct_ops map of its own, which attaches with all its programs or not at all.
 */
#include "story.h"

extern int LINUX_KERNEL_VERSION __kconfig;

#define SIX_TEN ((6 << 16) + (10 << 8))

/* In assembly, or the compiler loads from a place that it computed, which the verifier does not allow. */
#define ARGUMENT(number)                                                                                                        \
	({                                                                                                                     \
		const void *argument;                                                                                          \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(argument) : "r"(ctx), "i"(8 * number));                           \
		argument;                                                                                                      \
	})

struct sock;

struct rate_sample {
	__u32 acked_sacked;
} CORE;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	void (*cong_control)(struct sock *sk, const struct rate_sample *rs);
	__u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
};

SEC("struct_ops/cong_control")
int naive(__u64 *ctx)
{
	const struct rate_sample *sample = (const void *)ctx[1];

	seen = sample->acked_sacked;
	return 0;
}

SEC("struct_ops/cong_control")
int guarded(__u64 *ctx)
{
	const struct rate_sample *sample;

	if (LINUX_KERNEL_VERSION >= SIX_TEN)
		sample = ARGUMENT(3);
	else
		sample = ARGUMENT(1);
	seen = sample->acked_sacked;
	return 0;
}

#define WINDOW(name, member)                                                                                                    \
	SEC("struct_ops/" #member)                                                                                             \
	int name(__u64 *ctx)                                                                                                   \
	{                                                                                                                      \
		return 10;                                                                                                     \
	}

WINDOW(naive_ssthresh, ssthresh)
WINDOW(naive_undo_cwnd, undo_cwnd)
WINDOW(naive_cong_avoid, cong_avoid)
WINDOW(guarded_ssthresh, ssthresh)
WINDOW(guarded_undo_cwnd, undo_cwnd)
WINDOW(guarded_cong_avoid, cong_avoid)

SEC(".struct_ops")
struct tcp_congestion_ops naive_ops = {
	.ssthresh = (void *)naive_ssthresh,
	.cong_avoid = (void *)naive_cong_avoid,
	.cong_control = (void *)naive,
	.undo_cwnd = (void *)naive_undo_cwnd,
	.name = "story_naive",
};

SEC(".struct_ops")
struct tcp_congestion_ops guarded_ops = {
	.ssthresh = (void *)guarded_ssthresh,
	.cong_avoid = (void *)guarded_cong_avoid,
	.cong_control = (void *)guarded,
	.undo_cwnd = (void *)guarded_undo_cwnd,
	.name = "story_guarded",
};
