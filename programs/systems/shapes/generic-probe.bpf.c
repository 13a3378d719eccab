// SPDX-License-Identifier: MIT
// The form of Tetragon: a section names a stand-in, and the loader attaches the program to the function that a policy names. What one kernel
// cannot verify in one program is spread over several, which jump to one another.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#pragma clang diagnostic ignored "-Wunused-parameter"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} calls SEC(".maps"), multi_calls SEC(".maps");

SEC("kprobe/generic_kprobe")
int generic_event(void *context)
{
	bpf_tail_call(context, &calls, 0);
	return 0;
}

SEC("kprobe.multi/generic_kprobe")
int generic_event_multi(void *context)
{
	bpf_tail_call(context, &multi_calls, 0);
	return 0;
}

SEC("kprobe")
int generic_filter(void *context)
{
	return bpf_get_current_pid_tgid() == 1;
}

SEC("fentry/generic_fentry")
int generic_entry(void *context)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
