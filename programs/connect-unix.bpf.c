/* X09: a cgroup program can decide about connections between Unix sockets (6.7).
 *
 * naive   asks for that attach type; the program's type is old, and the kernel refuses before its verifier sees anything.
 * guarded decides about IPv4.
 */
#include "story.h"

SEC("cgroup/connect_unix")
int naive(struct bpf_sock_addr *ctx)
{
	return 1;
}

SEC("cgroup/connect4")
int guarded(struct bpf_sock_addr *ctx)
{
	return 1;
}
