// SPDX-License-Identifier: GPL-2.0
// What every kernel loads, and what none does. canary.rs puts other numbers instead of these two.
// clang -O2 -target bpf -c harness/run/canary.bpf.c -o harness/run/canary.bpf.o && llvm-strip -g harness/run/canary.bpf.o
#define SEC(name) __attribute__((section(name), used))

char LICENSE[] SEC("license") = "GPL";

SEC("socket") __attribute__((naked)) int sound(void)
{
	asm volatile("r0 = 0x5eed0001\n"
		     "r1 = r0\n"
		     "r0 = r1\n"
		     "exit\n");
}

// Nothing was ever put into r5.
SEC("socket") __attribute__((naked)) int refused(void)
{
	asm volatile("r0 = 0x5eed0002\n"
		     "r0 = r5\n"
		     "exit\n");
}
