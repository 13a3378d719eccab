// One program that takes a kfunc of nf_conntrack, for tests/judge/machine.sh: bpftool loads all programs of an object or none.
#include "../../programs/story.h"

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

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple__sz,
					 struct bpf_ct_opts *opts, __u32 opts__sz) __ksym;
extern void bpf_ct_release(struct nf_conn *connection) __ksym;

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
