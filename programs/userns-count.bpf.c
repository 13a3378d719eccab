/* G57e: the reference count of a user namespace has had three places: `count`, `ns.count` (5.11), `ns.__ns_ref` (6.18).
 *
 * naive   knows the first.
 * two_way knows the first two.
 * guarded knows all, and leaves the result at 0 on a kernel with a fourth.
 */
#include "story.h"

struct counter {
	int counter;
} CORE;

struct refcount {
	struct counter refs;
} CORE;

struct user_namespace___first {
	struct counter count;
} CORE;

struct ns_common___second {
	struct refcount count;
} CORE;

struct user_namespace___second {
	struct ns_common___second ns;
} CORE;

struct ns_common___third {
	struct refcount __ns_ref;
} CORE;

struct user_namespace___third {
	struct ns_common___third ns;
} CORE;

struct cred {
	void *user_ns;
} CORE;

struct task_struct {
	struct cred *cred;
} CORE;

static __always_inline void *current_user_ns(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, cred, user_ns);
}

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	struct user_namespace___first *first = current_user_ns();

	seen = BPF_CORE_READ(first, count.counter);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int two_way(void *ctx)
{
	struct user_namespace___first *first = current_user_ns();
	struct user_namespace___second *second = (void *)first;

	if (bpf_core_field_exists(first->count))
		seen = BPF_CORE_READ(first, count.counter);
	else
		seen = BPF_CORE_READ(second, ns.count.refs.counter);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	struct user_namespace___first *first = current_user_ns();
	struct user_namespace___second *second = (void *)first;
	struct user_namespace___third *third = (void *)first;

	if (bpf_core_field_exists(third->ns.__ns_ref))
		seen = BPF_CORE_READ(third, ns.__ns_ref.refs.counter);
	else if (bpf_core_field_exists(second->ns.count))
		seen = BPF_CORE_READ(second, ns.count.refs.counter);
	else if (bpf_core_field_exists(first->count))
		seen = BPF_CORE_READ(first, count.counter);
	return 0;
}
