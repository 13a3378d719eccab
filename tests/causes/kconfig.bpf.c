// Values of the kernel's config of every kind, weak and strong, and those that libbpf makes up.
#include "../../programs/story.h"

extern int CONFIG_HZ __kconfig;
extern enum libbpf_tristate CONFIG_NF_CONNTRACK __kconfig __weak;
extern _Bool CONFIG_COREMATRIX_BOOL __kconfig __weak;
extern char CONFIG_COREMATRIX_STRING[8] __kconfig __weak;
extern _Bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;

SEC("raw_tp/sched_switch") int every_kind(void *ctx)
{
	if (CONFIG_COREMATRIX_BOOL || CONFIG_COREMATRIX_STRING[0])
		seen = 1;
	if (CONFIG_NF_CONNTRACK == TRI_MODULE)
		seen += 2;
	if (LINUX_HAS_SYSCALL_WRAPPER)
		seen += CONFIG_HZ;
	return 0;
}
