// Constants that the object's own loader puts into the instructions by their names.
#include "../../programs/story.h"

extern char TABLE_SIZE;

/* Without its number the verifier comes to a read that it refuses. */
SEC("socket") int on_constant(struct __sk_buff *skb)
{
	long limit;

	asm("%0 = LIMIT ll" : "=r"(limit));
	return limit == 7 ? 0 : *(volatile int *)(long)skb->len;
}

/* Any number will do. */
SEC("socket") int on_address(struct __sk_buff *skb)
{
	return (long)&TABLE_SIZE > skb->len;
}
