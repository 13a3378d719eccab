/* X07: a scheduler can be written in BPF, as struct_ops of the type `sched_ext_ops` (6.12, where the kernel is built with it).
 *
 * naive   is the `init` of such a scheduler.
 * guarded is in the same object and has nothing to do with it; a loader has to leave the scheduler's map out for it.
 */
#include "story.h"

struct sched_ext_ops {
	int (*init)(void);
	char name[128];
};

SEC("struct_ops.s/init")
int naive(__u64 *ctx)
{
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	seen = 1;
	return 0;
}

SEC(".struct_ops.link")
struct sched_ext_ops scheduler = {
	.init = (void *)naive,
	.name = "story",
};
