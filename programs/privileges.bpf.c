/* P01: what loading takes since CAP_SYS_ADMIN was divided (5.8), and memory of BPF is charged to control groups (5.11).
 *
 * All programs load everywhere as root. With fewer capabilities:
 *
 * naive   is a probe, which reads what it likes: CAP_BPF + CAP_PERFMON.
 * packet  is XDP: CAP_BPF + CAP_NET_ADMIN.
 * filter  looks at packets of its own socket: CAP_BPF, since distributions keep others from loading anything.
 * leaking is the same, and keeps an address of the kernel, which the verifier lets none do without CAP_PERFMON.
 * large   has a map of 1 MiB, which before 5.11 is more than processes may lock; libbpf raises the limit, for which it needs
 *         CAP_SYS_RESOURCE.
 */
#include "story.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 17);
	__type(key, __u32);
	__type(value, __u64);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} kept SEC(".maps");

SEC("kprobe/vfs_read")
int naive(void *ctx)
{
	return 0;
}

SEC("xdp")
int packet(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("socket")
int filter(struct __sk_buff *skb)
{
	return skb->len > 100;
}

SEC("socket")
int leaking(struct __sk_buff *skb)
{
	__u32 first = 0;
	__u64 *place = bpf_map_lookup_elem(&kept, &first);

	if (place)
		*place = (__u64)skb;
	return 0;
}

SEC("socket")
int large(struct __sk_buff *skb)
{
	__u32 last = skb->len & 0xffff;
	__u64 *count = bpf_map_lookup_elem(&table, &last);

	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}
