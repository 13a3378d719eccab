// What no kernel has, reached; and the same behind a guard, or never reached.
#include "../../programs/story.h"

struct task_struct___cmx {
	int corematrix_gone;
} CORE;
struct corematrix_gone {
	int member;
} CORE;
enum bpf_map_type___cmx { BPF_MAP_TYPE_COREMATRIX___cmx = 77 };
extern void bpf_corematrix_gone(void) __ksym __weak;
extern const int corematrix_variable __ksym __weak;

SEC("raw_tp/sched_switch") int field(void *ctx)
{
	struct task_struct___cmx *task = (void *)bpf_get_current_task();

	seen = BPF_CORE_READ(task, corematrix_gone);
	return 0;
}

SEC("raw_tp/sched_switch") int field_guarded(void *ctx)
{
	struct task_struct___cmx *task = (void *)bpf_get_current_task();

	if (bpf_core_field_exists(task->corematrix_gone))
		seen = BPF_CORE_READ(task, corematrix_gone);
	return 0;
}

SEC("raw_tp/sched_switch") int type(void *ctx)
{
	struct corematrix_gone *gone = (void *)bpf_get_current_task();

	seen = BPF_CORE_READ(gone, member);
	return 0;
}

SEC("raw_tp/sched_switch") int type_guarded(void *ctx)
{
	struct corematrix_gone *gone = (void *)bpf_get_current_task();

	if (bpf_core_type_exists(struct corematrix_gone))
		seen = BPF_CORE_READ(gone, member);
	return 0;
}

SEC("raw_tp/sched_switch") int enumerator(void *ctx)
{
	seen = bpf_core_enum_value(enum bpf_map_type___cmx, BPF_MAP_TYPE_COREMATRIX___cmx);
	return 0;
}

SEC("raw_tp/sched_switch") int enumerator_guarded(void *ctx)
{
	if (bpf_core_enum_value_exists(enum bpf_map_type___cmx, BPF_MAP_TYPE_COREMATRIX___cmx))
		seen = bpf_core_enum_value(enum bpf_map_type___cmx, BPF_MAP_TYPE_COREMATRIX___cmx);
	return 0;
}

SEC("tc") int kfunc(struct __sk_buff *skb)
{
	bpf_corematrix_gone();
	return 0;
}

SEC("tc") int kfunc_guarded(struct __sk_buff *skb)
{
	if (bpf_corematrix_gone)
		bpf_corematrix_gone();
	return 0;
}

SEC("raw_tp/sched_switch") int variable_guarded(void *ctx)
{
	if (&corematrix_variable)
		seen = 1;
	return 0;
}

// The call of a missing field stands far above the end of a log that kernels from 7.x on fill with lines about subprograms.
#define FUNCTION(number) \
	static __attribute__((noinline)) int step##number(int value) { seen += value; return value * number; }
FUNCTION(1) FUNCTION(2) FUNCTION(3) FUNCTION(4) FUNCTION(5) FUNCTION(6)
FUNCTION(7) FUNCTION(8) FUNCTION(9) FUNCTION(10) FUNCTION(11) FUNCTION(12)

static __attribute__((always_inline)) int steps(int value)
{
	return step1(value) + step2(value) + step3(value) + step4(value) + step5(value) + step6(value) + step7(value) +
	       step8(value) + step9(value) + step10(value) + step11(value) + step12(value);
}

SEC("raw_tp/sched_switch") int field_among_subprograms(void *ctx)
{
	struct task_struct___cmx *task = (void *)bpf_get_current_task();

	seen = steps(seen);
	seen += BPF_CORE_READ(task, corematrix_gone);
	return 0;
}

SEC("tc") int kfunc_among_subprograms(struct __sk_buff *skb)
{
	seen = steps(skb->len);
	bpf_corematrix_gone();
	return 0;
}

int numbers[4];

// The verifier of 7.x shows the neighbours of the instruction that it complains about, a poisoned one among them.
SEC("raw_tp/sched_switch") int beside_a_field(void *ctx)
{
	struct task_struct___cmx *task = (void *)bpf_get_current_task();
	int index = bpf_get_prandom_u32();

	if (bpf_core_field_exists(task->corematrix_gone))
		seen = BPF_CORE_READ(task, corematrix_gone);
	seen += numbers[index];
	return 0;
}
