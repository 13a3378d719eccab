/* Programs close to a limit.
 *
 * near    does by itself what bpf_strncmp() (5.17) does elsewhere, and walks through most of the instruction limit for that.
 * far     is close to nothing.
 * deep    takes most of the stack, with one function that calls another.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

enum bpf_func_id___new {
	BPF_FUNC_strncmp___new = 182,
};

__u64 seen;

/* Straight code, so that the verifier has few states to keep. */
#define STEPS asm volatile("r0 = 0\n .rept 1000\n r0 += 1\n .endr" ::: "r0")

SEC("raw_tp/sched_process_exec")
int near(void *context __attribute__((unused)))
{
	if (bpf_core_enum_value_exists(enum bpf_func_id___new, BPF_FUNC_strncmp___new)) {
		char bytes[8] = "budget";

		seen = bpf_strncmp(bytes, sizeof(bytes), "budget");
		return 0;
	}
	for (__u32 index = 0; index < 850; index++)
		STEPS;
	return 0;
}

SEC("raw_tp/sched_process_exec")
int far(void *context __attribute__((unused)))
{
	seen++;
	return 0;
}

static __attribute__((noinline)) int inner(__u64 number)
{
	volatile __u64 words[40];

	for (int index = 0; index < 40; index++)
		words[index] = number;
	return words[number & 31];
}

SEC("socket")
int deep(void *context __attribute__((unused)))
{
	volatile __u64 numbers[12];

	for (int index = 0; index < 12; index++)
		numbers[index] = bpf_ktime_get_ns();
	return inner(numbers[3]) + numbers[5];
}
