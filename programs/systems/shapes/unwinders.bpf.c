// SPDX-License-Identifier: MIT
// The form of profilers (OpenTelemetry's profiler, parca-agent): each unwinder is two programs, for perf events and for probes. All of them name
// one program array, and the loader uses `kprobe_progs` instead for probes, since a program array takes programs of one type. Offsets in
// `.rodata` are set by the loader.
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <bpf/bpf_helpers.h>

#pragma clang diagnostic ignored "-Wunused-parameter"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} perf_progs SEC(".maps"), kprobe_progs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} events SEC(".maps");

const volatile __u32 stack_offset = 0;
const volatile _Bool with_labels = 0;

static __always_inline int unwind(void *context)
{
	if (stack_offset == 0)
		return 0;
	if (with_labels)
		bpf_tail_call(context, &perf_progs, 1);
	bpf_tail_call(context, &perf_progs, 0);
	return 0;
}

static __always_inline int stop(void *context)
{
	__u64 trace = bpf_get_current_pid_tgid();

	return bpf_perf_event_output(context, &events, BPF_F_CURRENT_CPU, &trace, sizeof(trace));
}

SEC("perf_event/unwind_native")
int perf_unwind_native(struct bpf_perf_event_data *context)
{
	return unwind(context);
}

SEC("perf_event/unwind_stop")
int perf_unwind_stop(struct bpf_perf_event_data *context)
{
	return stop(context);
}

SEC("kprobe/unwind_native")
int kprobe_unwind_native(void *context)
{
	return unwind(context);
}

SEC("kprobe/unwind_stop")
int kprobe_unwind_stop(void *context)
{
	return stop(context);
}

char _license[] SEC("license") = "GPL";
