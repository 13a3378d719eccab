/* G57b: `kernfs_node.parent` became `__parent`, now protected by RCU (6.15).
 *
 * naive   walks up from a task's cgroup by `parent`.
 * guarded takes `__parent` where there is one.
 *
 * Before 5.5 `id` is a union, and the number is a member of it.
 */
#include "story.h"

struct kernfs_node {
	__u64 id;
} CORE;

struct kernfs_node___union {
	union {
		__u64 id;
	} id;
} CORE;

struct kernfs_node___old {
	struct kernfs_node *parent;
} CORE;

struct kernfs_node___new {
	struct kernfs_node *__parent;
} CORE;

struct cgroup {
	struct kernfs_node___old *kn;
} CORE;

struct css_set {
	struct cgroup *dfl_cgrp;
} CORE;

struct task_struct {
	struct css_set *cgroups;
} CORE;

static __always_inline __u64 id_of(struct kernfs_node *node)
{
	struct kernfs_node___union *old = (void *)node;

	if (bpf_core_field_exists(old->id.id))
		return BPF_CORE_READ(old, id.id);
	return BPF_CORE_READ(node, id);
}

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	seen = id_of(BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, parent));
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct kernfs_node___old *old = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
	struct kernfs_node___new *fresh = (void *)old;

	if (bpf_core_field_exists(fresh->__parent))
		seen = id_of(BPF_CORE_READ(fresh, __parent));
	else
		seen = id_of(BPF_CORE_READ(old, parent));
	return 0;
}
