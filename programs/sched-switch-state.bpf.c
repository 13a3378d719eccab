/* X04: the tracepoint `sched_switch` tells the state of the task that leaves as a fourth argument (5.18).
 *
 * naive   reads the fourth argument; older kernels have three.
 * guarded reads the state out of the task. It is a raw tracepoint, which kernels before 5.5 load as well.
 */
#include "story.h"

struct task_struct;

struct task_struct___old {
	long state;
} CORE;

struct task_struct___new {
	unsigned int __state;
} CORE;

SEC("tp_btf/sched_switch")
int BPF_PROG(naive, bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state)
{
	seen = prev_state;
	return 0;
}

SEC("raw_tp/sched_switch")
int BPF_PROG(guarded, bool preempt, struct task_struct *prev)
{
	struct task_struct___old *old = (void *)prev;
	struct task_struct___new *fresh = (void *)prev;

	if (bpf_core_field_exists(fresh->__state))
		seen = BPF_CORE_READ(fresh, __state);
	else
		seen = BPF_CORE_READ(old, state);
	return 0;
}
