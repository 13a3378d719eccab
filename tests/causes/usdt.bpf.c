// Probes of user space by their section: one that no library has, and one whose program names none.
/* libbpf's header reads arguments from registers, so it wants to know whose. */
#define __TARGET_ARCH_x86
#include <asm/ptrace.h>
#include "../../programs/story.h"
#include <bpf/usdt.bpf.h>

SEC("usdt/libc.so.6:corematrix:no_such_probe") int BPF_USDT(no_probe, void *argument)
{
	seen++;
	return 0;
}

SEC("usdt") int BPF_USDT(named_by_its_loader, void *argument)
{
	seen++;
	return 0;
}
