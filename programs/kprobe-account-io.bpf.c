/* X14: a kprobe names its function only when it is attached, so that a program whose function is gone loads everywhere.
 * `blk_account_io_start()` was inlined in 5.17, where `__blk_account_io_start()` took its place, and is a function again from 6.5 on.
 *
 * naive   probes the function.
 * second  probes the one that took its place.
 * guarded takes a tracepoint that has always been there. A loader that tries one after the other has all three.
 */
#include "story.h"

SEC("kprobe/blk_account_io_start")
int naive(void *ctx)
{
	seen = (__u64)ctx;
	return 0;
}

SEC("kprobe/__blk_account_io_start")
int second(void *ctx)
{
	seen = (__u64)ctx;
	return 0;
}

SEC("tp/block/block_rq_issue")
int guarded(void *ctx)
{
	seen = (__u64)ctx;
	return 0;
}
