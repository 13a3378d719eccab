// One program that takes a kfunc of nf_conntrack, for tests/judge/machine.sh: bpftool loads all programs of an object or none.
#include "../causes/conntrack.h"

SEC("tc")
int of_packet(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_ct_opts opts = { .netns_id = -1, .l4proto = 6 };
	struct nf_conn *connection = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));

	if (connection) {
		seen = connection->status;
		bpf_ct_release(connection);
	}
	return 0;
}
