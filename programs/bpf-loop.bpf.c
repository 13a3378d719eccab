/* G31: the helper `bpf_loop` (5.17), which calls a function of the program again and again.
 *
 * naive     calls it.
 * in_branch calls it only where the kernel has it. That is not enough: the address of the function is an instruction that kernels
 *           before 5.13 do not know, and they refuse it even in a branch that is never taken.
 * guarded   is a program of its own, to be loaded in the place of the others, with a plain bounded loop (5.3).
 */
#include "story.h"

#define TURNS 8

static long turn(__u32 index, void *context)
{
	seen += index;
	return 0;
}

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	bpf_loop(TURNS, turn, NULL, 0);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int in_branch(void *ctx)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop))
		bpf_loop(TURNS, turn, NULL, 0);
	else
		seen = 28;
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	for (int index = 0; index < TURNS; index++)
		turn(index, NULL);
	return 0;
}
