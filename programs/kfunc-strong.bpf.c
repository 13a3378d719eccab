/* G37a: a kernel function that BPF may call, `bpf_task_from_pid` (6.2), as a strong extern.
 *
 * naive     calls it.
 * bystander does not, and loads, though libbpf refuses the object as a whole: an extern that is not weak belongs to all of it.
 *
 * kfunc-weak.bpf.c is the way out.
 */
#include "story.h"

struct task_struct {
	int pid;
} CORE;

extern struct task_struct *bpf_task_from_pid(__s32 pid) __ksym;
extern void bpf_task_release(struct task_struct *task) __ksym;

SEC("tp_btf/task_newtask")
int naive(void *ctx)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (task) {
		seen = task->pid;
		bpf_task_release(task);
	}
	return 0;
}

SEC("tp_btf/task_newtask")
int bystander(void *ctx)
{
	seen = 1;
	return 0;
}
