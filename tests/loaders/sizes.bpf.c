// SPDX-License-Identifier: MIT
// Maps whose definitions loaders complete, each in its own way.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#pragma clang diagnostic ignored "-Wunused-parameter"

struct event {
	int pid;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__type(value, struct event);
	__uint(max_entries, 1 << 24);
} typed_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
} perf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
	__uint(max_entries, 4096);
} wide_perf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
	__uint(max_entries, 8);
} no_template SEC(".maps");

static int output(void *map, void *ctx)
{
	struct event event = {};

	return bpf_perf_event_output(ctx, map, BPF_F_CURRENT_CPU, &event, sizeof(event));
}

SEC("tracepoint/sched/sched_switch")
int on_typed_ring(void *ctx)
{
	struct event event = {};

	return bpf_ringbuf_output(&typed_ring, &event, sizeof(event), 0);
}

SEC("tracepoint/sched/sched_switch")
int on_ring(void *ctx)
{
	struct event event = {};

	return bpf_ringbuf_output(&ring, &event, sizeof(event), 0);
}

SEC("tracepoint/sched/sched_switch")
int on_perf(void *ctx)
{
	return output(&perf, ctx);
}

SEC("tracepoint/sched/sched_switch")
int on_wide_perf(void *ctx)
{
	return output(&wide_perf, ctx);
}

SEC("tracepoint/sched/sched_switch")
int on_no_template(void *ctx)
{
	int key = 0;

	return bpf_map_lookup_elem(&no_template, &key) != 0;
}

char _license[] SEC("license") = "GPL";
