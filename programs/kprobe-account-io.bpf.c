/* X14: a kprobe names its function only when it is attached, so that a program whose function is gone loads everywhere.
 * `blk_account_io_start()` was inlined in 5.17, where `__blk_account_io_start()` took its place. From 6.5 on it is in the kernel's lists
 * of functions again, but declared `inline`, which makes it untraceable: BTF has it, and the kernel refuses to attach.
 *
 * naive   probes the function.
 * guarded takes a tracepoint that has always been there. A loader tries the one and falls back on the other.
 */
#include "story.h"

SEC("kprobe/blk_account_io_start")
int naive(void *ctx)
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
