/* G59: a section name that only the object's own loader understands: `socket1` was a custom of the kernel's samples.
 *
 * naive   is in such a section. Its loader sets the type; without it nobody can judge the program on any kernel.
 * guarded is in `socket`, which libbpf knows.
 */
#include "story.h"

SEC("socket1")
int naive(struct __sk_buff *skb)
{
	return skb->len;
}

SEC("socket")
int guarded(struct __sk_buff *skb)
{
	return skb->len;
}
