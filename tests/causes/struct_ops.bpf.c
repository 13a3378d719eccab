// struct_ops maps: a member that no kernel has, set; the same member left zero; and a struct that no kernel has.
#include "../../programs/story.h"

struct sock;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*corematrix_gone)(struct sock *sk);
	char name[16];
};

struct corematrix_ops {
	int (*run)(void);
};

#define WINDOW(name, member)                                                                                                    \
	SEC("struct_ops/" #member)                                                                                             \
	int name(__u64 *ctx)                                                                                                   \
	{                                                                                                                      \
		return 10;                                                                                                     \
	}

WINDOW(threshold, ssthresh)
WINDOW(avoid, cong_avoid)
WINDOW(undo, undo_cwnd)
WINDOW(gone, corematrix_gone)
WINDOW(threshold_of_zero, ssthresh)
WINDOW(avoid_of_zero, cong_avoid)
WINDOW(undo_of_zero, undo_cwnd)
WINDOW(runs, run)
WINDOW(nowhere, ssthresh)

SEC(".struct_ops") struct tcp_congestion_ops with_member = {
	.ssthresh = (void *)threshold,
	.cong_avoid = (void *)avoid,
	.undo_cwnd = (void *)undo,
	.corematrix_gone = (void *)gone,
	.name = "cmx_set",
};

SEC(".struct_ops") struct tcp_congestion_ops with_zero = {
	.ssthresh = (void *)threshold_of_zero,
	.cong_avoid = (void *)avoid_of_zero,
	.undo_cwnd = (void *)undo_of_zero,
	.name = "cmx_zero",
};

SEC(".struct_ops") struct corematrix_ops unheard_of = {
	.run = (void *)runs,
};
