// Functions of nf_conntrack, which is a module: from 5.18 on.
#include "conntrack.h"

SEC("tc") int of_packet(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_ct_opts opts = { .netns_id = -1, .l4proto = 6 };
	struct nf_conn *connection = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));

	if (connection) {
		seen = connection->status;
		bpf_ct_release(connection);
		return 0;
	}
	/* ENOENT where the lookup worked and there is no such connection. */
	return -opts.error;
}

SEC("xdp") int of_frame(struct xdp_md *xdp)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_ct_opts opts = { .netns_id = -1, .l4proto = 6 };
	struct nf_conn *connection = bpf_xdp_ct_lookup(xdp, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));

	if (connection) {
		seen = connection->status;
		bpf_ct_release(connection);
	}
	return XDP_PASS;
}

// Forgets the reference.
SEC("tc") int keeps(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_ct_opts opts = { .netns_id = -1, .l4proto = 6 };

	return bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts)) != 0;
}
