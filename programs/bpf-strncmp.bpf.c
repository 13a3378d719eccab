/* G33: the helper `bpf_strncmp` (5.17).
 *
 * naive   calls it.
 * guarded calls it where the kernel's list of helpers has it, and compares byte by byte elsewhere.
 */
#include "story.h"

static const char wanted[] = "init";

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	char name[16];

	bpf_get_current_comm(name, sizeof(name));
	seen = bpf_strncmp(name, sizeof(wanted), wanted) == 0;
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	char name[16];

	bpf_get_current_comm(name, sizeof(name));
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_strncmp))
		seen = bpf_strncmp(name, sizeof(wanted), wanted) == 0;
	else
		seen = name[0] == 'i' && name[1] == 'n' && name[2] == 'i' && name[3] == 't' && name[4] == '\0';
	return 0;
}
