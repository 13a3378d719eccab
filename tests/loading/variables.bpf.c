// Variables without which the verifier refuses the programs; their loader sets them.
#include "../../programs/story.h"

struct range {
	__u32 lower;
	__u32 upper;
};

const volatile __u32 ready;
const volatile struct range range;

SEC("tc") int on_ready(struct __sk_buff *skb)
{
	if (ready != 7)
		return *(volatile int *)(long)skb->len;
	return 0;
}

SEC("tc") int on_range(struct __sk_buff *skb)
{
	if (range.lower != 3)
		return *(volatile int *)(long)skb->len;
	seen = range.upper;
	return 0;
}
