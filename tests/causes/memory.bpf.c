// Rules of memory, each broken once and kept once.
#include "../../programs/story.h"

struct counter {
	__u64 number;
	struct bpf_spin_lock lock;
	__u32 more;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct counter);
} counters SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, sizeof(struct counter));
} untyped SEC(".maps");
struct alarm {
	__u64 number;
	struct bpf_timer timer;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct alarm);
} alarms SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, sizeof(struct alarm));
} untyped_alarms SEC(".maps");
struct padded {
	__u32 number;
	__u8 letter;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, struct padded);
	__type(value, __u32);
} by_padded SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} jumps SEC(".maps");

int numbers[4];

SEC("tc") int unbounded(struct __sk_buff *skb)
{
	seen = numbers[skb->len];
	return 0;
}

SEC("tc") int bounded(struct __sk_buff *skb)
{
	seen = numbers[skb->len & 3];
	return 0;
}

SEC("tc") int null(struct __sk_buff *skb)
{
	__u32 key = 1;
	struct counter *counter = bpf_map_lookup_elem(&counters, &key);

	counter->number += 1;
	return 0;
}

SEC("tc") int null_checked(struct __sk_buff *skb)
{
	__u32 key = 1;
	struct counter *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		counter->number += 1;
	return 0;
}

static __attribute__((noinline)) int jump(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &jumps, 0);
	return 0;
}

SEC("tc") int stack_before_jump(struct __sk_buff *skb)
{
	volatile char bytes[320];

	for (int i = 0; i < 320; i++)
		bytes[i] = skb->len;
	jump(skb);
	for (int i = 0; i < 320; i++)
		seen += bytes[i];
	return 0;
}

SEC("tc") int small_stack_before_jump(struct __sk_buff *skb)
{
	return jump(skb);
}

SEC("tc") int leaks(struct __sk_buff *skb)
{
	__u64 *event = bpf_ringbuf_reserve(&events, 8, 0);

	if (event)
		*event = skb->len;
	return 0;
}

SEC("tc") int gives_back(struct __sk_buff *skb)
{
	__u64 *event = bpf_ringbuf_reserve(&events, 8, 0);

	if (event)
		bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tc") int lock_without_btf(struct __sk_buff *skb)
{
	__u32 key = 1;
	struct counter *counter = bpf_map_lookup_elem(&untyped, &key);

	if (counter) {
		bpf_spin_lock(&counter->lock);
		counter->more++;
		bpf_spin_unlock(&counter->lock);
	}
	return 0;
}

SEC("tc") int lock(struct __sk_buff *skb)
{
	__u32 key = 1;
	struct counter *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter) {
		bpf_spin_lock(&counter->lock);
		counter->more++;
		bpf_spin_unlock(&counter->lock);
	}
	return 0;
}

SEC("raw_tp/sched_switch") int lock_in_tracing(void *ctx)
{
	__u32 key = 1;
	struct counter *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter) {
		bpf_spin_lock(&counter->lock);
		bpf_spin_unlock(&counter->lock);
	}
	return 0;
}

SEC("tc") int lock_not_given_back(struct __sk_buff *skb)
{
	__u32 key = 1;
	struct counter *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		bpf_spin_lock(&counter->lock);
	return 0;
}

SEC("tc") int reads_a_number(struct __sk_buff *skb)
{
	return *(int *)(long)skb->len;
}

SEC("tc") int timer_without_btf(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct alarm *alarm = bpf_map_lookup_elem(&untyped_alarms, &key);

	return alarm ? bpf_timer_init(&alarm->timer, &untyped_alarms, 1) : 0;
}

SEC("tc") int timer(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct alarm *alarm = bpf_map_lookup_elem(&alarms, &key);

	return alarm ? bpf_timer_init(&alarm->timer, &alarms, 1) : 0;
}

// A privileged program may read what was never written.
SEC("tc") int padding_never_written(struct __sk_buff *skb)
{
	struct padded key;
	__u32 *value;

	key.number = skb->len;
	key.letter = skb->protocol;
	value = bpf_map_lookup_elem(&by_padded, &key);
	return value ? *value : 0;
}
