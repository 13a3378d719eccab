/* G07: `module.core_layout` became `module.mem[]`, one entry for each kind of memory (6.4).
 *
 * naive   reads `core_layout.base`.
 * guarded reads `mem[MOD_TEXT].base` where there is such an array.
 */
#include "story.h"

struct module_layout {
	void *base;
} CORE;

struct module___old {
	struct module_layout core_layout;
} CORE;

struct module_memory {
	void *base;
} CORE;

struct module___new {
	struct module_memory mem[1];
} CORE;

SEC("raw_tp/module_load")
int naive(struct bpf_raw_tracepoint_args *ctx)
{
	struct module___old *module = (void *)ctx->args[0];

	seen = (__u64)BPF_CORE_READ(module, core_layout.base);
	return 0;
}

SEC("raw_tp/module_load")
int guarded(struct bpf_raw_tracepoint_args *ctx)
{
	struct module___old *old = (void *)ctx->args[0];
	struct module___new *fresh = (void *)old;

	if (bpf_core_field_exists(fresh->mem))
		seen = (__u64)BPF_CORE_READ(fresh, mem[0].base);
	else
		seen = (__u64)BPF_CORE_READ(old, core_layout.base);
	return 0;
}
