/* X01: SLUB gave up its per-CPU slabs for sheaves: `kmem_cache.cpu_slab` and `struct kmem_cache_cpu` are gone (7.0).
 *
 * naive   reads `cpu_slab`.
 * sized   asks for the size of the type: unlike a missing field, a missing type does not fail; its size is 0.
 * guarded asks first whether the field exists.
 *
 * The tracepoint hands over the cache as its third argument only since 6.1.
 */
#include "story.h"

struct kmem_cache_cpu {
	void *freelist;
} CORE;

struct kmem_cache {
	struct kmem_cache_cpu *cpu_slab;
} CORE;

SEC("raw_tp/kmem_cache_free")
int naive(struct bpf_raw_tracepoint_args *ctx)
{
	struct kmem_cache *cache = (void *)ctx->args[2];

	seen = (__u64)BPF_CORE_READ(cache, cpu_slab);
	return 0;
}

SEC("raw_tp/kmem_cache_free")
int sized(void *ctx)
{
	seen = bpf_core_type_size(struct kmem_cache_cpu);
	return 0;
}

SEC("raw_tp/kmem_cache_free")
int guarded(struct bpf_raw_tracepoint_args *ctx)
{
	struct kmem_cache *cache = (void *)ctx->args[2];

	if (bpf_core_field_exists(cache->cpu_slab))
		seen = (__u64)BPF_CORE_READ(cache, cpu_slab);
	return 0;
}
