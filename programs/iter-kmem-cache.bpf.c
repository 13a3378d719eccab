/* X06: slab caches can be walked by a BPF iterator (6.13).
 *
 * naive   is such an iterator.
 * guarded walks tasks, which iterators have done from the start; a tool would read /proc/slabinfo instead.
 */
#include "story.h"

struct bpf_iter_meta {
	__u64 seq_num;
} CORE;

struct bpf_iter__kmem_cache {
	struct bpf_iter_meta *meta;
} CORE;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
} CORE;

SEC("iter/kmem_cache")
int naive(struct bpf_iter__kmem_cache *ctx)
{
	seen = ctx->meta->seq_num;
	return 0;
}

SEC("iter/task")
int guarded(struct bpf_iter__task *ctx)
{
	seen = ctx->meta->seq_num;
	return 0;
}
