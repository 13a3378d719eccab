// Functions, tracepoints and types of modules of distributions.
#include "../../programs/story.h"

SEC("fentry/btrfs_sync_file") int btrfs(void *ctx)
{
	return 0;
}

SEC("fentry/nfs_file_read") int nfs(void *ctx)
{
	return 0;
}

SEC("fexit/tun_chr_open") int tun(void *ctx)
{
	return 0;
}

SEC("tp_btf/kvm_exit") int kvm_tracepoint(void *ctx)
{
	return 0;
}

SEC("fentry/kvm_vcpu_kick") int kvm_function(void *ctx)
{
	return 0;
}

SEC("raw_tp/kvm_entry") int kvm_raw(void *ctx)
{
	return 0;
}
