/* G57d: a set of capabilities was two `__u32` in `kernel_cap_struct.cap`, and is one `u64` in `kernel_cap_t.val` (6.3). The struct
 * lost its name with it.
 *
 * naive   reads `cap_effective.cap[0]`.
 * guarded has a flavour of `struct cred` for each.
 */
#include "story.h"

struct kernel_cap_struct {
	__u32 cap[2];
} CORE;

struct cred___old {
	struct kernel_cap_struct cap_effective;
} CORE;

struct cap_value {
	__u64 val;
} CORE;

struct cred___new {
	struct cap_value cap_effective;
} CORE;

struct task_struct {
	struct cred___old *cred;
} CORE;

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	seen = BPF_CORE_READ(task, cred, cap_effective.cap[0]);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct cred___old *old = BPF_CORE_READ(task, cred);
	struct cred___new *fresh = (void *)old;

	if (bpf_core_field_exists(fresh->cap_effective.val))
		seen = BPF_CORE_READ(fresh, cap_effective.val);
	else
		seen = BPF_CORE_READ(old, cap_effective.cap[0]);
	return 0;
}
