/* M02: a kernel whose lockdown is `confidentiality` gives no program the helpers that read its memory.
 *
 * naive   reads a task's id by bpf_probe_read_kernel(), as BPF_CORE_READ() does.
 * guarded reads the same through the pointer itself, whose type the verifier knows: that is no helper, and no lockdown forbids it.
 */
#include "story.h"

struct task_struct {
	int pid;
} CORE;

SEC("raw_tp/sched_switch")
int BPF_PROG(naive, bool preempt, struct task_struct *prev)
{
	seen = BPF_CORE_READ(prev, pid);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(guarded, bool preempt, struct task_struct *prev)
{
	seen = prev->pid;
	return 0;
}
