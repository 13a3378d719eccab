/* G57a: `bio.bi_disk` became `bio.bi_bdev`, a block device that knows its disk (5.12).
 *
 * naive   reads `bi_disk`.
 * guarded reads `bi_bdev->bd_disk` where there is one.
 */
#include "story.h"

struct gendisk {
	int first_minor;
} CORE;

struct block_device {
	struct gendisk *bd_disk;
} CORE;

struct bio___old {
	struct gendisk *bi_disk;
} CORE;

struct bio___new {
	struct block_device *bi_bdev;
} CORE;

struct request {
	struct bio___old *bio;
} CORE;

SEC("raw_tp/block_rq_complete")
int naive(struct bpf_raw_tracepoint_args *ctx)
{
	struct request *rq = (void *)ctx->args[0];

	seen = BPF_CORE_READ(rq, bio, bi_disk, first_minor);
	return 0;
}

SEC("raw_tp/block_rq_complete")
int guarded(struct bpf_raw_tracepoint_args *ctx)
{
	struct request *rq = (void *)ctx->args[0];
	struct bio___old *old = BPF_CORE_READ(rq, bio);
	struct bio___new *fresh = (void *)old;

	if (bpf_core_field_exists(fresh->bi_bdev))
		seen = BPF_CORE_READ(fresh, bi_bdev, bd_disk, first_minor);
	else
		seen = BPF_CORE_READ(old, bi_disk, first_minor);
	return 0;
}
