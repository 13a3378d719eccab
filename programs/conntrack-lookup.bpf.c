/* X17: a packet's connection can be looked up by `bpf_skb_ct_lookup()` (5.18), a kernel function of the module nf_conntrack.
 *
 * naive      calls it without asking; weak means that libbpf lets the object through, not that the call works.
 * by_address asks for the function itself. Kernels before 6.4 take no address of a function, so that the guard breaks where the function is.
 * guarded    asks for a type that came with it, in the same module. Where the module is not loaded it takes the other side.
 */
#include "story.h"

struct nf_conn {
	unsigned long status;
} CORE;

struct bpf_ct_opts {
	int netns_id;
	int error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

struct bpf_ct_opts___guard {
	int error;
} CORE;

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple__sz,
					 struct bpf_ct_opts *opts, __u32 opts__sz) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *connection) __ksym __weak;

static __always_inline void look(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_ct_opts opts = { .netns_id = -1, .l4proto = 6 };
	struct nf_conn *connection = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));

	if (connection) {
		seen = connection->status;
		bpf_ct_release(connection);
	} else {
		seen = -opts.error;
	}
}

SEC("tc")
int naive(struct __sk_buff *skb)
{
	look(skb);
	return 0;
}

SEC("tc")
int by_address(struct __sk_buff *skb)
{
	if (bpf_skb_ct_lookup)
		look(skb);
	return 0;
}

SEC("tc")
int guarded(struct __sk_buff *skb)
{
	if (bpf_core_type_exists(struct bpf_ct_opts___guard))
		look(skb);
	return 0;
}
