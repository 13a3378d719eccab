// Map definitions from before `.maps`, which libbpf reads no more.
#include "../../programs/story.h"

struct {
	__u32 type, key_size, value_size, max_entries;
} counts SEC("maps") = {BPF_MAP_TYPE_ARRAY, 4, 8, 2};

SEC("tc") int legacy(struct __sk_buff *skb)
{
	__u32 key = skb->len & 1;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	if (count)
		*count += 1;
	return 0;
}
