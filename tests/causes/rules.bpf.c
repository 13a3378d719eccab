// Return values, complexity and forms of calls.
#include "../../programs/story.h"

SEC("cgroup/connect4") int returns_seven(struct bpf_sock_addr *ctx)
{
	return 7;
}

SEC("cgroup/connect4") int returns_one(struct bpf_sock_addr *ctx)
{
	return 1;
}

SEC("cgroup/sock_create") int sets_a_pointer(struct bpf_sock *sock)
{
	bpf_set_retval((long)sock);
	return 1;
}

SEC("cgroup/sock_create") int sets_an_error(struct bpf_sock *sock)
{
	bpf_set_retval(-1);
	return 0;
}

SEC("tc") int endless(struct __sk_buff *skb)
{
	while (seen != skb->mark)
		asm volatile("" ::: "memory");
	return 0;
}

SEC("tc") int ends(struct __sk_buff *skb)
{
	for (int i = 0; i < 100; i++)
		seen += skb->mark;
	return 0;
}

__attribute__((noinline)) void nothing(int value)
{
	seen += value;
}

SEC("tc") int calls_void(struct __sk_buff *skb)
{
	nothing(skb->len);
	return 0;
}

__attribute__((noinline)) int by_pointer(struct bpf_tcp_sock *sock)
{
	return sock ? sock->snd_cwnd : 0;
}

SEC("cgroup_skb/egress") int passes_a_pointer(struct __sk_buff *skb)
{
	struct bpf_sock *sock = skb->sk;

	if (!sock)
		return 1;
	sock = bpf_sk_fullsock(sock);
	return sock ? by_pointer(bpf_tcp_sock(sock)) & 1 : 1;
}

__attribute__((noinline)) int by_context(struct __sk_buff *skb)
{
	return skb->len;
}

SEC("tc") int passes_its_context(struct __sk_buff *skb)
{
	return by_context(skb) & 0;
}

SEC("tp_btf/sched_switch") int sixth_argument(__u64 *ctx)
{
	seen = ctx[6];
	return 0;
}

SEC("tp_btf/sched_switch") int first_argument(__u64 *ctx)
{
	seen = ctx[0];
	return 0;
}
