/* G57c: the short name inside a dentry, `d_iname`, became `d_shortname.string` (6.14).
 *
 * naive   reads `d_iname`.
 * guarded reads `d_name.name`, which points to a name of any length and was always the better choice.
 */
#include "story.h"

struct qstr {
	const unsigned char *name;
} CORE;

struct dentry {
	struct qstr d_name;
} CORE;

struct dentry___old {
	unsigned char d_iname[32];
} CORE;

struct path {
	struct dentry *dentry;
} CORE;

struct file {
	struct path f_path;
} CORE;

struct mm_struct {
	struct file *exe_file;
} CORE;

struct task_struct {
	struct mm_struct *mm;
} CORE;

static char name[32];

static __always_inline struct dentry *current_dentry(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, mm, exe_file, f_path.dentry);
}

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	struct dentry___old *dentry = (void *)current_dentry();

	bpf_probe_read_kernel_str(name, sizeof(name), __builtin_preserve_access_index(&dentry->d_iname));
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(current_dentry(), d_name.name));
	return 0;
}
