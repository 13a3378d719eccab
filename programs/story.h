/* What every story needs: libbpf's macros, the licence that GPL-only helpers ask for, and a place for results.
 *
 * Kernel types are written by hand in each story, only as far as the story reads them. `CORE` makes clang record each access to
 * them, so that libbpf can look the field up in the kernel at hand. A name with `___` in it is a flavour: libbpf takes
 * `struct inode___new` for `struct inode`, so one object can know a type in several shapes.
 */
#pragma once

/* Every program gets a context and BPF_PROG() gives it all arguments; hardly one uses them all. */
#pragma clang diagnostic ignored "-Wunused-parameter"

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define CORE __attribute__((preserve_access_index))

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* What a probe gets. The kernel's registers are called `ax` and `si`, those of the UAPI `rax` and `rsi`. */
struct pt_regs___x86 {
	unsigned long ax;
	unsigned long si;
} CORE;

/* What a program read goes here; without it the compiler would drop the read. */
__u64 seen;
