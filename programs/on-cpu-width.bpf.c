/* X03: `task_struct.on_cpu` was an `int` and is a `u8` (7.2).
 *
 * naive   loads four bytes directly. libbpf sees the other size, cannot tell how to narrow a signed value, and poisons the load.
 * copied  copies four bytes by a helper. libbpf patches the address only, so this loads everywhere, and from 7.2 on three of the
 *         four bytes are those of the next fields.
 * guarded asks for the size of the field and reads that much. It is a raw tracepoint, which kernels before 5.5 load as well.
 */
#include "story.h"

struct task_struct {
	int on_cpu;
} CORE;

struct task_struct___new {
	__u8 on_cpu;
} CORE;

SEC("tp_btf/sched_switch")
int BPF_PROG(naive, bool preempt, struct task_struct *prev)
{
	seen = prev->on_cpu;
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(copied, bool preempt, struct task_struct *prev)
{
	seen = BPF_CORE_READ(prev, on_cpu);
	return 0;
}

SEC("raw_tp/sched_switch")
int BPF_PROG(guarded, bool preempt, struct task_struct *prev)
{
	struct task_struct___new *fresh = (void *)prev;

	if (bpf_core_field_size(prev->on_cpu) == sizeof(__u8))
		seen = BPF_CORE_READ(fresh, on_cpu);
	else
		seen = BPF_CORE_READ(prev, on_cpu);
	return 0;
}
