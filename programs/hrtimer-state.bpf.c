/* X02: `hrtimer.state` became `hrtimer.is_queued` (7.1).
 *
 * naive   reads `state`.
 * guarded reads what is there. It is a raw tracepoint, which kernels before 5.5 load as well.
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

SEC("raw_tp/hrtimer_start")
int BPF_PROG(guarded, struct hrtimer___old *old)
{
	struct hrtimer___new *fresh = (void *)old;

	if (bpf_core_field_exists(fresh->is_queued))
		seen = BPF_CORE_READ(fresh, is_queued);
	else
		seen = BPF_CORE_READ(old, state);
	return 0;
}
