// Maps that its loader does not create, but gets from another object; without them no program here loads.
#include "../../programs/story.h"

struct locked_value {
	struct bpf_spin_lock lock;
	__u32 more;
	__u64 count;
};

// Without types, so that only the BTF of the other object's map says where the lock is.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, sizeof(struct locked_value));
} locked SEC(".maps");

// The other object's map has larger values.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} narrow SEC(".maps");

// Whoever creates it says how large it is.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
} sized_by_another SEC(".maps");

SEC("xdp") int on_locked(struct xdp_md *context)
{
	__u32 key = 0;
	struct locked_value *one = bpf_map_lookup_elem(&locked, &key);

	if (one) {
		bpf_spin_lock(&one->lock);
		one->count++;
		bpf_spin_unlock(&one->lock);
	}
	return 0;
}

SEC("xdp") int on_narrow(struct xdp_md *context)
{
	__u32 key = 0;
	__u64 *values = bpf_map_lookup_elem(&narrow, &key);

	seen = values ? values[3] : 0;
	return 0;
}

SEC("xdp") int on_sized_by_another(struct xdp_md *context)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&sized_by_another, &key);

	seen = value ? *value : 0;
	return 0;
}
