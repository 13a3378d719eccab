/* G11: the nanoseconds of an inode's change time were a `long` and are a `u32` (6.11).
 *
 * naive   has the new name right, and still reads eight bytes: four of them belong to the next field.
 * guarded declares each field with its own type, so the size of the read follows.
 */
#include "story.h"

struct timespec64 {
	long tv_nsec;
} CORE;

struct inode___old {
	struct timespec64 i_ctime;
} CORE;

struct inode___careless {
	long i_ctime_nsec;
} CORE;

struct inode___new {
	__u32 i_ctime_nsec;
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

static __always_inline void *current_inode(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, mm, exe_file, f_inode);
}

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	struct inode___old *old = current_inode();
	struct inode___careless *fresh = (void *)old;

	if (bpf_core_field_exists(fresh->i_ctime_nsec))
		seen = BPF_CORE_READ(fresh, i_ctime_nsec);
	else if (bpf_core_field_exists(old->i_ctime))
		seen = BPF_CORE_READ(old, i_ctime.tv_nsec);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	struct inode___old *old = current_inode();
	struct inode___new *fresh = (void *)old;

	if (bpf_core_field_exists(fresh->i_ctime_nsec))
		seen = BPF_CORE_READ(fresh, i_ctime_nsec);
	else if (bpf_core_field_exists(old->i_ctime))
		seen = BPF_CORE_READ(old, i_ctime.tv_nsec);
	return 0;
}
