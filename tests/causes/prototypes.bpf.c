// A kfunc whose hidden argument the compiler passed up to 6.19, and the verifier passes since.
#include "../../programs/story.h"

struct bpf_wq {
	__u64 opaque[2];
} __attribute__((aligned(8)));
struct work {
	int number;
	struct bpf_wq wq;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct work);
} works SEC(".maps");
int bpf_wq_init(struct bpf_wq *wq, void *map, unsigned int flags) __ksym __weak;
int bpf_wq_set_callback_impl(struct bpf_wq *wq, int (*callback)(void *, int *, void *), unsigned int flags, void *aux__ign) __ksym __weak;

static int later(void *map, int *key, void *value)
{
	return 0;
}

SEC("tc") int former_prototype(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct work *work = bpf_map_lookup_elem(&works, &key);

	if (work && !bpf_wq_init(&work->wq, &works, 0))
		bpf_wq_set_callback_impl(&work->wq, later, 0, 0);
	return 0;
}
