/* X10: netfilter hooks can be BPF programs, a program type of their own (6.4).
 *
 * naive   is one.
 * guarded sees the packets at the traffic control hook.
 */
#include "story.h"

#define NF_ACCEPT 1

SEC("netfilter")
int naive(void *ctx)
{
	return NF_ACCEPT;
}

SEC("tc")
int guarded(struct __sk_buff *skb)
{
	seen = skb->len;
	return 0;
}
