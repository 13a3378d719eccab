/* G19: `inet_csk_accept()` had four arguments and has two, the second a struct (6.10). At a function's exit the returned value comes
 * behind the arguments, so it moved as well.
 *
 * naive   takes the fifth word for the returned socket; on newer kernels there are only three.
 * guarded knows the new form by the struct that came with it; guarded_kretprobe, for kernels before 5.5, which have no fexit, finds the
 *         returned socket in its register, whatever the arguments are.
 */
#include "story.h"

struct sock;

struct proto_accept_arg___new {
	int err;
} CORE;

SEC("fexit/inet_csk_accept")
int BPF_PROG(naive, struct sock *sk, int flags, int *err, bool kern, struct sock *accepted)
{
	seen = (__u64)accepted;
	return 0;
}

SEC("fexit/inet_csk_accept")
int guarded(__u64 *ctx)
{
	/* Two loads, not one with a computed index: the verifier wants to see which word is read. */
	if (bpf_core_type_exists(struct proto_accept_arg___new)) {
		seen = ctx[2];
		barrier();
	} else {
		seen = ctx[4];
	}
	return 0;
}

SEC("kretprobe/inet_csk_accept")
int guarded_kretprobe(struct pt_regs___x86 *ctx)
{
	seen = ctx->ax;
	return 0;
}
