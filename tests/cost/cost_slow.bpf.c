/* A build of `cost_old.bpf.c` in which the loop takes ten times as many turns. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u64 seen;

SEC("socket")
int classify(void *context __attribute__((unused)))
{
	for (int index = 1; index < 500; index++)
		__sync_fetch_and_add(&seen, index);
	return 0;
}
