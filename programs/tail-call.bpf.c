/* G58: an array of tail calls with its slots filled in the source. libbpf fills them once all programs are loaded, so a program that is
 * loaded alone, as corematrix does, leaves slots that cannot be filled. That says nothing about the kernel.
 *
 * naive   jumps through the array.
 * guarded is what it jumps to.
 */
#include "story.h"

int guarded(void *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} jumps SEC(".maps") = {
	.values = { [0] = (void *)&guarded },
};

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	bpf_tail_call(ctx, &jumps, 0);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	seen = 1;
	return 0;
}
