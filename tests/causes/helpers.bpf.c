// Helpers that no kernel has, that are not for this program, or that may sleep where the program may not.
#include "../../programs/story.h"

static long (*bpf_unheard_of)(void) = (void *)9999;
char buffer[16];

SEC("tc") int unknown(struct __sk_buff *skb)
{
	return bpf_unheard_of();
}

// Never reached.
SEC("tc") int unknown_unreached(struct __sk_buff *skb)
{
	static volatile const int never = 0;

	if (never)
		return bpf_unheard_of();
	return 0;
}

SEC("tc") int of_xdp(struct __sk_buff *skb)
{
	return bpf_xdp_adjust_head((struct xdp_md *)skb, 0);
}

SEC("xdp") int in_xdp(struct xdp_md *xdp)
{
	return bpf_xdp_adjust_head(xdp, 0) ? XDP_DROP : XDP_PASS;
}

SEC("fentry/vfs_read") int BPF_PROG(sleeps, void *file, char *user)
{
	return bpf_copy_from_user(buffer, sizeof(buffer), user);
}

SEC("lsm.s/file_open") int BPF_PROG(may_sleep, void *file)
{
	bpf_copy_from_user(buffer, sizeof(buffer), file);
	return 0;
}

SEC("kprobe/vfs_read") int set_return_value_elsewhere(void *ctx)
{
	return bpf_set_retval(-1);
}

// Some functions may have their path read, most not.
SEC("fentry/vfs_open") int BPF_PROG(path_of_any, void *path)
{
	bpf_d_path(path, buffer, sizeof(buffer));
	return 0;
}

struct path {
	void *dentry;
} CORE;
struct file {
	struct path f_path;
} CORE;
SEC("fentry/filp_close") int BPF_PROG(path_of_some, struct file *file)
{
	bpf_d_path(&file->f_path, buffer, sizeof(buffer));
	return 0;
}

SEC("kprobe/filp_close") int path_in_a_probe(struct path *ctx)
{
	return bpf_d_path(ctx, buffer, sizeof(buffer));
}
