/* G60: a type of a framework's own with access recorded for CO-RE: no kernel has ever had it.
 *
 * naive   fails on every kernel alike, which is a mistake in the object, not a kernel to avoid.
 * guarded declares the type without `preserve_access_index`.
 */
#include "story.h"

struct gadget_socket_value {
	__u32 ipv6only;
} CORE;

struct gadget_socket_plain {
	__u32 ipv6only;
};

SEC("raw_tp/sched_process_exec")
int naive(struct bpf_raw_tracepoint_args *ctx)
{
	struct gadget_socket_value *value = (void *)ctx->args[0];

	seen = BPF_CORE_READ(value, ipv6only);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(struct bpf_raw_tracepoint_args *ctx)
{
	struct gadget_socket_plain *value = (void *)ctx->args[0];

	bpf_probe_read_kernel(&seen, sizeof(value->ipv6only), &value->ipv6only);
	return 0;
}
