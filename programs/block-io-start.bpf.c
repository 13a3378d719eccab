/* G03: `blk_account_io_start()` came and went: inlined in 5.17, a function again from 6.5 on, when the tracepoint `block_io_start`
 * was added as well. Between them there is neither.
 *
 * naive   traces the function. Since it came back as `inline`, which makes it untraceable, that loads and does not attach.
 * modern  traces the tracepoint: the right choice, and no help in the gap.
 * guarded takes a tracepoint that has always been there, though it fires somewhat later, and takes it raw, which kernels before 5.5
 *         load as well. A loader has to choose among the three.
 */
#include "story.h"

struct request {
	unsigned int __data_len;
} CORE;

SEC("fentry/blk_account_io_start")
int BPF_PROG(naive, struct request *rq)
{
	seen = rq->__data_len;
	return 0;
}

SEC("tp_btf/block_io_start")
int BPF_PROG(modern, struct request *rq)
{
	seen = rq->__data_len;
	return 0;
}

SEC("raw_tp/block_rq_complete")
int BPF_PROG(guarded, struct request *rq)
{
	seen = BPF_CORE_READ(rq, __data_len);
	return 0;
}
