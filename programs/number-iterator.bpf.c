/* X12: open-coded iterators, the machinery of `bpf_for` (6.4).
 *
 * naive   sums numbers with one.
 * guarded does so where the functions exist, and with a plain bounded loop elsewhere.
 */
#include "story.h"

/* Newer headers declare these as well; as flavours they are out of each other's way. */
struct bpf_iter_num___story {
	__u64 opaque;
} __attribute__((aligned(8)));

extern int bpf_iter_num_new___story(struct bpf_iter_num___story *it, int start, int end) __ksym __weak;
extern int *bpf_iter_num_next___story(struct bpf_iter_num___story *it) __ksym __weak;
extern void bpf_iter_num_destroy___story(struct bpf_iter_num___story *it) __ksym __weak;

static __always_inline void sum(void)
{
	struct bpf_iter_num___story it;
	int *number;

	bpf_iter_num_new___story(&it, 0, 8);
	while ((number = bpf_iter_num_next___story(&it)))
		seen += *number;
	bpf_iter_num_destroy___story(&it);
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
	if (bpf_iter_num_new___story) {
		sum();
	} else {
		for (int number = 0; number < 8; number++)
			seen += number;
	}
	return 0;
}
