// SPDX-License-Identifier: MIT
// A function that nothing in the object defines: its own loader replaces it.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#pragma clang diagnostic ignored "-Wunused-parameter"

extern int replaced_by_the_loader(void);

SEC("socket")
int calls(struct __sk_buff *skb)
{
	return replaced_by_the_loader();
}

SEC("socket")
int calls_not(struct __sk_buff *skb)
{
	return 1;
}

char _license[] SEC("license") = "GPL";
