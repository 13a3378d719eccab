/* A program that costs little. `cost_slow.bpf.c` is a build of it that does the same and more. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u64 seen;

SEC("socket")
int classify(void *context __attribute__((unused)))
{
	for (int index = 1; index < 50; index++)
		__sync_fetch_and_add(&seen, index);
	return 0;
}
