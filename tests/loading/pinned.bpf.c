// Maps that the object's own loader pins: by a number that only it knows, at a path of its own, and by name.
#include "../../programs/story.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(pinning, 100);
	__type(key, __u32);
	__type(value, __u64);
} owned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(pinning, 2);
	__type(key, __u32);
	__type(value, __u64);
} shared SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} named SEC(".maps");

SEC("tc") int on_pinned(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *one = bpf_map_lookup_elem(&owned, &key);
	__u64 *two = bpf_map_lookup_elem(&shared, &key);
	__u64 *three = bpf_map_lookup_elem(&named, &key);

	seen = (one ? *one : 0) + (two ? *two : 0) + (three ? *three : 0);
	return 0;
}
