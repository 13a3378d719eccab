/* G01: `task_struct.state` became `__state`, and `unsigned int` instead of `long` (5.14).
 *
 * naive   reads `state`: from 5.14 on libbpf finds no such field, poisons the load, and the verifier meets the poison.
 * guarded asks which of the two exists and reads that one. It is a raw tracepoint, which kernels before 5.5 load as well.
 */
#include "story.h"

struct task_struct {
	long state;
} CORE;

struct task_struct___new {
	unsigned int __state;
} CORE;

SEC("tp_btf/sched_switch")
int BPF_PROG(naive, bool preempt, struct task_struct *prev)
{
	seen = prev->state;
	return 0;
}

SEC("raw_tp/sched_switch")
int BPF_PROG(guarded, bool preempt, struct task_struct *prev)
{
	struct task_struct___new *fresh = (void *)prev;

	if (bpf_core_field_exists(fresh->__state))
		seen = BPF_CORE_READ(fresh, __state);
	else
		seen = BPF_CORE_READ(prev, state);
	return 0;
}
