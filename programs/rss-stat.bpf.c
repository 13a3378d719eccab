/* G05: `mm_struct.rss_stat` was a struct with an array of counters, and is an array of `percpu_counter` (6.2).
 *
 * naive   reads `rss_stat.count[1]`; an array has no member `count`.
 * guarded has a flavour for each shape.
 */
#include "story.h"

struct rss_counter {
	long counter;
} CORE;

struct mm_rss_stat {
	struct rss_counter count[4];
} CORE;

struct mm_struct___old {
	struct mm_rss_stat rss_stat;
} CORE;

struct percpu_counter {
	long long count;
} CORE;

struct mm_struct___new {
	struct percpu_counter rss_stat[4];
} CORE;

struct task_struct {
	struct mm_struct___old *mm;
} CORE;

SEC("raw_tp/sched_process_exit")
int naive(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	seen = BPF_CORE_READ(task, mm, rss_stat.count[1].counter);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int guarded(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mm_struct___old *old = BPF_CORE_READ(task, mm);
	struct mm_struct___new *fresh = (void *)old;

	if (bpf_core_field_exists(old->rss_stat.count))
		seen = BPF_CORE_READ(old, rss_stat.count[1].counter);
	else
		seen = BPF_CORE_READ(fresh, rss_stat[1].count);
	return 0;
}
