/* G45: a global function may take a pointer (5.12); the verifier checks such a function on its own, by its BTF.
 *
 * naive   calls a global function with a pointer.
 * guarded calls a static one, which is verified where it is called.
 */
#include "story.h"

struct pair {
	__u64 left;
	__u64 right;
};

__attribute__((noinline)) int sum_global(struct pair *pair)
{
	return pair ? pair->left + pair->right : 0;
}

static __attribute__((noinline)) int sum_static(struct pair *pair)
{
	return pair->left + pair->right;
}

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	struct pair pair = { bpf_ktime_get_ns(), bpf_get_smp_processor_id() };

	seen = sum_global(&pair);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	struct pair pair = { bpf_ktime_get_ns(), bpf_get_smp_processor_id() };

	seen = sum_static(&pair);
	return 0;
}
