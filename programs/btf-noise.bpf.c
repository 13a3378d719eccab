/* G40: older kernels refuse the object's own BTF, here for a `-` in the name of a section, and libbpf says so loudly: "Error loading
 * .BTF into kernel: -22. BTF is optional, ignoring." The programs load all the same.
 *
 * naive   uses the section.
 * guarded does not.
 */
#include "story.h"

__u64 counter SEC(".data.hot-path") = 1;

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	counter++;
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	seen++;
	return 0;
}
