/* X12: open-coded iterators, the machinery of `bpf_for` (6.4).
 *
 * naive   sums numbers with one.
 * guarded does so where the functions exist, and with a plain bounded loop elsewhere.
 */
#include "story.h"

struct bpf_iter_num___story {
	__u64 opaque;
} __attribute__((aligned(8)));

extern int bpf_iter_num_new(struct bpf_iter_num___story *it, int start, int end) __ksym __weak;
extern int *bpf_iter_num_next(struct bpf_iter_num___story *it) __ksym __weak;
extern void bpf_iter_num_destroy(struct bpf_iter_num___story *it) __ksym __weak;

static __always_inline void sum(void)
{
	struct bpf_iter_num___story it;
	int *number;

	bpf_iter_num_new(&it, 0, 8);
	while ((number = bpf_iter_num_next(&it)))
		seen += *number;
	bpf_iter_num_destroy(&it);
}

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	sum();
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	if (bpf_iter_num_new) {
		sum();
	} else {
		for (int number = 0; number < 8; number++)
			seen += number;
	}
	return 0;
}
