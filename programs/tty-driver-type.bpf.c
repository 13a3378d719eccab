/* G47: `tty_driver.type` was a `short` and is an `enum tty_driver_type` (6.16).
 *
 * naive        reads a `short`: libbpf takes an integer and an enum for different things, so the field "does not exist" any more.
 * half_guarded asks whether the new enum exists to know the constant, and then reads the field as before: a guard on the enum
 *              does not cover the field.
 * guarded      has a flavour of the struct for each type of the field.
 */
#include "story.h"

/* Since 6.16 the name of a constant, before that a macro. */
enum tty_driver_type {
	TTY_DRIVER_TYPE_PTY = 4,
};

struct tty_driver {
	short type;
} CORE;

struct tty_driver___new {
	enum tty_driver_type type;
} CORE;

struct tty_struct {
	struct tty_driver *driver;
} CORE;

struct signal_struct {
	struct tty_struct *tty;
} CORE;

struct task_struct {
	struct signal_struct *signal;
} CORE;

#define OLD_TYPE_PTY 4

static __always_inline struct tty_driver *current_driver(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, signal, tty, driver);
}

SEC("raw_tp/sched_process_exec")
int naive(void *ctx)
{
	seen = BPF_CORE_READ(current_driver(), type) == OLD_TYPE_PTY;
	return 0;
}

SEC("raw_tp/sched_process_exec")
int half_guarded(void *ctx)
{
	int pty = OLD_TYPE_PTY;

	if (bpf_core_enum_value_exists(enum tty_driver_type, TTY_DRIVER_TYPE_PTY))
		pty = bpf_core_enum_value(enum tty_driver_type, TTY_DRIVER_TYPE_PTY);
	seen = BPF_CORE_READ(current_driver(), type) == pty;
	return 0;
}

SEC("raw_tp/sched_process_exec")
int guarded(void *ctx)
{
	struct tty_driver *old = current_driver();
	struct tty_driver___new *fresh = (void *)old;

	if (bpf_core_field_exists(fresh->type))
		seen = BPF_CORE_READ(fresh, type) == bpf_core_enum_value(enum tty_driver_type, TTY_DRIVER_TYPE_PTY);
	else
		seen = BPF_CORE_READ(old, type) == OLD_TYPE_PTY;
	return 0;
}
