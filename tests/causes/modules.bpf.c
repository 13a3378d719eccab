// What only modules have.
#include "../../programs/story.h"

struct xfs_mount___here {
	unsigned long m_opstate;
} __attribute__((preserve_access_index));

SEC("fentry/nf_conntrack_in") int function(void *ctx)
{
	return 0;
}

SEC("tp_btf/xfs_file_fsync") int tracepoint(void *ctx)
{
	return 0;
}

SEC("raw_tp/sys_enter") int type(struct bpf_raw_tracepoint_args *ctx)
{
	struct xfs_mount___here *mount = (void *)ctx->args[1];

	return BPF_CORE_READ(mount, m_opstate) != 0;
}

// Loads; it is attaching that needs the module.
SEC("kprobe/nf_conntrack_in") int probe(void *ctx)
{
	return 0;
}

SEC("kprobe/corematrix_no_such_function") int probe_of_nothing(void *ctx)
{
	return 0;
}
