/* X05: the LSM hook `bpf_map_alloc_security` became `bpf_map_create`, with more arguments (6.9).
 *
 * naive   hooks the old one.
 * modern  hooks the new one.
 * guarded hooks `bpf`, the whole system call, which both kernels have.
 */
#include "story.h"

SEC("lsm/bpf_map_alloc_security")
int naive(__u64 *ctx)
{
	seen = ctx[0];
	return 0;
}

SEC("lsm/bpf_map_create")
int modern(__u64 *ctx)
{
	seen = ctx[0];
	return 0;
}

SEC("lsm/bpf")
int guarded(__u64 *ctx)
{
	seen = ctx[0];
	return 0;
}
