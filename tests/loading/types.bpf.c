// Its BTF takes the place of a kernel's for `btf.bpf.c`.
#include "../../programs/story.h"

struct task_struct {
	int before[3];
	int no_kernel_has_this;
};

struct task_struct sample;

SEC("xdp") int on_types(struct xdp_md *context)
{
	return sample.no_kernel_has_this;
}
