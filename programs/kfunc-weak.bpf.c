/* G37b: the same kernel function as in kfunc-strong.bpf.c, as a weak extern.
 *
 * naive   calls it without asking; weak means that libbpf lets the object through, not that the call works.
 * guarded asks first. Each function that is called has to be weak, the release too.
 * oldest  is for kernels before 5.5, which have no `tp_btf`: a raw tracepoint, which may not call the function.
 */
#include "story.h"

struct task_struct {
	int pid;
} CORE;

extern struct task_struct *bpf_task_from_pid(__s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;

static __always_inline void look(void)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (task) {
		seen = task->pid;
		bpf_task_release(task);
	}
}

SEC("tp_btf/task_newtask")
int naive(void *ctx)
{
	look();
	return 0;
}

SEC("tp_btf/task_newtask")
int guarded(void *ctx)
{
	if (bpf_task_from_pid)
		look();
	return 0;
}

SEC("raw_tp/task_newtask")
int oldest(void *ctx)
{
	seen = 0;
	return 0;
}
