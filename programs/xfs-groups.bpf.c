/* X16: a mounted XFS keeps its allocation groups in a tree that had three names: `m_perag_tree`, `m_perags` (6.12), `m_groups[]` (6.14).
 * Where XFS is a module, so are these types: libbpf finds them in the module's BTF, if it is loaded.
 *
 * naive   knows the first name.
 * guarded asks for each. Where the types of the module cannot be had, no side of it can be told to be right.
 */
#include "story.h"

struct xarray {
	void *xa_head;
} CORE;

struct xfs_mount___first {
	struct xarray m_perag_tree;
} CORE;

struct xfs_mount___second {
	struct xarray m_perags;
} CORE;

struct xfs_groups {
	struct xarray xa;
} CORE;

struct xfs_mount___third {
	struct xfs_groups m_groups[2];
} CORE;

struct pt_regs___first {
	unsigned long di;
} CORE;

SEC("kprobe/xfs_log_force")
int naive(struct pt_regs___first *ctx)
{
	struct xfs_mount___first *mount = (void *)ctx->di;

	seen = (__u64)BPF_CORE_READ(mount, m_perag_tree.xa_head);
	return 0;
}

SEC("kprobe/xfs_log_force")
int guarded(struct pt_regs___first *ctx)
{
	struct xfs_mount___first *first = (void *)ctx->di;
	struct xfs_mount___second *second = (void *)first;
	struct xfs_mount___third *third = (void *)first;

	if (bpf_core_field_exists(third->m_groups))
		seen = (__u64)BPF_CORE_READ(third, m_groups[0].xa.xa_head);
	else if (bpf_core_field_exists(second->m_perags))
		seen = (__u64)BPF_CORE_READ(second, m_perags.xa_head);
	else
		seen = (__u64)BPF_CORE_READ(first, m_perag_tree.xa_head);
	return 0;
}
