/* SPDX-License-Identifier: MIT */
/*
 * machine.h for tests: the kernel's core in an ordinary process, user memory being the process's own.
 *
 * Functions of the core that a test does not link are there as weak ones, enough to get by. Build hosted, with the
 * kernel's directories as -iquote (their poll.h and signal.h are not libc's).
 */
#ifndef FAKE_MACHINE_H
#define FAKE_MACHINE_H

/* libc's headers, if any, come first; their signal set has another type. */
#undef min
#undef max
#undef NSIG
#undef sigmask
#define sigset_t kernel_sigset_t

#include "kernel.h"
#include "machine.h"
#include "proc/task.h"

/* One process, number 2, whose only thread is the caller. The kernel lock is taken. */
void fake_init(void);
/* Starts a thread of that process, which runs fn with the lock held. */
struct task *fake_thread(void (*fn)(void *arg), void *arg);
/* Waits for its end, the lock dropped meanwhile, and frees it. */
void fake_join(struct task *t);
/* Drops the lock for a while. */
void fake_sleep_ms(unsigned ms);
/* Makes a signal pending, as its sender would. */
void fake_signal(struct task *t, int sig);
/* Signals that signal_send_task() was asked to send to the calling thread; the set is cleared. */
sigset_t fake_signals_sent(void);

extern int fake_console[3];               /* the host's descriptors behind the console */
extern struct thaw_request *fake_request; /* what machine_boot() leads to: change stdio_tty at will */
extern s64 (*fake_monitor)(struct thaw_call *call, const void *data, void *reply, size_t reply_size);
extern const void *fake_image; /* machine_image() */

extern long fake_allocated;  /* blocks of the kernel's heap in use */
extern long fake_alloc_fail; /* 0: never; n: the n-th allocation from now on fails */
extern bool fake_quiet;      /* printk prints nothing */

#endif
