// Fills the table of nf_conntrack, whose limit the suite sets to one connection; from 6.0 on.
#include "../causes/conntrack.h"
#include <linux/pkt_cls.h>

#define IPS_SEEN_REPLY (1 << 1)
#define IPS_ASSURED (1 << 2)

/* One that is not in the table yet. */
struct nf_conn___init {
	struct nf_conn ct;
} CORE;

extern struct nf_conn___init *bpf_skb_ct_alloc(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple__sz,
					       struct bpf_ct_opts *opts, __u32 opts__sz) __ksym;
extern void bpf_ct_set_timeout(struct nf_conn___init *connection, __u32 timeout) __ksym;
extern int bpf_ct_set_status(const struct nf_conn___init *connection, __u32 status) __ksym;
extern struct nf_conn *bpf_ct_insert_entry(struct nf_conn___init *connection) __ksym;

static __always_inline bool add(struct __sk_buff *skb, __u16 port)
{
	struct bpf_ct_opts opts = { .netns_id = -1, .l4proto = 6 };
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *inserted;
	struct nf_conn___init *connection;

	tuple.ipv4.saddr = 0x0100000a;
	tuple.ipv4.daddr = 0x0200000a;
	tuple.ipv4.sport = port;
	tuple.ipv4.dport = 80;
	connection = bpf_skb_ct_alloc(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
	if (!connection)
		return false;
	bpf_ct_set_timeout(connection, 1000000);
	/* The kernel drops others where it needs room. */
	bpf_ct_set_status(connection, IPS_SEEN_REPLY | IPS_ASSURED);
	inserted = bpf_ct_insert_entry(connection);
	if (!inserted)
		return false;
	bpf_ct_release(inserted);
	return true;
}

bool filled;
bool found_room;

/* Drops all packets if there was no room for a connection, so that its neighbours' connections show in how often it runs. */
SEC("tc") int a_fills(struct __sk_buff *skb)
{
	filled = add(skb, 1000) || filled;
	return filled ? TC_ACT_OK : TC_ACT_SHOT;
}

/* Comes after the other one, in the same guest. */
SEC("tc") int b_finds_it_full(struct __sk_buff *skb)
{
	found_room = add(skb, 1001) || found_room;
	return found_room ? TC_ACT_OK : TC_ACT_SHOT;
}
