/* X02: `hrtimer.state` became `hrtimer.is_queued` (7.1).
 *
 * naive   reads `state`.
 * guarded reads what is there.
 */
#include "story.h"

struct hrtimer___old {
	__u8 state;
} CORE;

struct hrtimer___new {
	bool is_queued;
} CORE;

SEC("tp_btf/hrtimer_start")
int BPF_PROG(naive, struct hrtimer___old *timer)
{
	seen = timer->state;
	return 0;
}

SEC("tp_btf/hrtimer_start")
int BPF_PROG(guarded, struct hrtimer___old *old)
{
	struct hrtimer___new *fresh = (void *)old;

	if (bpf_core_field_exists(fresh->is_queued))
		seen = fresh->is_queued;
	else
		seen = old->state;
	return 0;
}
