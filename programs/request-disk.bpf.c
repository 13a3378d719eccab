/* G02: `request.rq_disk` is gone (5.17); the disk is in the request's queue, `request_queue.disk` (5.15).
 *
 * naive   reads `rq_disk`.
 * guarded takes the queue's disk where queues have one, and `rq_disk` where they have not.
 */
#include "story.h"

struct gendisk {
	char disk_name[32];
} CORE;

struct request_queue {
	int id;
} CORE;

struct request_queue___new {
	struct gendisk *disk;
} CORE;

struct request {
	struct request_queue *q;
} CORE;

struct request___old {
	struct gendisk *rq_disk;
} CORE;

static char disk_name[32];

SEC("raw_tp/block_rq_complete")
int naive(struct bpf_raw_tracepoint_args *ctx)
{
	struct request___old *rq = (void *)ctx->args[0];

	BPF_CORE_READ_STR_INTO(&disk_name, rq, rq_disk, disk_name);
	return 0;
}

SEC("raw_tp/block_rq_complete")
int guarded(struct bpf_raw_tracepoint_args *ctx)
{
	struct request *rq = (void *)ctx->args[0];
	struct request___old *old = (void *)rq;
	struct request_queue___new *queue = (void *)BPF_CORE_READ(rq, q);

	if (bpf_core_field_exists(queue->disk))
		BPF_CORE_READ_STR_INTO(&disk_name, queue, disk, disk_name);
	else
		BPF_CORE_READ_STR_INTO(&disk_name, old, rq_disk, disk_name);
	return 0;
}
