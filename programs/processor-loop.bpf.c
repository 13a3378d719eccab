/* M03: a loop over processors whose number the loader sets is as much work for the verifier as there are processors.
 *
 * naive   adds up flags of each processor and takes the sum for an index. The verifier has to know each sum there may be, so that no
 *         path is like another: there are eight times as many with each processor.
 * guarded hides from the verifier what it knows of the sum, and the paths of one processor become one.
 *
 * The map has a value for each processor, and libbpf gives `cpus` as many entries as there are processors.
 */
#include "story.h"

#define MOST 64

const volatile __u32 nr_cpus = 1;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MOST);
	__type(key, __u32);
	__type(value, __u64);
} loads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} cpus SEC(".maps");

__u64 table[64];

static __always_inline __u64 flags(__u64 load)
{
	__u64 found = 0;

	if (load & 1)
		found += 1;
	if (load & 2)
		found += 3;
	if (load & 4)
		found += 7;
	return found;
}

SEC("raw_tp/sched_switch")
int naive(void *ctx)
{
	__u64 sum = 0;

	for (__u32 cpu = 0; cpu < nr_cpus && cpu < MOST; cpu++) {
		__u32 key = cpu;
		__u64 *load = bpf_map_lookup_elem(&loads, &key);

		if (load)
			sum = sum * 31 + flags(*load);
	}
	table[sum & 63]++;
	return bpf_perf_event_output(ctx, &cpus, BPF_F_CURRENT_CPU, &sum, sizeof(sum));
}

SEC("raw_tp/sched_switch")
int guarded(void *ctx)
{
	__u64 sum = 0;

	for (__u32 cpu = 0; cpu < nr_cpus && cpu < MOST; cpu++) {
		__u32 key = cpu;
		__u64 *load = bpf_map_lookup_elem(&loads, &key);
		__u64 found;

		if (!load)
			continue;
		found = flags(*load);
		sum = sum * 31 + found;
		/* What was written to a map is unknown when it is read. */
		seen = sum;
		sum = *(volatile __u64 *)&seen;
	}
	table[sum & 63]++;
	return bpf_perf_event_output(ctx, &cpus, BPF_F_CURRENT_CPU, &sum, sizeof(sum));
}
