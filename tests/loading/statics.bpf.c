// Static functions that the object's own loader takes for programs, one of them with a subprogram.
#include "../../programs/story.h"

static __attribute__((noinline)) int length_of(struct __sk_buff *skb)
{
	return skb->len + 1;
}

SEC("tc") static __attribute__((used)) int hidden(struct __sk_buff *skb)
{
	seen = length_of(skb);
	return 0;
}

SEC("kprobe/do_exit") static __attribute__((used)) int hidden_probe(void *ctx)
{
	seen++;
	return 0;
}

SEC("tc") int plain(struct __sk_buff *skb)
{
	return 0;
}
