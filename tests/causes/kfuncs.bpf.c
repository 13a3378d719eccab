// A kfunc that is there from 6.2 on: for some types of program, and to be given back.
#include "../../programs/story.h"

struct task_struct {
	int tgid;
} CORE;
struct task_struct *bpf_task_from_pid(int pid) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;

static int group_of(int pid)
{
	struct task_struct *task = bpf_task_from_pid(pid);
	int group = 0;

	if (task) {
		group = task->tgid;
		bpf_task_release(task);
	}
	return group;
}

SEC("tc") int asks(struct __sk_buff *skb)
{
	seen = group_of(1);
	return 0;
}

SEC("kprobe/do_exit") int asks_in_a_probe(void *ctx)
{
	seen = group_of(1);
	return 0;
}

SEC("tc") int keeps(struct __sk_buff *skb)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (task)
		seen = task->tgid;
	return 0;
}
