// Maps that the object's own loader completes.
#include "../../programs/story.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
} no_size SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, __u64);
} typed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} like SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} of_maps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 24);
	__type(key, __u64);
	__type(value, __u64);
} huge SEC(".maps");

SEC("tc") int on_no_size(struct __sk_buff *skb)
{
	return bpf_ringbuf_output(&no_size, &seen, sizeof(seen), 0) < -100;
}

SEC("tc") int on_typed(struct __sk_buff *skb)
{
	return bpf_ringbuf_output(&typed, &seen, sizeof(seen), 0) < -100;
}

SEC("tc") int on_map_of_maps(struct __sk_buff *skb)
{
	__u32 key = 0;
	void *inner = bpf_map_lookup_elem(&of_maps, &key);
	__u64 *value = inner ? bpf_map_lookup_elem(inner, &key) : 0;

	seen = value ? *value : 0;
	return 0;
}

SEC("tc") int on_huge(struct __sk_buff *skb)
{
	__u64 key = skb->len;
	__u64 *value = bpf_map_lookup_elem(&huge, &key);

	seen = value ? *value : 0;
	return 0;
}
