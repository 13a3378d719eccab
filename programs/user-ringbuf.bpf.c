/* G30: BPF_MAP_TYPE_USER_RINGBUF, by which user space sends to a program (6.1).
 *
 * naive   drains such a map. Where the kernel will not create it, the whole object fails to load.
 * guarded reads an array that user space fills. A guard inside one program would not do: draining takes the address of a function,
 *         which kernels before 5.13 refuse even in a branch that is never taken (see bpf-loop.bpf.c).
 */
#include "story.h"

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} request SEC(".maps");

static long take(struct bpf_dynptr *message, void *context)
{
	seen++;
	return 0;
}

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	bpf_user_ringbuf_drain(&requests, take, NULL, 0);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	__u32 first = 0;
	__u64 *value = bpf_map_lookup_elem(&request, &first);

	if (value)
		seen = *value;
	return 0;
}
