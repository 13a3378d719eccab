/* G10: the change time of an inode has had three shapes: `i_ctime`, `__i_ctime` (6.6), `i_ctime_sec` (6.11).
 *
 * naive   knows the first.
 * two_way was right when it was written: it asks for the second and takes the first for all the rest. The `else` of a guard is
 *         no safe default: the third shape breaks it.
 * guarded asks for each.
 */
#include "story.h"

struct timespec64 {
	long long tv_sec;
} CORE;

struct inode___first {
	struct timespec64 i_ctime;
} CORE;

struct inode___second {
	struct timespec64 __i_ctime;
} CORE;

struct inode___third {
	long long i_ctime_sec;
} CORE;

struct file {
	void *f_inode;
} CORE;

struct mm_struct {
	struct file *exe_file;
} CORE;

struct task_struct {
	struct mm_struct *mm;
} CORE;

/* The inode of the executable that runs. */
static __always_inline void *current_inode(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, mm, exe_file, f_inode);
}

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	struct inode___first *inode = current_inode();

	seen = BPF_CORE_READ(inode, i_ctime.tv_sec);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int two_way(void *ctx)
{
	struct inode___first *first = current_inode();
	struct inode___second *second = (void *)first;

	if (bpf_core_field_exists(second->__i_ctime))
		seen = BPF_CORE_READ(second, __i_ctime.tv_sec);
	else
		seen = BPF_CORE_READ(first, i_ctime.tv_sec);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	struct inode___first *first = current_inode();
	struct inode___second *second = (void *)first;
	struct inode___third *third = (void *)first;

	if (bpf_core_field_exists(third->i_ctime_sec))
		seen = BPF_CORE_READ(third, i_ctime_sec);
	else if (bpf_core_field_exists(second->__i_ctime))
		seen = BPF_CORE_READ(second, __i_ctime.tv_sec);
	else if (bpf_core_field_exists(first->i_ctime))
		seen = BPF_CORE_READ(first, i_ctime.tv_sec);
	return 0;
}
