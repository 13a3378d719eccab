// Programs that reach no map, beside maps that kernels lack.
#include "../../programs/story.h"

struct {
	__uint(type, 33); /* BPF_MAP_TYPE_ARENA, 6.9 */
	__uint(map_flags, 1 << 10);
	__uint(max_entries, 1);
} arena SEC(".maps");
struct {
	__uint(type, 9999);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} of_no_kernel SEC(".maps");

SEC("syscall") int type_and_no_map(void *ctx)
{
	return 0;
}

SEC("xdp.frags") int flag_and_no_map(struct xdp_md *xdp)
{
	return XDP_PASS;
}

SEC("xdp") int neither(struct xdp_md *xdp)
{
	return XDP_PASS;
}

SEC("xdp") int map_of_no_kernel(struct xdp_md *xdp)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&of_no_kernel, &key) ? XDP_PASS : XDP_DROP;
}
