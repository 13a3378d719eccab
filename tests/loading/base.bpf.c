// Maps that `reuse.bpf.c` is given by its loader.
#include "../../programs/story.h"

struct locked_value {
	struct bpf_spin_lock lock;
	__u32 more;
	__u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct locked_value);
} guarded SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64[4]);
} wide SEC(".maps");

SEC("xdp") int on_base(struct xdp_md *context)
{
	__u32 key = 0;
	struct locked_value *one = bpf_map_lookup_elem(&guarded, &key);
	__u64 *two = bpf_map_lookup_elem(&wide, &key);

	seen = (one ? one->count : 0) + (two ? *two : 0);
	return 0;
}
