/* M04: with `kernel.kptr_restrict=2` nobody sees an address in /proc/kallsyms, and libbpf takes the 0 that stands there for one.
 *
 * naive   keeps the address of a kernel symbol to compare pointers with: it loads, and the address is 0.
 * guarded compares with what a helper gives it, which is an address on every machine.
 */
#include "story.h"

extern const void bpf_prog_put __ksym;

SEC("raw_tp/sched_switch")
int naive(void *ctx)
{
	seen = (__u64)&bpf_prog_put;
	return 0;
}

SEC("raw_tp/sched_switch")
int guarded(void *ctx)
{
	seen = bpf_get_current_task();
	return 0;
}
