// Sections and targets that the object's own loader gives a meaning to.
#include "../../programs/story.h"

SEC("classifier/first") int classifies(struct __sk_buff *skb)
{
	seen = skb->len;
	return 0;
}

SEC("cgroup_skb_in") int filters(struct __sk_buff *skb)
{
	return 1;
}

SEC("fentry/placeholder_of_its_loader") int BPF_PROG(placeholder, void *first)
{
	seen++;
	return 0;
}

SEC("lsm/file_open") int BPF_PROG(may_sleep, void *file)
{
	char bytes[8];

	bpf_copy_from_user(bytes, sizeof(bytes), file);
	return 0;
}
