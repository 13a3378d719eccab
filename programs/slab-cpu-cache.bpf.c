/* X01: SLUB gave up its per-CPU slabs for sheaves, and `struct kmem_cache_cpu` with them (7.0).
 *
 * naive   asks for the size of the type: a relocation on a type, not on a field.
 * guarded asks first whether the type exists.
 */
#include "story.h"

struct kmem_cache_cpu {
	void *freelist;
} CORE;

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	seen = bpf_core_type_size(struct kmem_cache_cpu);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	if (bpf_core_type_exists(struct kmem_cache_cpu))
		seen = bpf_core_type_size(struct kmem_cache_cpu);
	return 0;
}
