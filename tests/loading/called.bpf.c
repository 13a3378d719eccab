// Functions in sections of programs that other code calls: a static one, a global one, and one of the caller's own section. libbpf looks for
// functions that are called in `.text` alone.
#include "../../programs/story.h"

#define NOINLINE __attribute__((noinline))

struct task_struct {
	int pid;
} CORE;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, long);
} counts SEC(".maps");

SEC("kprobe/do_exit") static NOINLINE int counted(void)
{
	int index = 0;
	long *count = bpf_map_lookup_elem(&counts, &index);
	return count ? (int)*count : 0;
}

SEC("tracepoint/sched/sched_switch") NOINLINE int pid_of_current(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, pid) + counted();
}

SEC("kprobe/do_exit") static NOINLINE int twice(void)
{
	seen += 2;
	return (int)seen;
}

SEC("kprobe/do_exit") int calls(void *ctx)
{
	return twice() + pid_of_current() + counted();
}
