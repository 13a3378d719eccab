/* X08: one program can be called at a function's entry and at its exit, as an `fsession` (7.0).
 *
 * naive   is attached that way; older kernels do not know the attach type.
 * guarded is called at the exit only; guarded_kretprobe too, on kernels before 5.5, which have no fexit. It gets no arguments there.
 */
#include "story.h"

SEC("fsession/vfs_unlink")
int naive(__u64 *ctx)
{
	seen = ctx[0];
	return 0;
}

SEC("fexit/vfs_unlink")
int guarded(__u64 *ctx)
{
	seen = ctx[0];
	return 0;
}

SEC("kretprobe/vfs_unlink")
int guarded_kretprobe(struct pt_regs___x86 *ctx)
{
	seen = ctx->ax;
	return 0;
}
