// Relocated by its loader with BTF of its own, which knows other fields than the kernels do.
#include "../../programs/story.h"

struct task_struct___own {
	int no_kernel_has_this;
} CORE;

struct task_struct___kernel {
	int pid;
} CORE;

SEC("raw_tp/sys_enter") int reads_own(void *context)
{
	struct task_struct___own *task = (void *)bpf_get_current_task();

	seen = BPF_CORE_READ(task, no_kernel_has_this);
	return 0;
}

SEC("raw_tp/sys_enter") int reads_kernels(void *context)
{
	struct task_struct___kernel *task = (void *)bpf_get_current_task();

	seen = BPF_CORE_READ(task, pid);
	return 0;
}
