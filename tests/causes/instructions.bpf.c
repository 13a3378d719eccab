// Instructions that came after the oldest kernels, as compilers write them with -mcpu=v3 and -mcpu=v4, and their older neighbours.
#include "../../programs/story.h"

// The compiler need not know the instruction: code, registers, offset, immediate.
#define INSN(code, registers, offset, immediate) \
	".byte " #code ", " #registers "; .short " #offset "; .long " #immediate ";"

SEC("socket") int fetches(void *ctx)
{
	__u64 sum = 1;

	return __sync_fetch_and_add(&sum, 1) == 7;
}

// The older addition, whose result no one sees.
SEC("socket") int adds(void *ctx)
{
	__u64 sum = 1;

	asm volatile("r1 = 1; *(u64 *)(r10 - 8) = r1;" INSN(0xdb, 0x1a, -8, 0) ::: "r1", "memory");
	return sum == 7;
}

// r0 = load_acquire((u64 *)(r10 - 8))
SEC("socket") int acquires(void *ctx)
{
	asm volatile("r1 = 1; *(u64 *)(r10 - 8) = r1;" INSN(0xdb, 0xa0, -8, 0x100) ::: "r0", "r1", "memory");
	return 0;
}

// r0 = *(s8 *)(r10 - 8)
SEC("socket") int loads_signed(void *ctx)
{
	asm volatile("r1 = 1; *(u64 *)(r10 - 8) = r1;" INSN(0x91, 0xa0, -8, 0) ::: "r0", "r1", "memory");
	return 0;
}

// r1 = (s8)r1
SEC("socket") int moves_signed(void *ctx)
{
	asm volatile("r1 = 1;" INSN(0xbf, 0x11, 8, 0) ::: "r1");
	return 0;
}

// r1 = bswap16 r1
SEC("socket") int swaps(void *ctx)
{
	asm volatile("r1 = 1;" INSN(0xd7, 0x01, 0, 16) ::: "r1");
	return 0;
}

// r1 = be16 r1
SEC("socket") int swaps_into_an_order(void *ctx)
{
	asm volatile("r1 = 1; r1 = be16 r1;" ::: "r1");
	return 0;
}

// r1 s/= r2
SEC("socket") int divides_signed(void *ctx)
{
	asm volatile("r1 = 1; r2 = 2;" INSN(0x3f, 0x21, 1, 0) ::: "r1", "r2");
	return 0;
}

SEC("socket") int divides(void *ctx)
{
	asm volatile("r1 = 1; r2 = 2; r1 /= r2;" ::: "r1", "r2");
	return 0;
}

// gotol +1
SEC("socket") int jumps_far(void *ctx)
{
	asm volatile("r1 = *(u32 *)(r1 + 0); if r1 == 0 goto +1;" INSN(0x06, 0, 0, 1) "r1 = 1; r1 = 2;" ::: "r1");
	return 0;
}

// may_goto +1
SEC("socket") int may_go(void *ctx)
{
	asm volatile(INSN(0xe5, 0, 1, 0) "r1 = 1; r1 = 2;" ::: "r1");
	return 0;
}

static __attribute__((noinline)) int exchanges(__u64 *value)
{
	return __sync_lock_test_and_set(value, 2) == 7;
}

SEC("socket") int exchanges_in_subprogram(void *ctx)
{
	__u64 value = 1;

	return exchanges(&value);
}
