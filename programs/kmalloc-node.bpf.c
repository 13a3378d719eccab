/* X13: the tracepoint `kmalloc_node` was folded into `kmalloc` (6.1). A classic tracepoint is looked up when it is attached, so the
 * program loads everywhere.
 *
 * naive   attaches to the tracepoint that went.
 * guarded attaches to the one that stayed.
 */
#include "story.h"

SEC("tp/kmem/kmalloc_node")
int naive(void *ctx)
{
	seen = (__u64)ctx;
	return 0;
}

SEC("tp/kmem/kmalloc")
int guarded(void *ctx)
{
	seen = (__u64)ctx;
	return 0;
}
