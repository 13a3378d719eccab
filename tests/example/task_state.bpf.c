// SPDX-License-Identifier: GPL-2.0
// Reads a task's state, whose field has another name from Linux 5.14 on.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct task_struct {
    unsigned int __state;
} __attribute__((preserve_access_index));

struct task_struct___old {
    long state;
} __attribute__((preserve_access_index));

long state;

SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
    struct task_struct *task = (void *)ctx->args[0];

    if (bpf_core_field_exists(task->__state))
        state = BPF_CORE_READ(task, __state);
    else
        state = BPF_CORE_READ((struct task_struct___old *)task, state);
    return 0;
}

char LICENSE[] SEC("license") = "GPL";
