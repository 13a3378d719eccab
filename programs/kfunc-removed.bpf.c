/* G37c: a kernel function that came and went: `scx_bpf_cpu_rq` (6.12 with sched_ext, removed in 7.3).
 *
 * naive   calls it: it fails on both sides.
 * guarded asks first, and goes without.
 * oldest  is for kernels before 5.5, which have no `tp_btf`: a raw tracepoint, which may not call the function.
 */
#include "story.h"

/* Not a mere forward declaration: libbpf takes that for another type, and a weak function of another type for a missing one. */
struct rq {
	unsigned int nr_running;
} CORE;

extern struct rq *scx_bpf_cpu_rq(__s32 cpu) __ksym __weak;

SEC("tp_btf/task_newtask")
int naive(void *ctx)
{
	seen = scx_bpf_cpu_rq(0) != NULL;
	return 0;
}

SEC("tp_btf/task_newtask")
int guarded(void *ctx)
{
	if (scx_bpf_cpu_rq)
		seen = scx_bpf_cpu_rq(0) != NULL;
	return 0;
}

SEC("raw_tp/task_newtask")
int oldest(void *ctx)
{
	seen = 0;
	return 0;
}
