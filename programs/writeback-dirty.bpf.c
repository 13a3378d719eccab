/* G23: with folios the tracepoint `writeback_dirty_page` became `writeback_dirty_folio`, with another first argument (5.18).
 *
 * naive   traces the old one.
 * modern  traces the new one.
 * guarded reads neither argument's type: a raw tracepoint is found by name when it is attached, so both names load everywhere, and
 *         the loader attaches the one that exists.
 */
#include "story.h"

SEC("tp_btf/writeback_dirty_page")
int naive(__u64 *ctx)
{
	seen = ctx[1];
	return 0;
}

SEC("tp_btf/writeback_dirty_folio")
int modern(__u64 *ctx)
{
	seen = ctx[1];
	return 0;
}

SEC("raw_tp/writeback_dirty_folio")
int guarded(struct bpf_raw_tracepoint_args *ctx)
{
	seen = ctx->args[1];
	return 0;
}
