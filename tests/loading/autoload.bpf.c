// A program that no kernel loads, and that its loader therefore leaves out; and one that it loads only on request.
#include "../../programs/story.h"

struct sk_buff___gone {
	int corematrix_no_such_field;
} __attribute__((preserve_access_index));

SEC("kprobe/do_exit") int never_loaded(void *ctx)
{
	struct sk_buff___gone *gone = ctx;

	return gone->corematrix_no_such_field;
}

SEC("?tc") int on_request(struct __sk_buff *skb)
{
	seen = skb->len;
	return 0;
}
