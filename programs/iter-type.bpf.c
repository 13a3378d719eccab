/* G09: the values of `enum iter_type` shift: ITER_IOVEC has been 4, 0 (5.14) and 1 (6.5).
 *
 * naive   compiles its own value in. It loads everywhere and is wrong nearly everywhere.
 * guarded asks the kernel for the value; guarded_kprobe does so on kernels before 5.5, which have no fentry.
 */
#include "story.h"

/* As in 5.14 to 6.4. */
enum iter_type {
	ITER_IOVEC = 0,
};

struct iov_iter___old {
	unsigned int type;
} CORE;

struct iov_iter___new {
	__u8 iter_type;
} CORE;

static __always_inline __u32 type_of(void *iter)
{
	struct iov_iter___new *fresh = iter;
	struct iov_iter___old *old = iter;

	/* The old field holds the direction in its lowest bit. */
	return bpf_core_field_exists(fresh->iter_type) ? BPF_CORE_READ(fresh, iter_type) : BPF_CORE_READ(old, type) & ~1;
}

SEC("fentry/vfs_iter_read")
int naive(__u64 *ctx)
{
	seen = type_of((void *)ctx[1]) == ITER_IOVEC;
	return 0;
}

SEC("fentry/vfs_iter_read")
int guarded(__u64 *ctx)
{
	seen = type_of((void *)ctx[1]) == bpf_core_enum_value(enum iter_type, ITER_IOVEC);
	return 0;
}

SEC("kprobe/vfs_iter_read")
int guarded_kprobe(struct pt_regs___x86 *ctx)
{
	seen = type_of((void *)ctx->si) == bpf_core_enum_value(enum iter_type, ITER_IOVEC);
	return 0;
}
