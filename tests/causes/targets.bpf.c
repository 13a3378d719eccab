// Targets that are not there, that are there and refuse, and forms of programs that some kernels lack.
#include "../../programs/story.h"

SEC("fentry/corematrix_no_such_function") int missing_function(void *ctx)
{
	return 0;
}

SEC("tp_btf/corematrix_no_such_event") int missing_tracepoint(void *ctx)
{
	return 0;
}

SEC("lsm/corematrix_no_such_hook") int missing_hook(void *ctx)
{
	return 0;
}

SEC("fentry.s/vfs_read") int not_sleepable(void *ctx)
{
	return 0;
}

SEC("fmod_ret/vfs_read") int not_modifiable(void *ctx)
{
	return 0;
}

// A function of a module.
SEC("fentry/xfs_file_open") int in_a_module(void *ctx)
{
	return 0;
}

SEC("fentry/vfs_read") int allowed(void *ctx)
{
	return 0;
}

SEC("netfilter") int newer_type(void *ctx)
{
	return 1;
}

SEC("cgroup/connect_unix") int newer_attach_type(void *ctx)
{
	return 1;
}

SEC("xdp.frags") int newer_flag(struct xdp_md *xdp)
{
	return XDP_PASS;
}

SEC("xdp") int older_form(struct xdp_md *xdp)
{
	return XDP_PASS;
}

SEC("corematrix/unknown") int unknown_section(void *ctx)
{
	return 0;
}
